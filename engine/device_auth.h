/* SPDX-License-Identifier: Apache-2.0 */
/* How a device logs in or registers (device §1): user name, clientId and what the password proves. Pure; any
 * thread. The broker plugin calls it, and the HTTP registration for its signature. */
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
/* What the connection is for, by the extended parameter authType; any other value is a plain login. */
enum device_auth {
	AUTH_LOGIN,    /* password: HMAC under the device's secret */
	AUTH_TOKEN,    /* connwl: the secret itself, which regnwl gave out as the token */
	AUTH_REGISTER, /* HMAC under the product's secret: a registered device asks for its secret */
	AUTH_REGNWL,   /* the same, for a device that need not be registered */
};
struct device_login {
	enum device_auth auth;
	struct auth_text x; /* the clientId without its extended part */
	struct auth_text timestamp, signmethod, random;
	char pk[DEVICE_NAME_TEXT_MAX + 1], dn[DEVICE_NAME_TEXT_MAX + 1];
};

/* Takes `X|k=v,...|` and `DN&PK` apart; the parts point into client_id. false: not a device's login. */
bool device_login_parse(const char *client_id, const char *user, struct device_login *ret);
/* Is this the password of an AUTH_LOGIN or AUTH_TOKEN? The method is the announced one, unless the password
 * has another one's length; the hex may be in either case. Constant time in the secret. */
bool device_login_check(const struct device_login *l, const char *password, const char *secret,
			size_t secret_len);
/* Is this the signature of a registration (device §1.5)? Of `l` only the names, random and signmethod count;
 * false without a random. */
bool device_register_check(const struct device_login *l, const char *sign, const char *product_secret,
			   size_t secret_len);
/* Is it the name of a method of signing? */
bool device_sign_method(const char *name);

#endif
