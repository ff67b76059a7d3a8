/* SPDX-License-Identifier: Apache-2.0 */
/* Forms and signed URLs of the package store. Every text that comes back from a client is compared with what
 * we would have written ourselves, byte by byte; nothing is decoded before its signature is right. */
#include "storage/package_store_priv.h"

#include "engine/base/clock.h"
#include "engine/base/config.h"
#include "engine/base/json.h"
#include "engine/base/parse.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCESS_KEY_ID "otad-upload"
#define LIST_SUFFIX "csv"
#define URL_MAC_LEN 18 /* bytes: 24 characters of base64 without padding or spare bits */
#define URL_SIGNATURE_LEN 24
#define TEMP_LIFE_MS MS_PER_HOUR

/* ---- keys ---- */

static void derive(const void *from, size_t len, const char *purpose, unsigned char out[DIGEST_MAX])
{
	hmac_once(DIGEST_SHA256, from, len, purpose, strlen(purpose), out);
}

static bool is_hex(const char *s, size_t len)
{
	return strspn(s, "0123456789abcdef") >= len;
}

static bool suffix_valid(const char *s)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t first = strspn(s, set), second;

	if (first < 1 || first > 8)
		return false;
	if (s[first] == '\0')
		return true;
	if (s[first] != '.')
		return false;
	second = strspn(s + first + 1, set);
	return second >= 1 && second <= 8 && s[first + 1 + second] == '\0';
}

bool object_path_parse(const char *text, struct object_path *ret)
{
	const char *account = text + 4, *name = account + ACCOUNT_HASH_LEN + 1;

	if (strlen(text) < 4 + ACCOUNT_HASH_LEN + 1 + OBJECT_ID_LEN + 2 || memcmp(text, "ota/", 4) != 0 ||
	    !is_hex(account, ACCOUNT_HASH_LEN) || account[ACCOUNT_HASH_LEN] != '/' ||
	    !is_hex(name, OBJECT_ID_LEN) || name[OBJECT_ID_LEN] != '.' ||
	    !suffix_valid(name + OBJECT_ID_LEN + 1))
		return false;
	memcpy(ret->account, account, ACCOUNT_HASH_LEN);
	ret->account[ACCOUNT_HASH_LEN] = '\0';
	memcpy(ret->name, name, strlen(name) + 1);
	return true;
}

enum object_kind object_path_kind(const struct object_path *p)
{
	return strcmp(p->name + OBJECT_ID_LEN + 1, LIST_SUFFIX) == 0 ? OBJECT_DEVICE_LIST : OBJECT_PACKAGE;
}

static void account_hash(const struct package_store *s, int64_t account_id, char out[ACCOUNT_HASH_LEN + 1])
{
	unsigned char mac[DIGEST_MAX];

	hmac_once(DIGEST_SHA256, s->account_key, sizeof s->account_key, &account_id, sizeof account_id, mac);
	hex_encode(mac, ACCOUNT_HASH_LEN / 2, out);
}

/* ---- the store ---- */

enum err package_store_open(const char *dir, const struct seal_key *master, struct error *e,
			    struct package_store **ret)
{
	struct package_store *s;
	unsigned char key[DIGEST_MAX];
	enum err err;

	s = calloc(1, sizeof *s);
	ensure(s != NULL);
	s->objects_fd = s->temp_fd = -1;
	derive(master->bytes, sizeof master->bytes, "package-store", key);
	derive(key, sizeof key, "form", s->form_key);
	derive(key, sizeof key, "url", s->url_key);
	derive(key, sizeof key, "account", s->account_key);
	package_store_set_url(s, "", "");
	err = object_dirs_open(s, dir, e);
	if (err != OK) {
		package_store_close(s);
		return err;
	}
	package_store_clean(s, clock_now() - TEMP_LIFE_MS);
	*ret = s;
	return OK;
}

void package_store_close(struct package_store *s)
{
	if (!s)
		return;
	if (s->objects_fd >= 0)
		(void)close(s->objects_fd);
	if (s->temp_fd >= 0)
		(void)close(s->temp_fd);
	free(s->url.text);
	free(s->device_url.text);
	free(s);
}

static void base_url_set(struct base_url *u, const char *text)
{
	size_t len = strlen(text);
	const char *host;

	ensure(len <= STORE_URL_MAX);
	while (len > 0 && text[len - 1] == '/')
		len--;
	free(u->text);
	u->text = strndup(text, len);
	ensure(u->text != NULL);
	host = strstr(u->text, "://");
	u->path = host ? strchr(host + 3, '/') : NULL;
	if (!u->path)
		u->path = u->text + strlen(u->text);
}

void package_store_set_url(struct package_store *s, const char *base_url, const char *device_url)
{
	base_url_set(&s->url, base_url);
	base_url_set(&s->device_url, *device_url ? device_url : base_url);
}

