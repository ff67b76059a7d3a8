/* SPDX-License-Identifier: Apache-2.0 */
/* What goes out, after the commit and only then; acknowledgements; what a former owner left behind. */
#include "dispatcher/tick_priv.h"

#include "dispatcher/payload.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A push reaches the broker within this time of its claim, or not at all (rules §4). */
#define HANDOVER_MS 900
/* More than one block of a file for the same device only within this. */
#define MORE_BLOCKS_MS 200
#define GATE_MS 60000
/* From a claim to its last hand-over it takes about so long at most; no less is claimed than CLAIMS_MIN. */
#define CLAIMS_MS 400
#define CLAIMS_MIN ((size_t)16)

utc_ms publish_time(const struct engine *g)
{
	return clock_boot_ms() + g->pace_offset_ms;
}

/* ---- batches and acknowledgements ---- */

/* NULL: there is none. */
static struct open_batch *batch_find(struct engine *g, int64_t id)
{
	for (size_t i = 0; i < BATCHES_MAX; i++)
		if (g->batches[i].id == id)
			return &g->batches[i];
	return NULL;
}

static void batch_open(struct engine *g, int64_t batch_id, int64_t n)
{
	struct open_batch *b = batch_find(g, 0);

	if (b)
		*b = (struct open_batch){ .id = batch_id, .waiting = n };
	else
		VEC_KEEP(&g->acked, batch_id); /* more than the window lets be open; only its mark is early */
}

static void batch_ack(struct engine *g, int64_t batch_id)
{
	struct open_batch *b = batch_find(g, batch_id);

	if (!b || --b->waiting > 0)
		return;
	b->id = 0;
	VEC_KEEP(&g->acked, batch_id);
}

static void ack_one(struct engine *g, struct outstanding *o, int64_t at_us)
{
	struct live_job *j = jobs_find(&g->jobs, o->job_id);

	if (j)
		pace_ack(&j->pace, 1, at_us);
	batch_ack(g, o->batch_id);
	o->token = 0;
}

/* A new connection of the publisher: what earlier ones left unacknowledged may or may not have reached the
 * broker. It counts as acknowledged now, and its tasks are due again. */
static void connection_changed(struct engine *g)
{
	int64_t at_us = clock_boot_us();

	for (size_t i = 0; i < OUTSTANDING_MAX; i++) {
		struct outstanding *o = &g->outstanding[i];

		if (o->token == 0 || o->connection == g->connection)
			continue;
		VEC_KEEP(&g->undone, ((struct undone){ .job_id = o->job_id,
						       .seq = o->seq,
						       .device_conn = o->device_conn,
						       .unknown = true }));
		ack_one(g, o, at_us);
	}
	for (size_t i = 0; i < g->recovered_pushes.n; i++) {
		struct live_job *j = jobs_find(&g->jobs, g->recovered_pushes.items[i]);

		if (j)
			pace_ack(&j->pace, 1, at_us);
	}
	for (size_t i = 0; i < g->recovered.n; i++)
		VEC_KEEP(&g->acked, g->recovered.items[i]);
	g->recovered_pushes.n = 0;
	g->recovered.n = 0;
}

void publish_acks(struct engine *g, struct arena *a)
{
	struct mqtt_ack *acks = NULL;
	int64_t connection = mqtt_connection(g->opt.mqtt);
	size_t n;

	publish_settle(g, connection != g->connection);
	n = mqtt_acks(g->opt.mqtt, a, &acks);
	for (size_t i = 0; i < n; i++) {
		struct outstanding *o = &g->outstanding[acks[i].token % OUTSTANDING_MAX];

		if (o->token == acks[i].token)
			ack_one(g, o, acks[i].at_us);
	}
	metric_add(M_PUSH_ACKS, (int64_t)n);
	if (connection != g->connection) {
		g->connection = connection;
		connection_changed(g);
	}
}

bool publish_open(const struct engine *g)
{
	for (size_t i = 0; i < BATCHES_MAX; i++)
		if (g->batches[i].id != 0)
			return true;
	return false;
}

/* ---- payloads ---- */

