/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for a slot, in memory only: per job two queues (first pushes and repetitions, served in turn),
 * and one heap of what becomes due later. Keys only; whoever takes one looks at the row. One thread: the
 * tick's. */
#ifndef DISPATCHER_READY_H
#define DISPATCHER_READY_H

#include "engine/base/base.h"

/* Entries of one job; more are dropped, and the job is to be walked again. */
#define READY_MAX ((size_t)100000)

struct ready_entry {
	int32_t seq;
	bool first; /* the task was QUEUED when it was entered */
	int64_t device_id;
};

struct ready_fifo {
	struct ready_entry *items;
	size_t head, count, cap;
};
struct ready {
	struct ready_fifo first, again;
	bool again_next;
	bool overflow; /* something was dropped; the owner clears it when it has walked */
};

void ready_free(struct ready *r);
void ready_put(struct ready *r, struct ready_entry e);
/* Back to the front, newest last: entries are given back in the reverse order of their taking. */
void ready_put_back(struct ready *r, struct ready_entry e);
size_t ready_depth(const struct ready *r);
/* Takes up to n, alternating between the two queues while both have entries. */
size_t ready_take(struct ready *r, size_t n, struct ready_entry *out);

struct later_entry {
	utc_ms due_ms;
	int64_t job_id;
	struct ready_entry entry;
};
struct later {
	struct later_entry *items; /* a binary heap, the earliest first */
	size_t count, cap;
};
void later_free(struct later *l);
void later_put(struct later *l, struct later_entry e);
/* Drops the entries of a job, before its rows are walked from the first one: whatever is due later enters again. */
void later_forget(struct later *l, int64_t job_id);
/* The earliest, if it is due. */
bool later_take(struct later *l, utc_ms now, struct later_entry *ret);

#endif
