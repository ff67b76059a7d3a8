/* SPDX-License-Identifier: Apache-2.0 */
/* How a device logs in (device §1): user name, clientId and the HMAC in the password. Pure; any thread. The
 * broker plugin calls it. */
#ifndef ENGINE_DEVICE_AUTH_H
#define ENGINE_DEVICE_AUTH_H

#include "engine/base/crypto.h"

/* Longer ones are refused. */
#define DEVICE_CLIENT_ID_MAX 1024
#define DEVICE_NAME_TEXT_MAX 255

/* A piece of the caller's text. */
struct auth_text {
	const char *at; /* NULL: was not sent */
	size_t len;
};
struct device_login {
	struct auth_text x; /* the clientId without its extended part */
	struct auth_text timestamp, signmethod;
	char pk[DEVICE_NAME_TEXT_MAX + 1], dn[DEVICE_NAME_TEXT_MAX + 1];
};

/* Takes `X|k=v,...|` and `DN&PK` apart; the parts point into client_id. false: not a device's login. */
bool device_login_parse(const char *client_id, const char *user, struct device_login *ret);
/* Is this the password? The method is the announced one, unless the password has another one's length; the
 * hex may be in either case. Constant time in the secret. */
bool device_login_check(const struct device_login *l, const char *password, const char *secret,
			size_t secret_len);

#endif