/* ---- forms ---- */

static char *form_signature(const struct package_store *s, struct arena *a, const char *policy)
{
	unsigned char mac[DIGEST_MAX];

	hmac_once(DIGEST_SHA256, s->form_key, sizeof s->form_key, policy, strlen(policy), mac);
	return base64_encode(a, mac, digest_len(DIGEST_SHA256));
}

/* The vendor's policy document: until when, which object, how large. */
static char *form_policy(struct arena *a, const char *key, int64_t max_bytes, utc_ms until)
{
	struct buf *text = buf_owned(a, 1024);
	struct json_out *j = json_new(a, text);
	char expiration[UTC_TEXT_LEN];

	format_utc_ms(until, expiration);
	json_object(j);
	json_put_string(j, "expiration", expiration);
	json_put_array(j, "conditions");
	json_array(j);
	json_string(j, "content-length-range");
	json_int(j, 0);
	json_int(j, max_bytes);
	json_array_end(j);
	json_array(j);
	json_string(j, "eq");
	json_string(j, "$key");
	json_string(j, key);
	json_array_end(j);
	json_array_end(j);
	json_object_end(j);
	ensure(!text->overflow);
	return base64_encode(a, buf_str(text), text->len);
}

struct upload_form package_store_form(struct package_store *s, struct arena *a, enum object_kind kind,
				      int64_t account_id, const char *suffix, utc_ms now)
{
	unsigned char id[OBJECT_ID_LEN / 2];
	char account[ACCOUNT_HASH_LEN + 1], name[OBJECT_ID_LEN + 1];
	struct upload_form f = { .host = arena_strdup(a, s->url.text), .access_key_id = ACCESS_KEY_ID };
	int64_t max_bytes = kind == OBJECT_DEVICE_LIST ? STORE_LIST_BYTES : config_now()->store_upload_bytes;

	ensure(suffix_valid(suffix) && (strcmp(suffix, LIST_SUFFIX) == 0) == (kind == OBJECT_DEVICE_LIST));
	account_hash(s, account_id, account);
	crypto_random(id, sizeof id);
	hex_encode(id, sizeof id, name);
	f.key = arena_printf(a, "ota/%s/%s.%s", account, name, suffix);
	f.policy = form_policy(a, f.key, max_bytes, now + STORE_FORM_MS);
	f.signature = form_signature(s, a, f.policy);
	f.url = arena_printf(a, "%s/%s", s->url.text, f.key);
	return f;
}

/* YYYY-MM-DDThh:mm:ss.mmmZ, as form_policy wrote it. */
static bool expiration_parse(struct arena *a, const char *text, utc_ms *ret)
{
	utc_ms seconds = 0;
	int64_t ms = 0;

	if (!text || strlen(text) != UTC_TEXT_LEN - 1 || text[19] != '.' ||
	    !parse_utc_seconds(arena_printf(a, "%.19sZ", text), &seconds) ||
	    !parse_i64n(text + 20, 3, 0, 999, &ms))
		return false;
	*ret = seconds + ms;
	return true;
}

/* The signature is good, so this is our own text or a bug. */
static bool policy_parse(struct arena *a, const char *policy, struct form_grant *grant, const char **ret_key)
{
	size_t len = 0;
	const unsigned char *text = base64_decode(a, policy, &len);
	const struct json *doc = text ? json_parse(a, (const char *)text, len, false) : NULL;
	const struct json *conditions = json_get(doc, "conditions");

	*ret_key = json_text(json_at(json_at(conditions, 1), 2));
	return *ret_key && json_int_lenient(json_at(json_at(conditions, 0), 2), &grant->max_bytes) &&
	       expiration_parse(a, json_text(json_get(doc, "expiration")), &grant->good_until_ms);
}

enum err package_store_check_form(struct package_store *s, struct error *e, const char *key,
				  const char *policy, const char *access_key_id, const char *signature,
				  utc_ms now, struct form_grant *ret)
{
	const char *want = form_signature(s, e->arena, policy), *policy_key = NULL;
	struct form_grant grant = { .kind = OBJECT_PACKAGE };
	struct object_path path;

	if (strcmp(access_key_id, ACCESS_KEY_ID) != 0)
		return fail(e, ERR_KEY_NOT_FOUND, "The access key id of the form is not known here.");
	if (strlen(signature) != strlen(want) || !crypto_equal(signature, want, strlen(want)))
		return fail(e, ERR_SIGNATURE, "The signature of the form is not the one of its policy.");
	if (!policy_parse(e->arena, policy, &grant, &policy_key))
		return fail(e, ERR_BAD_REQUEST, "The policy of the form is not well formed.");
	if (strcmp(policy_key, key) != 0 || !object_path_parse(key, &path))
		return fail(e, ERR_FORBIDDEN, "Invalid according to Policy: another key.");
	if (now >= grant.good_until_ms)
		return fail(e, ERR_FORBIDDEN, "Invalid according to Policy: Policy expired.");
	grant.kind = object_path_kind(&path);
	*ret = grant;
	return OK;
}

