/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's tick reads and writes. One call, one statement; arrays go in as arrays. Everything read
 * lives in the unit's arena. The order of the calls of a tick is in dispatcher/tick.c. */
#ifndef STORAGE_TICK_H
#define STORAGE_TICK_H

#include "engine/task.h"
#include "storage/db.h"

/* ---- jobs ---- */

/* A job's row, as far as it changes. */
struct tick_run {
	int64_t job_id;
	enum job_status status;
	bool paused;
	int32_t tasks;	  /* seq of the last task that exists */
	int32_t order_no; /* of store_tick_runs only */
	int64_t max_per_minute;
	int32_t rescan_no;   /* of store_tick_live_jobs only */
	int32_t settings_no; /* changes with struct tick_job */
};
struct tick_file {
	int64_t n;
	const char *object_key, *name;
	int64_t size;
	const char *md5, *sha256;
};
/* What of a job only UpdateOTAJob changes. */
struct tick_job {
	int32_t settings_no;
	struct job_rules rules;
	const char *product_key;
	int64_t firmware_id;
	const char *sign_method, *udi;
	bool download_mqtt;
	const char *const *tag_keys, *const *tag_values;
	size_t n_tags;
	const struct tick_file *files;
	size_t n_files;
};
/* All that have not ended, ascending. */
enum err store_tick_live_jobs(struct db *db, const struct tick_run **ret, size_t *ret_n) MUST_USE;
/* ERR_NOT_FOUND (error untouched): no such job. */
enum err store_tick_job(struct db *db, int64_t job_id, struct tick_job *ret) MUST_USE;

/* ---- devices ---- */

struct tick_device {
	const char *product_key, *name;
	int64_t device_id;
};
/* Those of the names that exist, in no order. */
enum err store_tick_devices(struct db *db, const char *const *product_keys, const char *const *names,
			    size_t n, const struct tick_device **ret, size_t *ret_n) MUST_USE;
struct tick_active {
	int64_t device_id;
	const char *module; /* '' = the whole device */
	int64_t job_id;
	int32_t seq;
	enum task_state state;
};
/* The unfinished tasks of the devices, ascending by device. */
enum err store_tick_active(struct db *db, const int64_t *device_ids, size_t n, const struct tick_active **ret,
			   size_t *ret_n) MUST_USE;

/* ---- feeding ---- */

/* Tasks that can be pushed among the `rows` rows behind `after`, not above `last`. Only the members of struct
 * task that task_due_at reads are set. */
enum err store_tick_walk(struct db *db, int64_t job_id, int32_t after, int32_t last, int32_t rows,
			 const struct task **ret, size_t *ret_n) MUST_USE;
struct tick_timer {
	utc_ms due_ms;
	int64_t job_id;
	int32_t seq; /* 0: the job itself */
	enum timer_kind kind;
};
/* Those due from `from` to `until`, at most so many, the first first. */
enum err store_tick_timers(struct db *db, utc_ms from, utc_ms until, int max, const struct tick_timer **ret,
			   size_t *ret_n) MUST_USE;

/* ---- under the jobs' locks ---- */

/* Locks those of the jobs that nobody holds; never waits. */
enum err store_tick_lock_free(struct db *db, const int64_t *job_ids, size_t n, const int64_t **ret,
			      size_t *ret_n) MUST_USE;
/* Ascending. */
enum err store_tick_runs(struct db *db, const int64_t *job_ids, size_t n, const struct tick_run **ret,
			 size_t *ret_n) MUST_USE;
struct tick_order {
	int64_t job_id;
	int32_t no;
	int state_mask;
	const char *reason;
	enum event_why why;
	utc_ms at_ms;
};
/* Bulk orders of the jobs, ascending by job and number. */
enum err store_tick_orders(struct db *db, const int64_t *job_ids, size_t n, const struct tick_order **ret,
			   size_t *ret_n) MUST_USE;
/* The order that cancels the task, whose row does not say so yet; NULL: none. */
const struct tick_order *tick_order_over(const struct tick_order *orders, size_t n, const struct task *t);
/* The rows, ascending. */
enum err store_tick_tasks(struct db *db, const int64_t *job_ids, const int64_t *seqs, size_t n, struct task **ret,
			  size_t *ret_n) MUST_USE;

/* ---- writing back ---- */

