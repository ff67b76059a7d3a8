/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/device_auth.h"

#include <string.h>
#include <strings.h>

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

static bool mac_fits(const struct device_login *l, bool with_x, enum digest d, const unsigned char *got,
		     const char *secret, size_t secret_len)
{
	unsigned char want[DIGEST_MAX];
	struct buf content;
	bool good;

	buf_init(&content, (size_t)4 * DEVICE_CLIENT_ID_MAX);
	if (with_x) {
		buf_adds(&content, "clientId");
		buf_add(&content, l->x.at, l->x.len);
	}
	buf_addf(&content, "deviceName%sproductKey%s", l->dn, l->pk);
	if (l->timestamp.at) {
		buf_adds(&content, "timestamp");
		buf_add(&content, l->timestamp.at, l->timestamp.len);
	}
	hmac_once(d, secret, secret_len, buf_str(&content), content.len, want);
	good = !content.overflow && crypto_equal(want, got, digest_len(d));
	buf_free(&content);
	return good;
}

bool device_login_check(const struct device_login *l, const char *password, const char *secret,
			size_t secret_len)
{
	unsigned char got[DIGEST_MAX];
	size_t hex = strlen(password);
	enum digest d;
	bool known;

	d = digest_of(l, hex / 2, &known);
	if (!known || !hex_decode(password, hex, got, digest_len(d)))
		return false;
	if (mac_fits(l, true, d, got, secret, secret_len))
		return true;
	/* An empty X is either signed as such or not at all. */
	return l->x.len == 0 && mac_fits(l, false, d, got, secret, secret_len);
}
