/* SPDX-License-Identifier: Apache-2.0 */
/* What the calls that name tasks by their ids share. */
#ifndef API_ACTIONS_TASK_MOVE_H
#define API_ACTIONS_TASK_MOVE_H

#include "api/action.h"
#include "storage/task_move.h"

#define TASK_IDS_MAX 10

/* The tasks of these ids, each once; ERR_TASK_ID when one is no TaskId. Says nothing of their being there. */
enum err task_keys(struct call *c, const struct str_list *ids, const struct task_key **ret, size_t *ret_n) MUST_USE;
/* Refuses the call for the sake of one task, by its id and the words. */
enum err task_refuse(struct call *c, enum err err, const struct task_key *k, const char *words) MUST_USE;
/* After the commit: the engine looks at once for what became due. */
void task_wake(struct call *c);

#endif
