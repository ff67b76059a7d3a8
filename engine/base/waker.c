/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/waker.h"

#include <stdatomic.h>
#include <time.h>

void waker_start(struct waker *w, void *(*run)(void *arg), void *arg)
{
	pthread_condattr_t attr;

	w->woken = false;
	atomic_store(&w->stopping, false);
	ensure(pthread_mutex_init(&w->lock, NULL) == 0);
	ensure(pthread_condattr_init(&attr) == 0 && pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	ensure(pthread_cond_init(&w->changed, &attr) == 0);
	(void)pthread_condattr_destroy(&attr);
	ensure(pthread_create(&w->thread, NULL, run, arg) == 0);
}

bool waker_wait(struct waker *w, int64_t poll_ms)
{
	struct timespec until;
	int rc = 0;

	ensure(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
	until.tv_sec += poll_ms / 1000;
	until.tv_nsec += poll_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	(void)pthread_mutex_lock(&w->lock);
	while (!w->woken && !waker_stopping(w) && rc == 0)
		rc = pthread_cond_timedwait(&w->changed, &w->lock, &until);
	w->woken = false;
	(void)pthread_mutex_unlock(&w->lock);
	return !waker_stopping(w);
}

bool waker_stopping(const struct waker *w)
{
	return atomic_load(&w->stopping);
}

void waker_wake(struct waker *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->woken = true;
	(void)pthread_cond_signal(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
}

void waker_stop(struct waker *w)
{
	(void)pthread_mutex_lock(&w->lock);
	atomic_store(&w->stopping, true);
	(void)pthread_cond_signal(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
	(void)pthread_join(w->thread, NULL);
	(void)pthread_mutex_destroy(&w->lock);
	(void)pthread_cond_destroy(&w->changed);
}
