/* SPDX-License-Identifier: Apache-2.0 */
/* What a job is: its settings (fixed when it is created, but for UpdateOTAJob) and its status. */
#ifndef ENGINE_JOB_H
#define ENGINE_JOB_H

#include "engine/base/base.h"

enum job_status {
	JOB_NONE = 0,
#define JOB_STATUS(id, number, name, ended) id = number,
#include "engine/states.def"
};
/* "IN_PROGRESS"; never NULL for a status of the table. */
const char *job_status_name(enum job_status s);
bool job_status_ended(enum job_status s);

enum job_kind { JOB_VERIFY = 1, JOB_STATIC = 2, JOB_DYNAMIC = 3 };

/* How far the maker is with a job's tasks. */
enum job_making {
	MAKING_CHOOSE = 1, /* the candidates have not been written yet */
	MAKING_CHUNKS = 2, /* written; conflicts are being decided, chunk by chunk */
	MAKING_DONE = 3
};

/* What deciding about a task needs to know of its job. */
struct job_rules {
	int64_t id;
	enum job_kind kind;
	const char *module;       /* of the package; "default" = the whole device */
	const char *src_version;  /* of a differential package; "" for a full one */
	const char *dest_version;
	bool differential;
	bool need_push;
	int retry_interval_min; /* -1: no automatic retry */
	int retry_count;
};

enum timer_kind { TIMER_TIMEOUT = 1, TIMER_RETRY = 2, TIMER_VERDICT = 3, TIMER_JOB_START = 4, TIMER_JOB_FINISH = 5 };

/* Status of a package (api.md §10.1). */
enum firmware_status {
	FIRMWARE_NO_VERIFICATION = -1,
	FIRMWARE_UNVERIFIED = 0,
	FIRMWARE_VERIFIED = 1,
	FIRMWARE_VERIFYING = 2,
	FIRMWARE_VERIFY_FAILED = 3
};

#endif
