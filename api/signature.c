/* SPDX-License-Identifier: Apache-2.0 */
#include "api/signature.h"

#include "engine/base/crypto.h"
#include "engine/base/parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CANONICAL_MAX ((size_t)256 * 1024 * 1024) /* a form of 8 MiB, each byte encoded twice */
#define SHOWN_MAX ((size_t)64 * 1024)		  /* of the string to sign, in the refusal */

/* ---- reading ------------------------------------------------------------------------------------------ */

enum scheme signature_scheme(const struct request *rq)
{
	const char *auth = request_header(rq, "Authorization");

	return auth && strncmp(auth, "ACS3-", 5) == 0 ? SCHEME_ACS3 : SCHEME_RPC;
}

/* `Name=value` out of "Credential=..,SignedHeaders=..,Signature=.."; NULL when it is not there. */
static const char *auth_part(struct arena *a, const char *parts, const char *name)
{
	size_t len = strlen(name);

	while (*parts) {
		size_t part;

		parts += strspn(parts, ", ");
		part = strcspn(parts, ",");
		if (part > len + 1 && strncmp(parts, name, len) == 0 && parts[len] == '=')
			return arena_strndup(a, parts + len + 1, part - len - 1);
		parts += part;
	}
	return NULL;
}

static bool is_signed(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (*list) {
		size_t word = strcspn(list, ";");

		if (word == len && strncasecmp(list, name, len) == 0)
			return true;
		list += word;
		list += *list == ';';
	}
	return false;
}

/* Whatever steers the call has to be under the signature. */
static bool signed_enough(const struct request *rq, const char *list)
{
	static const char *const always[] = { "host", "x-acs-action", "x-acs-version", "x-acs-date",
					      "x-acs-signature-nonce" };

	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		if (!is_signed(list, always[i]))
			return false;
	return rq->body_len == 0 || is_signed(list, "content-type");
}

static enum err read_acs3(struct request *rq, struct error *e, struct credentials *c)
{
	const char *auth = request_header(rq, "Authorization");
	size_t method = strcspn(auth, " ");
	const char *parts = auth + method;

	if (method != strlen("ACS3-HMAC-SHA256") || strncmp(auth, "ACS3-HMAC-SHA256", method) != 0)
		return fail_param(e, ERR_SIGNATURE_METHOD, NULL);
	c->key_id = auth_part(&rq->arena, parts, "Credential");
	c->signed_headers = auth_part(&rq->arena, parts, "SignedHeaders");
	c->signature = auth_part(&rq->arena, parts, "Signature");
	c->body_hash = request_header(rq, "x-acs-content-sha256");
	c->timestamp = request_header(rq, "x-acs-date");
	c->nonce = request_header(rq, "x-acs-signature-nonce");
	if (!c->key_id || !c->signed_headers || !c->signature || !c->body_hash)
		return fail_param(e, ERR_SIGNATURE_INCOMPLETE, NULL);
	if (!c->timestamp || !c->timestamp[0])
		return fail_param(e, ERR_MISSING_PARAM, "Timestamp");
	if (!c->nonce || !c->nonce[0])
		return fail_param(e, ERR_MISSING_PARAM, "SignatureNonce");
	if (!signed_enough(rq, c->signed_headers))
		return fail_param(e, ERR_SIGNATURE_INCOMPLETE, NULL);
	return OK;
}

static enum err read_rpc(const struct params *p, struct error *e, struct credentials *c)
{
	static const char *const needed[] = { "AccessKeyId",	  "Signature",	    "SignatureMethod",
					      "SignatureVersion", "SignatureNonce", "Timestamp" };

	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (!param_value(p, needed[i]))
			return fail_param(e, ERR_MISSING_PARAM, needed[i]);
	if (strcmp(param_value(p, "SignatureMethod"), "HMAC-SHA1") != 0)
		return fail_param(e, ERR_SIGNATURE_METHOD, NULL);
	if (strcmp(param_value(p, "SignatureVersion"), "1.0") != 0)
		return fail_param(e, ERR_SIGNATURE_VERSION, NULL);
	c->key_id = param_value(p, "AccessKeyId");
	c->signature = param_value(p, "Signature");
	c->nonce = param_value(p, "SignatureNonce");
	c->timestamp = param_value(p, "Timestamp");
	return OK;
}

