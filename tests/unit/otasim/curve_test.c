/* SPDX-License-Identifier: Apache-2.0 */
/* Curves and the moments that a curve of rates gives, against what can be said without them: the area below
 * it. */
#include "cmd/otasim/curve.h"

#include "harness.h"

static const struct curve ramp = { 3, { { 0, 0 }, { 10, 100 }, { 20, 100 } } };
static const struct curve step = { 4, { { 0, 5 }, { 10, 5 }, { 10, 50 }, { 20, 0 } } };

static void values_lie_on_the_lines(void)
{
	static const struct {
		const struct curve *c;
		int64_t at_ms, milli;
	} rows[] = {
		{ &ramp, 0, 0 },	  { &ramp, 5000, 50000 },   { &ramp, 9999, 99990 },
		{ &ramp, 10000, 100000 }, { &ramp, 99000, 100000 }, { &step, 9999, 5000 },
		{ &step, 10000, 50000 },  { &step, 15000, 25000 },  { &step, 20000, 0 },
		{ &step, 30000, 0 },
	};
	static const struct curve none;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (curve_at_milli(rows[i].c, rows[i].at_ms) != rows[i].milli)
			test_fail(__FILE__, __LINE__, "row %zu: %lld", i,
				  (long long)curve_at_milli(rows[i].c, rows[i].at_ms));
	CHECK_INT(curve_at_milli(&none, 5), 0);
	CHECK_INT(curve_end_s(&ramp), 20);
	CHECK_INT(curve_end_s(&none), 0);
}

static void largest_value_before_a_time(void)
{
	static const struct curve late = { 3, { { 0, 0 }, { 30, 0 }, { 60, 9 } } };

	CHECK_INT(curve_max_before(&late, 30), 0);
	CHECK_INT(curve_max_before(&late, 31), 1);
	CHECK_INT(curve_max_before(&late, 100), 9);
	CHECK_INT(curve_max_before(&step, 10), 5);
	CHECK_INT(curve_max_before(&step, 11), 50);
	CHECK_INT(curve_max_before(&step, 20), 50);
}

/* Items until a time, and the last one's moment. */
static int64_t count(const struct curve *c, int64_t until_us, int64_t *ret_last)
{
	struct curve_walk w = { .rate = c };
	int64_t n = 0, us = -1;

	while (curve_next(&w, until_us, &us)) {
		CHECK(us <= until_us && us >= *ret_last);
		*ret_last = us;
		n++;
	}
	return n;
}

/* An item too few or too many comes from the width of a millisecond. */
static void as_many_items_as_the_area_holds(void)
{
	static const struct {
		const struct curve *c;
		int64_t until_s, items, last_ms; /* the last one is within 30 ms before */
	} rows[] = {
		{ &ramp, 10, 500, 10000 }, /* 100/s * 10 s / 2 */
		{ &ramp, 20, 1500, 20000 },
		{ &step, 12, 50 + 90, 12000 },
		{ &step, 60, 50 + 250, 20000 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t last = 0, n = count(rows[i].c, rows[i].until_s * 1000000, &last);

		if (n < rows[i].items - 1 || n > rows[i].items + 1)
			test_fail(__FILE__, __LINE__, "row %zu: %lld items", i, (long long)n);
		CHECK(last <= rows[i].last_ms * 1000 && (i == 3 || last > rows[i].last_ms * 1000 - 30000));
	}
}

static void moments_of_a_steady_rate_are_even(void)
{
	static const struct curve steady = { 1, { { 0, 2500 } } };
	struct curve_walk w = { .rate = &steady };
	int64_t us;

	for (int64_t i = 1; i <= 10000; i++) {
		CHECK(curve_next(&w, 100000000, &us));
		CHECK_INT(us, 400 * i);
	}
}

/* Asked in small steps or at once: the same moments. */
static void asking_often_changes_nothing(void)
{
	struct curve_walk often = { .rate = &step }, once = { .rate = &step };
	int64_t a = 0, b = 0;

	for (int64_t until = 0; until < 20000000; until += 333)
		while (curve_next(&often, until, &a)) {
			CHECK(curve_next(&once, 20000000, &b));
			CHECK_INT(a, b);
		}
	CHECK(a > 15000000);
}

TESTS("otasim/curve", { "values_lie_on_the_lines", values_lie_on_the_lines },
      { "largest_value_before_a_time", largest_value_before_a_time },
      { "as_many_items_as_the_area_holds", as_many_items_as_the_area_holds },
      { "moments_of_a_steady_rate_are_even", moments_of_a_steady_rate_are_even },
      { "asking_often_changes_nothing", asking_often_changes_nothing })
