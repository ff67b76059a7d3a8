/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONCE_LEN 12
#define TAG_LEN 16
#define SEAL_VERSION 1

#define DIGESTS 3

/* Of OpenSSL's providers, by enum digest: looking one up costs more than digesting a short text. */
static const char *const names[DIGESTS] = { "MD5", "SHA1", "SHA256" };
static EVP_MD *fetched[DIGESTS];
static EVP_MAC *fetched_hmac;
static pthread_key_t hmacs_of_thread; /* struct hmacs */

/* Contexts of a thread: setting one up costs as much as a short text. */
struct hmacs {
	EVP_MAC_CTX *of[DIGESTS]; /* NULL: not needed yet */
};

static void hmacs_free(void *arg)
{
	struct hmacs *h = arg;

	for (size_t i = 0; i < DIGESTS; i++)
		EVP_MAC_CTX_free(h->of[i]);
	free(h);
}

static void fetch(void)
{
	for (size_t i = 0; i < DIGESTS; i++)
		ensure((fetched[i] = EVP_MD_fetch(NULL, names[i], NULL)) != NULL);
	ensure((fetched_hmac = EVP_MAC_fetch(NULL, "HMAC", NULL)) != NULL);
	ensure(pthread_key_create(&hmacs_of_thread, hmacs_free) == 0);
}

static void fetch_once(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	ensure(pthread_once(&once, fetch) == 0);
}

static const EVP_MD *md(enum digest d)
{
	fetch_once();
	return fetched[d];
}

static EVP_MAC_CTX *hmac_new(enum digest d)
{
	EVP_MAC_CTX *c = EVP_MAC_CTX_new(fetched_hmac);
	char name[8];
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end() };

	(void)snprintf(name, sizeof name, "%s", names[d]);
	ensure(c && EVP_MAC_CTX_set_params(c, params) == 1);
	return c;
}

static EVP_MAC_CTX *hmac_ctx(enum digest d)
{
	struct hmacs *h;

	fetch_once();
	h = pthread_getspecific(hmacs_of_thread);
	if (!h) {
		h = calloc(1, sizeof *h);
		ensure(h && pthread_setspecific(hmacs_of_thread, h) == 0);
	}
	if (!h->of[d])
		h->of[d] = hmac_new(d);
	return h->of[d];
}

size_t digest_len(enum digest d)
{
	return d == DIGEST_MD5 ? 16 : d == DIGEST_SHA1 ? 20 : 32;
}

void digest_once(enum digest d, const void *data, size_t len, unsigned char out[DIGEST_MAX])
{
	ensure(EVP_Digest(data, len, out, NULL, md(d), NULL) == 1);
}

void hmac_once(enum digest d, const void *key, size_t key_len, const void *data, size_t len,
	       unsigned char out[DIGEST_MAX])
{
	EVP_MAC_CTX *c = hmac_ctx(d);
	size_t n = 0;

	ensure(EVP_MAC_init(c, key, key_len, NULL) == 1 && EVP_MAC_update(c, data, len) == 1 &&
	       EVP_MAC_final(c, out, &n, DIGEST_MAX) == 1);
}

struct digest_ctx {
	EVP_MD_CTX *ctx;
};

struct digest_ctx *digest_new(enum digest d)
{
	struct digest_ctx *c = malloc(sizeof *c);

	ensure(c != NULL);
	c->ctx = EVP_MD_CTX_new();
	ensure(c->ctx && EVP_DigestInit_ex(c->ctx, md(d), NULL) == 1);
	return c;
}

void digest_update(struct digest_ctx *c, const void *data, size_t len)
{
	ensure(EVP_DigestUpdate(c->ctx, data, len) == 1);
}

void digest_final(struct digest_ctx *c, unsigned char out[DIGEST_MAX])
{
	ensure(EVP_DigestFinal_ex(c->ctx, out, NULL) == 1);
}

void digest_free(struct digest_ctx *c)
{
	if (!c)
		return;
	EVP_MD_CTX_free(c->ctx);
	free(c);
}

