/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/credentials.h"

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "engine/base/queue.h"
#include "engine/base/waker.h"
#include "engine/brokerlink.h"
#include "engine/ids.h"
#include "storage/credential.h"
#include "storage/registration.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 500
#define PAGE 1000
#define POLL_MS 100
#define SEND_MS 5000
#define ASKS_MAX 512
#define ASKS_ROUND 50 /* then changes and answers go out */
#define STATE_MS 2000 /* the broker's answer to hello; then it is asked again */

/* A device's wish to register; malloc'ed, with its texts behind it. */
struct ask {
	int64_t conn;
	bool any;
	const char *pk, *dn, *ip;
	char text[];
};

struct credentials {
	struct credentials_options opt;
	struct waker waker;
	struct queue *asks;
	pthread_mutex_t lock; /* guards the next two; taken alone */
	bool state_new;
	int64_t state_position;
	/* the feed's thread only */
	struct db *db;
	struct arena arena;
	struct error error;
	struct buf out;
	bool synced;		   /* the broker has everything up to the last look */
	int64_t connection;	   /* the one that synced speaks of */
	int64_t hello_boot_ms;	   /* when it was asked how far it is; 0: not yet */
	int64_t second, in_second; /* registrations let through in this second of the boot clock */
};

static void begin(struct credentials *c)
{
	arena_reset(&c->arena);
	error_init(&c->error, &c->arena);
	db_begin_work(c->db, &c->arena, &c->error);
}

static enum err flush(struct credentials *c)
{
	enum err e;

	if (c->out.len == 0)
		return OK;
	ensure(!c->out.overflow);
	e = c->opt.send(c->opt.ctx, c->out.data, c->out.len, SEND_MS);
	buf_clear(&c->out);
	return e;
}

/* Adds a line, and sends what is there first if the message would become too long. */
static enum err add(struct credentials *c, const struct link_line *l)
{
	if (c->out.len + LINK_LINE_MAX > LINK_MESSAGE_MAX)
		TRY(flush(c));
	link_add(&c->out, l);
	return OK;
}

static enum err add_credential(struct credentials *c, const struct credential *k)
{
	struct link_line l = { .verb = k->secret ? LINK_CRED : LINK_CRED_DEL,
			       .pk = k->product_key,
			       .dn = k->device_name,
			       .secret = k->secret };

	return add(c, &l);
}

/* Positions grow by the clock, so that a database restored from a backup never meets an old one again. */
static enum err next_position(struct credentials *c, int64_t *ret)
{
	int64_t position;

	TRY(store_credential_position(c->db, c->opt.shard, &position));
	*ret = i64_max(position + 1, clock_now());
	return OK;
}

/* Hands over the oldest changes: those that somebody waits for, else, unless a full set is on its way, those
 * of an import. *ret_n: how many. */
static enum err deliver_changes(struct credentials *c, bool within_set, size_t *ret_n)
{
	struct link_line end = { .verb = LINK_CRED_POS };
	struct credential *list;
	int64_t *ids;
	size_t n;

	begin(c);
	TRY(store_credential_changes(c->db, c->opt.master, false, BATCH, &list, &n));
	if (n == 0 && !within_set)
		TRY(store_credential_changes(c->db, c->opt.master, true, BATCH, &list, &n));
	*ret_n = n;
	if (n == 0)
		return OK;
	TRY(next_position(c, &end.position));
	ids = ARENA_ARRAY(&c->arena, n, int64_t);
	for (size_t i = 0; i < n; i++) {
		ids[i] = list[i].id;
		TRY(add_credential(c, &list[i]));
	}
	if (!within_set) /* else the broker would take a part of the set for all of it */
		TRY(add(c, &end));
	TRY(flush(c));
	TRY(store_credential_delivered(c->db, c->opt.shard, ids, n, end.position));
	metric_add(M_CREDENTIALS_SENT, (int64_t)n);
	return OK;
}

