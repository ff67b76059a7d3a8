/* SPDX-License-Identifier: Apache-2.0 */
/* The maker: one thread on its own connection that makes the tasks of new jobs, one job after another in the
 * order of their creation, and writes bulk orders into rows. */
#ifndef DISPATCHER_MAKER_H
#define DISPATCHER_MAKER_H

#include "engine/base/config.h"

struct maker;

/* may_run: false while this process does not hold the shard's lease (asked before every step).
 * made: called after tasks were made or ended, to wake the engine. Both from the maker's thread. */
struct maker *maker_start(const struct config *c, bool (*may_run)(void *ctx), void (*made)(void *ctx), void *ctx);
/* Cheap, any thread. */
void maker_wake(struct maker *m);
/* Lets the step in hand end, joins. */
void maker_stop(struct maker *m);

#endif
