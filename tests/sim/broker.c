/* SPDX-License-Identifier: Apache-2.0 */
/* The broker with its plugin, and otad's two clients at it, in place of dispatcher/mqtt.c: publishes take time to
 * arrive and to be acknowledged, connections break with outcomes unknown, presence lines get lost, the ingest
 * session keeps what comes while otad is away and repeats some of it. */
#include "tests/sim/sim.h"

#include "dispatcher/mqtt.h"
#include "engine/base/clock.h"
#include "engine/brokerlink.h"
#include "tests/sim/model.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RETRY_US (200 * US_PER_MS)
#define KEEPALIVE_US (15 * US_PER_SECOND)
#define PUSH_TOPIC "/ota/device/upgrade/"
#define SNAP_LINES 300 /* in one message; 10 in small worlds, so that there are several */

/* A publish on its way. */
struct flight {
	struct mqtt *by; /* NULL: nobody waits for the acknowledgement */
	int64_t connection, handed_us;
	uint64_t token;
	const char *topic, *payload;
	struct model_task *task; /* of a push */
	bool gone; /* arrived, or dropped */
	struct flight *next;
};

struct mqtt {
	struct world *w;
	enum mqtt_wish wish;
	bool publisher, ingest;
	int64_t publisher_retry_us, ingest_retry_us;
	int64_t connections, in_flight, last_arrival_us;
	utc_ms ingest_since;
	struct mqtt_ack *acks;
	size_t n_acks, cap_acks;
	struct flight *flights; /* not arrived, or not acknowledged */
	struct mqtt_parcel parcel;
	size_t sent; /* of it */
	int64_t parcel_no, parcel_ms;
	bool filling;
};

/* ---- into the journal ---- */

static void append(struct world *w, const struct broker_message *m)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	int tries = 0;

	/* No room is a matter of the journal's own thread, which runs in real time. */
	while (!journal_append(w->otad.journal, m->topic, strlen(m->topic), m->payload, m->len, clock_now())) {
		if (++tries > 10000)
			broken(w, "the journal has no room");
		(void)nanosleep(&pause, NULL);
	}
	w->tally.reports++;
	if (strncmp(m->payload, "beat", 4) != 0)
		world_busy(w);
	model_received(w, m->topic, m->payload, clock_now());
}

static bool ingest_takes(const struct world *w)
{
	return w->otad.up && !w->otad.dead && w->otad.mqtt->ingest && !w->broker.down &&
	       sim_now_us() >= w->broker.frozen_until_us;
}

static void remember(struct broker *b, const struct broker_message *m)
{
	if (b->n_recent == ARRAY_LEN(b->recent)) {
		memmove(b->recent, b->recent + 1, (ARRAY_LEN(b->recent) - 1) * sizeof *b->recent);
		b->n_recent--;
	}
	b->recent[b->n_recent++] = *m;
}

static void drain(struct world *w)
{
	struct broker *b = &w->broker;

	while (b->n > 0 && ingest_takes(w)) {
		struct broker_message m = b->queue[b->head];

		b->head = (b->head + 1) % b->cap;
		b->n--;
		append(w, &m);
		remember(b, &m);
	}
}

static void enqueue(struct world *w, const char *topic, const char *payload, size_t len)
{
	struct broker *b = &w->broker;

	if (b->n == b->cap) {
		size_t cap = b->cap ? 2 * b->cap : 256;
		struct broker_message *q = calloc(cap, sizeof *q);

		ensure(q != NULL);
		for (size_t i = 0; i < b->n; i++)
			q[i] = b->queue[(b->head + i) % b->cap];
		free(b->queue);
		b->queue = q;
		b->cap = cap;
		b->head = 0;
	}
	b->queue[(b->head + b->n++) % b->cap] = (struct broker_message){ topic, payload, len };
	drain(w);
}

void broker_uplink(struct world *w, const char *topic, const char *payload)
{
	if (w->broker.down)
		return;
	enqueue(w, topic, arena_strdup(&w->arena, payload), strlen(payload));
}

/* ---- presence ---- */

static void say(struct world *w, const struct link_line *lines, size_t n)
{
	struct buf *b = buf_owned(&w->arena, 65536);

	for (size_t i = 0; i < n; i++)
		link_add(b, &lines[i]);
	ensure(!b->overflow);
	enqueue(w, LINK_FROM_BROKER, arena_strndup(&w->arena, b->data, b->len), b->len);
}

