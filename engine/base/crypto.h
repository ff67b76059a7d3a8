/* SPDX-License-Identifier: Apache-2.0 */
/* Digests, MACs, sealing and their text forms. The only OpenSSL user besides TLS options. Any thread. */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/err.h"

enum digest { DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256 };
#define DIGEST_MAX 32
/* 16, 20 or 32. */
size_t digest_len(enum digest d);

void digest_once(enum digest d, const void *data, size_t len, unsigned char out[DIGEST_MAX]);
void hmac_once(enum digest d, const void *key, size_t key_len, const void *data, size_t len,
	       unsigned char out[DIGEST_MAX]);

/* A digest that is fed piece by piece. Owned by the caller; digest_free also after digest_final. */
struct digest_ctx;
struct digest_ctx *digest_new(enum digest d);
void digest_update(struct digest_ctx *c, const void *data, size_t len);
void digest_final(struct digest_ctx *c, unsigned char out[DIGEST_MAX]);
void digest_free(struct digest_ctx *c);

/* CRC-16/ARC: polynomial 0x8005 reflected, start 0. No protection against anybody. */
uint16_t crc16_arc(const void *data, size_t len);

/* Constant time. */
bool crypto_equal(const void *a, const void *b, size_t len);
/* Cryptographic random bytes. Aborts when the system has none. */
void crypto_random(void *out, size_t len);
/* len random characters of A-Z a-z 0-9 and a NUL; out has len + 1 bytes. */
void crypto_random_text(char *out, size_t len);

/* AES-256-GCM. Sealed form: 1 byte version, 12 bytes nonce, ciphertext, 16 bytes tag. `aad` binds the
 * text to its row (rows cannot be swapped); it must be the same when opened. */
#define SEAL_KEY_LEN 32
#define SEAL_OVERHEAD 29
struct seal_key {
	unsigned char bytes[SEAL_KEY_LEN];
};
/* out has len + SEAL_OVERHEAD bytes. */
void seal(const struct seal_key *key, const char *aad, const void *plain, size_t len, unsigned char *out);
/* A NUL-terminated plain text in the arena, its length in ret_len (may be NULL); ERR_CRYPTO when the
 * key, the aad or the text is not the right one. */
enum err seal_open(const struct seal_key *key, const char *aad, const unsigned char *sealed, size_t len,
		   struct arena *a, char **ret_plain, size_t *ret_len) MUST_USE;

/* out has 2 * len + 1 bytes; lower case. */
void hex_encode(const void *data, size_t len, char *out);
/* Accepts both cases. false when text is not exactly 2 * len hex digits. */
bool hex_decode(const char *text, size_t text_len, unsigned char *out, size_t len);
/* Standard alphabet with padding. */
char *base64_encode(struct arena *a, const void *data, size_t len);
/* NULL when text is not base64. */
unsigned char *base64_decode(struct arena *a, const char *text, size_t *ret_len);

#endif
