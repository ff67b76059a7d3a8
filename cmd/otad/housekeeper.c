/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otad/housekeeper.h"

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/waker.h"
#include "storage/apply.h"
#include "storage/housekeeping.h"
#include "storage/store_sweep.h"

#include <stdlib.h>

#define ROUND_MS (10 * MS_PER_MINUTE)
#define RETRY_MS MS_PER_MINUTE
#define CHECKS_KEPT_MS (7 * MS_PER_DAY) /* of names, by BatchCheckDeviceNames */

struct housekeeper {
	struct waker waker;
	struct db *db;
	struct package_store *store;
	struct arena arena;
};

static enum err round_run(struct housekeeper *h)
{
	int64_t changed = 0, deleted = 0;

	TRY(store_sweep(h->db, h->store, clock_now(), &deleted));
	TRY(store_partitions_maintain(h->db, clock_now(), config_now()->event_days, &changed));
	TRY(store_apply_forget(h->db, clock_now() - CHECKS_KEPT_MS));
	log_event(EV_HOUSEKEEPING, LINT("partitions", changed), LINT("uploads", deleted));
	return OK;
}

static void *run(void *arg)
{
	struct housekeeper *h = arg;
	enum err err;

	do {
		struct error e;

		error_init(&e, &h->arena);
		db_begin_work(h->db, &h->arena, &e);
		err = round_run(h);
		if (err != OK)
			log_limited(EV_HOUSEKEEPING_FAILED, LSTR("why", error_text(&e)));
		arena_reset(&h->arena);
	} while (waker_wait(&h->waker, err == OK ? ROUND_MS : RETRY_MS));
	return NULL;
}

struct housekeeper *housekeeper_start(const struct config *c, struct package_store *store)
{
	struct db_options o = { .conninfo = c->database,
				.connect_ms = 5000,
				.name = "otad housekeeper" };
	struct housekeeper *h = calloc(1, sizeof *h);

	ensure(h != NULL);
	h->db = db_new(&o);
	h->store = store;
	arena_init(&h->arena);
	waker_start(&h->waker, run, h);
	return h;
}

void housekeeper_wake(struct housekeeper *h)
{
	waker_wake(&h->waker);
}

void housekeeper_stop(struct housekeeper *h)
{
	if (!h)
		return;
	waker_stop(&h->waker);
	db_free(h->db);
	arena_free(&h->arena);
	free(h);
}
