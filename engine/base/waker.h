/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that works in rounds: woken from anywhere, or by its poll, until it is stopped. */
#ifndef BASE_WAKER_H
#define BASE_WAKER_H

#include "engine/base/base.h"

#include <pthread.h>

struct waker {
	pthread_t thread;
	pthread_mutex_t lock; /* guards `woken`; taken alone */
	pthread_cond_t changed;
	bool woken;
	_Atomic bool stopping;
};

/* Starts the thread: run(arg) is to loop `do { .. } while (waker_wait(w, poll_ms));`. */
void waker_start(struct waker *w, void *(*run)(void *arg), void *arg);
/* The thread itself: waits for a wake or poll_ms; false when it is time to end. */
bool waker_wait(struct waker *w, int64_t poll_ms);
/* Between two steps of a round: is it time to end? Never, for a zeroed waker that was not started. */
bool waker_stopping(const struct waker *w);
/* Cheap, any thread. */
void waker_wake(struct waker *w);
/* Lets the round in hand end, joins, frees what waker_start made. */
void waker_stop(struct waker *w);

#endif
