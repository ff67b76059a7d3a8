/* SPDX-License-Identifier: Apache-2.0 */
/* May a new task be, when its device has unfinished ones? (api §10.8: OverwriteMode and MultiModuleMode.) Pure. */
#ifndef ENGINE_CONFLICT_H
#define ENGINE_CONFLICT_H

#include "engine/task.h"

/* Key of active_task for a task of a job without MultiModuleMode: the whole device. */
#define WHOLE_DEVICE ""

struct conflict_task { /* an unfinished task of the device */
	enum task_state state;
	const char *key; /* its module, or WHOLE_DEVICE */
};

enum conflict_verdict {
	CONFLICT_NONE,      /* nothing in the way */
	CONFLICT_OVERWRITE, /* every task in the way is to be canceled; then the new one may be */
	CONFLICT_LOSES      /* the new task is made FAILED; the others stay */
};
/* others: the unfinished tasks that share the new task's key (conflict_shares). */
enum conflict_verdict conflict_decide(bool multi_module, int overwrite_mode, const char *module,
				      const struct conflict_task *others, size_t n);
/* Is a task with `key` in the way of a new one at all? */
bool conflict_shares(bool multi_module, const char *module, const char *key);

#endif
