/* SPDX-License-Identifier: Apache-2.0 */
/* The maker: makes the tasks of new jobs, one job after another in the order of their creation, gives tasks to devices
 * that come to match a dynamic job, and writes bulk orders into rows. dispatcher.c gives it a thread; the simulation (tests/sim) runs its rounds by hand. */
#ifndef DISPATCHER_MAKER_H
#define DISPATCHER_MAKER_H

#include "engine/base/config.h"

/* Tasks and rows that one transaction makes or writes at most: as many as take about 100 ms, the longest that a call may
 * wait for a job's lock. */
#define MAKER_CHUNK_ROWS 10000

struct maker;

struct maker_options {
	const struct config *config;
	int32_t chunk_rows; /* at most */
	/* false while this process does not hold the shard's lease; asked before every transaction. */
	bool (*may_run)(void *ctx);
	/* Called after tasks were made or ended, to wake the engine. */
	void (*made)(void *ctx);
	void *ctx;
};

struct maker *maker_new(const struct maker_options *o);
/* Makes and writes until nothing is left to do, may_run says no, or the database does not answer. */
void maker_round(struct maker *m);
/* A thread of its own: rounds, until maker_stop. */
void maker_start(struct maker *m);
/* Cheap, any thread. */
void maker_wake(struct maker *m);
/* Lets the step in hand end, joins. */
void maker_stop(struct maker *m);
void maker_free(struct maker *m);

#endif
