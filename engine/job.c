/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/job.h"

static const struct {
	const char *name;
	bool ended;
} statuses[] = {
#define JOB_STATUS(id, number, name, ended) [id] = { name, ended },
#include "engine/states.def"
};

const char *job_status_name(enum job_status s)
{
	ensure(s > JOB_NONE && (size_t)s < ARRAY_LEN(statuses));
	return statuses[s].name;
}

bool job_status_ended(enum job_status s)
{
	ensure(s > JOB_NONE && (size_t)s < ARRAY_LEN(statuses));
	return statuses[s].ended;
}
