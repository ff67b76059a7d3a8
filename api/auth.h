/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls, and may they: everything about a call that is decided before its parameters are looked at, in the
 * order of api §1.10. Called by the workers. */
#ifndef API_AUTH_H
#define API_AUTH_H

#include "api/encode.h"
#include "api/key_cache.h"
#include "api/nonce_table.h"
#include "api/quota.h"
#include "api/signature.h"

/* Shared by all workers. */
struct auth {
	struct key_cache *keys;
	struct nonce_table *nonces;
	struct quota *quota;
};

/* What authentication found out. */
struct caller {
	struct params params;
	struct credentials credentials;
	struct access_key key;
};

/* As asked for, also before anything is known to be well formed: Format, else what the scheme's clients expect. */
enum format auth_format(const struct request *rq, const struct params *p);

/* Method, version and action, presence of what is needed, key, time, signature, nonce, role, quota. Fills
 * c->action, account_id, instance_id (the default one), key_id and role. Works outside a transaction. */
enum err authenticate(const struct auth *auth, struct request *rq, struct call *c, struct caller *ret) MUST_USE;

/* One more quota for a part of an action's calls, e.g. deep pages: `what` names it, the action's own configured limit
 * holds for it too. ERR_THROTTLED. */
enum err auth_quota(const struct auth *auth, struct call *c, const char *what, int documented) MUST_USE;

#endif
