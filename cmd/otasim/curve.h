/* SPDX-License-Identifier: Apache-2.0 */
/* A number that changes over the time of a run: straight lines between points, before the first point its
 * value, after the last one that one's. Two points at the same time are a step. Pure. */
#ifndef OTASIM_CURVE_H
#define OTASIM_CURVE_H

#include "engine/base/base.h"

#define CURVE_POINTS_MAX 100

struct curve {
	size_t n; /* points, in the order of their time; 0: 0 all the time */
	struct {
		int64_t at_s, value;
	} p[CURVE_POINTS_MAX];
};

/* 1000 times the value at that time (ms since the start). */
int64_t curve_at_milli(const struct curve *c, int64_t at_ms);
/* The time of the last point, in s. */
int64_t curve_end_s(const struct curve *c);
/* The largest value before that time, rounded up. */
int64_t curve_max_before(const struct curve *c, int64_t before_s);

/* Of a curve of rates, in items a second: the moments of the items, one after the other, to the microsecond.
 */
struct curve_walk {
	const struct curve *rate;
	int64_t at_ms;	     /* the millisecond that is looked at */
	int64_t carry_micro; /* part of an item from before it, in millionths */
	int64_t taken;	     /* items of this millisecond */
};
/* The next item's moment (us since the start); false when it comes after until_us. */
bool curve_next(struct curve_walk *w, int64_t until_us, int64_t *ret_us);

#endif
