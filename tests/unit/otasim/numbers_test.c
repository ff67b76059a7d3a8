/* SPDX-License-Identifier: Apache-2.0 */
/* Percentiles against a sorted list, fullest minutes against counting all of them. */
#include "cmd/otasim/histogram.h"
#include "cmd/otasim/push_times.h"
#include "cmd/otasim/say.h"
#include "cmd/otasim/turns.h"

#include "harness.h"

#include <stdlib.h>

#define N 20000

static uint64_t state = 1;

static int64_t chance(int64_t below)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (int64_t)((state >> 20) % (uint64_t)below);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void percentiles_are_close_and_never_below(void)
{
	static const int64_t percents[] = { 0, 1, 1000, 50000, 90000, 99000, 99900, 99999, 100000 };
	static struct histogram h;
	static int64_t list[N];

	CHECK_INT(histogram_percentile(&h, 50000), -1);
	for (int i = 0; i < N; i++) {
		list[i] = chance(1LL << (1 + chance(35)));
		histogram_add(&h, list[i]);
	}
	qsort(list, N, sizeof *list, by_value);
	for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
		int64_t rank = (N * percents[i] + 99999) / 100000;
		int64_t want = list[rank > 0 ? rank - 1 : 0], got = histogram_percentile(&h, percents[i]);

		if (got < want || got > want + want / 128)
			test_fail(__FILE__, __LINE__, "%lld: %lld instead of %lld", (long long)percents[i],
				  (long long)got, (long long)want);
	}
	CHECK_INT(histogram_percentile(&h, 100000), list[N - 1]);
	histogram_clear(&h);
	CHECK_INT(h.n, 0);
	CHECK_INT(histogram_percentile(&h, 99000), -1);
}

static void every_small_value_and_the_largest(void)
{
	static struct histogram h;

	for (int64_t v = 0; v < 256; v++) {
		histogram_clear(&h);
		histogram_add(&h, v);
		histogram_add(&h, HISTOGRAM_MAX_US + 5);
		CHECK_INT(histogram_percentile(&h, 50000), v);
		CHECK_INT(histogram_percentile(&h, 100000), HISTOGRAM_MAX_US);
	}
}

static void fullest_minute(void)
{
	struct push_times p = { 0 };
	int64_t from = -1, worst = 0;

	CHECK_INT(push_times_worst(&p, &from), 0);
	CHECK_INT(from, -1);
	for (int64_t i = 0, at = 1000000; i < 3000; i++) {
		at += chance(i % 500 < 100 ? 20 : 400);
		push_times_add(&p, at);
	}
	for (size_t i = 0; i < p.n; i++) {
		int64_t in = 0;

		for (size_t k = i; k < p.n && p.at_ms[k] < p.at_ms[i] + PUSH_WINDOW_MS; k++)
			in++;
		worst = i64_max(worst, in);
		CHECK_INT(push_times_between(&p, p.at_ms[i] - 1, p.at_ms[i] + PUSH_WINDOW_MS - 1) >= in,
			  true);
	}
	CHECK_INT(push_times_worst(&p, &from), worst);
	CHECK_INT(push_times_between(&p, from - 1, from + PUSH_WINDOW_MS - 1), worst);
	CHECK_INT(push_times_between(&p, 0, INT64_MAX), 3000);
	CHECK_INT(push_times_between(&p, 0, 999999), 0);
	push_times_free(&p);
}

/* A push on the border belongs to the next minute. */
static void sixty_seconds_later_is_another_minute(void)
{
	struct push_times p = { 0 };

	push_times_add(&p, 5);
	push_times_add(&p, 5 + PUSH_WINDOW_MS - 1);
	push_times_add(&p, 5 + PUSH_WINDOW_MS);
	CHECK_INT(push_times_worst(&p, NULL), 2);
	push_times_free(&p);
}

/* What a cut held back is counted and has no minute. */
static void held_back_is_not_judged(void)
{
	struct push_times p = { 0 };

	push_times_held(&p); /* before the first, so perhaps sent before it, too */
	push_times_add(&p, 1000);
	push_times_held(&p);
	push_times_held(&p);
	CHECK_INT(p.held_between, 0);
	push_times_add(&p, 1001);
	push_times_held(&p);
	CHECK_INT(push_times_worst(&p, NULL), 2);
	CHECK_INT(p.held, 4);
	CHECK_INT(p.held_between, 2);
	push_times_free(&p);
}

static void shares_are_exact_and_mixed(void)
{
	static const int64_t shares[] = { 40, 40, 15, 5, 0 };
	int64_t got[ARRAY_LEN(shares)] = { 0 };
	struct turns t = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(shares); i++)
		turns_add(&t, shares[i]);
	for (int64_t n = 1; n <= 1000; n++) {
		got[turns_next(&t)]++;
		for (size_t i = 0; i < ARRAY_LEN(shares); i++)
			CHECK(got[i] * 100 > n * shares[i] - 100 && got[i] * 100 < n * shares[i] + 100);
	}
	for (size_t i = 0; i < ARRAY_LEN(shares); i++)
		CHECK_INT(got[i], shares[i] * 10);
}

static void numbers_in_words(void)
{
	struct arena a;

	arena_init(&a);
	CHECK_STR(say_number(&a, 0), "0");
	CHECK_STR(say_number(&a, 999), "999");
	CHECK_STR(say_number(&a, 1000), "1,000");
	CHECK_STR(say_number(&a, -123456), "-123,456");
	CHECK_STR(say_number(&a, 1234567), "1,234,567");
	CHECK_STR(say_double(&a, 0.125), "0.125");
	CHECK_STR(say_double(&a, 1234.5), "1,235");
	CHECK_STR(say_seconds(&a, 5349), "5.3 s");
	CHECK_STR(say_seconds(&a, 67000), "1 min 07 s");
	CHECK_STR(say_seconds(&a, 7241000), "2 h 00 min 41 s");
	CHECK_STR(say_us(&a, -1), "-");
	CHECK_STR(say_us(&a, 520), "0.52 ms");
	CHECK_STR(say_us(&a, 12340), "12.3 ms");
	CHECK_STR(say_us(&a, 1234000), "1,234 ms");
	CHECK_STR(say_percent(&a, 1, 3), "33.33 %");
	CHECK_STR(say_percent(&a, 1, 0), "0 %");
	arena_free(&a);
}

TESTS("otasim/numbers", { "percentiles_are_close_and_never_below", percentiles_are_close_and_never_below },
      { "every_small_value_and_the_largest", every_small_value_and_the_largest },
      { "fullest_minute", fullest_minute }, { "shares_are_exact_and_mixed", shares_are_exact_and_mixed },
      { "numbers_in_words", numbers_in_words },
      { "sixty_seconds_later_is_another_minute", sixty_seconds_later_is_another_minute },
      { "held_back_is_not_judged", held_back_is_not_judged })
