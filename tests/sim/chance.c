/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers out of a seed: splitmix64, one stream per concern, so that a change of one leaves the others alone. */
#include "tests/sim/sim.h"

uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

struct rng rng_of(uint64_t seed, uint64_t stream)
{
	struct rng r = { .state = seed };

	r.state = rng_next(&r) ^ stream * 0xd1342543de82ef95u;
	(void)rng_next(&r);
	return r;
}

int64_t rng_between(struct rng *r, int64_t lo, int64_t hi)
{
	ensure(lo <= hi);
	return lo + (int64_t)(rng_next(r) % (uint64_t)(hi - lo + 1));
}

bool rng_chance(struct rng *r, int permille)
{
	return rng_between(r, 0, 999) < permille;
}

int64_t rng_skewed(struct rng *r, int64_t max)
{
	int64_t most = rng_between(r, 0, max);

	return rng_between(r, 0, rng_chance(r, 800) ? most / 8 : most);
}

int rng_pick(struct rng *r, const int *of, size_t n)
{
	return of[rng_between(r, 0, (int64_t)n - 1)];
}
