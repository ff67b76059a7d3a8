/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by model.c and check.c. */
#ifndef SIM_MODEL_PRIV_H
#define SIM_MODEL_PRIV_H

#include "dispatcher/mqtt.h"
#include "storage/service.h"
#include "tests/sim/model.h"

#include <stdlib.h>

/* A message in the journal. */
struct received {
	size_t said; /* number; 0: not a device's */
	utc_ms at, reconnected;
	uint64_t next; /* position behind it */
};
/* A version that was new when its report was applied. */
struct version_said {
	const char *version;
	utc_ms at;
	struct version_said *older;
};
/* A notification that has to come, of a task or of a version. */
struct told {
	enum notice_kind kind;
	const struct model_task *task;
	enum task_state state;
	const struct device *device;
	int module;
	const char *text;
	utc_ms at; /* -1: not ruled */
};
struct conn_seen {
	int64_t conn;
	struct device *device;
	utc_ms since;	  /* when the journal first heard of it */
	uint64_t over_at; /* position behind the line that ended it; 0: none yet */
};

#define LIST_ADD(v, item)                                                            \
	do {                                                                         \
		if ((v)->n == (v)->cap) {                                            \
			(v)->cap = (v)->cap ? 2 * (v)->cap : 64;                     \
			(v)->items = realloc((v)->items, (v)->cap * sizeof *(v)->items); \
			ensure((v)->items != NULL);                                  \
		}                                                                    \
		(v)->items[(v)->n++] = (item);                                       \
	} while (0)
#define LIST(T)                \
	struct {               \
		T *items;      \
		size_t n, cap; \
	}
struct model {
	LIST(struct said) said;
	LIST(struct received) received;
	LIST(struct conn_seen) conns; /* by the broker's number of the connection */
	LIST(struct model_task *) tasks;
	LIST(struct told) told; /* since the last look */
	size_t applied;	      /* of `received` */
	uint64_t journal_end; /* position behind the last */
	uint64_t position;    /* what the database says is applied */
	uint64_t position_before; /* the same at the last look */
	int64_t last_no;      /* of the log */
	int64_t jobs, timers, looks; /* a sum that changes with any job's state; how many timers there are */
	utc_ms last_look;
};

/* ---- one look at the database ---- */

struct job_seen {
	int64_t id, orders;
	enum job_status status;
	bool paused, strategy_ended;
	int making, chosen, made;
	int64_t count[TASK_STATE_COUNT];
	struct sim_job *j;
};
struct seen {
	uint64_t position;
	bool whole; /* every task; else those that may have changed */
	struct job_seen *jobs;
	size_t n_jobs;
	struct task_seen *tasks;
	size_t n_tasks;
	struct logged *log;
	size_t n_log;
	struct order_seen *orders;
	size_t n_orders;
};


const char *name_of(struct world *w, const struct model_task *t);
int job_index(const struct world *w, const struct sim_job *j);
/* The earliest time for a push to a connection; in_doubt: the last one may not have gone out, and counts as none. */
utc_ms due_at(const struct model_task *t, const struct conn_seen *c, bool in_doubt);
bool in_the_way(const struct world *w, const struct model_task *a, const struct model_task *b);
/* Before follow: jobs whose candidates have been written. */
void follow_chosen(struct world *w, const struct job_seen *s);
void follow(struct world *w, struct seen *s);
struct rows *query(struct world *w, const char *sql);
/* What every look asks for; args: as of EXECUTE, with their parentheses, or "". */
enum look {
	LOOK_NEW,
	LOOK_JOBS,
	LOOK_LOG,
	LOOK_ORDERS,
	LOOK_ALL_TASKS,
	LOOK_TASKS,
	LOOK_PACKAGES,
	LOOK_NOTICES,
	LOOK_COUNT
};
struct rows *look_for(struct world *w, enum look what, const char *args);
/* notice.c: a version is new; all of what has to be notified is, and nothing else. */
void told_version(struct world *w, const struct device *d, int module, const char *version, utc_ms at);
void check_notices(struct world *w, const struct seen *s);
void see(struct world *w, struct arena *a, struct seen *s);

/* As of a time, as far as reports were applied; NULL: never said. */
const char *model_version(const struct world *w, const struct device *d, int module, utc_ms at);
/* True: it is another one than before. */
bool model_reported(struct world *w, struct device *d, int module, const char *version, utc_ms at);
/* Fills in who is to get a task of the job. */
void model_choose(struct world *w, struct sim_job *j);
struct conn_seen *model_conn(struct world *w, int64_t conn);

#endif
