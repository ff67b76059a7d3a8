/* SPDX-License-Identifier: Apache-2.0 */
/* Actions of the management API: one table entry each, found by name. A handler gets its parameters decoded
 * and its answer encoded; it never parses, formats, publishes, frees or looks at the clock. */
#ifndef API_ACTION_H
#define API_ACTION_H

#include "api/field.h"
#include "engine/limits.h"
#include "storage/db.h"

enum role { ROLE_VIEWER = 1, ROLE_OPERATOR = 2, ROLE_ADMIN = 3 };

struct package_store;

/* What the process lends to every call; fixed at start. */
struct api_env {
	struct package_store *store;
	const struct seal_key *master;
	/* Wakes a part of the same process after a commit; other replicas poll. Never NULL (may do nothing). */
	void (*wake_engine)(void *ctx);
	void (*wake_maker)(void *ctx);
	void (*wake_credentials)(void *ctx);
	void (*wake_registrar)(void *ctx);
	void *wake_ctx;
};

/* One call: everything a handler may use. */
struct call {
	struct arena *arena;
	struct db *db;          /* a transaction is open: read-only for READS, read-write for WRITES */
	utc_ms now;             /* the time of this call; the clock is not read again */
	int64_t answer_by_ms;   /* boot clock; the client is gone soon after (rules.md §2) */
	struct error *error;
	const struct api_env *env;
	const struct config *config;
	struct limits limits;
	const struct action *action;
	const char *request_id; /* upper-case UUID */
	int64_t account_id;
	int64_t instance_id;    /* of IotInstanceId, or the account's default */
	const char *key_id;     /* AccessKeyId */
	enum role role;
	const char *audit_target; /* a handler that changes something says what: shown in the audit row */
	const void *refusal; /* a handler that refuses may explain it: an `out` struct, shown beside the error */
	/* Set by a handler: runs after the commit, outside the transaction and before the answer, e.g. to wait
	 * until the broker has a credential. Its error is the call's error. */
	enum err (*after_commit)(struct call *c, void *arg);
	void *after_commit_arg;
};

enum effect { READS, WRITES };

struct action {
	const char *name;       /* as on the wire */
	enum effect effect;
	enum role role;         /* least role: READS viewer, WRITES operator, deletions admin (rules.md §7) */
	int qps;                /* documented calls per second and account (api.md §3, §8) */
	bool (*is_deep)(const void *in); /* NULL, or: does this call page so deep that deep_qps holds? */
	int deep_qps;
	const char *methods;    /* as documented, "GET POST"; both are accepted everywhere */
	const char *doc;
	/* NULL: no parameters. `out` without RequestId, Success, Code, ErrorMessage: those come by themselves; out
	 * NULL: nothing but those. */
	const struct field *in, *out;
	size_t in_size, out_size;
	enum err (*run)(struct call *c, const void *in, void *out);
	const enum err *fails;  /* business errors it may answer, ended by OK; for the docs and a debug check */
};

/* Every action, NULL-terminated, from api/actions.def. */
extern const struct action *const actions[];
/* NULL when there is none. */
const struct action *action_find(const char *name);

/* A file api/actions/x.c defines `const struct action action_CreateProduct = { .name = .. };` and adds
 * ACTION(CreateProduct) to api/actions.def. */
#define ACTION(name) extern const struct action action_##name;
#include "api/actions.def"
#undef ACTION

#endif
