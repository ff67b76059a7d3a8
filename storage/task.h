/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks as the management API sees them: pages of a job's tasks, and what a deleted device leaves behind.
 * The engine's own moves are in storage/tick.h. */
#ifndef STORAGE_TASK_H
#define STORAGE_TASK_H

#include "engine/task.h"
#include "storage/db.h"

/* TaskDesc; %s: a JobId. */
#define TASK_REASON_DELETED "device deleted"
#define TASK_REASON_HELD "device has an unfinished upgrade task of job %s"
#define TASK_REASON_OVERWRITTEN "overwritten by job %s"

/* Cancels the unfinished tasks of a device that is about to be deleted (TaskDesc "device deleted"), with all
 * that follows: counters, events, ended jobs. Call it BEFORE the device's row is deleted and before any other
 * row is locked: it takes the product's lock, then the jobs' (docs/architecture.md, "Lock order"). */
enum err store_task_cancel_of_device(struct db *db, int64_t device_id, utc_ms now) MUST_USE;

/* One task, as ListOTATaskByJob shows it. Strings in the unit's arena. */
struct task_row {
	int seq;
	enum task_state state;
	const char *desc;
	int progress;		 /* percent */
	int timeout_min;	 /* its time limit; 0: none */
	const char *src_version; /* "" when the device had never reported one */
	int64_t device_id;
	const char *device_name;
	utc_ms created_ms, modified_ms;
};

/* A page of the tasks of a job in order of creation. state 0: all. from counts from 0. *ret_total counts
 * what the filter lets through. */
enum err store_task_page(struct db *db, int64_t job_id, enum task_state state, int64_t from, int64_t count,
			 const struct task_row **ret, size_t *ret_n, int64_t *ret_total) MUST_USE;
/* The tasks of the named devices of the product, in order of creation; names without a task are left out. */
enum err store_task_of_names(struct db *db, int64_t job_id, enum task_state state, int64_t product_id,
			     const char *const *names, size_t n_names, const struct task_row **ret,
			     size_t *ret_n) MUST_USE;

/* An unfinished task, as ListOTAUnfinishedTaskByDevice shows it. */
struct task_unfinished {
	int64_t job_id;
	int seq;
	enum task_state state;
	const char *src_version; /* "" when the device had never reported one */
	utc_ms created_ms, modified_ms;
	int64_t firmware_id;
	const char *module, *dest_version, *product_name;
};
/* All of a device, newest first; module NULL: of all modules; state_mask: TASK_BIT of the states wanted. */
enum err store_task_unfinished(struct db *db, int64_t device_id, const char *module, int state_mask,
			       const struct task_unfinished **ret, size_t *ret_n) MUST_USE;

#endif
