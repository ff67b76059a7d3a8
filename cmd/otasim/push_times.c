/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otasim/push_times.h"

#include <stdlib.h>

void push_times_add(struct push_times *p, int64_t now_ms)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 1024;
		p->at_ms = realloc(p->at_ms, p->cap * sizeof *p->at_ms);
		ensure(p->at_ms);
	}
	if (p->n == 0)
		p->held_before = p->held;
	p->held_between = p->held - p->held_before;
	p->at_ms[p->n++] = now_ms;
}

void push_times_held(struct push_times *p)
{
	p->held++;
}

int64_t push_times_worst(const struct push_times *p, int64_t *ret_from_ms)
{
	int64_t worst = 0;

	for (size_t first = 0, last = 0; last < p->n; last++) {
		while (p->at_ms[last] - p->at_ms[first] >= PUSH_WINDOW_MS)
			first++;
		if ((int64_t)(last - first + 1) > worst) {
			worst = (int64_t)(last - first + 1);
			if (ret_from_ms)
				*ret_from_ms = p->at_ms[first];
		}
	}
	return worst;
}

/* How many are not after that time. */
static size_t until(const struct push_times *p, int64_t ms)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (p->at_ms[mid] <= ms)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int64_t push_times_between(const struct push_times *p, int64_t from_ms, int64_t to_ms)
{
	return (int64_t)(until(p, to_ms) - until(p, from_ms));
}

void push_times_free(struct push_times *p)
{
	free(p->at_ms);
	*p = (struct push_times){ 0 };
}
