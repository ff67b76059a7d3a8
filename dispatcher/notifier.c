/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/notifier.h"

#include "dispatcher/notice.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "engine/base/waker.h"

#include <stdlib.h>

#define BATCH 100
#define POLL_MS 500
#define SEND_MS 5000

struct notifier {
	struct notifier_options opt;
	struct waker waker;
	struct db *db;
	struct arena arena;
	struct error error;
};

/* One batch; *ret_more: there may be more of them. */
static enum err publish(struct notifier *n, bool *ret_more)
{
	struct mqtt_message messages[BATCH];
	const struct notice *list;
	int64_t ids[BATCH];
	size_t count, n_messages = 0;

	TRY(store_notice_page(n->db, BATCH, &list, &count));
	for (size_t i = 0; i < count; i++) {
		ids[i] = list[i].id;
		n_messages += notice_message(&n->arena, &list[i], &messages[n_messages]);
	}
	if (n_messages > 0 && n->opt.send(n->opt.ctx, messages, n_messages, SEND_MS) != OK)
		return fail(&n->error, ERR_UNAVAILABLE, "the broker did not acknowledge");
	TRY(store_notice_drop(n->db, ids, count));
	for (size_t i = 0; i < count; i++)
		metric_add_label(M_NOTICES, notice_kind_name(list[i].kind), 1);
	*ret_more = count == BATCH;
	return OK;
}

/* True when there is more to do at once. */
static bool work(struct notifier *n)
{
	bool more = false;
	enum err e;

	if (!n->opt.may_run(n->opt.ctx) || n->opt.connection(n->opt.ctx) == 0)
		return false;
	arena_reset(&n->arena);
	error_init(&n->error, &n->arena);
	db_begin_work(n->db, &n->arena, &n->error);
	e = publish(n, &more);
	if (e != OK)
		log_limited(EV_NOTICES_FAILED, LSTR("why", error_text(&n->error)));
	return more && !waker_stopping(&n->waker);
}

static void *notifier_run(void *arg)
{
	struct notifier *n = arg;

	do {
		while (work(n))
			;
	} while (waker_wait(&n->waker, POLL_MS));
	return NULL;
}

struct notifier *notifier_start(const struct notifier_options *o)
{
	struct notifier *n = calloc(1, sizeof *n);
	struct db_options db = { .conninfo = o->config->database,
				 .connect_ms = 5000,
				 .name = "otad notifier",
				 .plans = DB_PLANS_PINNED };

	ensure(n != NULL);
	n->opt = *o;
	n->db = db_new(&db);
	arena_init(&n->arena);
	waker_start(&n->waker, notifier_run, n);
	return n;
}

void notifier_stop(struct notifier *n)
{
	if (!n)
		return;
	waker_stop(&n->waker);
	db_free(n->db);
	arena_free(&n->arena);
	free(n);
}
