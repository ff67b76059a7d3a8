/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of the calls that create and change jobs, and their checks. The tables are in job_create.c and
 * job_update.c, the checks in job_check.c. */
#ifndef API_ACTIONS_JOB_IN_H
#define API_ACTIONS_JOB_IN_H

#include "api/action.h"
#include "storage/job.h"

struct tag_in {
	const char *key, *value;
};

/* Of all of them; a verification leaves most of it empty. */
struct job_in {
	const char *firmware_id, *product_key, *target_selection, *upgrade_type;
	struct str_list names;
	const char *list_url;
	struct str_list src_versions;
	const char *group_id, *group_type;
	const char *gray_percent;
	struct opt_int schedule_ms, finish_ms;
	struct opt_int retry_interval, retry_count, timeout_min, max_per_minute, overwrite_mode, dynamic_mode;
	struct opt_bool need_push, need_confirm, multi_module;
	const char *download_protocol;
	struct obj_list tags; /* of struct tag_in */
};

/* A job on its way, or a change of one: what the checks have found so far. */
struct creation {
	struct call *c;
	const struct job_in *in;
	const char *src_param, *tag_param; /* what the call names these */
	const struct job_view *old;	   /* the job to be changed; NULL: a new one */
	struct job_firmware fw;
	size_t n_names; /* SPECIFIC: from the call or the file, distinct */
	const char *const *names;
	const struct job_device *devices; /* of the names, in id order */
	struct job job;			  /* filled in by the checks */
};

/* All checks of api §11.9 in its order; the first offence is answered. Reads only, but for the package's
 * lock. */
enum err job_check(struct call *c, const struct job_in *in, enum job_kind kind, struct job *ret) MUST_USE;
/* The same for UpdateOTAJob; *ret is the job as it is to be. */
enum err job_check_update(struct call *c, const struct job_in *in, const struct job_view *old, struct job *ret) MUST_USE;

#endif
