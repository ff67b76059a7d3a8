/* SPDX-License-Identifier: Apache-2.0 */
/* Calls per second of an account and an action, counted when they are let through: never more than the limit in
 * any one second, however placed (rules §7). In this process; a window counted across replicas may take its
 * place behind this interface. Any thread. */
#ifndef API_QUOTA_H
#define API_QUOTA_H

#include "engine/base/base.h"

struct quota;

struct quota *quota_new(void);
void quota_free(struct quota *q);
/* true: the call may go on, and is counted. now_us: a clock that never goes back. limit 0: no quota. */
bool quota_take(struct quota *q, int64_t account_id, const char *action, int64_t limit, int64_t now_us) MUST_USE;
/* The limit in force for an action: `documented`, or what the configuration text says (`Action=N *=M ..`; the
 * action's own name beats *). */
int64_t quota_limit(const char *config_text, const char *action, int64_t documented);

#endif
