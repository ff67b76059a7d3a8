/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded hand-off of pointers between threads; ownership goes with the pointer. The only lock that most
 * code ever meets. */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include "engine/base/base.h"

struct queue;

/* capacity in items. Never NULL. */
struct queue *queue_new(size_t capacity);
/* The queue must be empty and unused. */
void queue_free(struct queue *q);
/* false at once when the queue is full or closed. */
bool queue_push(struct queue *q, void *item) MUST_USE;
/* Waits up to timeout_ms (-1: for ever). NULL on timeout, or when the queue is closed and empty. */
void *queue_pop(struct queue *q, int timeout_ms);
/* No more pushes; waiting poppers get what is left, then NULL. */
void queue_close(struct queue *q);
size_t queue_depth(struct queue *q);

#endif