/* Temporary and bearer credentials: nothing here could check them. */
static bool has_token(const struct request *rq, const struct params *p)
{
	return param_value(p, "SecurityToken") || param_value(p, "BearerToken") ||
	       request_header(rq, "x-acs-security-token") || request_header(rq, "x-acs-bearer-token");
}

/* What of the headers is looked up, stored or shown again is text, as parameters are. */
static bool headers_valid(const struct request *rq)
{
	static const char *const used[] = { "authorization", "host", "content-type" };

	for (size_t i = 0; i < rq->n_headers; i++) {
		const char *name = rq->headers[i].name, *value = rq->headers[i].value;
		bool matters = strncasecmp(name, "x-acs-", 6) == 0;

		for (size_t k = 0; k < ARRAY_LEN(used); k++)
			matters |= strcasecmp(name, used[k]) == 0;
		if (matters && !utf8_valid(value, strlen(value)))
			return false;
	}
	return true;
}

enum err credentials_read(struct request *rq, const struct params *p, struct error *e,
			  struct credentials *ret)
{
	const char *type = param_value(p, "SignatureType");

	*ret = (struct credentials){ .scheme = signature_scheme(rq) };
	if (type && strcasecmp(type, "BEARERTOKEN") == 0)
		return fail_param(e, ERR_SIGNATURE_METHOD, NULL);
	if (!headers_valid(rq))
		return fail_param(e, ERR_BAD_REQUEST, NULL);
	TRY(ret->scheme == SCHEME_ACS3 ? read_acs3(rq, e, ret) : read_rpc(p, e, ret));
	return has_token(rq, p) ? fail_param(e, ERR_SECURITY_TOKEN, NULL) : OK;
}

/* ---- canonical forms ---------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct param *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* The first n parameters but `without`, sorted, encoded, joined. */
static void canonical_query(struct arena *a, struct buf *to, const struct param *v, size_t n,
			    const char *without)
{
	struct param *sorted = ARENA_ARRAY(a, n + 1, struct param);
	bool first = true;

	if (n > 0)
		memcpy(sorted, v, n * sizeof *v);
	if (n > 1)
		qsort(sorted, n, sizeof *sorted, by_name);
	for (size_t i = 0; i < n; i++) {
		if (without && strcmp(sorted[i].name, without) == 0)
			continue;
		if (!first)
			buf_addc(to, '&');
		first = false;
		buf_add_percent(to, sorted[i].name);
		buf_addc(to, '=');
		buf_add_percent(to, sorted[i].value);
	}
}

static const char *rpc_string(struct request *rq, const struct params *p)
{
	struct buf *query = buf_owned(&rq->arena, CANONICAL_MAX);
	struct buf *text = buf_owned(&rq->arena, CANONICAL_MAX);

	canonical_query(&rq->arena, query, p->v, p->n, "Signature");
	buf_adds(text, rq->method);
	buf_adds(text, "&%2F&");
	buf_add_percent(text, buf_str(query));
	ensure(!query->overflow && !text->overflow);
	return buf_str(text);
}

static int by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static const char *trimmed(struct arena *a, const char *s)
{
	size_t len;

	s += strspn(s, " \t");
	len = strlen(s);
	while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	return arena_strndup(a, s, len);
}

/* lowername:value LF; several values of one header sorted and joined by commas. */
static void canonical_header(struct request *rq, struct buf *to, const char *name)
{
	const char **values = ARENA_ARRAY(&rq->arena, rq->n_headers + 1, const char *);
	size_t n = 0;

	for (size_t i = 0; i < rq->n_headers; i++)
		if (strcasecmp(rq->headers[i].name, name) == 0)
			values[n++] = trimmed(&rq->arena, rq->headers[i].value);
	if (n > 1)
		qsort(values, n, sizeof *values, by_text);
	buf_addf(to, "%s:", name);
	for (size_t i = 0; i < n; i++)
		buf_addf(to, "%s%s", i > 0 ? "," : "", values[i]);
	buf_addc(to, '\n');
}

