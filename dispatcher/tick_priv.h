/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the tick (tick.c says in which order they come); nobody else includes it. Everything
 * here belongs to the engine's thread, but for what is marked as atomic. */
#ifndef DISPATCHER_TICK_PRIV_H
#define DISPATCHER_TICK_PRIV_H

#include "dispatcher/jobs.h"
#include "dispatcher/mqtt.h"
#include "dispatcher/presence.h"
#include "dispatcher/report.h"
#include "dispatcher/tick.h"
#include "storage/package_store.h"

#include <pthread.h>
#include <stdatomic.h>

/* A growing array in an arena: struct { T *items; size_t n, cap; }. */
#define VEC(T)                 \
	struct {               \
		T *items;      \
		size_t n, cap; \
	}
#define VEC_ADD(arena, v, item)                                                          \
	do {                                                                             \
		if ((v)->n == (v)->cap) {                                                \
			size_t cap_ = (v)->cap ? 2 * (v)->cap : 32;                      \
			void *items_ = arena_array((arena), cap_, sizeof *(v)->items);   \
			if ((v)->n)                                                      \
				memcpy(items_, (v)->items, (v)->n * sizeof *(v)->items); \
			(v)->items = items_;                                             \
			(v)->cap = cap_;                                                 \
		}                                                                        \
		(v)->items[(v)->n++] = (item);                                           \
	} while (0)

#define OUTSTANDING_MAX 8192u /* a power of two, far above the window */
#define BATCHES_MAX 4096u

/* A push that was handed over and not acknowledged. */
struct outstanding {
	uint64_t token; /* 0: free */
	int64_t job_id;
	int64_t batch_id;
	int64_t connection; /* of the publisher */
	int64_t device_conn;
	int32_t seq;
};
/* A batch some of whose pushes are not acknowledged. */
struct open_batch {
	int64_t id; /* 0: free */
	int64_t waiting;
};
/* A push that never went out, or whose outcome is unknown: told to the task by a later tick. */
struct undone {
	int64_t batch_id, job_id;
	int32_t seq;
	int64_t device_conn;
	bool unknown; /* it may have gone out: only due again */
	utc_ms claimed_ms; /* push_ms of the task by it, unless unknown */
	utc_ms push_ms, retry_ms; /* of the task before it, unless unknown */
};
/* What one tick claimed, on its way to the broker while the next one runs. */
struct parcel {
	struct arena arena; /* of its messages */
	int64_t batch_id;   /* 0: it is empty */
	int64_t start_boot_ms; /* of the claim */
	size_t claimed;
	bool room_used; /* more could have been claimed */
	struct mqtt_message *messages;
	struct undone *undone; /* of each, for those that do not go out */
	size_t n;
};

/* A device came or went. */
struct online_change {
	const char *pk, *dn, *ip;
	int64_t device_id; /* 0: to be looked up; -1: there is no such device */
	int64_t conn;
	utc_ms at;
	bool online, fed;
};

struct engine {
	struct tick_options opt;
	struct db *db;
	struct arena arena; /* of one tick */
	struct error error;
	pthread_t thread;
	_Atomic bool stop, leased, standby, caught_up, db_up; /* standby: another process has the lease */
	int wake_fd;

	char owner[64];
	int64_t epoch, renew_at_boot_ms;
	_Atomic int64_t lease_until_boot_ms;
	utc_ms since_ms; /* since when the lease has been its, over restarts; NEVER: it is another's */

	struct jobs jobs;
	struct later later;
	uint64_t cursor;	  /* next record of the journal */
	uint64_t presence_cursor; /* broker lines before it were taken already */
	uint64_t single_until;	  /* records before it are applied one by one */
	uint64_t poisoned;	  /* position + 1 of a record to leave out; 0: none */
	utc_ms next_timer_ms;	  /* not before this is a timer due, as far as is known */
	utc_ms timers_from_ms;	  /* those due before have fired, but for what others set since the last look; 0: look at all */
	int64_t timers_us;	  /* what looking at all took last */
	int64_t look_at_boot_ms;  /* when to look at jobs and timers again */
	int64_t sweep_at_boot_ms, drop_at_boot_ms;
	int64_t last_claim_us;
	size_t claims_room;   /* what one tick may claim: as much as can be handed over in time */
	int64_t claims_after; /* the last job that was served: the next tick begins behind it */

