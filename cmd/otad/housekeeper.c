/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otad/housekeeper.h"

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/queue.h"
#include "storage/housekeeping.h"
#include "storage/store_sweep.h"

#include <pthread.h>
#include <stdlib.h>

#define ROUND_MS (10 * 60 * 1000)
#define RETRY_MS (60 * 1000)

struct housekeeper {
	pthread_t thread;
	struct queue *stop; /* closed when the end is wanted: a sleep that can be cut short */
	struct db *db;
	struct package_store *store;
	struct arena arena;
};

static enum err round_run(struct housekeeper *h)
{
	int64_t changed = 0, deleted = 0;

	db_set_deadline(h->db, (int)config_now()->database_timeout_ms);
	TRY(store_partitions_maintain(h->db, clock_now(), config_now()->event_days, &changed));
	TRY(store_sweep(h->db, h->store, clock_now(), &deleted));
	log_event(EV_HOUSEKEEPING, LINT("partitions", changed), LINT("uploads", deleted));
	return OK;
}

static void *run(void *arg)
{
	struct housekeeper *h = arg;

	while (!queue_closed(h->stop)) {
		struct error e;
		enum err err;

		error_init(&e, &h->arena);
		db_begin_work(h->db, &h->arena, &e);
		err = round_run(h);
		if (err != OK)
			log_limited(EV_HOUSEKEEPING_FAILED, LSTR("why", error_text(&e)));
		arena_reset(&h->arena);
		(void)queue_pop(h->stop, err == OK ? ROUND_MS : RETRY_MS);
	}
	return NULL;
}

enum err housekeeper_start(const struct config *c, struct package_store *store, struct error *e,
			   struct housekeeper **ret)
{
	struct db_options o = { .conninfo = c->database, .statement_ms = (int)c->database_timeout_ms,
				.connect_ms = 5000, .name = "otad housekeeper" };
	struct housekeeper *h = calloc(1, sizeof *h);

	ensure(h != NULL);
	h->stop = queue_new(1);
	h->db = db_new(&o);
	h->store = store;
	arena_init(&h->arena);
	if (pthread_create(&h->thread, NULL, run, h) != 0) {
		db_free(h->db);
		queue_free(h->stop);
		free(h);
		return fail(e, ERR_UNAVAILABLE, "no thread for the housekeeper");
	}
	*ret = h;
	return OK;
}

void housekeeper_stop(struct housekeeper *h)
{
	if (!h)
		return;
	queue_close(h->stop);
	(void)pthread_join(h->thread, NULL);
	db_free(h->db);
	arena_free(&h->arena);
	queue_free(h->stop);
	free(h);
}
