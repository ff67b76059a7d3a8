/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of the calls that create jobs, and their checks. The tables are in job_create.c, the checks in
 * job_check.c. */
#ifndef API_ACTIONS_JOB_IN_H
#define API_ACTIONS_JOB_IN_H

#include "api/action.h"
#include "storage/job.h"

struct tag_in {
	const char *key, *value;
};

/* Of both calls; a verification leaves most of it empty. */
struct job_in {
	const char *firmware_id, *product_key, *target_selection;
	struct str_list names;
	const char *list_url;
	struct str_list src_versions;
	const char *group_id, *group_type;
	const char *gray_percent;
	struct opt_int schedule_ms, finish_ms;
	struct opt_int retry_interval, retry_count, timeout_min, max_per_minute, overwrite_mode;
	struct opt_bool need_push, need_confirm, multi_module;
	const char *download_protocol;
	struct obj_list tags; /* of struct tag_in */
};

/* A job on its way: what the checks have found so far. */
struct creation {
	struct call *c;
	const struct job_in *in;
	struct job_firmware fw;
	size_t n_names; /* SPECIFIC: from the call or the file, distinct */
	const char *const *names;
	const struct job_device *devices; /* of the names, in id order */
	struct job job;			  /* filled in by the checks */
};

/* All checks of api §11.9 in its order; the first offence is answered. Reads only, but for the package's
 * lock. */
enum err job_check(struct call *c, const struct job_in *in, enum job_kind kind, struct job *ret) MUST_USE;

#endif
