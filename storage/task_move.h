/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks that a call moves one by one (ConfirmOTATask, ReupgradeOTATask, CancelOTATaskByDevice): read under the locks
 * of their jobs, moved by the engine's rules, written back with all that follows. The same as the engine's tick does
 * with what it has in hand, for a few tasks and without its memory.
 *
 * One read-write transaction: keys -> store_moves_read -> moves_step .. -> store_moves_write -> store_job_settle. */
#ifndef STORAGE_TASK_MOVE_H
#define STORAGE_TASK_MOVE_H

#include "storage/tick.h"

struct task_key {
	int64_t job_id;
	int32_t seq;
};

struct task_move {
	struct task t;
	const char *device_name; /* NULL: the device is gone */
	enum job_status job_status;
	bool changed, ended;
};

/* Everything in the unit's arena. */
struct task_moves {
	struct db *db;
	utc_ms now;
	size_t n, n_jobs, n_orders, n_events, n_rescan;
	struct task_move *tasks; /* ascending by job and seq; those of the keys that exist */
	const struct tick_run *runs; /* of their jobs, ascending */
	int64_t *jobs, *rescan;
	struct tick_count *counts; /* parallel to runs */
	const struct tick_order *orders;
	struct tick_event *events;
};

/* Locks the jobs of all keys at once and reads the tasks. What a bulk order has canceled already is CANCELED here
 * and is written so. Keys may repeat; n may be 0. */
enum err store_moves_read(struct db *db, utc_ms now, const struct task_key *keys, size_t n,
			  struct task_moves *ret) MUST_USE;
/* NULL: there is no such task. */
struct task_move *moves_find(const struct task_moves *m, int64_t job_id, int32_t seq);
/* One event of those that need no rules (engine/task.h); no more than three per task. It never comes before the
 * task's last move, whatever its time says. */
void moves_step(struct task_moves *m, struct task_move *k, const struct task_event *e);
/* Rows, freed devices, counters and events. Jobs whose tasks became due are looked at anew by the engine. */
enum err store_moves_write(struct task_moves *m) MUST_USE;

/* ---- which tasks ---- */

/* The tasks that hold devices of the given tasks of a job, and are in the way of new ones of this module
 * (engine/conflict.h): with the device and the key under which they hold it. The caller holds
 * store_product_lock_tasks: nobody gets a device meanwhile. */
struct task_rival {
	struct task_key key;
	int64_t device_id;
	const char *module;
};
enum err store_task_rivals(struct db *db, int64_t job_id, const int64_t *seqs, size_t n, bool multi_module,
			   const char *module, const struct task_rival **ret, size_t *ret_n) MUST_USE;
/* Gives their devices to tasks of a job that have none; ERR_DB_RETRY when one is taken. */
enum err store_task_hold(struct db *db, int64_t job_id, const int64_t *seqs, size_t n, const char *module) MUST_USE;
/* Versions of the module that the devices have now, in the order of device_ids; NULL: never reported. */
enum err store_task_versions(struct db *db, const int64_t *device_ids, size_t n, const char *module,
			     const char *const **ret) MUST_USE;
/* A job whose tasks run again: as before it ended, PLANNED if its start is still to come; a strategy that has ended
 * stays so (api §6.4, §10.3). */
enum err store_job_reopen(struct db *db, int64_t job_id, utc_ms now) MUST_USE;

/* Tasks that named devices of a product have in jobs of a package (job_id 0: in all). */
struct task_scope {
	int64_t product_id, firmware_id, job_id;
	const char *const *names;
	size_t n_names;
};
/* Those that are unfinished, of any bulk order aside. */
enum err store_task_of_devices(struct db *db, const struct task_scope *s, const struct task_key **ret,
			       size_t *ret_n) MUST_USE;
/* Is there any, unfinished or not? */
enum err store_task_of_devices_any(struct db *db, const struct task_scope *s, bool *ret) MUST_USE;
/* Are tasks of these jobs still being made? */
enum err store_task_making(struct db *db, const struct task_scope *s, bool *ret) MUST_USE;

#endif
