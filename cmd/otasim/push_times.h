/* SPDX-License-Identifier: Apache-2.0 */
/* When pushes arrived, every one, so that the fullest minute is exact (rules §4). Pure. */
#ifndef OTASIM_PUSH_TIMES_H
#define OTASIM_PUSH_TIMES_H

#include "engine/base/base.h"

#define PUSH_WINDOW_MS 60000

struct push_times {
	int64_t *at_ms; /* in their order */
	size_t n, cap;
};
void push_times_add(struct push_times *p, int64_t now_ms);
/* The most in any 60 seconds, however placed, and the first push of them; *ret_from_ms may be NULL, and is
 * left alone when there are no pushes. */
int64_t push_times_worst(const struct push_times *p, int64_t *ret_from_ms);
/* How many came after from_ms and not after to_ms. */
int64_t push_times_between(const struct push_times *p, int64_t from_ms, int64_t to_ms);
void push_times_free(struct push_times *p);

#endif
