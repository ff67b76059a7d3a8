/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otasim/turns.h"

void turns_add(struct turns *t, int64_t share)
{
	ensure(t->n < TURNS_MAX);
	t->share[t->n++] = share;
}

size_t turns_next(struct turns *t)
{
	int64_t total = 0;
	size_t most = 0;

	for (size_t i = 0; i < t->n; i++) {
		t->due[i] += t->share[i];
		total += t->share[i];
		if (t->due[i] > t->due[most])
			most = i;
	}
	t->due[most] -= total;
	return most;
}
