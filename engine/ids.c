/* SPDX-License-Identifier: Apache-2.0 */
/* An id is 14 characters of value, 6 of check, 6 of kind. The check is a digest of kind and keys; the value
 * is masked with a pad made from the check, so that neighbours look unlike and a changed character shows. */
#include "engine/ids.h"

#include "engine/base/crypto.h"

#include <string.h>

#define VALUE_BYTES 10
#define VALUE_CHARS 14 /* 62^14 > 2^80 */
#define CHECK_CHARS 6

static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
static const char *const tails[] = { [ID_DEVICE] = "000100", [ID_TASK] = "010100", [ID_JOB] = "020100",
				     [ID_FIRMWARE] = "030100", [ID_GROUP] = "040100" };

__extension__ typedef unsigned __int128 u128;

static void check_of(enum id_kind kind, const unsigned char value[VALUE_BYTES], char out[CHECK_CHARS])
{
	unsigned char in[VALUE_BYTES + 1], h[DIGEST_MAX];

	in[0] = (unsigned char)kind;
	memcpy(in + 1, value, VALUE_BYTES);
	digest_once(DIGEST_SHA256, in, sizeof in, h);
	for (size_t i = 0; i < CHECK_CHARS; i++)
		out[i] = set[h[i] % 62];
}

/* Masks or unmasks. */
static void mask(unsigned char value[VALUE_BYTES], const char check[CHECK_CHARS])
{
	unsigned char h[DIGEST_MAX];

	digest_once(DIGEST_SHA256, check, CHECK_CHARS, h);
	for (size_t i = 0; i < VALUE_BYTES; i++)
		value[i] ^= h[i];
}

void id_format(enum id_kind kind, int64_t a, int64_t b, char out[ID_LEN + 1])
{
	unsigned char value[VALUE_BYTES];
	char check[CHECK_CHARS];
	u128 n = 0;

	ensure(a >= 0 && a < (int64_t)1 << 48 && b >= 0 && b <= UINT32_MAX);
	for (int i = 0; i < 6; i++)
		value[i] = (unsigned char)(a >> (40 - 8 * i));
	for (int i = 0; i < 4; i++)
		value[6 + i] = (unsigned char)(b >> (24 - 8 * i));
	check_of(kind, value, check);
	mask(value, check);
	for (int i = 0; i < VALUE_BYTES; i++)
		n = n << 8 | value[i];
	for (int i = VALUE_CHARS - 1; i >= 0; i--) {
		out[i] = set[n % 62];
		n /= 62;
	}
	memcpy(out + VALUE_CHARS, check, CHECK_CHARS);
	memcpy(out + VALUE_CHARS + CHECK_CHARS, tails[kind], 7);
}

bool id_parse(enum id_kind kind, const char *text, int64_t *ret_a, int64_t *ret_b)
{
	unsigned char value[VALUE_BYTES];
	char check[CHECK_CHARS];
	int64_t a = 0, b = 0;
	u128 n = 0;

	if (strlen(text) != ID_LEN || strcmp(text + VALUE_CHARS + CHECK_CHARS, tails[kind]) != 0)
		return false;
	for (int i = 0; i < VALUE_CHARS; i++) {
		const char *at = strchr(set, text[i]);

		if (!at)
			return false;
		n = n * 62U + (u128)(size_t)(at - set);
	}
	if (n >> (8 * VALUE_BYTES) != 0)
		return false;
	for (int i = VALUE_BYTES - 1; i >= 0; i--) {
		value[i] = (unsigned char)n;
		n >>= 8;
	}
	mask(value, text + VALUE_CHARS);
	check_of(kind, value, check);
	if (memcmp(check, text + VALUE_CHARS, CHECK_CHARS) != 0)
		return false;
	for (int i = 0; i < 6; i++)
		a = a << 8 | value[i];
	for (int i = 6; i < VALUE_BYTES; i++)
		b = b << 8 | value[i];
	*ret_a = a;
	if (ret_b)
		*ret_b = b;
	return true;
}

void request_id_new(char out[37])
{
	static const char digits[] = "0123456789ABCDEF";
	static _Thread_local unsigned char ready[1024]; /* asking for a few bytes costs as much as for many */
	static _Thread_local size_t left;
	unsigned char r[16];

	if (left == 0) {
		crypto_random(ready, sizeof ready);
		left = sizeof ready;
	}
	left -= sizeof r;
	memcpy(r, ready + left, sizeof r);
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40); /* version 4 */
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof r; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[r[i] >> 4];
		*out++ = digits[r[i] & 15];
	}
	*out = '\0';
}