static struct link_line line_of(struct world *w, enum link_verb verb, const struct device *d)
{
	return (struct link_line){ .verb = verb,
				   .boot = w->broker.boot,
				   .seq = w->broker.seq,
				   .conn = d ? d->conn : 0,
				   .pk = SIM_PRODUCT,
				   .dn = d ? d->name : NULL,
				   .ip = "192.0.2.1" };
}

static void say_of(struct world *w, enum link_verb verb, const struct device *d)
{
	struct link_line l;

	w->broker.seq++;
	l = line_of(w, verb, d);
	if (!w->calm && rng_chance(&w->rng_net, w->p.drop_presence)) {
		trace(w, "presence line lost");
		faults_count(w, FAULT_PRESENCE_LOST, PLACE_NONE);
		w->trouble_us = sim_now_us();
		return;
	}
	say(w, &l, 1);
}

static void say_snapshot(struct world *w)
{
	struct link_line lines[SNAP_LINES + 2];
	size_t n = 0, most = w->p.devices > 100 ? SNAP_LINES : 10;
	int64_t named = 0;

	lines[n++] = line_of(w, LINK_SNAP_BEGIN, NULL);
	for (size_t i = 0; i < w->n_devices; i++) {
		if (!w->devices[i].conn)
			continue;
		lines[n++] = line_of(w, LINK_SNAP, &w->devices[i]);
		named++;
		if (n == most) {
			say(w, lines, n);
			n = 0;
		}
	}
	lines[n] = line_of(w, LINK_SNAP_END, NULL);
	lines[n++].count = named;
	trace(w, "snapshot of %lld", (long long)named);
	say(w, lines, n);
}

static void beat(struct world *w)
{
	struct link_line l = line_of(w, LINK_BEAT, NULL);

	if (w->broker.down || sim_now_us() < w->broker.frozen_until_us ||
	    sim_now_us() < w->broker.last_beat_us + US_PER_SECOND)
		return;
	w->broker.last_beat_us = sim_now_us();
	say(w, &l, 1);
}

void broker_connect_device(struct world *w, struct device *d)
{
	if (w->broker.down || d->conn || !d->id || d->disabled)
		return;
	d->conn = (SIM_EPOCH_MS + sim_now_us() / US_PER_MS) << 20 | ++w->broker.conns;
	trace(w, "%s connects", d->name);
	say_of(w, LINK_ON, d);
	fleet_connected(w, d);
}

void broker_disconnect_device(struct world *w, struct device *d)
{
	if (!d->conn)
		return;
	trace(w, "%s is disconnected", d->name);
	if (!w->broker.down)
		say_of(w, LINK_OFF, d);
	d->conn = 0;
	fleet_lost(w, d);
}

/* ---- otad's clients ---- */

struct mqtt *sim_mqtt_new(struct world *w)
{
	struct mqtt *m = calloc(1, sizeof *m);

	ensure(m != NULL);
	m->w = w;
	return m;
}

/* The flights go on without it. */
void sim_mqtt_free(struct mqtt *m)
{
	for (struct flight *f = m->flights; f; f = f->next)
		f->by = NULL;
	free(m->acks);
	free(m);
}

void broker_cut(struct world *w, bool publisher)
{
	struct mqtt *m = w->otad.mqtt;

	if (!m || !(publisher ? m->publisher : m->ingest))
		return;
	faults_count(w, FAULT_CUT, PLACE_NONE);
	trace(w, "%s is cut off", publisher ? "publisher" : "ingest");
	if (publisher) {
		for (struct flight *f = m->flights; f; f = f->next)
			f->gone = f->gone || rng_chance(&w->rng_net, 500);
		m->publisher = false;
		m->publisher_retry_us = sim_now_us() + RETRY_US;
	} else {
		m->ingest = false;
		m->ingest_retry_us = sim_now_us() + RETRY_US;
	}
	w->otad.next_turn_us = sim_now_us();
	world_busy(w);
}

