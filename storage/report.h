/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator's tool shows and changes and no API call does. Called by cmd/otactl only; texts live in
 * the unit's arena and are never NULL. */
#ifndef STORAGE_REPORT_H
#define STORAGE_REPORT_H

#include "engine/job.h"
#include "engine/task.h"
#include "storage/db.h"

/* ---- accounts ---- */
struct report_account {
	const char *name;
	utc_ms created_ms;
	int64_t n_instances, n_keys, n_products;
};
enum err store_report_accounts(struct db *db, const struct report_account **ret, size_t *ret_n) MUST_USE;

struct report_instance {
	const char *instance_id;
	bool is_default;
	utc_ms created_ms;
};
enum err store_report_instances(struct db *db, int64_t account_id, const struct report_instance **ret,
				size_t *ret_n) MUST_USE;
/* ERR_DB_CONFLICT (error untouched) when the id is taken, by whatever account. */
enum err store_report_instance_add(struct db *db, int64_t account_id, const char *instance_id,
				   utc_ms now) MUST_USE;

/* Without its secret. */
struct report_key {
	const char *key_id, *name, *role;
	bool disabled;
	utc_ms created_ms;
};
enum err store_report_keys(struct db *db, int64_t account_id, const struct report_key **ret,
			   size_t *ret_n) MUST_USE;

/* ---- jobs ---- */
struct report_job {
	int64_t id;
	const char *account, *product_key, *firmware, *dest_version, *selection;
	enum job_kind kind;
	enum job_status status;
	enum job_making making;
	bool paused, need_push;
	bool strategy_ended; /* of a dynamic job: it shows as CANCELED, while its tasks may go on */
	int64_t chosen, made, max_per_minute;
	int64_t count[8];						 /* by enum task_state */
	utc_ms created_ms, schedule_ms, finish_ms, started_ms, ended_ms; /* 0: none, not yet */
};
/* Newest first. account_id 0: of all accounts. */
enum err store_report_jobs(struct db *db, int64_t account_id, bool live_only, int limit,
			   const struct report_job **ret, size_t *ret_n) MUST_USE;
/* ERR_NOT_FOUND (error untouched). */
enum err store_report_job(struct db *db, int64_t job_id, struct report_job *ret) MUST_USE;
/* ERR_NOT_FOUND (error untouched). */
enum err store_report_job_account(struct db *db, int64_t job_id, int64_t *ret) MUST_USE;

struct report_pace {
	int64_t pushes;
	utc_ms first_ms, last_ms;
	/* No 60 seconds had more pushes than `worst`, reached at worst_ms; excess: above 0, some had more than their
	 * limit, if pushes entered the broker as late as may be. */
	int64_t worst, worst_limit, excess;
	utc_ms worst_ms;
};
enum err store_report_pace(struct db *db, int64_t job_id, struct report_pace *ret) MUST_USE;

/* Pauses or resumes a job (rules §4), in a transaction that is open and that has locked the job: nothing is
 * claimed for it after the commit. ERR_JOB_ID when it has ended. *ret_changed: false when it was so already.
 */
enum err store_job_pause(struct db *db, int64_t job_id, bool pause, utc_ms now, bool *ret_changed) MUST_USE;

/* ---- devices ---- */
struct report_device {
	int64_t id;
	const char *account, *nickname, *ip;
	bool disabled, seen, online; /* seen: has been connected at least once */
	int64_t conn;
	utc_ms created_ms, active_ms, online_ms, changed_ms;
};
/* ERR_NOT_FOUND (error untouched). */
enum err store_report_device(struct db *db, const char *product_key, const char *name,
			     struct report_device *ret) MUST_USE;

struct report_module {
	const char *module, *version, *prev_version; /* prev_version "": none */
	utc_ms reported_ms;
};
enum err store_report_modules(struct db *db, int64_t device_id, const struct report_module **ret,
			      size_t *ret_n) MUST_USE;

/* An unfinished task of a device, with what it may be waiting for. */
struct report_task {
	const char *module, *fail_desc, *desc, *dest_version;
	int64_t job_id, seq, progress, retries, pushes, repushes, push_conn;
	enum task_state state;
	utc_ms push_ms, timeout_ms, retry_ms, verdict_ms, schedule_ms; /* 0: none */
	enum job_status job_status;
	bool paused, need_push;
	int64_t max_per_minute, n_queued;
};
enum err store_report_tasks(struct db *db, int64_t device_id, const struct report_task **ret,
			    size_t *ret_n) MUST_USE;

struct report_event {
	utc_ms at_ms;
	int from, to, why; /* numbers of engine/states.def; from 0: made */
	const char *detail;
};
/* Newest first. */
enum err store_report_events(struct db *db, int64_t job_id, int64_t seq, int limit,
			     const struct report_event **ret, size_t *ret_n) MUST_USE;

#endif
