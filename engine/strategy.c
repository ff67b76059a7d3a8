/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/strategy.h"

#include "engine/text.h"

#include <string.h>

static bool version_listed(const struct strategy *s, const char *version)
{
	for (size_t i = 0; i < s->n_versions; i++)
		if (text_same(s->versions[i], version))
			return true;
	return false;
}

static bool in_time(const struct strategy *s, const struct strategy_look *l)
{
	if (!l->reported)
		return s->mode == DYNAMIC_ALL && l->matches == 0;
	return strcmp(l->reported, s->module) == 0 && l->matches < STRATEGY_MATCHES_MAX &&
	       (s->mode == DYNAMIC_ALL || l->reported_ms >= s->created_ms);
}

bool strategy_matches(const struct strategy *s, const struct strategy_look *l)
{
	if (!in_time(s, l) || text_same(l->version, s->dest_version))
		return false;
	if (s->diff_version && !text_same(l->version, s->diff_version))
		return false;
	return s->by_group ? l->member : version_listed(s, l->version);
}
