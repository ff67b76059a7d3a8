/* SPDX-License-Identifier: Apache-2.0 */
#include "api/action.h"

#include <string.h>

const struct action *const actions[] = {
#define ACTION(name) &action_##name,
#include "api/actions.def"
#undef ACTION
	NULL,
};

const struct action *action_find(const char *name)
{
	for (size_t i = 0; actions[i]; i++)
		if (strcmp(actions[i]->name, name) == 0)
			return actions[i];
	return NULL;
}
