/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that asks the system for the time. Everything else gets `now` as a parameter.
 *
 * clock_now() is CLOCK_BOOTTIME plus an offset: at first the offset to this host's clock, later the one
 * measured against the database's clock (clock_bound_offset, at each heartbeat), so that replicas agree
 * and a jump of the host's clock changes nothing. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "engine/base/base.h"

/* Milliseconds since boot, also while suspended. Never goes back. */
int64_t clock_boot_ms(void);
/* The same in microseconds, for measuring durations. */
int64_t clock_boot_us(void);
/* Names the boot that they count from: processes that have the same one may compare their readings. Any thread. */
const char *clock_boot_id(void);
/* The product's idea of the time. Any thread. */
utc_ms clock_now(void);
/* From now on clock_now() == clock_boot_ms() + offset_ms. Any thread. */
void clock_set_offset(int64_t offset_ms);
/* A measurement says that the offset is one of least_ms .. most_ms: it is changed only when it is not, and no further
 * than that proves, so that a slow answer never moves the time. Any thread. */
void clock_bound_offset(int64_t least_ms, int64_t most_ms);

#endif
