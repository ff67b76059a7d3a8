/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otasim/histogram.h"

#include <string.h>

#define HALF 128 /* buckets per power of two */

/* Up to 255 each value has its own; from there on every power of two has HALF, twice as wide as those before.
 */
static size_t bucket_of(int64_t us)
{
	uint64_t v = (uint64_t)us;
	unsigned shift = v < 2 * HALF ? 0U : 56U - (unsigned)__builtin_clzll(v);

	return (size_t)(shift * HALF + (v >> shift));
}

static int64_t bucket_top(size_t bucket)
{
	unsigned shift = bucket < (size_t)2 * HALF ? 0U : (unsigned)(bucket / HALF) - 1U;

	return (((int64_t)bucket - (int64_t)shift * HALF + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, int64_t us)
{
	us = i64_min(i64_max(us, 0), HISTOGRAM_MAX_US);
	h->count[bucket_of(us)]++;
	h->n++;
	h->max_us = i64_max(h->max_us, us);
}

void histogram_clear(struct histogram *h)
{
	if (h->n > 0)
		memset(h, 0, sizeof *h);
}

int64_t histogram_percentile(const struct histogram *h, int64_t percent_milli)
{
	int64_t rank = i64_max((h->n * percent_milli + 99999) / 100000, 1), seen = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->count[i];
		if (seen >= rank)
			return i64_min(bucket_top(i), h->max_us);
	}
	return -1;
}

void meter_add(struct meter *m, int64_t us)
{
	histogram_add(&m->all, us);
	histogram_add(&m->now, us);
}