static struct payload payload_of(struct work *w, struct live_job *j, int64_t device_id, int32_t push_no)
{
	const struct tick_job *s = &j->set;
	struct payload_file *f = ARENA_ARRAY(w->a, s->n_files + 1, struct payload_file);
	utc_ms expires = w->now + config_now()->store_url_hours * MS_PER_HOUR;

	for (size_t i = 0; i < s->n_files; i++) {
		f[i] = (struct payload_file){ .n = s->files[i].n,
					      .name = s->files[i].name,
					      .size = s->files[i].size,
					      .md5 = s->files[i].md5,
					      .sha256 = s->files[i].sha256 };
		f[i].url = package_store_sign(w->g->opt.store, w->a, s->files[i].object_key, s->firmware_id,
					      device_id, push_no, expires);
	}
	return (struct payload){ .firmware_id = s->firmware_id,
				 .version = s->rules.dest_version,
				 .module = s->rules.module,
				 .sign_method = s->sign_method,
				 .udi = s->udi,
				 .differential = s->rules.differential,
				 .mqtt = s->download_mqtt && s->n_files == 1,
				 .tag_keys = s->tag_keys,
				 .tag_values = s->tag_values,
				 .tags = s->n_tags,
				 .files = f,
				 .files_n = s->n_files };
}

/* ---- pushes ---- */

static void undo(struct engine *g, const struct undone *u, int64_t batch_id)
{
	struct live_job *j = jobs_find(&g->jobs, u->job_id);

	if (j)
		pace_unclaim(&j->pace, 1);
	batch_ack(g, batch_id);
	VEC_KEEP(&g->undone, *u);
}

/* Before it is on its way, since its acknowledgement may be here at once. */
static void expect_ack(struct work *w, const struct claim *c, uint64_t token)
{
	w->g->outstanding[token % OUTSTANDING_MAX] = (struct outstanding){ .token = token,
									   .job_id = c->job->run.job_id,
									   .batch_id = w->batch_id,
									   .connection = w->g->connection,
									   .device_conn = c->conn,
									   .seq = c->task->t.seq };
}

static void pack_one(struct work *w, struct parcel *p, const struct claim *c, struct buf *scratch)
{
	struct engine *g = w->g;
	struct payload content = payload_of(w, c->job, c->task->t.device_id, c->push_no);
	uint64_t token = g->next_token;

	buf_clear(scratch);
	payload_push(w->a, scratch, &content, w->now);
	ensure(!scratch->overflow);
	expect_ack(w, c, token);
	p->undone[p->n] = undone_of(c, w->batch_id);
	p->messages[p->n++] = (struct mqtt_message){
		.topic = downlink_topic(&p->arena, DOWNLINK_PUSH, c->job->set.product_key,
					online_name(g, c->task->t.device_id)), /* it was when it was claimed */
		.payload = arena_strndup(&p->arena, scratch->data, scratch->len),
		.len = scratch->len,
		.token = token,
	};
	g->next_token = token == MQTT_TOKEN_MAX ? 1 : token + 1;
}

void publish_pack(struct work *w)
{
	struct engine *g = w->g;
	struct parcel *p = &g->parcels[g->going == &g->parcels[0]];
	struct buf *scratch = buf_owned(w->a, PAYLOAD_MAX);

	if (w->claims.n == 0)
		return;
	arena_reset(&p->arena);
	p->batch_id = w->batch_id;
	p->start_boot_ms = w->start_boot_ms;
	p->claimed = w->claims.n;
	p->room_used = w->room == 0;
	p->messages = ARENA_ARRAY(&p->arena, w->claims.n, struct mqtt_message);
	p->undone = ARENA_ARRAY(&p->arena, w->claims.n, struct undone);
	p->n = 0;
	batch_open(g, w->batch_id, (int64_t)w->claims.n);
	for (size_t i = 0; i < w->claims.n; i++) {
		const struct claim *c = &w->claims.items[i];
		struct undone u = undone_of(c, w->batch_id);

		if (task_state_unfinished(c->task->t.state))
			pack_one(w, p, c, scratch);
		else
			undo(g, &u, w->batch_id); /* a report of the same tick ended it */
	}
	w->parcel = p;
}

