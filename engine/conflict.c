/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/conflict.h"

#include <string.h>

bool conflict_shares(bool multi_module, const char *module, const char *key)
{
	/* a job without MultiModuleMode takes the whole device, and a task that has it blocks every module */
	return !multi_module || strcmp(key, WHOLE_DEVICE) == 0 || strcmp(key, module) == 0;
}

enum conflict_verdict conflict_decide(bool multi_module, int overwrite_mode, const char *module,
				      const struct conflict_task *others, size_t n)
{
	if (n == 0)
		return CONFLICT_NONE;
	for (size_t i = 0; i < n; i++) {
		bool same_module = strcmp(others[i].key, module) == 0;

		ensure(conflict_shares(multi_module, module, others[i].key));
		if (others[i].state == TASK_IN_PROGRESS)
			return CONFLICT_LOSES;
		if (multi_module ? !same_module : overwrite_mode != 2)
			return CONFLICT_LOSES;
	}
	return CONFLICT_OVERWRITE;
}