const char *package_store_key(struct package_store *s, struct arena *a, enum object_kind kind,
			      int64_t account_id, const char *url)
{
	size_t base_len = strlen(s->url.text);
	char account[ACCOUNT_HASH_LEN + 1];
	struct object_path path;

	if (strncmp(url, s->url.text, base_len) != 0 || url[base_len] != '/' ||
	    !object_path_parse(url + base_len + 1, &path) || object_path_kind(&path) != kind)
		return NULL;
	account_hash(s, account_id, account);
	return strcmp(path.account, account) == 0 ? arena_strdup(a, url + base_len + 1) : NULL;
}

/* ---- download URLs ---- */

static void add_base36(struct buf *b, const char *name, int64_t n)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char text[16];
	size_t at = sizeof text;
	uint64_t v = (uint64_t)n;

	ensure(n >= 0);
	do {
		text[--at] = digits[v % 36];
		v /= 36;
	} while (v);
	buf_adds(b, name);
	buf_add(b, text + at, sizeof text - at);
}

/* Reads digits up to `end`; false when there are none or too many. */
static bool base36_parse(const char *s, char end, int64_t *ret)
{
	int64_t v = 0;
	size_t n = 0;

	for (; s[n] && s[n] != end; n++) {
		bool digit = s[n] >= '0' && s[n] <= '9';

		if (n >= 11 || (!digit && (s[n] < 'a' || s[n] > 'z')))
			return false;
		v = v * 36 + (digit ? s[n] - '0' : s[n] - 'a' + 10);
	}
	*ret = v;
	return n > 0 && s[n] == end;
}

/* base64 with - and _ in place of + and /. */
static char *url_signature(const struct package_store *s, struct arena *a, const char *text, size_t len)
{
	unsigned char mac[DIGEST_MAX];
	char *out;

	hmac_once(DIGEST_SHA256, s->url_key, sizeof s->url_key, text, len, mac);
	out = base64_encode(a, mac, URL_MAC_LEN);
	for (char *p = out; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	return out;
}

const char *package_store_sign(struct package_store *s, struct arena *a, const char *key, int64_t firmware_id,
			       int64_t device_id, int64_t push_no, utc_ms expires_ms)
{
	struct buf *b = buf_owned(a, 249);
	size_t base_len = strlen(s->device_url.text);

	if (strstr(key, "://")) /* of another store: not ours to sign */
		return arena_strdup(a, key);
	buf_adds(b, s->device_url.text);
	buf_addc(b, '/');
	buf_adds(b, key);
	add_base36(b, "?e=", expires_ms / MS_PER_SECOND);
	add_base36(b, "&f=", firmware_id);
	add_base36(b, "&d=", device_id);
	add_base36(b, "&n=", push_no);
	ensure(!b->overflow);
	buf_addf(b, "&s=%s", url_signature(s, a, b->data + base_len, b->len - base_len));
	ensure(!b->overflow);
	return b->data;
}

enum err package_store_check_url(struct package_store *s, struct arena *a, const char *path,
				 const char *query, utc_ms now, const char **ret_key)
{
	const char *bases[] = { s->device_url.path, s->url.path };
	size_t query_len = strlen(query), signed_len;
	struct object_path object;
	const char *want, *signature;
	char *text;
	int64_t expires = 0;

	/* A proxy in front may or may not take the path of the URL away. */
	for (size_t i = 0; i < ARRAY_LEN(bases); i++)
		if (*bases[i] && strncmp(path, bases[i], strlen(bases[i])) == 0) {
			path += strlen(bases[i]);
			break;
		}
	if (query_len < URL_SIGNATURE_LEN + 3 || path[0] != '/')
		return ERR_FORBIDDEN;
	signature = query + query_len - URL_SIGNATURE_LEN;
	if (memcmp(signature - 3, "&s=", 3) != 0)
		return ERR_FORBIDDEN;
	text = arena_printf(a, "%s?%s", path, query);
	signed_len = strlen(text) - URL_SIGNATURE_LEN - 3;
	want = url_signature(s, a, text, signed_len);
	if (!crypto_equal(want, signature, URL_SIGNATURE_LEN))
		return ERR_FORBIDDEN;
	if (!object_path_parse(path + 1, &object) || strncmp(query, "e=", 2) != 0 ||
	    !base36_parse(query + 2, '&', &expires) || now >= expires * MS_PER_SECOND)
		return ERR_FORBIDDEN;
	*ret_key = arena_strdup(a, path + 1);
	return OK;
}
