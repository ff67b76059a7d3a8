/* SPDX-License-Identifier: Apache-2.0 */
/* When pushes arrived, every one, so that the fullest minute is exact (rules §4). What a cut held back arrives
 * in one burst and says nothing about when it was sent: it is only counted. Pure. */
#ifndef OTASIM_PUSH_TIMES_H
#define OTASIM_PUSH_TIMES_H

#include "engine/base/base.h"

#define PUSH_WINDOW_MS 60000

struct push_times {
	int64_t *at_ms; /* in their order; without those that were held back */
	size_t n, cap;
	int64_t held, held_before; /* all that were; those of them before the first of at_ms */
	int64_t held_between;	   /* those between the first and the last of at_ms */
};
void push_times_add(struct push_times *p, int64_t now_ms);
/* One that a cut held back. */
void push_times_held(struct push_times *p);
/* The most in any 60 seconds, however placed, and the first push of them; *ret_from_ms may be NULL, and is
 * left alone when there are no pushes. */
int64_t push_times_worst(const struct push_times *p, int64_t *ret_from_ms);
/* How many came after from_ms and not after to_ms. */
int64_t push_times_between(const struct push_times *p, int64_t from_ms, int64_t to_ms);
void push_times_free(struct push_times *p);

#endif
