/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs as the management API sees them: creating, showing, listing and cancelling. The making of tasks is in
 * storage/making.h, the engine's own moves in storage/tick.h, the end of a job in storage/job_end.h. */
#ifndef STORAGE_JOB_H
#define STORAGE_JOB_H

#include "engine/task.h"
#include "storage/db.h"

/* TaskDesc of bulk orders. The first one ends its job as COMPLETED (api §10.3). */
#define JOB_REASON_FINISH_TIME "finish time reached"
#define JOB_REASON_CANCELED "canceled"

#define JOB_SRC_VERSIONS_MAX 10
#define JOB_UNSET (-1) /* of the int members below that may be absent */

/* The package of a job that is about to be created. */
struct job_firmware {
	int64_t id, product_id;
	bool differential;
	const char *src_version, *dest_version, *module; /* src_version is "" for a full package */
	enum firmware_status status;
	int64_t files, size; /* bytes of all files */
};
/* Keeps the package from being deleted until the transaction ends; alone: also from getting another job of those
 * that it has one of at a time, verifications and dynamic ones. ERR_FIRMWARE_NOT_FOUND. */
enum err store_job_firmware(struct db *db, int64_t account_id, int64_t firmware_id, bool alone,
			    struct job_firmware *ret) MUST_USE;

/* A device that was named for a job. */
struct job_device {
	int64_t id;
	bool disabled;
	const char *version; /* of the package's module; NULL: never reported */
};
/* Finds all of the names, in id order. ERR_DEVICE_NOT_FOUND names the first that the product does not have.
 */
enum err store_job_devices(struct db *db, int64_t product_id, const char *module, const char *const *names,
			   size_t n, const struct job_device **ret) MUST_USE;
/* Settings of a job, fixed when it is created. Texts are never NULL but where it is said. */
struct job {
	int64_t id; /* given by the database */
	int64_t account_id, product_id, firmware_id;
	enum job_kind kind;
	const char *selection; /* ALL, SPECIFIC, GRAY, GROUP; ALL for a dynamic job */
	size_t n_src_versions;
	const char *const *src_versions;
	int64_t gray_milli;	       /* percent * 1000; JOB_UNSET unless GRAY */
	const char *gray_text;	       /* as it was given; NULL unless GRAY */
	int64_t group_id;	       /* key of device_group; JOB_UNSET unless GROUP or dynamic by group */
	int64_t dynamic_mode;	       /* enum dynamic_mode; JOB_UNSET unless dynamic */
	utc_ms schedule_ms, finish_ms; /* 0: none */
	int64_t retry_interval_min, retry_count, timeout_min; /* JOB_UNSET: none */
	int64_t max_per_minute;
	int64_t overwrite_mode; /* 1, 2 */
	bool need_push, need_confirm, download_mqtt, multi_module;
	size_t n_tags;
	const char *const *tag_keys, *const *tag_values;
	size_t n_targets; /* SPECIFIC only; ascending; only written, never read back */
	const int64_t *targets;
	utc_ms created_ms, modified_ms;
};

/* What a job shows besides its settings. Texts in the unit's arena. */
struct job_view {
	struct job job;
	enum job_status status;
	utc_ms started_ms, ended_ms; /* 0: not yet */
	int64_t max_per_minute;	     /* in force; struct job has the one it was created with */
	const char *product_key, *product_name;
	const char *firmware_name, *dest_version, *module;
	const char *group_id, *group_name; /* NULL unless by group */
};

/* Would this ALL, GRAY or GROUP job update any device? Stops at the first one. ERR_NO_DEVICE when not. */
enum err store_job_candidate(struct db *db, const struct job *j, const struct job_firmware *f) MUST_USE;
/* Inserts the job and all that belongs to it (job_run, live_job, targets, timers, strategy), and with a
 * verification the package's status; sets j->id. The job is PLANNED with a schedule, else IN_PROGRESS, its tasks
 * not made yet. */
enum err store_job_create(struct db *db, struct job *j) MUST_USE;
/* Puts into force what UpdateOTAJob may change of a job that the caller has locked: source versions, time limit,
 * rate, tags. The other members of j are those that it has. */
enum err store_job_update(struct db *db, const struct job *j) MUST_USE;
/* ERR_NOT_FOUND (error untouched) unless the account has such a job. */
enum err store_job_get(struct db *db, int64_t account_id, int64_t job_id, struct job_view *ret) MUST_USE;
/* Jobs of a package, newest first. from counts from 0. */
enum err store_job_page(struct db *db, int64_t firmware_id, int64_t from, int64_t count,
			const struct job_view **ret, size_t *ret_n, int64_t *ret_total) MUST_USE;

/* The same for those that contain the device. */
enum err store_job_page_of_device(struct db *db, int64_t firmware_id, int64_t device_id, int64_t from, int64_t count,
				  const struct job_view **ret, size_t *ret_n, int64_t *ret_total) MUST_USE;

/* ---- cancelling ---- */

/* The state of a job as it is seen under its lock. */
struct job_now {
	enum job_status status;
	enum job_making making;
	int64_t count[TASK_STATE_COUNT]; /* tasks by enum task_state, of those that exist */
};
/* Call store_job_lock first. */
enum err store_job_now(struct db *db, int64_t job_id, struct job_now *ret) MUST_USE;
/* A bulk order: from its commit on every task of the job in a state of the mask counts as CANCELED with this
 * TaskDesc, also those that are made later (design: "Bulk orders"). Moves the counters. The caller has locked
 * the job and calls store_job_settle afterwards. */
enum err store_job_order(struct db *db, int64_t job_id, int state_mask, const char *reason,
			 utc_ms now) MUST_USE;
/* Ends a PLANNED job with all its tasks: CANCELED at once, whatever is still to be made. After
 * store_job_order. */
enum err store_job_end_planned(struct db *db, int64_t job_id, utc_ms now) MUST_USE;

#endif