/* What has not arrived by now never will: the broker closes the old connection when the new one comes. */
static void publisher_connect(struct world *w, struct mqtt *m)
{
	w->trouble_us = sim_now_us();
	for (struct flight *f = m->flights; f; f = f->next)
		f->gone = true;
	m->flights = NULL;
	m->connections++;
	m->in_flight = 0;
	m->publisher = true;
	trace(w, "publisher connects");
}

void broker_reconnect(struct world *w)
{
	if (!w->otad.mqtt || !w->otad.mqtt->publisher)
		return;
	broker_cut(w, true);
	publisher_connect(w, w->otad.mqtt);
}

static void ingest_connect(struct world *w, struct mqtt *m)
{
	struct broker *b = &w->broker;
	size_t again = b->n_recent ? (size_t)rng_between(&w->rng_net, 0, (int64_t)b->n_recent) : 0;

	w->trouble_us = sim_now_us();
	m->ingest = true;
	m->ingest_since = clock_now();
	trace(w, "ingest connects, %zu messages again", again);
	for (size_t i = b->n_recent - again; i < b->n_recent; i++)
		append(w, &b->recent[i]);
	drain(w);
}

static void connect_clients(struct world *w)
{
	struct mqtt *m = w->otad.mqtt;
	int64_t now = sim_now_us();

	if (!w->otad.up || w->otad.dead || w->broker.down || now < w->broker.frozen_until_us)
		return;
	if (m->wish == MQTT_CONNECT && !m->ingest && now >= m->ingest_retry_us)
		ingest_connect(w, m);
	if (m->wish == MQTT_CONNECT && !m->publisher && now >= m->publisher_retry_us)
		publisher_connect(w, m);
	if (m->wish == MQTT_OFF)
		m->ingest = m->publisher = false;
}

void broker_tend(struct world *w)
{
	connect_clients(w);
	beat(w);
	drain(w);
}

static void broker_up(struct world *w, int64_t a, int64_t b, const char *text)
{
	(void)a;
	(void)b;
	(void)text;
	w->broker.down = false;
	w->broker.boot = rng_between(&w->rng_net, 1, INT32_MAX);
	w->broker.seq = 0;
	trace(w, "the broker is back");
}

/* Every connection ends; the ingest session survives or not. */
void broker_restart(struct world *w)
{
	struct broker *b = &w->broker;

	if (b->down)
		return;
	trace(w, "the broker ends");
	faults_count(w, FAULT_BROKER_RESTART, PLACE_NONE);
	broker_cut(w, true);
	broker_cut(w, false);
	b->down = true;
	for (size_t i = 0; i < w->n_devices; i++)
		broker_disconnect_device(w, &w->devices[i]);
	if (rng_chance(&w->rng_net, 300)) {
		b->n = 0;
		b->n_recent = 0;
	}
	agenda_in(w, rng_between(&w->rng_net, 500, 20000) * US_PER_MS, broker_up, 0, 0, NULL);
}

static void keepalive(struct world *w, int64_t publisher, int64_t b, const char *text)
{
	(void)b;
	(void)text;
	if (sim_now_us() < w->broker.frozen_until_us)
		broker_cut(w, publisher);
}

void broker_freeze(struct world *w, int64_t for_us)
{
	if (w->broker.down)
		return;
	trace(w, "the broker freezes for %lld s", (long long)(for_us / US_PER_SECOND));
	faults_count(w, FAULT_BROKER_FREEZE, PLACE_NONE);
	w->trouble_us = sim_now_us() + for_us;
	w->broker.frozen_until_us = i64_max(w->broker.frozen_until_us, sim_now_us() + for_us);
	agenda_in(w, KEEPALIVE_US, keepalive, 1, 0, NULL);
	agenda_in(w, KEEPALIVE_US + US_PER_SECOND, keepalive, 0, 0, NULL);
}

void broker_start(struct world *w)
{
	w->broker.boot = rng_between(&w->rng_net, 1, INT32_MAX);
}

/* ---- what the engine calls (dispatcher/mqtt.h) ---- */

void mqtt_want(struct mqtt *m, enum mqtt_wish wish)
{
	m->wish = wish;
}

bool mqtt_publisher_up(struct mqtt *m)
{
	return m->publisher && !m->w->otad.dead;
}

bool mqtt_ingest_up(struct mqtt *m)
{
	return m->ingest && !m->w->otad.dead;
}

int64_t mqtt_connection(struct mqtt *m)
{
	return m->connections;
}

