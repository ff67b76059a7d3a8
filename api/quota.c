/* SPDX-License-Identifier: Apache-2.0 */
#include "api/quota.h"

#include "engine/base/parse.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024
#define WINDOW_US 1000000LL

/* The times of the last `limit` calls that were let through, as a ring: the oldest tells whether one more fits. */
struct window {
	struct window *next;
	int64_t account_id, limit;
	int64_t used; /* slots that hold a time */
	int64_t head; /* slot of the oldest */
	int64_t *at;
	char action[];
};

struct quota {
	pthread_mutex_t lock; /* guards the windows; nothing is taken under it */
	struct window *buckets[BUCKETS];
};

struct quota *quota_new(void)
{
	struct quota *q = calloc(1, sizeof *q);

	ensure(q != NULL);
	ensure(pthread_mutex_init(&q->lock, NULL) == 0);
	return q;
}

void quota_free(struct quota *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (q->buckets[i]) {
			struct window *w = q->buckets[i];

			q->buckets[i] = w->next;
			free(w->at);
			free(w);
		}
	(void)pthread_mutex_destroy(&q->lock);
	free(q);
}

/* Accounts and actions are few and known: windows are made once and kept. */
static struct window *window_of(struct quota *q, int64_t account_id, const char *action)
{
	uint64_t h = (uint64_t)account_id * 1099511628211ULL;
	size_t len = strlen(action) + 1;
	struct window *w;

	for (const char *p = action; *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211ULL;
	h %= BUCKETS;
	for (w = q->buckets[h]; w; w = w->next)
		if (w->account_id == account_id && strcmp(w->action, action) == 0)
			return w;
	w = calloc(1, sizeof *w + len);
	ensure(w != NULL);
	memcpy(w->action, action, len);
	w->account_id = account_id;
	w->next = q->buckets[h];
	q->buckets[h] = w;
	return w;
}

/* A reload changed the limit: keep the newest times. */
static void window_resize(struct window *w, int64_t limit)
{
	int64_t *at = calloc((size_t)limit, sizeof *at);
	int64_t keep = i64_min(w->used, limit);

	ensure(at != NULL);
	for (int64_t i = 0; i < keep; i++)
		at[i] = w->at[(w->head + w->used - keep + i) % w->limit];
	free(w->at);
	w->at = at;
	w->limit = limit;
	w->used = keep;
	w->head = 0;
}

static bool window_take(struct window *w, int64_t now_us)
{
	if (w->used < w->limit) {
		w->at[(w->head + w->used++) % w->limit] = now_us;
		return true;
	}
	if (now_us - w->at[w->head] < WINDOW_US)
		return false;
	w->at[w->head] = now_us;
	w->head = (w->head + 1) % w->limit;
	return true;
}

bool quota_take(struct quota *q, int64_t account_id, const char *action, int64_t limit, int64_t now_us)
{
	struct window *w;
	bool taken;

	if (limit <= 0)
		return true;
	ensure(pthread_mutex_lock(&q->lock) == 0);
	w = window_of(q, account_id, action);
	if (w->limit != limit)
		window_resize(w, limit);
	taken = window_take(w, now_us);
	ensure(pthread_mutex_unlock(&q->lock) == 0);
	return taken;
}

int64_t quota_limit(const char *config_text, const char *action, int64_t documented)
{
	int64_t limit = documented, n;
	bool named = false;

	while (*config_text) {
		size_t len = strcspn(config_text, " ");
		const char *eq = memchr(config_text, '=', len);

		if (eq && parse_i64n(eq + 1, len - (size_t)(eq + 1 - config_text), 0, 1000000, &n)) {
			size_t name = (size_t)(eq - config_text);
			bool own = name == strlen(action) && strncmp(config_text, action, name) == 0;

			if (own || (!named && name == 1 && config_text[0] == '*'))
				limit = n;
			named = named || own;
		}
		config_text += len + strspn(config_text + len, " ");
	}
	return limit;
}
