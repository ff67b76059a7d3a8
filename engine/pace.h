/* SPDX-License-Identifier: Apache-2.0 */
/* The pace of a job: MaximumPerMinute as evenly spread slots, and a gate that makes it a contract.
 *
 * Slots lie 60.6 s / M apart (1 % below the limit); those that passed since the last tick are used together,
 * older ones are not made up. The gate: a push is handed over only while (unacknowledged + acknowledged in the
 * last 60 s) < M. Proof: let s be the last hand-over among the pushes that entered the broker in
 * [x, x + 60 s); every other push of that window was acknowledged after x > s - 60 s, so it is counted at s.
 * It holds for a frozen broker too. Told the time (CLOCK_BOOTTIME); no I/O. */
#ifndef ENGINE_PACE_H
#define ENGINE_PACE_H

#include "engine/base/base.h"

struct pace {
	int64_t next_slot_us;
	int64_t unacked;    /* handed over or claimed, outcome unknown */
	int64_t acked;      /* in the window */
	struct pace_ack *acks; /* ring of acknowledgement times in the window, oldest first */
	size_t head, count, cap;
};

void pace_init(struct pace *p);
void pace_free(struct pace *p);

/* How many pushes may be claimed now: at most `want`, the slots since last_tick_us, and the gate's room.
 * per_minute 0: none. */
int64_t pace_slots(struct pace *p, int64_t per_minute, int64_t now_us, int64_t last_tick_us, int64_t want);
/* Takes these slots and counts them as unacknowledged. */
int64_t pace_claim(struct pace *p, int64_t per_minute, int64_t now_us, int64_t last_tick_us, int64_t want);
/* n claimed pushes were acknowledged at that time, or their outcome counts as such (rules §4). */
void pace_ack(struct pace *p, int64_t n, int64_t at_us);
/* n claimed pushes were not handed over: they never happened. */
void pace_unclaim(struct pace *p, int64_t n);
/* Nothing that it counts is left: a new one would allow no more. */
bool pace_idle(struct pace *p, int64_t now_us);

#endif
