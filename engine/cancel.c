/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cancel.h"

bool cancel_any(const struct cancel_options *o)
{
	return o->scheduled || cancel_mask(o) != 0;
}

int cancel_mask(const struct cancel_options *o)
{
	/* Unless it is asked about, CONFIRM goes with QUEUED. */
	bool confirm = o->unconfirmed_given ? o->unconfirmed : o->queued;

	return (confirm ? TASK_BIT(TASK_CONFIRM) : 0) | (o->queued ? TASK_BIT(TASK_QUEUED) : 0) |
	       (o->notified ? TASK_BIT(TASK_NOTIFIED) : 0) |
	       (o->in_progress ? TASK_BIT(TASK_IN_PROGRESS) : 0);
}