/* What is not a device: before them, so that a reader is in when the first notification comes. */
static enum err deliver_others(struct credentials *c)
{
	const char *pk = "", *dn = "";
	struct credential *list;
	size_t n;

	begin(c);
	do {
		TRY(store_credential_page_other(c->db, c->opt.master, pk, dn, PAGE, &list, &n));
		for (size_t i = 0; i < n; i++) {
			if (list[i].secret)
				TRY(add_credential(c, &list[i]));
			pk = list[i].product_key;
			dn = list[i].device_name;
		}
	} while (n == PAGE);
	return flush(c);
}

/* The full set, by pages. Changes that somebody waits for are slipped in between; they come after their page
 * was read, so the last word is right. */
static enum err deliver_all(struct credentials *c)
{
	struct link_line mark = { .verb = LINK_CRED_BEGIN };
	struct credential *list;
	int64_t after = 0, total = 0;
	size_t n, changes;

	begin(c);
	TRY(next_position(c, &mark.position));
	TRY(add(c, &mark));
	TRY(deliver_others(c));
	do {
		begin(c);
		TRY(store_credential_page(c->db, c->opt.master, after, PAGE, &list, &n));
		for (size_t i = 0; i < n; i++) {
			after = list[i].id;
			if (list[i].secret)
				TRY(add_credential(c, &list[i]));
		}
		total += (int64_t)n;
		TRY(flush(c));
		TRY(deliver_changes(c, true, &changes));
	} while (n == PAGE);
	mark.verb = LINK_CRED_END;
	TRY(add(c, &mark));
	TRY(flush(c));
	begin(c);
	TRY(store_credential_delivered(c->db, c->opt.shard, NULL, 0, mark.position));
	log_event(EV_CREDENTIALS_SNAPSHOT, LINT("devices", total));
	metric_add(M_CREDENTIALS_SENT, total);
	return OK;
}

/* Asks a broker that was connected anew how far it is, and brings it up to date. */
static enum err synchronize(struct credentials *c)
{
	static const char hello[] = "hello\n";
	int64_t position, wanted;
	bool answered;

	(void)pthread_mutex_lock(&c->lock);
	answered = c->state_new && c->hello_boot_ms != 0;
	position = c->state_position;
	if (answered)
		c->state_new = false;
	(void)pthread_mutex_unlock(&c->lock);
	if (!answered) {
		if (c->hello_boot_ms != 0 && clock_boot_ms() < c->hello_boot_ms + STATE_MS)
			return OK;
		c->hello_boot_ms = clock_boot_ms();
		return c->opt.send(c->opt.ctx, hello, sizeof hello - 1, SEND_MS);
	}
	begin(c);
	TRY(store_credential_position(c->db, c->opt.shard, &wanted));
	if (position == 0 || position != wanted)
		TRY(deliver_all(c));
	c->synced = true;
	return OK;
}

/* ---- devices that register ---- */

static bool in_time(struct credentials *c)
{
	int64_t limit = config_now()->register_per_second, second = clock_boot_ms() / MS_PER_SECOND;

	if (second != c->second)
		c->in_second = 0;
	c->second = second;
	return limit == 0 || c->in_second++ < limit;
}

/* The device's credential goes ahead of its answer, in the same message or an earlier one, so it may log in
 * with what it gets; the change that waits in the database says the same later, and then nothing happens. */
static enum err answer(struct credentials *c, const struct ask *k)
{
	char request_id[37];
	struct registration w = { .product_key = k->pk,
				  .device_name = k->dn,
				  .any = k->any,
				  .way = "mqtt",
				  .ip = k->ip,
				  .request_id = request_id };
	struct link_line l = { .verb = LINK_REG_NO, .conn = k->conn };
	enum register_result result = REGISTER_TOO_MANY;
	int64_t change_id;

	request_id_new(request_id);
	begin(c);
	if (in_time(c))
		result = store_registration(c->db, c->opt.master, &w, clock_now(), &l.secret, &change_id);
	registration_ended(&w, result);
	l.why = register_result_name(result);
	if (result == REGISTER_DONE) {
		TRY(add(c, &(struct link_line){
				   .verb = LINK_CRED, .pk = k->pk, .dn = k->dn, .secret = l.secret }));
		l.verb = LINK_REG_OK;
	}
	return add(c, &l);
}

