/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/device_auth.h"

#include <string.h>
#include <strings.h>

#define CONTENT_MAX ((size_t)4 * DEVICE_CLIENT_ID_MAX)

static const struct {
	const char *name;
	enum digest digest;
} methods[] = {
	/* The first is the platform's default. */
	{ "hmacmd5", DIGEST_MD5 },
	{ "hmacsha1", DIGEST_SHA1 },
	{ "hmacsha256", DIGEST_SHA256 },
	{ "sha256", DIGEST_SHA256 },
};

static const struct {
	const char *name;
	enum device_auth auth;
} auths[] = { { "connwl", AUTH_TOKEN }, { "register", AUTH_REGISTER }, { "regnwl", AUTH_REGNWL } };

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct auth_text trim(const char *at, size_t len)
{
	while (len > 0 && blank(*at)) {
		at++;
		len--;
	}
	while (len > 0 && blank(at[len - 1]))
		len--;
	return (struct auth_text){ at, len };
}

static bool same(struct auth_text t, const char *word)
{
	return strlen(word) == t.len && strncasecmp(t.at, word, t.len) == 0;
}

static enum device_auth auth_of(struct auth_text value)
{
	for (size_t i = 0; i < ARRAY_LEN(auths); i++)
		if (same(value, auths[i].name))
			return auths[i].auth;
	return AUTH_LOGIN;
}

/* One k=v; unknown keys are ignored, of a key given twice the first counts. */
static void parse_pair(const char *at, size_t len, struct device_login *l)
{
	const char *eq = memchr(at, '=', len);
	struct auth_text key, value;

	if (!eq)
		return;
	key = trim(at, (size_t)(eq - at));
	value = trim(eq + 1, len - (size_t)(eq - at) - 1);
	if (same(key, "timestamp") && !l->timestamp.at)
		l->timestamp = value;
	else if (same(key, "signmethod") && !l->signmethod.at)
		l->signmethod = value;
	else if (same(key, "random") && !l->random.at)
		l->random = value;
	else if (same(key, "authtype") && l->auth == AUTH_LOGIN)
		l->auth = auth_of(value);
}

static void parse_extended(const char *at, struct device_login *l)
{
	size_t len = strcspn(at, "|");

	for (;;) {
		const char *comma = memchr(at, ',', len);
		size_t n = comma ? (size_t)(comma - at) : len;

		parse_pair(at, n, l);
		if (!comma)
			return;
		at += n + 1;
		len -= n + 1;
	}
}

bool device_login_parse(const char *client_id, const char *user, struct device_login *ret)
{
	struct device_login l = { .x = { client_id, strcspn(client_id, "|") } };
	const char *amp = strrchr(user, '&');
	size_t dn_len;

	if (!amp || strlen(client_id) > DEVICE_CLIENT_ID_MAX)
		return false;
	dn_len = (size_t)(amp - user);
	if (dn_len == 0 || dn_len > DEVICE_NAME_TEXT_MAX || !amp[1] || strlen(amp + 1) > DEVICE_NAME_TEXT_MAX ||
	    amp[1] == '$') /* names of the broker plugin's own (engine/brokerlink.h) */
		return false;
	memcpy(l.dn, user, dn_len);
	memcpy(l.pk, amp + 1, strlen(amp + 1));
	if (client_id[l.x.len] == '|')
		parse_extended(client_id + l.x.len + 1, &l);
	*ret = l;
	return true;
}

static enum digest digest_of(const struct device_login *l, size_t bytes, bool *ret_known)
{
	enum digest d = methods[0].digest;

	for (size_t i = 0; l->signmethod.at && i < ARRAY_LEN(methods); i++)
		if (same(l->signmethod, methods[i].name))
			d = methods[i].digest;
	*ret_known = true;
	if (digest_len(d) == bytes)
		return d;
	/* One SDK announces hmacsha256 and sends HMAC-SHA1 (device §1.2). */
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (digest_len(methods[i].digest) == bytes)
			return methods[i].digest;
	*ret_known = false;
	return d;
}

/* Does the hex say HMAC(secret, content)? */
static bool mac_fits(enum digest d, const char *hex, const struct buf *content, const char *secret,
		     size_t secret_len)
{
	unsigned char want[DIGEST_MAX], got[DIGEST_MAX];

	if (content->overflow || !hex_decode(hex, strlen(hex), got, digest_len(d)))
		return false;
	hmac_once(d, secret, secret_len, buf_str(content), content->len, want);
	return crypto_equal(want, got, digest_len(d));
}

static bool login_fits(const struct device_login *l, bool with_x, enum digest d, const char *hex,
		       const char *secret, size_t secret_len)
{
	struct buf content;
	bool good;

	buf_init(&content, CONTENT_MAX);
	if (with_x) {
		buf_adds(&content, "clientId");
		buf_add(&content, l->x.at, l->x.len);
	}
	buf_addf(&content, "deviceName%sproductKey%s", l->dn, l->pk);
	if (l->timestamp.at) {
		buf_adds(&content, "timestamp");
		buf_add(&content, l->timestamp.at, l->timestamp.len);
	}
	good = mac_fits(d, hex, &content, secret, secret_len);
	buf_free(&content);
	return good;
}

bool device_login_check(const struct device_login *l, const char *password, const char *secret,
			size_t secret_len)
{
	enum digest d;
	bool known;

	if (l->auth == AUTH_TOKEN)
		return strlen(password) == secret_len && crypto_equal(password, secret, secret_len);
	d = digest_of(l, strlen(password) / 2, &known);
	if (!known)
		return false;
	if (login_fits(l, true, d, password, secret, secret_len))
		return true;
	/* An empty X is either signed as such or not at all. */
	return l->x.len == 0 && login_fits(l, false, d, password, secret, secret_len);
}

bool device_register_check(const struct device_login *l, const char *sign, const char *product_secret,
			   size_t secret_len)
{
	struct buf content;
	enum digest d;
	bool known, good;

	d = digest_of(l, strlen(sign) / 2, &known);
	if (!known || !l->random.at || l->random.len == 0)
		return false;
	buf_init(&content, CONTENT_MAX);
	buf_addf(&content, "deviceName%sproductKey%srandom", l->dn, l->pk);
	buf_add(&content, l->random.at, l->random.len);
	good = mac_fits(d, sign, &content, product_secret, secret_len);
	buf_free(&content);
	return good;
}

bool device_sign_method(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcasecmp(name, methods[i].name) == 0)
			return true;
	return false;
}