void publish_send(struct work *w, bool send)
{
	struct engine *g = w->g;
	struct parcel *p = w->parcel;

	if (!p)
		return;
	g->going = p;
	mqtt_parcel_begin(g->opt.mqtt, &(struct mqtt_parcel){ .messages = p->messages,
							      .n = send ? p->n : 0,
							      .connection = g->connection,
							      .until_boot_ms = p->start_boot_ms + HANDOVER_MS });
}

/* What was claimed and cannot be handed over in time was work for nothing: the next tick claims what this
 * one's speed lets hope for, twice as much as now at most. */
static void room_adapt(struct engine *g, const struct parcel *p, size_t sent, int64_t took_ms)
{
	size_t fits = (size_t)((int64_t)sent * CLAIMS_MS / i64_max(took_ms, 1)), most = g->opt.bounds.claims;

	if (sent < p->n || took_ms > CLAIMS_MS)
		g->claims_room = fits > CLAIMS_MIN ? fits : CLAIMS_MIN;
	else if (p->room_used)
		g->claims_room = fits < 2 * g->claims_room ? fits : 2 * g->claims_room;
	if (g->claims_room > most)
		g->claims_room = most;
}

void publish_settle(struct engine *g, bool wait)
{
	struct parcel *p = g->going;
	int64_t at_ms = 0;
	size_t sent;

	if (!p || (!wait && mqtt_parcel_going(g->opt.mqtt)))
		return;
	sent = mqtt_parcel_end(g->opt.mqtt, &at_ms);
	g->going = NULL;
	room_adapt(g, p, sent, at_ms - p->start_boot_ms);
	metric_add(M_PUSHES, (int64_t)sent);
	for (size_t i = sent; i < p->n; i++) {
		g->outstanding[p->messages[i].token % OUTSTANDING_MAX].token = 0;
		undo(g, &p->undone[i], p->batch_id);
	}
	if (sent == p->claimed)
		return;
	metric_add(M_PUSHES_UNSENT, (int64_t)(p->claimed - sent));
	log_limited(EV_PUSHES_UNSENT, LINT("unsent", p->claimed - sent), LINT("of", p->claimed));
}

/* ---- answers to devices' own requests ---- */

/* One block of a package's file, read from the store; false: there is none of that. */
static bool read_block(struct work *w, struct arena *a, const struct reply *r, struct payload_block *b)
{
	const struct tick_job *s = &r->task->job->set;
	const struct report *q = r->report;
	char *block = arena_alloc(a, (size_t)q->block_size + 1);
	ssize_t got;
	int fd;

	for (size_t i = 0; i < s->n_files; i++) {
		if (s->files[i].n != q->file_id)
			continue;
		if (q->block_offset < 0 || q->block_offset >= s->files[i].size ||
		    package_store_open_object(w->g->opt.store, s->files[i].object_key, &fd,
					      &b->file_length) != OK)
			return false;
		got = pread(fd, block, (size_t)q->block_size, q->block_offset);
		(void)close(fd);
		b->block = block;
		b->size = got > 0 ? (size_t)got : 0;
		b->offset = q->block_offset;
		return got > 0;
	}
	return false;
}

static void put_block(struct work *w, struct arena *a, const struct reply *r, struct buf *out)
{
	struct payload_block b = { .id = r->report->id, .file_token = r->report->file_token, .code = 200 };

	if (!r->task || !read_block(w, a, r, &b)) {
		b.code = 404;
		b.block = NULL;
	}
	payload_block_reply(a, out, &b);
}

static void put_reply(struct work *w, struct arena *a, const struct reply *r, struct buf *out)
{
	struct payload p;

	if (r->kind == DOWNLINK_DOWNLOAD_REPLY) {
		put_block(w, a, r, out);
		return;
	}
	if (!r->task) {
		payload_get_none(a, out, r->report->id);
		return;
	}
	p = payload_of(w, r->task->job, r->task->t.device_id, r->push_no);
	if (r->kind == DOWNLINK_REQUEST)
		payload_push(a, out, &p, w->now);
	else
		payload_get_reply(a, out, &p, r->report->id);
}

