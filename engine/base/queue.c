/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t ready;
	size_t capacity, head, count;
	bool closed;
	void *items[];
};

struct queue *queue_new(size_t capacity)
{
	struct queue *q = calloc(1, sizeof *q + capacity * sizeof(void *));
	pthread_condattr_t attr;

	ensure(q != NULL && capacity > 0);
	q->capacity = capacity;
	ensure(pthread_mutex_init(&q->lock, NULL) == 0);
	ensure(pthread_condattr_init(&attr) == 0);
	ensure(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	ensure(pthread_cond_init(&q->ready, &attr) == 0);
	(void)pthread_condattr_destroy(&attr);
	return q;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	(void)pthread_mutex_destroy(&q->lock);
	(void)pthread_cond_destroy(&q->ready);
	free(q);
}

bool queue_push(struct queue *q, void *item)
{
	bool room;

	(void)pthread_mutex_lock(&q->lock);
	room = !q->closed && q->count < q->capacity;
	if (room) {
		q->items[(q->head + q->count) % q->capacity] = item;
		q->count++;
	}
	(void)pthread_mutex_unlock(&q->lock);
	if (room) /* without the lock, so that who wakes up does not find it taken */
		(void)pthread_cond_signal(&q->ready);
	return room;
}

void *queue_pop(struct queue *q, int timeout_ms)
{
	struct timespec until;
	void *item = NULL;
	int rc = 0;

	ensure(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	(void)pthread_mutex_lock(&q->lock);
	while (q->count == 0 && !q->closed && rc != ETIMEDOUT)
		rc = timeout_ms < 0 ? pthread_cond_wait(&q->ready, &q->lock) :
				      pthread_cond_timedwait(&q->ready, &q->lock, &until);
	if (q->count > 0) {
		item = q->items[q->head];
		q->head = (q->head + 1) % q->capacity;
		q->count--;
	}
	(void)pthread_mutex_unlock(&q->lock);
	return item;
}

void queue_close(struct queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	q->closed = true;
	(void)pthread_cond_broadcast(&q->ready);
	(void)pthread_mutex_unlock(&q->lock);
}

size_t queue_depth(struct queue *q)
{
	size_t n;

	(void)pthread_mutex_lock(&q->lock);
	n = q->count;
	(void)pthread_mutex_unlock(&q->lock);
	return n;
}
