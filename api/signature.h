/* SPDX-License-Identifier: Apache-2.0 */
/* The two signing schemes of the vendor's SDKs: RPC signature 1.0 with HMAC-SHA1 and ACS3-HMAC-SHA256 (api
 * §1.4, §1.6). Nothing here knows keys, clocks or the database. */
#ifndef API_SIGNATURE_H
#define API_SIGNATURE_H

#include "api/request.h"

enum scheme { SCHEME_RPC, SCHEME_ACS3 };

/* What a request says of itself, checked for form and presence only. Strings in the request's arena. */
struct credentials {
	enum scheme scheme;
	const char *key_id, *nonce, *timestamp;
	const char *signature;      /* as it came */
	const char *signed_headers; /* ACS3: "a;b;c" */
	const char *body_hash;      /* ACS3: x-acs-content-sha256 */
};

/* The Authorization header decides, since RPC clients send x-acs-action as well (api §1.2). */
enum scheme signature_scheme(const struct request *rq);
/* ERR_MISSING_PARAM, ERR_SIGNATURE_METHOD, ERR_SIGNATURE_VERSION, ERR_SIGNATURE_INCOMPLETE, ERR_SECURITY_TOKEN
 * (temporary credentials are not supported). Unless refused, STS tokens aside, *ret is good for
 * signature_verify. */
enum err credentials_read(struct request *rq, const struct params *p, struct error *e,
			  struct credentials *ret) MUST_USE;
/* ERR_SIGNATURE, with the string that was signed here in the text, as SDKs want to see it. Constant time in the
 * signature. */
enum err signature_verify(struct request *rq, const struct params *p, const struct credentials *c,
			  const char *secret, struct error *e) MUST_USE;

#endif