static bool answer(struct work *w, struct arena *a, const struct reply *r, int64_t within_ms)
{
	const char *topic = downlink_topic(a, r->kind, r->report->product_key, r->report->device_name);
	int64_t until = w->start_boot_ms + within_ms;
	struct buf *b;

	if (!mqtt_publisher_up(w->g->opt.mqtt) || clock_boot_ms() >= until)
		return false;
	b = buf_owned(a, PAYLOAD_MAX + REPORT_BLOCK_MAX);
	put_reply(w, a, r, b);
	ensure(!b->overflow);
	return mqtt_publish(w->g->opt.mqtt, &(struct mqtt_message){ .topic = topic, .payload = b->data, .len = b->len },
			    until) == OK;
}

enum reply_turn { TURN_SMALL, TURN_BLOCK, TURN_MORE };

/* Blocks of files are large: each device's first comes before anybody's second, and those have little time, so that
 * a device that asks and asks holds up nobody. */
static enum reply_turn turn_of(const struct reply *r)
{
	if (r->kind != DOWNLINK_DOWNLOAD_REPLY || !r->task)
		return TURN_SMALL;
	return r->task->block_sent ? TURN_MORE : TURN_BLOCK;
}

/* A device that gets no answer asks again. Each answer has its memory for itself. */
void publish_replies(struct work *w)
{
	int64_t dropped = (int64_t)w->replies.n;
	struct arena a;

	arena_init(&a);
	for (enum reply_turn turn = TURN_SMALL; turn <= TURN_MORE; turn++) {
		for (size_t i = 0; i < w->replies.n; i++) {
			struct reply *r = &w->replies.items[i];

			if (r->done || turn_of(r) != turn)
				continue;
			r->done = answer(w, &a, r, turn == TURN_MORE ? MORE_BLOCKS_MS : HANDOVER_MS);
			arena_reset(&a);
			if (!r->done)
				continue;
			dropped--;
			if (turn == TURN_BLOCK)
				r->task->block_sent = true;
			metric_add_label(M_REPLIES, uplink_name(r->report->kind), 1);
		}
	}
	metric_add(M_REPLIES_DROPPED, dropped);
	arena_free(&a);
}

/* ---- recovery ---- */

static enum err count_batch(struct engine *g, const struct tick_batch *b, utc_ms now)
{
	for (size_t i = 0; i < b->n; i++) {
		struct live_job *j = NULL;
		enum err e = jobs_get(&g->jobs, g->db, b->job_ids[i], &j);

		if (e == ERR_NOT_FOUND)
			continue;
		TRY(e);
		j->pace.unacked++;
		if (b->acked_ms)
			pace_ack(&j->pace, 1, clock_boot_us() - i64_max(now - b->acked_ms, 0) * 1000);
		else
			VEC_KEEP(&g->recovered_pushes, b->job_ids[i]);
	}
	if (!b->acked_ms)
		VEC_KEEP(&g->recovered, b->id);
	return OK;
}

enum err publish_recover(struct engine *g)
{
	const struct tick_batch *b = NULL;
	utc_ms now = publish_time(g);
	size_t n = 0;
	enum err e;

	g->recovered.n = 0;
	g->recovered_pushes.n = 0;
	memset(g->outstanding, 0, sizeof g->outstanding);
	memset(g->batches, 0, sizeof g->batches);
	TRY(store_tick_batches_recent(g->db, now - GATE_MS, &b, &n));
	for (size_t i = 0; i < g->jobs.n; i++)
		pace_free(&g->jobs.items[i]->pace);
	for (size_t i = 0; i < n; i++)
		TRY(count_batch(g, &b[i], now));
	if (g->recovered.n == 0)
		return OK;
	TRY(db_begin(g->db));
	e = store_tick_forget_pushes(g->db, g->recovered.items, g->recovered.n);
	if (e == OK)
		return db_commit(g->db);
	db_rollback(g->db);
	return e;
}
