/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a task, as a pure function: task_step(task, event) -> what follows. No I/O, no clock: an event
 * carries its time. Rules: rules §5, api §10.4-10.7, device §3. Used by the engine's tick and the simulation. */
#ifndef ENGINE_TASK_H
#define ENGINE_TASK_H

#include "engine/base/err.h"
#include "engine/job.h"

enum task_state {
	TASK_NONE = 0,
#define TASK_STATE(id, number, name, unfinished) id = number,
#include "engine/states.def"
	TASK_STATE_COUNT
};
enum event_why {
	WHY_NONE = 0,
#define EVENT_WHY(id, number, name) id = number,
#include "engine/states.def"
};
/* "IN_PROGRESS". */
const char *task_state_name(enum task_state s);
/* TASK_NONE when there is no such name. */
enum task_state task_state_parse(const char *name);
bool task_state_unfinished(enum task_state s);
/* "push", "success", ... */
const char *event_why_name(enum event_why w);
#define TASK_BIT(s) (1 << (s))
#define TASK_MASK_UNFINISHED \
	(TASK_BIT(TASK_CONFIRM) | TASK_BIT(TASK_QUEUED) | TASK_BIT(TASK_NOTIFIED) | TASK_BIT(TASK_IN_PROGRESS))

/* A third version is judged so long after its report, by the last one within that time. */
#define VERDICT_DELAY_MS 5000
/* What C Link SDK 3.2 reports by itself whenever it starts (device §0.5). It says nothing about the device: it is
 * recorded only while no other version is known, and moves no task but one that brings this very version. */
#define VERSION_PLACEHOLDER "app-1.0.0-20180101.1000"
/* After the broker connection came back, the broker sends thousands of messages again (design §6). */
#define REDELIVERY_MS 10000
#define NEVER INT64_MAX

/* The row, as storage reads and writes it. Times are 0 where they are not set; texts may be NULL where the
 * column is null. */
struct task {
	int64_t job_id;
	int32_t seq;
	int64_t device_id;
	enum task_state state;
	int32_t order_no;
	int32_t progress; /* percent */
	int32_t retries;  /* used up */
	int32_t pushes;   /* times pushed or answered; the number of the last one */
	int32_t repushes; /* repetitions since the last progress, for the back-off */
	int32_t timeout_min; /* its time limit, fixed when it is made; 0: none */
	int64_t push_conn;
	utc_ms push_ms;
	utc_ms timeout_ms;
	utc_ms retry_ms; /* not 0: a retry is pending, and due then */
	utc_ms verdict_ms;
	const char *pending_version;
	utc_ms fail_ms;        /* last failure counted, or when the task was run again: reports from before are stale */
	const char *fail_desc; /* what that failure said; NULL: none */
	const char *src_version;
	const char *task_desc;
	utc_ms modified_ms;
};

enum task_event_kind {
	TASK_EV_PUSH,     /* claimed for a push to connection `conn` */
	TASK_EV_UNPUSH,   /* that push was never handed to the broker */
	TASK_EV_PULL,     /* the device's own request is being answered on `conn` */
	TASK_EV_PROGRESS, /* step -4..100, desc */
	TASK_EV_VERSION,  /* version of the job's module */
	TASK_EV_TIMER,    /* timer */
	TASK_EV_CANCEL,   /* why, desc = TaskDesc */
	/* by calls only; these three and CANCEL need no rules */
	TASK_EV_CONFIRM,   /* ConfirmOTATask */
	TASK_EV_REUPGRADE, /* ReupgradeOTATask: a new life, to be confirmed or not; version of the device now, or NULL */
	TASK_EV_LOSE,      /* which lost to another task of the device; desc = TaskDesc */
};

struct task_event {
	enum task_event_kind kind;
	utc_ms at; /* a report: when it was received */
	int64_t conn;
	int32_t step;
	const char *desc; /* never NULL for PROGRESS, CANCEL and LOSE */
	const char *version;
	bool confirm; /* REUPGRADE: the job has NeedConfirm */
	enum timer_kind timer;
	enum event_why why;
	utc_ms push_ms, retry_ms; /* UNPUSH: of the task before that push */
	utc_ms reconnected_ms; /* when ingest last (re)connected to the broker */
};

/* What follows from a step, besides the changed task. */
struct task_outcome {
	bool changed;       /* the row has to be written */
	bool ended;         /* it was unfinished and is not any more */
	enum event_why why; /* WHY_NONE: nothing to log */
	enum task_state from;
	const char *detail; /* for the log; may be NULL; points into the event or is static */
	utc_ms arm_timeout_ms, arm_retry_ms, arm_verdict_ms; /* timers to set; 0: none */
};

/* Applies one event. Events that do not fit the task's state change nothing: devices repeat, delay and
 * reorder everything. Texts of *t afterwards point into the event, the rules or what they pointed to. */
struct task_outcome task_step(struct task *t, const struct job_rules *r, const struct task_event *e);

/* May ReupgradeOTATask run this task again, on a device that has this version of the module (NULL: never reported)?
 * ERR_TASK_STATUS unless it is FAILED or CANCELED; what a new task would fail by: ERR_DEVICE_AT_DEST, and for a
 * differential package ERR_DEVICE_NO_VERSION, ERR_SRC_VERSION_MISMATCH. Of r only the versions are read. */
enum err task_rerun_check(const struct task *t, const struct job_rules *r, const char *version) MUST_USE;

/* A failure or a push of more than a minute after `now`, which no tick is behind by, is one of before the clock was set
 * back: long past. Else what the device says would be older until the clock is there again. */
void task_set_back(struct task *t, utc_ms now);

/* When this task may be pushed to the device's connection `conn`, which was made at conn_ms: a time in the
 * past means now; NEVER means not on this connection as things are. A connection or a push of later than `now` is one of
 * before the clock was set back: long ago. Says nothing of the job (status, pause, rate): the claim checks that. */
utc_ms task_due_at(const struct task *t, const struct job_rules *r, int64_t conn, utc_ms conn_ms, utc_ms now);
/* May the device's own request be answered with this task now? */
bool task_pullable(const struct task *t, utc_ms now);
/* Would the next push be the first of the task (as opposed to a repetition or a retry)? */
bool task_first_push(const struct task *t);

#endif
