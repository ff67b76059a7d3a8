/* SPDX-License-Identifier: Apache-2.0 */
/* The rules once more, as simply as they can be said (rules §3, §5; api §10): one device, one task at a time, no
 * SQL, nothing shared with engine/ but the names of the states. check.c drives it with what was reported, ordered
 * and pushed, and it has to agree with the database after every step.
 *
 * The product may choose when it pushes, and may be late with a timer; the model follows what the log of moves
 * says about those, and judges whether it was allowed. Everything else it decides alone, and the log has to say
 * the same, in the same order. */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "tests/sim/sim.h"

/* What a device meant by a message; its number is the message's id. */
enum said_kind { SAID_VERSION, SAID_STEP, SAID_PULL, SAID_NONSENSE };
struct said {
	enum said_kind kind;
	struct device *device;
	int module;
	const char *version; /* VERSION */
	int step;	     /* STEP */
	const char *text;    /* STEP: desc */
};

/* A row of task_event. */
struct logged {
	int64_t job_id, at, no;
	int32_t seq, to_seq;
	enum task_state from, to;
	enum event_why why;
	const char *detail;
	struct logged *next; /* of the same task */
};

/* A row of task, as everybody sees it. */
struct task_seen {
	int64_t job_id, device_id;
	int32_t seq;
	enum task_state state, row_state;
	int progress, retries;
	int64_t push_conn, pushes;
	utc_ms timeout_ms, retry_ms, verdict_ms;
	const char *desc, *src, *pending;
	const char *held; /* key of active_task; NULL: it holds no device */
};

struct model_task {
	size_t job; /* of world.jobs */
	int32_t seq;
	utc_ms made_ms, ready_ms; /* ready: since when nothing but its device and the pace hold it up */
	struct device *device;
	bool held; /* as of the last look it held its device: reports of it go here */
	enum task_state state;
	const char *desc, *src;
	int progress, retries;
	utc_ms deadline, retry_at, verdict_at; /* 0: none */
	const char *verdict_on;
	utc_ms failed_at; /* the last failure that counted */
	const char *failed;
	utc_ms pushed_at;
	int64_t pushed_conn, row_conn; /* row_conn: as the row has it; 0 also when that push is in doubt */
	int pushes, again;	    /* again: repetitions since the last progress */
	utc_ms before_at, before_retry_at; /* what a push replaced, should it turn out not to have gone out */
	int64_t claims, handed;	    /* pushes committed and not taken back, pushes handed to the broker */
	bool reached;		    /* the last push has entered the broker */
	int64_t claimed_us;	    /* when it was seen */
	int64_t pulls, answered;    /* the same of answers to its device's requests */
	int64_t doubts;		    /* cuts and crashes when it was handed over: more of them, and it may be unknown */
	int64_t ended_us;	    /* when its end was seen; 0: not yet */
	enum event_why owed;	    /* canceled by a bulk order whose row of the log is still to come; else WHY_NONE */
	enum task_state owed_from;
	utc_ms owed_at;
	struct logged *log;	    /* rows of this step, not accounted for yet */
	struct model_task *older;   /* of the same device */
};

/* A task ended, as far as the model knows: is that notified? at < 0: at a time of the product's choice. */
void must_be_told(struct world *w, const struct model_task *t, enum event_why why, utc_ms at);

struct model *model_new(struct world *w);
void model_free(struct model *m);

/* ---- what happens around it ---- */
int64_t model_said(struct world *w, struct said s);
/* The journal has taken a message. */
void model_received(struct world *w, const char *topic, const char *payload, utc_ms at);
void model_imported(struct world *w, struct device *d, const char *version);
/* A create call came back. */
void model_created(struct world *w, struct sim_job *j, enum err e);
/* Is everything in the journal applied, as far as has been seen? */
bool model_caught_up(const struct world *w);
/* When the next timer of any task or job is due, in time since boot; INT64_MAX: none. */
int64_t model_next_us(struct world *w);

/* ---- the rules: each is one event of one task ---- */
void rule_version(struct world *w, struct model_task *t, const char *version, utc_ms at);
void rule_step(struct world *w, struct model_task *t, int step, const char *text, utc_ms at, utc_ms reconnected);
/* Not before this is an ignored push repeated; 0: at any time. */
utc_ms rule_again_at(const struct model_task *t);
void rule_push(struct world *w, struct model_task *t, utc_ms at, int64_t conn, bool pull);
void rule_confirm(struct world *w, struct model_task *t, utc_ms at);
/* A new life, with the version that the device has now (ReupgradeOTATask). */
void rule_again(struct world *w, struct model_task *t, const char *version, utc_ms at);
void rule_unpush(struct world *w, struct model_task *t, utc_ms at);
/* Fires what was due before a time; false: nothing was. */
bool rule_timer(struct world *w, struct model_task *t, utc_ms before);
void rule_end(struct world *w, struct model_task *t, enum task_state to, const char *desc, enum event_why why, utc_ms at);

/* What lies more than a minute ahead was before the clock was set back, and so long ago. */
bool model_ahead(utc_ms at);
bool unfinished(const struct model_task *t);
/* How often by now pushes on their way may have been lost. */
int64_t model_doubts(const struct world *w);
const struct sim_job *job_of(const struct world *w, const struct model_task *t);
/* The log has to have this as its next row of the task. at < 0: at a time of the product's choice. */
void must_be_logged(struct world *w, struct model_task *t, enum event_why why, enum task_state from, utc_ms at);

#endif