static enum err answer_asks(struct credentials *c, bool *ret_more)
{
	enum err e = OK;
	struct ask *k;
	int n = 0;

	while (e == OK && n < ASKS_ROUND && (k = queue_pop(c->asks, 0)) != NULL) {
		e = answer(c, k);
		free(k);
		n++;
	}
	*ret_more = n == ASKS_ROUND;
	TRY(e);
	return flush(c);
}

/* One round; true when there is more to do at once. */
static bool work(struct credentials *c)
{
	int64_t connection = c->opt.may_run(c->opt.ctx) ? c->opt.connection(c->opt.ctx) : 0;
	bool more = false;
	size_t n = 0;
	enum err e;

	if (connection != c->connection) {
		c->synced = false;
		c->connection = connection;
		c->hello_boot_ms = 0;
	}
	if (connection == 0)
		return false;
	buf_clear(&c->out);
	if (!c->synced) {
		e = synchronize(c);
	} else {
		e = answer_asks(c, &more);
		if (e == OK)
			e = deliver_changes(c, false, &n);
	}
	if (e != OK) {
		log_limited(EV_CREDENTIALS_FAILED, LSTR("why", err_info(e)->name));
		c->synced = false; /* part of it may have gone out: ask again how far it is */
		c->hello_boot_ms = 0;
	}
	return e == OK && (more || n == BATCH);
}

static void *credentials_run(void *arg)
{
	struct credentials *c = arg;

	do {
		while (work(c))
			;
	} while (waker_wait(&c->waker, POLL_MS));
	return NULL;
}

struct credentials *credentials_start(const struct credentials_options *o)
{
	struct credentials *c = calloc(1, sizeof *c);
	struct db_options db = { .conninfo = o->config->database,
				 .connect_ms = 5000,
				 .name = "otad credentials",
				 .plans = DB_PLANS_PINNED };

	ensure(c != NULL);
	c->opt = *o;
	c->db = db_new(&db);
	arena_init(&c->arena);
	buf_init(&c->out, LINK_MESSAGE_MAX);
	c->asks = queue_new(ASKS_MAX);
	ensure(pthread_mutex_init(&c->lock, NULL) == 0);
	waker_start(&c->waker, credentials_run, c);
	return c;
}

void credentials_wake(struct credentials *c)
{
	waker_wake(&c->waker);
}

void credentials_state(struct credentials *c, int64_t position)
{
	(void)pthread_mutex_lock(&c->lock);
	c->state_new = true;
	c->state_position = position;
	(void)pthread_mutex_unlock(&c->lock);
	waker_wake(&c->waker);
}

void credentials_register(struct credentials *c, const struct link_line *l)
{
	size_t pk = strlen(l->pk) + 1, dn = strlen(l->dn) + 1, ip = strlen(l->ip) + 1;
	struct ask *k = malloc(sizeof *k + pk + dn + ip);

	ensure(k != NULL);
	*k = (struct ask){ .conn = l->conn, .any = l->verb == LINK_ASK_REGNWL };
	k->pk = memcpy(k->text, l->pk, pk);
	k->dn = memcpy(k->text + pk, l->dn, dn);
	k->ip = memcpy(k->text + pk + dn, l->ip, ip);
	if (queue_push(c->asks, k)) {
		waker_wake(&c->waker);
		return;
	}
	metric_add_label(M_REGISTRATIONS, register_result_name(REGISTER_TOO_MANY), 1);
	free(k);
}

void credentials_stop(struct credentials *c)
{
	if (!c)
		return;
	waker_stop(&c->waker);
	for (void *k; (k = queue_pop(c->asks, 0)) != NULL;)
		free(k);
	queue_free(c->asks);
	db_free(c->db);
	arena_free(&c->arena);
	buf_free(&c->out);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}
