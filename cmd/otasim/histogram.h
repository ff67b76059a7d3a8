/* SPDX-License-Identifier: Apache-2.0 */
/* Durations in us, counted in buckets whose width is at most 1/128 of the value, as HDR histograms do it:
 * however many there are, memory is the same, and a percentile is at most 0.8 % above the true one. Pure. */
#ifndef OTASIM_HISTOGRAM_H
#define OTASIM_HISTOGRAM_H

#include "engine/base/base.h"

#define HISTOGRAM_BUCKETS 3840
#define HISTOGRAM_MAX_US ((1LL << 36) - 1) /* 19 hours; longer ones count as that */

struct histogram {
	int64_t n, max_us;
	uint32_t count[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, int64_t us);
void histogram_clear(struct histogram *h);
/* What percent_milli / 1000 percent of the durations don't exceed; never above the longest; -1 when there are
 * none. */
int64_t histogram_percentile(const struct histogram *h, int64_t percent_milli);

/* Durations of one kind: of the whole run, and since the last sample was taken. */
struct meter {
	struct histogram all, now;
};
void meter_add(struct meter *m, int64_t us);

#endif
