/* SPDX-License-Identifier: Apache-2.0 */
/* What the options of CancelOTATaskByJob mean (api §6.7, §10.11). Pure. */
#ifndef ENGINE_CANCEL_H
#define ENGINE_CANCEL_H

#include "engine/task.h"

struct cancel_options {
	bool scheduled, queued, notified, in_progress;
	bool unconfirmed_given, unconfirmed; /* the only option without a default */
};

/* At least one of them is true. */
bool cancel_any(const struct cancel_options *o);
/* The states of tasks that they cancel: bit n = enum task_state n. 0 when only the schedule is meant. */
int cancel_mask(const struct cancel_options *o);

#endif
