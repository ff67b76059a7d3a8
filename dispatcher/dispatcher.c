/* SPDX-License-Identifier: Apache-2.0 */
/* See dispatcher.h: makes the parts, ties them together, takes them down in reverse. */
#include "dispatcher/dispatcher.h"

#include "dispatcher/credentials.h"
#include "dispatcher/journal.h"
#include "dispatcher/maker.h"
#include "dispatcher/mqtt.h"
#include "dispatcher/notifier.h"
#include "dispatcher/tick.h"
#include "engine/brokerlink.h"

#include <stdatomic.h>
#include <stdlib.h>

#define SHARD 0

struct dispatcher {
	struct journal *journal;
	struct mqtt *mqtt;
	_Atomic(struct credentials *) credentials;
	_Atomic(struct maker *) maker;
	_Atomic(struct engine *) engine;
	struct notifier *notifier;
};

/* ---- what the parts ask of each other; from their threads, also while the others are still being made ----
 */

static bool may_run(void *ctx)
{
	struct dispatcher *d = ctx;
	struct engine *g = atomic_load(&d->engine);

	return g && engine_leased(g);
}

static void wake_engine(void *ctx)
{
	struct dispatcher *d = ctx;
	struct engine *g = atomic_load(&d->engine);

	if (g)
		engine_wake(g);
}

static int64_t connection(void *ctx)
{
	struct dispatcher *d = ctx;

	/* Its answers come in by ingest. */
	return mqtt_publisher_up(d->mqtt) && mqtt_ingest_up(d->mqtt) ? mqtt_connection(d->mqtt) : 0;
}

static enum err send_credentials(void *ctx, const void *payload, size_t len, int timeout_ms)
{
	struct dispatcher *d = ctx;
	struct mqtt_message message = { .topic = LINK_TO_BROKER, .payload = payload, .len = len };

	return mqtt_send_wait(d->mqtt, &message, 1, timeout_ms);
}

static enum err send_notices(void *ctx, const struct mqtt_message *messages, size_t n, int timeout_ms)
{
	struct dispatcher *d = ctx;

	return mqtt_send_wait(d->mqtt, messages, n, timeout_ms);
}

static void broker_state(void *ctx, int64_t position)
{
	struct dispatcher *d = ctx;

	credentials_state(atomic_load(&d->credentials), position);
}

static void registration(void *ctx, const struct link_line *ask)
{
	struct dispatcher *d = ctx;

	credentials_register(atomic_load(&d->credentials), ask);
}

static void lease_changed(void *ctx)
{
	struct dispatcher *d = ctx;

	maker_wake(atomic_load(&d->maker));
	credentials_wake(atomic_load(&d->credentials));
}

/* ---- start and stop ---- */

static void start_threads(struct dispatcher *d, const struct dispatcher_options *o)
{
	const struct config *c = o->config;
	struct mqtt_options m = { .uri = c->broker,
				  .user = c->broker_user,
				  .password = o->broker_password,
				  .ca = c->broker_ca,
				  .shard = SHARD,
				  .window = (int)c->push_window,
				  .journal = d->journal,
				  .changed = wake_engine,
				  .ctx = d };
	struct credentials_options cr = { .config = c,
					  .master = o->master,
					  .shard = SHARD,
					  .may_run = may_run,
					  .connection = connection,
					  .send = send_credentials,
					  .ctx = d };
	struct maker_options mk = {
		.config = c, .chunk_rows = MAKER_CHUNK_ROWS, .may_run = may_run, .made = wake_engine, .ctx = d
	};
	struct notifier_options no = {
		.config = c, .may_run = may_run, .connection = connection, .send = send_notices, .ctx = d
	};
	struct tick_options t = { .config = c,
				  .bounds = tick_bounds_default,
				  .shard = SHARD,
				  .journal = d->journal,
				  .store = o->store,
				  .broker_state = broker_state,
				  .registration = registration,
				  .lease_changed = lease_changed,
				  .ctx = d };

	d->mqtt = mqtt_start(&m);
	t.mqtt = d->mqtt;
	atomic_store(&d->credentials, credentials_start(&cr));
	atomic_store(&d->maker, maker_new(&mk));
	atomic_store(&d->engine, engine_new(&t));
	maker_start(atomic_load(&d->maker));
	engine_start(atomic_load(&d->engine));
	d->notifier = notifier_start(&no);
}

enum err dispatcher_start(const struct dispatcher_options *o, struct error *e, struct dispatcher **ret)
{
	const char *dir = arena_printf(e->arena, "%s/journal", o->config->state_dir);
	struct dispatcher *d = calloc(1, sizeof *d);
	enum err err;

	ensure(d != NULL);
	err = journal_open(dir, (int)o->config->journal_segments, JOURNAL_SEGMENT_BYTES, e, &d->journal);
	if (err != OK) {
		free(d);
		return err;
	}
	start_threads(d, o);
	*ret = d;
	return OK;
}

void dispatcher_stop(struct dispatcher *d)
{
	struct engine *g;

	if (!d)
		return;
	g = atomic_load(&d->engine);
	engine_stop_ticking(g);
	maker_stop(atomic_load(&d->maker));
	maker_free(atomic_load(&d->maker));
	credentials_stop(atomic_load(&d->credentials));
	notifier_stop(d->notifier);
	atomic_store(&d->engine, NULL);
	mqtt_stop(d->mqtt);
	engine_free(g);
	journal_close(d->journal);
	free(d);
}

bool dispatcher_ready(struct dispatcher *d, const char **why)
{
	return engine_ready(atomic_load(&d->engine), why);
}

void dispatcher_wake_engine(void *d)
{
	wake_engine(d);
}

void dispatcher_wake_maker(void *d)
{
	maker_wake(atomic_load(&((struct dispatcher *)d)->maker));
}

void dispatcher_wake_credentials(void *d)
{
	credentials_wake(atomic_load(&((struct dispatcher *)d)->credentials));
}