enum err store_tick_write_tasks(struct db *db, const struct task *const *t, size_t n) MUST_USE;
/* The same, but for their texts: pending_version, fail_desc, src_version and task_desc are as they were. */
enum err store_tick_write_numbers(struct db *db, const struct task *const *t, size_t n) MUST_USE;
/* The tasks have ended: their devices are free. */
enum err store_tick_free_devices(struct db *db, const struct task *const *t, size_t n) MUST_USE;
enum err store_tick_set_timers(struct db *db, const struct tick_timer *t, size_t n) MUST_USE;
enum err store_tick_drop_timers(struct db *db, const struct tick_timer *t, size_t n) MUST_USE;
struct tick_count {
	int64_t job_id;
	int64_t delta[TASK_STATE_COUNT]; /* by state */
};
/* One row per job. */
enum err store_tick_count(struct db *db, const struct tick_count *c, size_t n, utc_ms now) MUST_USE;
struct tick_event {
	utc_ms at_ms;
	int64_t job_id;
	int32_t seq;
	enum task_state from, to;
	enum event_why why;
	const char *detail; /* may be NULL */
};
/* Success and failure, but not a lost conflict, are notified, too. */
enum err store_tick_log(struct db *db, const struct tick_event *e, size_t n) MUST_USE;
struct tick_version {
	int64_t device_id;
	const char *module, *version;
	utc_ms reported_ms, heard_ms; /* first and last time of this version */
};
/* One row per device and module. VERSION_PLACEHOLDER replaces no other version; what was reported before
 * ordered_since (NEVER: everything) replaces only what was reported before it. Devices that a strategy may
 * match now are put down for the maker. */
enum err store_tick_versions(struct db *db, const struct tick_version *v, size_t n, utc_ms ordered_since,
			     utc_ms now) MUST_USE;
struct tick_session {
	int64_t device_id;
	bool online;
	int64_t conn;
	const char *ip;
	utc_ms at_ms;
};
/* One row per device. */
enum err store_tick_sessions(struct db *db, const struct tick_session *s, size_t n) MUST_USE;
/* After a snapshot: everybody else is offline. */
enum err store_tick_session_rest(struct db *db, const int64_t *online_ids, size_t n, utc_ms now) MUST_USE;
/* PLANNED becomes IN_PROGRESS. */
enum err store_tick_start_job(struct db *db, int64_t job_id, utc_ms now) MUST_USE;
/* The finish time has come: a bulk order over everything unfinished, counters moved. */
enum err store_tick_finish_job(struct db *db, int64_t job_id, utc_ms now) MUST_USE;

/* ---- pushes; times are those of store_lease_machine ---- */

struct tick_push {
	int64_t job_id;
	int32_t seq;
	int64_t per_minute; /* the job's limit by which it was claimed */
};
enum err store_tick_batch(struct db *db, int64_t id, utc_ms now, const struct tick_push *p, size_t n) MUST_USE;
/* These were never handed over: out of their batches. */
struct tick_unsent {
	int64_t batch_id, job_id;
	int32_t seq;
};
enum err store_tick_batches_unsent(struct db *db, const struct tick_unsent *u, size_t n) MUST_USE;
enum err store_tick_batches_acked(struct db *db, const int64_t *ids, size_t n, utc_ms now) MUST_USE;
/* ERR_NOT_FOUND (error untouched): it was not committed. */
enum err store_tick_batch_exists(struct db *db, int64_t id) MUST_USE;
struct tick_batch {
	int64_t id;
	utc_ms acked_ms; /* 0: outcome unknown */
	const int64_t *job_ids, *seqs;
	size_t n;
};
/* Unacknowledged ones and those acknowledged after `since`, in order of their acknowledgement or claim. */
enum err store_tick_batches_recent(struct db *db, utc_ms since, const struct tick_batch **ret,
				   size_t *ret_n) MUST_USE;
enum err store_tick_batches_drop(struct db *db, utc_ms acked_before) MUST_USE;
/* Unfinished tasks of these batches are due again. Locks their jobs first; a transaction of its own or the
 * only thing that moves tasks in it. */
enum err store_tick_forget_pushes(struct db *db, const int64_t *batch_ids, size_t n) MUST_USE;

/* ---- the rest ---- */

/* 0 when the journal is not known. */
enum err store_tick_position(struct db *db, const char *journal_id, uint64_t *ret) MUST_USE;
enum err store_tick_set_position(struct db *db, const char *journal_id, uint64_t position,
				 utc_ms now) MUST_USE;
enum err store_tick_oldest_snapshot(struct db *db, int64_t *ret_seconds) MUST_USE;

#endif