	struct presence *presence;
	struct arena online_arena;	   /* texts of `changes` */
	VEC(struct online_change) changes; /* not yet in the table of sessions */
	bool presence_was_known, session_rest;
	utc_ms ingest_since; /* as last seen */

	int64_t unknown_batch; /* of a commit whose outcome is not known; 0: it had none */
	bool resumed;
	bool recheck;	       /* look up what became of that commit */
	VEC(struct undone) unknown_claims;
	int64_t pace_offset_ms;	     /* publish_time() - clock_boot_ms() */
	bool pace_offset_known;
	int64_t recovered_epoch;

	struct outstanding outstanding[OUTSTANDING_MAX];
	uint64_t next_token;
	int64_t connection; /* the publisher's, as last seen */
	struct open_batch batches[BATCHES_MAX];
	struct parcel parcels[2], *going; /* one goes out while the next is packed; NULL: none does */
	VEC(int64_t) acked;	/* batches to be marked; malloc'ed by VEC_KEEP */
	VEC(int64_t) recovered; /* batches of earlier processes: acknowledged with the next connection */
	VEC(int64_t) recovered_pushes; /* their jobs, one per push */
	VEC(struct undone) undone;
	int64_t backoff_ms;
};

/* The same as VEC_ADD for what outlives a tick: grown with realloc, emptied by n = 0. */
#define VEC_KEEP(v, item)                                                                \
	do {                                                                             \
		if ((v)->n == (v)->cap) {                                                \
			(v)->cap = (v)->cap ? 2 * (v)->cap : 32;                         \
			(v)->items = realloc((v)->items, (v)->cap * sizeof *(v)->items); \
			ensure((v)->items != NULL);                                      \
		}                                                                        \
		(v)->items[(v)->n++] = (item);                                           \
	} while (0)

/* ---- one tick ---- */

struct key {
	int64_t job_id;
	int32_t seq;
};
struct work_task {
	struct task t;
	const struct task *read; /* as it was */
	struct live_job *job;
	const struct tick_run *run;
	bool changed, ended, claimed;
	bool block_sent; /* in this tick */
};
struct work_report {
	struct report r;
	utc_ms at;
	size_t record; /* of those that were read */
	uint64_t position;
	int64_t device_id;
	struct key key; /* job_id 0: no task */
};
struct claim {
	struct live_job *job;
	struct work_task *task;
	struct ready_entry entry;
	int64_t conn;
	int32_t push_no;
	utc_ms push_ms, retry_ms; /* of the task before this push */
};
/* As if it had never been. */
static inline struct undone undone_of(const struct claim *c, int64_t batch_id)
{
	return (struct undone){ .batch_id = batch_id,
				.job_id = c->job->run.job_id,
				.seq = c->task->t.seq,
				.device_conn = c->conn,
				.claimed_ms = c->task->t.push_ms,
				.push_ms = c->push_ms,
				.retry_ms = c->retry_ms };
}
struct reply {
	enum downlink kind;
	struct work_task *task; /* NULL: nothing for the device */
	const struct report *report;
	int32_t push_no;
	bool done;
};
struct candidate {
	struct live_job *job;
	struct ready_entry entry;
	bool used;
};

struct work {
	struct engine *g;
	struct arena *a;
	utc_ms now; /* of this tick: when its records had been read */
	int64_t now_us, start_boot_ms;
	bool reports_only; /* single mode, or left over */
	bool left_over;	   /* the lease is another's: only what is still in our journal is applied */

	/* found out before the transaction */
	size_t n_records;
	uint64_t next_position;
	utc_ms timers_until;
	VEC(struct work_report) reports;
	VEC(struct candidate) candidates; /* those of a job together */
	size_t room;			  /* as many of them may be claimed */
	const struct tick_timer *timers;
	size_t n_timers;
	VEC(struct key) keys;
	VEC(int64_t) jobs_wanted, jobs_if_free;

