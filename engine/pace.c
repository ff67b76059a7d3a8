/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pace.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_US 60000000LL
#define SPREAD_US 60600000LL /* a minute and 1 %: the slots alone stay below the limit */
/* Acknowledgements are kept by the hundredth of a second, rounded up: never leaving the window too early. */
#define GRAIN_US 10000LL

struct pace_ack {
	int64_t at_us, n;
};

void pace_init(struct pace *p)
{
	memset(p, 0, sizeof *p);
}

void pace_free(struct pace *p)
{
	free(p->acks);
	pace_init(p);
}

static struct pace_ack *ack_at(struct pace *p, size_t i)
{
	return &p->acks[(p->head + i) % p->cap];
}

static void forget_old(struct pace *p, int64_t now_us)
{
	while (p->count > 0 && ack_at(p, 0)->at_us + WINDOW_US < now_us) {
		p->acked -= ack_at(p, 0)->n;
		p->head = (p->head + 1) % p->cap;
		p->count--;
	}
}

static void grow(struct pace *p)
{
	size_t cap = p->cap ? 2 * p->cap : 16;
	struct pace_ack *acks = calloc(cap, sizeof *acks);

	ensure(acks != NULL);
	for (size_t i = 0; i < p->count; i++)
		acks[i] = *ack_at(p, i);
	free(p->acks);
	p->acks = acks;
	p->cap = cap;
	p->head = 0;
}

void pace_ack(struct pace *p, int64_t n, int64_t at_us)
{
	int64_t at = (at_us + GRAIN_US - 1) / GRAIN_US * GRAIN_US;

	if (n <= 0)
		return;
	p->unacked = i64_max(p->unacked - n, 0);
	p->acked += n;
	if (p->count > 0 && ack_at(p, p->count - 1)->at_us >= at) {
		ack_at(p, p->count - 1)->n += n;
		return;
	}
	if (p->count == p->cap)
		grow(p);
	p->count++;
	*ack_at(p, p->count - 1) = (struct pace_ack){ .at_us = at, .n = n };
}

void pace_unclaim(struct pace *p, int64_t n)
{
	p->unacked = i64_max(p->unacked - n, 0);
}

bool pace_idle(struct pace *p, int64_t now_us)
{
	forget_old(p, now_us);
	return p->unacked == 0 && p->acked == 0;
}

int64_t pace_slots(struct pace *p, int64_t per_minute, int64_t now_us, int64_t last_tick_us, int64_t want)
{
	int64_t slots;

	if (per_minute <= 0 || want <= 0)
		return 0;
	forget_old(p, now_us);
	/* Never further away than a slot: it is, when the rate was raised since. */
	p->next_slot_us = i64_min(p->next_slot_us, now_us + SPREAD_US / per_minute + 1);
	p->next_slot_us = i64_max(p->next_slot_us, last_tick_us);
	if (p->next_slot_us > now_us)
		return 0;
	/* slot i after next_slot_us lies at i * SPREAD / M */
	slots = per_minute >= INT64_MAX / SPREAD_US ? want : (now_us - p->next_slot_us) * per_minute / SPREAD_US + 1;
	return i64_max(0, i64_min(i64_min(slots, want), per_minute - p->unacked - p->acked));
}

int64_t pace_claim(struct pace *p, int64_t per_minute, int64_t now_us, int64_t last_tick_us, int64_t want)
{
	int64_t n = pace_slots(p, per_minute, now_us, last_tick_us, want);

	if (n > 0)
		p->next_slot_us += (n * SPREAD_US + per_minute - 1) / per_minute;
	p->unacked += n;
	return n;
}