utc_ms mqtt_ingest_since(struct mqtt *m)
{
	return m->ingest_since;
}

/* ---- a publish on its way ---- */

static struct device *device_in(struct world *w, const char *topic)
{
	const char *at = strstr(topic, "/" SIM_PRODUCT "/") + sizeof "/" SIM_PRODUCT "/" - 1;
	char name[80];
	size_t len = strcspn(at, "/");

	ensure(len < sizeof name);
	memcpy(name, at, len);
	name[len] = '\0';
	return world_device_named(w, name);
}

/* The job that a push or an answer speaks of: operators name it in a tag (operator.c). NULL: it speaks of none. */
static struct sim_job *job_in(struct world *w, const char *payload)
{
	static const char tag[] = "\"extData\":{\"job\":\"";
	const char *at = strstr(payload, tag);

	return at ? world_job(w, w->jobs[strtoll(at + sizeof tag - 1, NULL, 10)].id) : NULL;
}

static bool is_push(const char *topic)
{
	return strncmp(topic, PUSH_TOPIC, sizeof PUSH_TOPIC - 1) == 0;
}

static void forget_flight(struct flight *f)
{
	for (struct flight **p = &f->by->flights; *p; p = &(*p)->next)
		if (*p == f) {
			*p = f->next;
			return;
		}
}

static void keep_ack(struct mqtt *m, uint64_t token)
{
	if (m->n_acks == m->cap_acks) {
		m->cap_acks = m->cap_acks ? 2 * m->cap_acks : 64;
		m->acks = realloc(m->acks, m->cap_acks * sizeof *m->acks);
		ensure(m->acks != NULL);
	}
	m->acks[m->n_acks++] = (struct mqtt_ack){ .token = token, .at_us = sim_now_us() };
}

static void fill(struct mqtt *m);

static void acknowledged(struct world *w, int64_t a, int64_t b, const char *text)
{
	struct flight *f = (struct flight *)(uintptr_t)a;
	struct mqtt *m = f->by;

	(void)b;
	(void)text;
	if (!m || !m->publisher || m->connections != f->connection || w->otad.dead)
		return;
	m->in_flight--;
	forget_flight(f);
	world_busy(w);
	if (f->token)
		keep_ack(m, f->token);
	fill(m);
}

static void delivered(struct world *w, int64_t a, int64_t conn, const char *text)
{
	struct flight *f = (struct flight *)(uintptr_t)a;
	struct device *d = device_in(w, f->topic);

	(void)text;
	if (d->conn == conn)
		fleet_message(w, d, f->topic, f->payload);
}

static void arrived(struct world *w, int64_t a, int64_t b, const char *text)
{
	struct flight *f = (struct flight *)(uintptr_t)a;
	struct device *d;

	(void)b;
	(void)text;
	if (f->gone || w->broker.down)
		return;
	if (sim_now_us() < w->broker.frozen_until_us) {
		agenda_at(w, w->broker.frozen_until_us, arrived, a, 0, NULL);
		return;
	}
	f->gone = true;
	agenda_in(w, rng_skewed(&w->rng_net, 400) * US_PER_MS + 100, acknowledged, a, 0, NULL);
	if (strncmp(f->topic, "$CONTROL/", 9) == 0) {
		say_snapshot(w);
		return;
	}
	d = device_in(w, f->topic);
	if (is_push(f->topic)) {
		w->tally.pushes++;
		check_entered(w, job_in(w, f->payload), f->task, f->handed_us);
	}
	if (d->conn)
		agenda_in(w, rng_skewed(&w->rng_net, 500) * US_PER_MS, delivered, a, d->conn, NULL);
}

static bool hand_over_now(struct mqtt *m, const struct mqtt_message *message)
{
	struct world *w = m->w;
	struct model_task *task = NULL;
	struct sim_job *j;
	struct flight *f;

	if (!faults_at_broker(w) || !m->publisher || m->in_flight >= w->p.window)
		return false;
	j = job_in(w, message->payload);
	if (is_push(message->topic))
		task = check_handed(w, j, device_in(w, message->topic));
	else if (j)
		check_answered(w, j, device_in(w, message->topic));
	f = ARENA_NEW(&w->arena, struct flight);
	*f = (struct flight){ .by = m,
			      .connection = m->connections,
			      .handed_us = sim_now_us(),
			      .token = message->token,
			      .task = task,
			      .topic = arena_strdup(&w->arena, message->topic),
			      .payload = arena_strndup(&w->arena, message->payload, message->len),
			      .next = m->flights };
	m->flights = f;
	m->in_flight++;
	m->last_arrival_us = i64_max(m->last_arrival_us, sim_now_us() + 50 + US_PER_MS * rng_skewed(&w->rng_net, 300));
	agenda_at(w, m->last_arrival_us, arrived, (int64_t)(uintptr_t)f, 0, NULL);
	return true;
}