	/* in the transaction */
	const struct tick_run *runs;
	size_t n_runs;
	struct tick_count *counts; /* parallel to runs */
	const struct tick_order *orders;
	size_t n_orders;
	struct work_task *tasks;
	size_t n_tasks;
	VEC(struct tick_event) events;
	VEC(struct tick_timer) arm;
	VEC(struct tick_timer) soon; /* armed and due within this very tick: it applies reports of a long time */
	VEC(struct tick_version) versions;
	VEC(int64_t) settle; /* jobs whose end is to be looked at */
	VEC(struct claim) claims;
	struct parcel *parcel; /* of the claims; NULL: there are none */
	VEC(struct reply) replies;
	VEC(struct link_line) registrations;
	VEC(struct later_entry) ready_after; /* for the queues, once committed */
	int64_t batch_id;
};

/* tick_reports.c */
enum err reports_read(struct work *w) MUST_USE;
enum err reports_resolve(struct work *w) MUST_USE;
/* The reports from this time on wait for the next tick. */
void reports_cut(struct work *w, utc_ms at);
void report_apply(struct work *w, const struct work_report *r);
enum err versions_write(struct work *w) MUST_USE;

/* tick_online.c: who is connected, as the broker tells it */
void online_message(struct work *w, const struct journal_record *r);
/* Gives newly connected devices their keys, and finds the tasks that wait for them. */
enum err online_resolve(struct work *w) MUST_USE;
/* Asks the broker for a snapshot when one is needed. */
void online_ask(struct engine *g);
bool online_known(struct engine *g);
/* NULL when the device is not connected. */
const char *online_name(struct engine *g, int64_t device_id);
/* 0 when the device is not connected; *ret_since: when it connected. */
int64_t online_conn(struct engine *g, int64_t device_id, utc_ms *ret_since);
/* Key of a connected device; 0: not connected, or not known yet. */
int64_t online_device(struct engine *g, const char *product_key, const char *device_name);
bool online_dirty(const struct engine *g);
enum err online_write(struct work *w) MUST_USE;
void online_committed(struct work *w);

/* tick_work.c */
void work_want(struct work *w, int64_t job_id, int32_t seq, bool must_lock);
enum err work_load(struct work *w) MUST_USE;
struct work_task *work_find(struct work *w, int64_t job_id, int32_t seq);
const struct tick_run *work_run(const struct work *w, int64_t job_id);
void work_step(struct work *w, struct work_task *k, const struct task_event *e);
enum err work_write(struct work *w) MUST_USE;

/* tick_timers.c */
enum err timers_read(struct work *w) MUST_USE;
/* Those that were read have fired, and others are armed. */
void timers_committed(struct work *w);
/* Starts and ends jobs; under their locks, before their rows are read. */
enum err timers_jobs(struct work *w) MUST_USE;
/* Reports and the tasks' timers, in the order of their times. */
void events_apply(struct work *w);
void undone_apply(struct work *w);

/* tick_claim.c */
enum err claim_feed(struct work *w) MUST_USE;
void claim_candidates(struct work *w);
void claim_take(struct work *w);
void claim_return(struct work *w); /* the tick failed: everything back into the queues */
void claim_committed(struct work *w);

/* tick_publish.c */
/* This moment in the time of pace, which no jump of a clock changes (storage/lease.h). */
utc_ms publish_time(const struct engine *g);
void publish_acks(struct engine *g, struct arena *a);
/* Is anything handed over and not acknowledged? */
bool publish_open(const struct engine *g);
/* What of the last parcel did not go out is undone by the next tick; wait: until all has gone, or cannot any more.
 * After that nothing that was claimed is on its way to the broker. */
void publish_settle(struct engine *g, bool wait);
/* The claims of a tick, once committed: into a parcel, and off with it, or all undone; nothing may be going then. */
void publish_pack(struct work *w);
void publish_send(struct work *w, bool send);
void publish_replies(struct work *w);
/* After a takeover: gates and unfinished pushes out of the database. */
enum err publish_recover(struct engine *g) MUST_USE;

#endif
