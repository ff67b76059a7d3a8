/* SPDX-License-Identifier: Apache-2.0 */
/* Known answers: RFC 1321, FIPS 180, RFC 2202, RFC 4231, RFC 4648. */
#include "engine/base/crypto.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

static void digests(void)
{
	static const struct {
		enum digest d;
		const char *text, *hex;
	} rows[] = {
		{ DIGEST_MD5, "", "d41d8cd98f00b204e9800998ecf8427e" },
		{ DIGEST_MD5, "abc", "900150983cd24fb0d6963f7d28e17f72" },
		{ DIGEST_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ DIGEST_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ DIGEST_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	};
	char hex[2 * DIGEST_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned char out[DIGEST_MAX];
		struct digest_ctx *c = digest_new(rows[i].d);

		digest_once(rows[i].d, rows[i].text, strlen(rows[i].text), out);
		hex_encode(out, digest_len(rows[i].d), hex);
		CHECK_STR(hex, rows[i].hex);
		for (const char *s = rows[i].text; *s; s++)
			digest_update(c, s, 1);
		digest_final(c, out);
		hex_encode(out, digest_len(rows[i].d), hex);
		CHECK_STR(hex, rows[i].hex);
		digest_free(c);
	}
	digest_free(NULL);
}

static void checksum(void)
{
	CHECK_INT(crc16_arc("123456789", 9), 0xbb3d); /* the published check value of CRC-16/ARC */
	CHECK_INT(crc16_arc("", 0), 0);
}

static void macs(void)
{
	static const struct {
		enum digest d;
		const char *key, *text, *hex;
	} rows[] = {
		{ DIGEST_MD5, "Jefe", "what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738" },
		{ DIGEST_SHA1, "Jefe", "what do ya want for nothing?",
		  "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
		{ DIGEST_SHA256, "Jefe", "what do ya want for nothing?",
		  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
		{ DIGEST_SHA256, "", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
	};
	char hex[2 * DIGEST_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned char out[DIGEST_MAX];

		hmac_once(rows[i].d, rows[i].key, strlen(rows[i].key), rows[i].text, strlen(rows[i].text),
			  out);
		hex_encode(out, digest_len(rows[i].d), hex);
		CHECK_STR(hex, rows[i].hex);
	}
}

static void sealed_texts_open_only_as_they_were(void)
{
	static const char plain[] = "a device's secret";
	struct seal_key key = { { 1, 2, 3 } }, other = { { 1, 2, 4 } };
	unsigned char sealed[sizeof plain - 1 + SEAL_OVERHEAD], again[sizeof sealed];
	struct arena a;
	char *opened;
	size_t len = 0;

	arena_init(&a);
	seal(&key, "device|pk|dn", plain, sizeof plain - 1, sealed);
	CHECK_INT(seal_open(&key, "device|pk|dn", sealed, sizeof sealed, &a, &opened, &len), OK);
	CHECK_STR(opened, plain);
	CHECK_INT(len, sizeof plain - 1);
	CHECK_INT(seal_open(&key, "device|pk|dn", sealed, sizeof sealed, &a, &opened, NULL), OK);
	seal(&key, "device|pk|dn", plain, sizeof plain - 1, again);
	CHECK(memcmp(sealed, again, sizeof sealed) != 0); /* a nonce of its own */
	CHECK_INT(seal_open(&other, "device|pk|dn", sealed, sizeof sealed, &a, &opened, &len), ERR_CRYPTO);
	CHECK_INT(seal_open(&key, "device|pk|dm", sealed, sizeof sealed, &a, &opened, &len), ERR_CRYPTO);
	for (size_t i = 0; i < sizeof sealed; i++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(again, sealed, sizeof sealed);
			again[i] = (unsigned char)(again[i] ^ (1U << bit));
			CHECK_INT(seal_open(&key, "device|pk|dn", again, sizeof again, &a, &opened, &len),
				  ERR_CRYPTO);
		}
	for (size_t cut = 0; cut < sizeof sealed; cut++)
		CHECK_INT(seal_open(&key, "device|pk|dn", sealed, cut, &a, &opened, &len), ERR_CRYPTO);
	arena_free(&a);
}

static void an_empty_text_can_be_sealed(void)
{
	struct seal_key key = { { 9 } };
	unsigned char sealed[SEAL_OVERHEAD];
	struct arena a;
	char *opened;
	size_t len = 1;

	arena_init(&a);
	seal(&key, "", "", 0, sealed);
	CHECK_INT(seal_open(&key, "", sealed, sizeof sealed, &a, &opened, &len), OK);
	CHECK_STR(opened, "");
	CHECK_INT(len, 0);
	arena_free(&a);
}

static void hex(void)
{
	unsigned char out[4] = { 0 };
	char text[9];

	CHECK(hex_decode("00ffA5a5", 8, out, 4));
	CHECK_INT(out[1], 0xff);
	CHECK_INT(out[2], 0xa5);
	hex_encode(out, 4, text);
	CHECK_STR(text, "00ffa5a5");
	CHECK(!hex_decode("00ffA5a", 7, out, 4));
	CHECK(!hex_decode("00ffA5a5a", 9, out, 4));
	CHECK(!hex_decode("00ffA5ag", 8, out, 4));
	CHECK(!hex_decode("00ff 5a5", 8, out, 4));
	CHECK(hex_decode("", 0, out, 0));
}

static void base64(void)
{
	static const struct {
		const char *plain, *text;
	} rows[] = { { "f", "Zg==" },	     { "fo", "Zm8=" },	      { "foo", "Zm9v" },
		     { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	static const char *const bad[] = { "",	   "Zg=",      "Zg",	"Zm9v!A==", "Zm9vY===",
					   "====", "Zg==Zg==", "Z m9v", "=m9v",	    "Zm9v\n" };
	struct arena a;
	size_t len = 0;

	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned char *p;

		CHECK_STR(base64_encode(&a, rows[i].plain, strlen(rows[i].plain)), rows[i].text);
		p = base64_decode(&a, rows[i].text, &len);
		CHECK(p != NULL);
		CHECK_INT(len, strlen(rows[i].plain));
		CHECK(memcmp(p, rows[i].plain, len) == 0);
	}
	CHECK_STR(base64_encode(&a, "", 0), "");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (base64_decode(&a, bad[i], &len))
			test_fail(__FILE__, __LINE__, "\"%s\" was accepted", bad[i]);
	arena_free(&a);
}

static void random_texts_are_of_the_set(void)
{
	char text[1001], other[1001];
	int seen[256] = { 0 };

	crypto_random_text(text, 1000);
	crypto_random_text(other, 1000);
	CHECK_INT(strlen(text), 1000);
	CHECK(strcmp(text, other) != 0);
	for (int round = 0; round < 20; round++) {
		crypto_random_text(text, 1000);
		for (const char *s = text; *s; s++)
			seen[(unsigned char)*s]++;
	}
	for (int c = 0; c < 256; c++) {
		bool in_set = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		CHECK((seen[c] > 0) == in_set); /* 20,000 draws of 62: about 322 each */
		CHECK(!in_set || (seen[c] > 150 && seen[c] < 600));
	}
	crypto_random_text(text, 0);
	CHECK_STR(text, "");
}

static void equality(void)
{
	CHECK(crypto_equal("abc", "abc", 3));
	CHECK(!crypto_equal("abc", "abd", 3));
	CHECK(crypto_equal("abc", "abd", 2));
}

TESTS("base/crypto", { "digests", digests }, { "checksum", checksum }, { "macs", macs },
      { "sealed_texts_open_only_as_they_were", sealed_texts_open_only_as_they_were },
      { "an_empty_text_can_be_sealed", an_empty_text_can_be_sealed }, { "hex", hex }, { "base64", base64 },
      { "random_texts_are_of_the_set", random_texts_are_of_the_set }, { "equality", equality })
