/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected when: the curve of a scenario, the waves of one whose devices leave when they are done,
 * and the network cuts. Called by main.c. */
#include "cmd/otasim/sim.h"

/* Has this device nothing left to do and to say? */
static bool finished(const struct device *d)
{
	return d->on && d->done && d->link == LINK_UP && !d->inform_due && d->inform_packet == 0 &&
	       (d->update == UPDATE_NONE || d->update == UPDATE_STALLED);
}

static void leave(struct sim *s)
{
	for (size_t i = 0; i < s->n_arrived; i++)
		if (finished(&s->devices[i]))
			device_switch(&s->devices[i], false);
}

static void come_and_go(struct sim *s, int64_t since_ms)
{
	size_t wanted = (size_t)(curve_at_milli(&s->scenario->online, since_ms) / 1000);

	while (s->n_on < wanted && s->n_arrived < s->n)
		device_switch(&s->devices[s->n_arrived++], true);
	while (s->n_on > wanted && !s->scenario->leave_when_done)
		device_switch(&s->devices[--s->n_arrived], false);
}

static void cut(struct sim *s, size_t number)
{
	const struct cut *c = &s->scenario->cuts[number];

	for (size_t i = 0; i < s->n; i++) {
		struct device *d = &s->devices[i];

		if (!sim_share(s, i, 'C' + 256 * (uint64_t)number, c->share_milli))
			continue;
		s->cut_devices[number] += d->link == LINK_UP;
		device_cut(d, s->started_ms + (c->at_s + c->for_s) * MS_PER_SECOND, c->silent);
	}
}

void arrival_tick(struct sim *s, int64_t now_ms)
{
	int64_t since_ms = now_ms - s->started_ms, before_ms = s->arrived_ms - s->started_ms;

	if (s->scenario->leave_when_done && since_ms / MS_PER_SECOND > before_ms / MS_PER_SECOND)
		leave(s);
	come_and_go(s, since_ms);
	for (size_t i = 0; i < s->scenario->n_cuts; i++) {
		int64_t at_ms = s->scenario->cuts[i].at_s * MS_PER_SECOND;

		if (before_ms < at_ms && at_ms <= since_ms)
			cut(s, i);
	}
	s->arrived_ms = now_ms;
}
