/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, gauges and duration histograms, one row each in metrics.def; printed in the Prometheus text
 * format. Any thread, lock-free on the hot path. A metric may have one label with up to 512 values. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "engine/base/buf.h"

enum metric {
#define METRIC(id, kind, name, label, help) id,
#include "engine/base/metrics.def"
#undef METRIC
	METRIC_COUNT
};

/* For metrics without a label. */
void metric_add(enum metric m, int64_t n);
void metric_set(enum metric m, int64_t value);
/* The largest value so far. */
void metric_raise(enum metric m, int64_t value);
/* For metrics with a label; more than 512 values are counted under "other". */
void metric_add_label(enum metric m, const char *label, int64_t n);
/* Histogram of durations; label NULL when the metric has none. */
void metric_observe_us(enum metric m, const char *label, int64_t us);
/* For tests and summaries. */
int64_t metric_get(enum metric m);

/* The whole page in the Prometheus text format 0.0.4. */
void metrics_print(struct buf *out);

#endif
