/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas, buffers, errors. */
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

static int order[4], n_order;

static void note(void *p)
{
	order[n_order++] = *(int *)p;
}

static void arena_gives_zeroed_aligned_memory(void)
{
	static const size_t sizes[] = { 0, 1, 7, 16, 100, 8000, 8192, 8193, 16384, 100000, 5000000 };
	struct arena a;

	arena_init(&a);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			unsigned char *p = arena_alloc(&a, sizes[i]);

			CHECK((uintptr_t)p % _Alignof(max_align_t) == 0);
			for (size_t j = 0; j < sizes[i]; j++)
				CHECK(p[j] == 0);
			memset(p, 0xa5, sizes[i]);
		}
		arena_reset(&a);
		CHECK_INT(a.used_bytes, 0);
	}
	CHECK(a.peak_bytes >= 5000000);
	arena_free(&a);
	CHECK(a.blocks == NULL);
}

static void arena_releases_newest_first(void)
{
	int things[] = { 1, 2, 3 };
	struct arena a;

	arena_init(&a);
	n_order = 0;
	for (size_t i = 0; i < ARRAY_LEN(things); i++)
		CHECK(arena_own(&a, &things[i], note) == &things[i]);
	CHECK(arena_own(&a, NULL, note) == NULL);
	arena_reset(&a);
	CHECK_INT(n_order, 3);
	for (int i = 0; i < 3; i++)
		CHECK_INT(order[i], 3 - i);
	arena_reset(&a);
	CHECK_INT(n_order, 3);
	arena_free(&a);
}

static void arena_keeps_small_neighbours_of_large_ones(void)
{
	struct arena a;
	char *x, *y;

	arena_init(&a);
	x = arena_strdup(&a, "small");
	(void)arena_alloc(&a, 1000000);
	y = arena_printf(&a, "%s %d", "more", 7);
	CHECK_STR(x, "small");
	CHECK_STR(y, "more 7");
	CHECK_STR(arena_strndup(&a, "abcdef", 3), "abc");
	CHECK_STR(arena_strndup(&a, "", 0), "");
	CHECK(y - x == 16); /* the room left in the first block is still used */
	arena_free(&a);
}

static void buf_grows_to_its_maximum(void)
{
	struct buf b;

	buf_init(&b, 10);
	CHECK_STR(buf_str(&b), "");
	buf_adds(&b, "12345");
	buf_addf(&b, "%d", 6789);
	CHECK_STR(buf_str(&b), "123456789");
	CHECK(!b.overflow);
	buf_addc(&b, '0');
	CHECK_STR(buf_str(&b), "1234567890");
	CHECK(!b.overflow);
	buf_addc(&b, 'x');
	CHECK(b.overflow);
	CHECK_STR(buf_str(&b), "1234567890");
	buf_clear(&b);
	CHECK(!b.overflow);
	CHECK_STR(buf_str(&b), "");
	buf_free(&b);
}

static void buf_overflow_is_sticky(void)
{
	struct buf b;

	buf_init(&b, 4);
	buf_adds(&b, "ab");
	buf_adds(&b, "cde");
	CHECK(b.overflow);
	buf_addc(&b, 'x'); /* would fit, but what comes after a hole must not */
	CHECK_STR(buf_str(&b), "ab");
	buf_free(&b);
	buf_init(&b, 0);
	buf_add(&b, "", 0);
	CHECK(!b.overflow);
	buf_addc(&b, 'x');
	CHECK(b.overflow);
	buf_free(&b);
}

static void error_keeps_the_first_failure(void)
{
	struct arena a;
	struct error e;

	arena_init(&a);
	error_init(&e, &a);
	CHECK_INT(fail(&e, ERR_IO, "first %d", 1), ERR_IO);
	CHECK_INT(fail(&e, ERR_CONFIG, "second"), ERR_CONFIG);
	CHECK_INT(fail_param(&e, ERR_MISSING_PARAM, "X"), ERR_MISSING_PARAM);
	CHECK_INT(e.err, ERR_IO);
	CHECK_STR(error_text(&e), "first 1");
	error_clear(&e);
	CHECK_INT(fail(&e, ERR_IO, "%.1s is cut", "\xc3\xa9"), ERR_IO);
	CHECK_STR(error_text(&e), "? is cut");
	error_clear(&e);
	CHECK_INT(fail_param(&e, ERR_MISSING_PARAM, "FirmwareId"), ERR_MISSING_PARAM);
	CHECK_STR(error_code(&e), "MissingFirmwareId");
	CHECK_STR(error_text(&e), "FirmwareId is mandatory for this action.");
	error_clear(&e);
	CHECK_INT(fail_param(&e, ERR_MISSING_PARAM, NULL), ERR_MISSING_PARAM);
	CHECK_STR(error_code(&e), "MissingParameter");
	arena_free(&a);
}

/* Codes and texts have at most one place for a parameter, and no other directive. */
static void every_error_is_well_formed(void)
{
	for (int i = OK + 1; i < ERR_COUNT; i++) {
		const struct err_info *info = err_info((enum err)i);
		const char *texts[] = { info->api_code, info->text };

		CHECK(strncmp(info->name, "ERR_", 4) == 0);
		CHECK(info->http_status == 200 || (info->http_status >= 400 && info->http_status < 600));
		for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
			const char *at = strchr(texts[t], '%');

			CHECK(*texts[t]);
			CHECK(!at || (at[1] == 's' && !strchr(at + 1, '%')));
		}
		CHECK((strncmp(info->api_code, "iot.", 4) == 0) == (info->http_status == 200));
	}
}

TESTS("base/memory", { "arena_gives_zeroed_aligned_memory", arena_gives_zeroed_aligned_memory },
      { "arena_releases_newest_first", arena_releases_newest_first },
      { "arena_keeps_small_neighbours_of_large_ones", arena_keeps_small_neighbours_of_large_ones },
      { "buf_grows_to_its_maximum", buf_grows_to_its_maximum },
      { "buf_overflow_is_sticky", buf_overflow_is_sticky }, 
      { "error_keeps_the_first_failure", error_keeps_the_first_failure },
      { "every_error_is_well_formed", every_error_is_well_formed })