static void canonical_headers(struct request *rq, struct buf *to, const char *list)
{
	struct arena *a = &rq->arena;
	const char **names = ARENA_ARRAY(a, strlen(list) + 1, const char *);
	size_t n = 0;

	while (*list) {
		size_t len = strcspn(list, ";");
		char *name = arena_strndup(a, list, len);

		for (char *c = name; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		if (len > 0)
			names[n++] = name;
		list += len;
		list += *list == ';';
	}
	if (n > 1)
		qsort(names, n, sizeof *names, by_text);
	for (size_t i = 0; i < n; i++)
		canonical_header(rq, to, names[i]);
	buf_addc(to, '\n');
	for (size_t i = 0; i < n; i++)
		buf_addf(to, "%s%s", i > 0 ? ";" : "", names[i]);
	buf_addc(to, '\n');
}

static const char *hex_digest(struct arena *a, const void *data, size_t len)
{
	unsigned char digest[DIGEST_MAX];
	char *hex = arena_alloc(a, 65);

	digest_once(DIGEST_SHA256, data, len, digest);
	hex_encode(digest, 32, hex);
	return hex;
}

static const char *acs3_string(struct request *rq, const struct params *p, const struct credentials *c)
{
	struct buf *text = buf_owned(&rq->arena, CANONICAL_MAX);

	buf_addf(text, "%s\n%s\n", rq->method, rq->path);
	canonical_query(&rq->arena, text, p->v, p->n_query, NULL);
	buf_addc(text, '\n');
	canonical_headers(rq, text, c->signed_headers);
	buf_adds(text, c->body_hash);
	ensure(!text->overflow);
	return arena_printf(&rq->arena, "ACS3-HMAC-SHA256\n%s",
			    hex_digest(&rq->arena, text->data, text->len));
}

/* ---- verifying ---------------------------------------------------------------------------------------- */

static bool texts_equal(const char *a, const char *b)
{
	size_t len = strlen(a);

	return strlen(b) == len && crypto_equal(a, b, len);
}

static enum err verify_rpc(struct request *rq, const struct params *p, const struct credentials *c,
			   const char *secret, struct error *e)
{
	const char *text = rpc_string(rq, p);
	const char *key = arena_printf(&rq->arena, "%s&", secret);
	unsigned char mac[DIGEST_MAX];

	hmac_once(DIGEST_SHA1, key, strlen(key), text, strlen(text), mac);
	if (texts_equal(base64_encode(&rq->arena, mac, digest_len(DIGEST_SHA1)), c->signature))
		return OK;
	return fail(e, ERR_SIGNATURE,
		    "Specified signature is not matched with our calculation. server string to sign is:%.*s",
		    (int)SHOWN_MAX, text);
}

static enum err verify_acs3(struct request *rq, const struct params *p, const struct credentials *c,
			    const char *secret, struct error *e)
{
	const char *text = acs3_string(rq, p, c);
	unsigned char mac[DIGEST_MAX];
	char hex[2 * DIGEST_MAX + 1];
	bool good, body;

	hmac_once(DIGEST_SHA256, secret, strlen(secret), text, strlen(text), mac);
	hex_encode(mac, digest_len(DIGEST_SHA256), hex);
	good = texts_equal(hex, c->signature);
	body = texts_equal(hex_digest(&rq->arena, rq->body, rq->body_len), c->body_hash);
	if (good && body)
		return OK;
	return fail(e, ERR_SIGNATURE,
		    "Specified signature does not match our calculation. server StringToSign is [%s]", text);
}

enum err signature_verify(struct request *rq, const struct params *p, const struct credentials *c,
			  const char *secret, struct error *e)
{
	return c->scheme == SCHEME_ACS3 ? verify_acs3(rq, p, c, secret, e) : verify_rpc(rq, p, c, secret, e);
}