uint16_t crc16_arc(const void *data, size_t len)
{
	const unsigned char *p = data;
	unsigned crc = 0;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xa001u : crc >> 1;
	}
	return (uint16_t)crc;
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void crypto_random(void *out, size_t len)
{
	ensure(RAND_bytes(out, (int)len) == 1);
}

void crypto_random_text(char *out, size_t len)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t i = 0;

	while (i < len) {
		unsigned char r[64];

		crypto_random(r, sizeof r);
		for (size_t j = 0; j < sizeof r && i < len; j++)
			if (r[j] < 248) /* 4 * 62: no character is likelier than another */
				out[i++] = set[r[j] % 62];
	}
	out[len] = '\0';
}

void seal(const struct seal_key *key, const char *aad, const void *plain, size_t len, unsigned char *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0;

	ensure(c != NULL && len < INT32_MAX);
	out[0] = SEAL_VERSION;
	crypto_random(out + 1, NONCE_LEN);
	ensure(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key->bytes, out + 1) == 1);
	ensure(EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)aad, (int)strlen(aad)) == 1);
	ensure(EVP_EncryptUpdate(c, out + 1 + NONCE_LEN, &n, plain, (int)len) == 1);
	ensure(EVP_EncryptFinal_ex(c, out + 1 + NONCE_LEN + n, &n) == 1);
	ensure(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_LEN, out + 1 + NONCE_LEN + len) == 1);
	EVP_CIPHER_CTX_free(c);
}

enum err seal_open(const struct seal_key *key, const char *aad, const unsigned char *sealed, size_t len,
		   struct arena *a, char **ret_plain, size_t *ret_len)
{
	EVP_CIPHER_CTX *c;
	unsigned char tag[TAG_LEN];
	size_t plain_len;
	char *plain;
	int n = 0;
	bool good;

	if (len < SEAL_OVERHEAD || sealed[0] != SEAL_VERSION || len > INT32_MAX)
		return ERR_CRYPTO;
	plain_len = len - SEAL_OVERHEAD;
	plain = arena_alloc(a, plain_len + 1);
	memcpy(tag, sealed + len - TAG_LEN, TAG_LEN);
	c = EVP_CIPHER_CTX_new();
	ensure(c != NULL);
	good = EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key->bytes, sealed + 1) == 1 &&
	       EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)aad, (int)strlen(aad)) == 1 &&
	       EVP_DecryptUpdate(c, (unsigned char *)plain, &n, sealed + 1 + NONCE_LEN, (int)plain_len) == 1 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1 &&
	       EVP_DecryptFinal_ex(c, (unsigned char *)plain + n, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!good)
		return ERR_CRYPTO;
	*ret_plain = plain;
	if (ret_len)
		*ret_len = plain_len;
	return OK;
}

void hex_encode(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_decode(const char *text, size_t text_len, unsigned char *out, size_t len)
{
	if (text_len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int hi = hex_digit(text[2 * i]), lo = hex_digit(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (unsigned char)(hi << 4 | lo);
	}
	return true;
}

char *base64_encode(struct arena *a, const void *data, size_t len)
{
	char *out = arena_alloc(a, (len + 2) / 3 * 4 + 1);

	(void)EVP_EncodeBlock((unsigned char *)out, data, (int)len);
	return out;
}

unsigned char *base64_decode(struct arena *a, const char *text, size_t *ret_len)
{
	size_t len = strlen(text), body = strcspn(text, "=");
	unsigned char *out;
	int n;

	/* EVP_DecodeBlock accepts blanks around the text and any padding */
	if (len == 0 || len % 4 != 0 || len - body > 2 || strspn(text + body, "=") != len - body || strpbrk(text, " \t\r\n"))
		return NULL;
	out = arena_alloc(a, len / 4 * 3 + 1);
	n = EVP_DecodeBlock(out, (const unsigned char *)text, (int)len);
	if (n < 0)
		return NULL;
	for (size_t i = len; i > len - 2 && text[i - 1] == '='; i--)
		n--; /* EVP_DecodeBlock counts the padding */
	*ret_len = (size_t)n;
	return out;
}
