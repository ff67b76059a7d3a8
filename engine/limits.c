/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/limits.h"

#include <string.h>

static const struct limits seed = {
	.target_names = 200, .list_names = 10000, .list_bytes = 5242880, .max_per_minute_min = 0,
	.max_per_minute_max = 1000, .max_per_minute_default = 1000, .tag_value = 128, .tags = 10,
};
static const struct limits current = {
	.target_names = 200, .list_names = 1000000, .list_bytes = 41943040, .max_per_minute_min = 10,
	.max_per_minute_max = 10000, .max_per_minute_default = 10000, .tag_value = 1024, .tag_total = 4096,
	.tags = 10, .retry_below_timeout = true,
};

static void set(int64_t *limit, int64_t configured)
{
	if (configured >= 0)
		*limit = configured;
}

struct limits limits_of(const struct config *c)
{
	struct limits l = strcmp(c->limits_profile, "current") == 0 ? current : seed;
	int64_t hard = c->limit_max_per_minute_hard;

	set(&l.target_names, c->limit_target_names);
	set(&l.list_names, c->limit_list_names);
	set(&l.list_bytes, c->limit_list_bytes);
	set(&l.max_per_minute_min, c->limit_max_per_minute_min);
	set(&l.max_per_minute_max, c->limit_max_per_minute_max);
	set(&l.max_per_minute_default, c->limit_max_per_minute_default);
	set(&l.tag_value, c->limit_tag_value);
	if (hard > 0) {
		l.max_per_minute_max = i64_min(l.max_per_minute_max, hard);
		l.max_per_minute_default = i64_min(l.max_per_minute_default, hard);
	}
	return l;
}
