/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otasim/curve.h"

#define ITEM                                                                                                \
	1000000 /* an item in the unit of carry_micro: a thousandth of an item a second, over a millisecond \
		 */

int64_t curve_at_milli(const struct curve *c, int64_t at_ms)
{
	size_t i = 0;
	int64_t from_ms, to_ms, from, to;

	while (i < c->n && c->p[i].at_s * MS_PER_SECOND <= at_ms)
		i++;
	if (c->n == 0)
		return 0;
	if (i == 0 || i == c->n)
		return 1000 * c->p[i == 0 ? 0 : i - 1].value;
	from_ms = c->p[i - 1].at_s * MS_PER_SECOND;
	to_ms = c->p[i].at_s * MS_PER_SECOND;
	from = 1000 * c->p[i - 1].value;
	to = 1000 * c->p[i].value;
	return from + (to - from) * (at_ms - from_ms) / (to_ms - from_ms);
}

int64_t curve_end_s(const struct curve *c)
{
	return c->n == 0 ? 0 : c->p[c->n - 1].at_s;
}

int64_t curve_max_before(const struct curve *c, int64_t before_s)
{
	int64_t most = (curve_at_milli(c, before_s * MS_PER_SECOND - 1) + 999) / 1000;

	for (size_t i = 0; i < c->n && c->p[i].at_s < before_s; i++)
		most = i64_max(most, c->p[i].value);
	return most;
}

bool curve_next(struct curve_walk *w, int64_t until_us, int64_t *ret_us)
{
	for (;;) {
		int64_t rate = curve_at_milli(w->rate, w->at_ms); /* also: millionths of an item in this ms */
		int64_t need = (w->taken + 1) * ITEM - w->carry_micro;

		if (need <= rate) {
			int64_t us = w->at_ms * 1000 + need * 1000 / rate;

			if (us > until_us)
				return false;
			w->taken++;
			*ret_us = us;
			return true;
		}
		if ((w->at_ms + 1) * 1000 > until_us)
			return false;
		w->carry_micro += rate - w->taken * ITEM;
		w->taken = 0;
		w->at_ms++;
	}
}