static bool hand_over(struct mqtt *m, const struct mqtt_message *message)
{
	bool handed = hand_over_now(m, message);

	m->w->frozen_us = 0;
	return handed;
}

/* What others do until there is room in the window; false: there is none in time. */
static bool wait_room(struct mqtt *m, int64_t until_boot_ms)
{
	struct world *w = m->w;

	while (m->publisher && !w->otad.dead && m->in_flight >= w->p.window) {
		int64_t next = w->agenda.n ? w->agenda.items[0].at_us : INT64_MAX, until = until_boot_ms * US_PER_MS;

		if (next >= until) {
			sim_clock_set(until);
			return false;
		}
		world_meanwhile(w, i64_max(next, sim_now_us()));
	}
	return m->publisher && !w->otad.dead && clock_boot_ms() < until_boot_ms;
}

enum err mqtt_publish(struct mqtt *m, const struct mqtt_message *message, int64_t until_boot_ms)
{
	faults_waiting(m->w);
	return wait_room(m, until_boot_ms) && hand_over(m, message) ? OK : ERR_UNAVAILABLE;
}

/* ---- a parcel: some of it goes at once, the rest while the engine does something else ---- */

bool mqtt_parcel_going(struct mqtt *m)
{
	const struct mqtt_parcel *p = &m->parcel;

	if (m->sent == p->n || !m->publisher || m->w->otad.dead || m->connections != p->connection ||
	    clock_boot_ms() >= p->until_boot_ms)
		m->parcel.n = m->sent;
	return m->sent < m->parcel.n;
}

static void fill(struct mqtt *m)
{
	if (m->filling) /* its time goes by */
		return;
	m->filling = true;
	while (mqtt_parcel_going(m) && m->in_flight < m->w->p.window) {
		if (!hand_over(m, &m->parcel.messages[m->sent])) {
			m->parcel.n = m->sent;
			break;
		}
		m->sent++;
		m->parcel_ms = clock_boot_ms();
	}
	m->filling = false;
}

static void fill_later(struct world *w, int64_t parcel_no, int64_t b, const char *text)
{
	enum actor before = w->actor;

	(void)b;
	(void)text;
	if (!w->otad.mqtt || w->otad.mqtt->parcel_no != parcel_no)
		return;
	w->actor = ACTOR_ENGINE;
	fill(w->otad.mqtt);
	w->actor = before;
	if (w->otad.up && w->otad.dead && !w->in_turn)
		otad_bury(w);
}

void mqtt_parcel_begin(struct mqtt *m, const struct mqtt_parcel *p)
{
	struct world *w = m->w;

	m->parcel = *p;
	m->sent = 0;
	m->parcel_no = ++w->broker.parcels;
	m->parcel_ms = clock_boot_ms();
	if (rng_chance(&w->rng_net, 500))
		fill(m);
	else
		agenda_in(w, US_PER_MS * rng_skewed(&w->rng_net, 50), fill_later, m->parcel_no, 0, NULL);
}

size_t mqtt_parcel_end(struct mqtt *m, int64_t *ret_boot_ms)
{
	faults_waiting(m->w);
	while (mqtt_parcel_going(m) && wait_room(m, m->parcel.until_boot_ms))
		fill(m);
	*ret_boot_ms = m->parcel_ms;
	m->parcel.n = m->sent;
	return m->sent;
}

size_t mqtt_acks(struct mqtt *m, struct arena *a, struct mqtt_ack **ret)
{
	size_t n = m->n_acks;

	*ret = ARENA_ARRAY(a, n + 1, struct mqtt_ack);
	if (n)
		memcpy(*ret, m->acks, n * sizeof **ret);
	m->n_acks = 0;
	return n;
}
