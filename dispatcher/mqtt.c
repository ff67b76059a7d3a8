/* SPDX-License-Identifier: Apache-2.0 */
/* See mqtt.h. Paho calls us back on its own threads, holding its global lock: the callbacks copy, set a state
 * or hand over what waits for room, and return. A connection is a `link` of its own, with a Paho handle of its own,
 * so that nothing of an old connection can ever be sent on a new one. */
#include "dispatcher/mqtt.h"

#include "dispatcher/topics.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "engine/brokerlink.h"

#include <MQTTAsync.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define KEEPER_MS 20
#define CONNECT_SECONDS 5
#define KEEPALIVE_SECONDS 10
#define INFLIGHT_MAX 65535
#define PAUSE_PERCENT 80
#define RESUME_PERCENT 50
#define RETIRED_MAX 16
/* The tick repeats its wish; a process that was frozen must not connect first and look at its lease
 * afterwards. */
#define WISH_MS 2000

enum link_state { LINK_CONNECTING, LINK_SUBSCRIBING, LINK_UP, LINK_DOWN };
enum client_kind { PUBLISHER, INGEST, CLIENTS };

struct link {
	struct mqtt *m;
	enum client_kind kind;
	MQTTAsync handle;
	_Atomic int state;
	_Atomic int reason; /* Paho's code of why it is down */
	int64_t number;
};

struct client {
	const char *name;
	struct link *link; /* NULL: none; the publisher's is guarded by mqtt.lock */
	bool was_up;
	int64_t retry_at_ms, backoff_ms; /* clock_boot_ms */
};

struct waiter {
	struct waiter *next;
	uint64_t token;
	size_t left; /* messages that are not acknowledged */
};

/* A parcel on its way; with acks_lock. Whoever finds it not `filling` may set that, and hands over what there is room
 * for: the thread that begins it, then Paho's own with the acknowledgements, which has Paho's lock anyway. */
struct sending {
	struct mqtt_parcel parcel;
	struct link *link; /* of parcel.connection */
	size_t next;	   /* handed over so far, or about to be */
	bool filling, closed;
	int64_t ended_ms; /* clock_boot_ms */
};

/* lock guards the publisher's link pointer while it is used for sending; order: lock, then Paho's own.
 * acks_lock guards what callbacks touch; it is a leaf. */
struct mqtt {
	struct mqtt_options opt;
	char *uri, *user, *password, *ca;
	MQTTAsync anchor; /* never connects; keeps Paho's threads from being stopped and started */
	struct client client[CLIENTS];
	struct link *retired[RETIRED_MAX]; /* a callback may still be in one for a moment */
	size_t retired_next;
	pthread_t keeper;
	pthread_mutex_t lock, acks_lock;
	pthread_cond_t changed; /* with acks_lock: acknowledgement, connection lost */
	_Atomic bool stop, paused;
	_Atomic int wish;
	_Atomic int64_t connections, ingest_since_ms, wished_at_ms; /* clock_boot_ms */
	int64_t in_flight; /* of connection `connections`; with acks_lock */
	int room_wanted;   /* threads that wait for a place in the window; with acks_lock */
	struct sending sending;
	struct mqtt_ack *acks;
	size_t n_acks, cap_acks;
	struct waiter *waiters;
	uint64_t next_waiter;
};

/* ---- the context of a message: connection number, waiter bit, token ---- */

#define WAITER_BIT ((uint64_t)1 << 46)
#define GENERATION_SHIFT 47
#define GENERATION_MASK ((uint64_t)0xffff)

static void *context_of(int64_t connection, uint64_t token)
{
	return (void *)(uintptr_t)(((uint64_t)connection & GENERATION_MASK) << GENERATION_SHIFT | token);
}

/* ---- a parcel's messages ---- */

static void sent(void *context, MQTTAsync_successData *response);

/* As long as the link lives. */
static bool send_on(struct link *l, const struct mqtt_message *message, uint64_t token)
{
	MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;

	o.onSuccess = sent;
	o.context = context_of(l->number, token);
	return atomic_load(&l->state) == LINK_UP &&
	       MQTTAsync_send(l->handle, message->topic, (int)message->len, message->payload, 1, 0, &o) == MQTTASYNC_SUCCESS;
}

/* With acks_lock: no more of the parcel. */
static void close_parcel(struct mqtt *m)
{
	if (!m->sending.closed)
		m->sending.ended_ms = clock_boot_ms();
	m->sending.closed = true;
}

/* With acks_lock: is it for the caller to fill()? */
static bool fill_claim(struct mqtt *m)
{
	struct sending *s = &m->sending;

	if (s->filling || s->closed)
		return false;
	return s->filling = true;
}

/* How many of the parcel may go now; 0: the filler's turn is over. Half a window at once: a message at a time, the
 * threads would only wake each other. */
static size_t fill_take(struct mqtt *m)
{
	struct sending *s = &m->sending;
	size_t left, n = 0;

	(void)pthread_mutex_lock(&m->acks_lock);
	left = s->parcel.n - s->next;
	if (left == 0 || atomic_load(&m->connections) != s->parcel.connection)
		close_parcel(m);
	if (!s->closed && m->in_flight <= m->opt.window / 2)
		n = (size_t)i64_min((int64_t)left, m->opt.window - m->in_flight);
	m->in_flight += (int64_t)n;
	s->filling = n > 0;
	if (!s->filling && s->closed)
		(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->acks_lock);
	return n;
}

/* After fill_claim(), without the lock. */
static void fill(struct mqtt *m)
{
	struct sending *s = &m->sending;
	size_t n, done;

	while ((n = fill_take(m)) > 0) {
		for (done = 0; done < n; done++) {
			const struct mqtt_message *message = &s->parcel.messages[s->next + done];

			if (clock_boot_ms() >= s->parcel.until_boot_ms || !send_on(s->link, message, message->token))
				break;
		}
		(void)pthread_mutex_lock(&m->acks_lock);
		s->next += done;
		if (done < n) {
			close_parcel(m);
			if (atomic_load(&m->connections) == s->parcel.connection)
				m->in_flight -= (int64_t)(n - done);
		}
		(void)pthread_mutex_unlock(&m->acks_lock);
	}
}

/* ---- callbacks ---- */

static void keep_ack(struct mqtt *m, uint64_t token)
{
	if (m->n_acks == m->cap_acks) {
		m->cap_acks = m->cap_acks ? 2 * m->cap_acks : 256;
		m->acks = realloc(m->acks, m->cap_acks * sizeof *m->acks);
		ensure(m->acks != NULL);
	}
	m->acks[m->n_acks++] = (struct mqtt_ack){ .token = token, .at_us = clock_boot_us() };
}

/* With acks_lock: was it the last that somebody waited for? */
static bool waiter_sent(struct mqtt *m, uint64_t token)
{
	for (struct waiter *w = m->waiters; w; w = w->next)
		if (w->token == token && w->left > 0)
			return --w->left == 0;
	return false;
}

static struct mqtt *the_mqtt; /* a message's context has no room for a pointer; one per process */

static void sent(void *context, MQTTAsync_successData *response)
{
	uint64_t c = (uint64_t)(uintptr_t)context, token = c & (WAITER_BIT | MQTT_TOKEN_MAX);
	struct mqtt *m = the_mqtt;
	bool filler = false, wake = false;

	(void)response;
	(void)pthread_mutex_lock(&m->acks_lock);
	if ((c >> GENERATION_SHIFT & GENERATION_MASK) ==
	    ((uint64_t)atomic_load(&m->connections) & GENERATION_MASK)) {
		if (token & WAITER_BIT) {
			wake = waiter_sent(m, token);
		} else {
			m->in_flight--;
			wake = m->room_wanted > 0;
			if (token)
				keep_ack(m, token);
			filler = m->in_flight <= m->opt.window / 2 && fill_claim(m);
		}
		if (wake)
			(void)pthread_cond_broadcast(&m->changed);
	}
	(void)pthread_mutex_unlock(&m->acks_lock);
	if (filler)
		fill(m);
}

static void down(struct link *l, int reason)
{
	atomic_store(&l->reason, reason);
	atomic_store(&l->state, LINK_DOWN);
	(void)pthread_mutex_lock(&l->m->acks_lock);
	(void)pthread_cond_broadcast(&l->m->changed);
	(void)pthread_mutex_unlock(&l->m->acks_lock);
}

static void connection_lost(void *context, char *cause)
{
	MQTTAsync_free(cause);
	down(context, MQTTASYNC_DISCONNECTED);
}

static void connect_failed(void *context, MQTTAsync_failureData *response)
{
	down(context, response ? response->code : MQTTASYNC_FAILURE);
}

static void up(struct link *l)
{
	struct mqtt *m = l->m;

	if (l->kind == INGEST) {
		atomic_store(&m->ingest_since_ms, clock_now());
	} else {
		(void)pthread_mutex_lock(&m->acks_lock);
		m->in_flight = 0;
		l->number = atomic_load(&m->connections) + 1;
		atomic_store(&m->connections, l->number);
		(void)pthread_mutex_unlock(&m->acks_lock);
	}
	atomic_store(&l->state, LINK_UP);
	m->opt.changed(m->opt.ctx);
}

static void subscribed(void *context, MQTTAsync_successData *response)
{
	(void)response;
	up(context);
}

static void subscribe(struct link *l)
{
	MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
	char *filters[UPLINK_COUNT];
	int qos[UPLINK_COUNT], n = 0, rc;

	for (int k = UPLINK_NONE + 1; k < UPLINK_COUNT; k++, n++) {
		filters[n] = (char *)(uintptr_t)uplink_filter((enum uplink)k);
		qos[n] = 1;
	}
	o.onSuccess = subscribed;
	o.onFailure = connect_failed;
	o.context = l;
	atomic_store(&l->state, LINK_SUBSCRIBING);
	rc = MQTTAsync_subscribeMany(l->handle, n, filters, qos, &o);
	if (rc != MQTTASYNC_SUCCESS)
		down(l, rc);
}

static void connected(void *context, MQTTAsync_successData *response)
{
	struct link *l = context;

	(void)response;
	if (l->kind == INGEST)
		subscribe(l);
	else
		up(l);
}

/* The one place that must not lose anything: copy into the journal, return 1. */
static int message_arrived(void *context, char *topic, int topic_len, MQTTAsync_message *message)
{
	struct link *l = context;
	size_t len = topic_len > 0 ? (size_t)topic_len : strlen(topic);

	if (!journal_append(l->m->opt.journal, topic, len, message->payload, (size_t)message->payloadlen,
			    clock_now())) {
		metric_add(M_REPORTS_LOST, 1);
		log_limited(EV_JOURNAL_FULL, LINT("bytes", message->payloadlen));
	}
	MQTTAsync_freeMessage(&message);
	MQTTAsync_free(topic);
	return 1;
}

static int no_message(void *context, char *topic, int topic_len, MQTTAsync_message *message)
{
	(void)context;
	(void)topic_len;
	MQTTAsync_freeMessage(&message);
	MQTTAsync_free(topic);
	return 1;
}

/* ---- the keeper ---- */

static void link_free(struct mqtt *m, struct link *l)
{
	struct link **slot = &m->retired[m->retired_next++ % RETIRED_MAX];

	MQTTAsync_destroy(&l->handle);
	free(*slot);
	*slot = l;
}

static void connect_link(struct mqtt *m, enum client_kind kind)
{
	MQTTAsync_connectOptions o = MQTTAsync_connectOptions_initializer;
	MQTTAsync_SSLOptions ssl = MQTTAsync_SSLOptions_initializer;
	struct client *c = &m->client[kind];
	struct link *l = calloc(1, sizeof *l);
	struct arena a;
	int rc;

	ensure(l != NULL);
	arena_init(&a);
	l->m = m;
	l->kind = kind;
	rc = MQTTAsync_create(&l->handle, m->uri, arena_printf(&a, LINK_CLIENT_FORMAT, c->name, m->opt.shard),
			      MQTTCLIENT_PERSISTENCE_NONE, NULL);
	arena_free(&a);
	ensure(rc == MQTTASYNC_SUCCESS);
	(void)MQTTAsync_setCallbacks(l->handle, l, connection_lost,
				     kind == INGEST ? message_arrived : no_message, NULL);
	o.MQTTVersion = MQTTVERSION_3_1_1;
	o.cleansession = kind == PUBLISHER;
	o.keepAliveInterval = KEEPALIVE_SECONDS;
	o.connectTimeout = CONNECT_SECONDS;
	o.maxInflight = INFLIGHT_MAX;
	o.username = m->user;
	o.password = m->password;
	o.onSuccess = connected;
	o.onFailure = connect_failed;
	o.context = l;
	if (strncmp(m->uri, "ssl://", 6) == 0) {
		ssl.trustStore = m->ca[0] ? m->ca : NULL;
		ssl.verify = 1;
		o.ssl = &ssl;
	}
	(void)pthread_mutex_lock(&m->lock);
	c->link = l;
	(void)pthread_mutex_unlock(&m->lock);
	rc = MQTTAsync_connect(l->handle, &o);
	if (rc != MQTTASYNC_SUCCESS)
		down(l, rc);
}

static void drop_link(struct mqtt *m, struct client *c, bool politely)
{
	struct link *l = c->link;

	(void)pthread_mutex_lock(&m->lock);
	c->link = NULL;
	(void)pthread_mutex_unlock(&m->lock);
	if (politely) {
		MQTTAsync_disconnectOptions o = MQTTAsync_disconnectOptions_initializer;

		(void)MQTTAsync_disconnect(l->handle, &o);
		for (int i = 0; i < 50 && MQTTAsync_isConnected(l->handle); i++)
			(void)nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	link_free(m, l);
	c->was_up = false;
	m->opt.changed(m->opt.ctx);
}

/* Ingest pauses while the journal is too full. */
static enum mqtt_wish client_wish(struct mqtt *m, enum client_kind kind)
{
	enum mqtt_wish wish = (enum mqtt_wish)atomic_load(&m->wish);
	int fill;

	if (wish == MQTT_CONNECT && clock_boot_ms() > atomic_load(&m->wished_at_ms) + WISH_MS)
		wish = MQTT_KEEP;
	if (kind == PUBLISHER)
		return wish;
	fill = journal_fill(m->opt.journal);
	if (fill >= PAUSE_PERCENT && !atomic_load(&m->paused)) {
		atomic_store(&m->paused, true);
		log_event(EV_INGEST_PAUSED, LINT("fill_percent", fill));
	} else if (fill <= RESUME_PERCENT) {
		atomic_store(&m->paused, false);
	}
	return atomic_load(&m->paused) ? MQTT_OFF : wish;
}

static void keep_client(struct mqtt *m, enum client_kind kind)
{
	struct client *c = &m->client[kind];
	enum mqtt_wish wish = client_wish(m, kind);
	int state = c->link ? atomic_load(&c->link->state) : LINK_DOWN;

	if (c->link && state == LINK_UP && !c->was_up) {
		c->was_up = true;
		c->backoff_ms = BACKOFF_MIN_MS;
		log_event(EV_BROKER_CONNECTED, LSTR("client", c->name));
	}
	if (c->link && state == LINK_DOWN) {
		log_limited(EV_BROKER_LOST, LSTR("client", c->name),
			    LINT("code", atomic_load(&c->link->reason)));
		c->retry_at_ms = clock_boot_ms() + c->backoff_ms;
		c->backoff_ms = i64_min(2 * c->backoff_ms, BACKOFF_MAX_MS);
		drop_link(m, c, false);
	} else if (c->link && wish == MQTT_OFF) {
		drop_link(m, c, true);
	} else if (!c->link && wish == MQTT_CONNECT && clock_boot_ms() >= c->retry_at_ms) {
		connect_link(m, kind);
	}
}

static void *keeper_main(void *arg)
{
	struct mqtt *m = arg;

	while (!atomic_load(&m->stop)) {
		keep_client(m, INGEST);
		keep_client(m, PUBLISHER);
		(void)nanosleep(&(struct timespec){ .tv_nsec = KEEPER_MS * 1000000L }, NULL);
	}
	for (int k = 0; k < CLIENTS; k++)
		if (m->client[k].link)
			drop_link(m, &m->client[k], atomic_load(&m->client[k].link->state) != LINK_DOWN);
	return NULL;
}

static char *copied(const char *s)
{
	char *c = strdup(s);

	ensure(c != NULL);
	return c;
}

struct mqtt *mqtt_start(const struct mqtt_options *o)
{
	struct mqtt *m = calloc(1, sizeof *m);
	pthread_condattr_t attr;

	ensure(m != NULL && the_mqtt == NULL);
	the_mqtt = m;
	m->sending.closed = true;
	m->opt = *o;
	m->uri = copied(o->uri);
	m->user = copied(o->user);
	m->password = copied(o->password);
	m->ca = copied(o->ca);
	for (int k = 0; k < CLIENTS; k++)
		m->client[k] = (struct client){ .name = k == INGEST ? "ingest" : "publisher",
						.backoff_ms = BACKOFF_MIN_MS };
	ensure(pthread_mutex_init(&m->lock, NULL) == 0 && pthread_mutex_init(&m->acks_lock, NULL) == 0);
	ensure(pthread_condattr_init(&attr) == 0 && pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	ensure(pthread_cond_init(&m->changed, &attr) == 0);
	(void)pthread_condattr_destroy(&attr);
	/* Else every packet's trace is formatted, for nobody: a good part of what Paho costs. */
	MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
	ensure(MQTTAsync_create(&m->anchor, m->uri, "otad-anchor", MQTTCLIENT_PERSISTENCE_NONE, NULL) ==
	       MQTTASYNC_SUCCESS);
	ensure(pthread_create(&m->keeper, NULL, keeper_main, m) == 0);
	return m;
}

void mqtt_stop(struct mqtt *m)
{
	if (!m)
		return;
	atomic_store(&m->stop, true);
	(void)pthread_join(m->keeper, NULL);
	MQTTAsync_destroy(&m->anchor);
	for (size_t i = 0; i < RETIRED_MAX; i++)
		free(m->retired[i]);
	(void)pthread_mutex_destroy(&m->lock);
	(void)pthread_mutex_destroy(&m->acks_lock);
	(void)pthread_cond_destroy(&m->changed);
	free(m->acks);
	free(m->uri);
	free(m->user);
	free(m->password);
	free(m->ca);
	free(m);
	the_mqtt = NULL;
}

void mqtt_want(struct mqtt *m, enum mqtt_wish wish)
{
	atomic_store(&m->wished_at_ms, clock_boot_ms());
	atomic_store(&m->wish, (int)wish);
}

/* ---- state ---- */

static bool client_up(struct mqtt *m, enum client_kind kind)
{
	bool is_up;

	(void)pthread_mutex_lock(&m->lock);
	is_up = m->client[kind].link && atomic_load(&m->client[kind].link->state) == LINK_UP;
	(void)pthread_mutex_unlock(&m->lock);
	return is_up;
}

bool mqtt_publisher_up(struct mqtt *m)
{
	return client_up(m, PUBLISHER);
}

bool mqtt_ingest_up(struct mqtt *m)
{
	return client_up(m, INGEST);
}

int64_t mqtt_connection(struct mqtt *m)
{
	return atomic_load(&m->connections);
}

utc_ms mqtt_ingest_since(struct mqtt *m)
{
	return atomic_load(&m->ingest_since_ms);
}

/* ---- sending ---- */

/* With m->lock held, which keeps the link: NULL when there is none that is up. */
static struct link *publisher_link(struct mqtt *m)
{
	struct link *l = m->client[PUBLISHER].link;

	return l && atomic_load(&l->state) == LINK_UP ? l : NULL;
}

static enum err send_one(struct mqtt *m, const struct mqtt_message *message, uint64_t token)
{
	struct link *l;
	bool ok;

	(void)pthread_mutex_lock(&m->lock);
	l = publisher_link(m);
	ok = l && send_on(l, message, token);
	(void)pthread_mutex_unlock(&m->lock);
	return ok ? OK : ERR_UNAVAILABLE;
}

/* Waits on m->changed with acks_lock held; false when the time has come. */
static bool wait_changed(struct mqtt *m, int64_t until_boot_ms)
{
	int64_t left = until_boot_ms - clock_boot_ms();
	struct timespec t;

	if (left <= 0)
		return false;
	ensure(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	left = i64_min(left, 50); /* a lost connection is noticed by looking, too */
	t.tv_nsec += left * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000L;
	t.tv_nsec %= 1000000000L;
	(void)pthread_cond_timedwait(&m->changed, &m->acks_lock, &t);
	return true;
}

/* Takes a place in the window; waits for it. */
static bool take_room(struct mqtt *m, int64_t until_boot_ms)
{
	bool room;

	(void)pthread_mutex_lock(&m->acks_lock);
	m->room_wanted++;
	while (!(room = m->in_flight < m->opt.window)) {
		(void)pthread_mutex_unlock(&m->acks_lock);
		room = mqtt_publisher_up(m);
		(void)pthread_mutex_lock(&m->acks_lock);
		if (!room || (m->in_flight >= m->opt.window && !wait_changed(m, until_boot_ms))) {
			room = false;
			break;
		}
	}
	m->room_wanted--;
	m->in_flight += room;
	(void)pthread_mutex_unlock(&m->acks_lock);
	return room;
}

enum err mqtt_publish(struct mqtt *m, const struct mqtt_message *message, int64_t until_boot_ms)
{
	int64_t connection = mqtt_connection(m);
	enum err e;

	ensure(message->token <= MQTT_TOKEN_MAX);
	if (!mqtt_publisher_up(m) || !take_room(m, until_boot_ms))
		return ERR_UNAVAILABLE;
	e = clock_boot_ms() < until_boot_ms ? send_one(m, message, message->token) : ERR_UNAVAILABLE;
	if (e == OK)
		return OK;
	(void)pthread_mutex_lock(&m->acks_lock);
	if (mqtt_connection(m) == connection) /* else it has been counted anew */
		m->in_flight--;
	(void)pthread_mutex_unlock(&m->acks_lock);
	return e;
}

void mqtt_parcel_begin(struct mqtt *m, const struct mqtt_parcel *p)
{
	struct sending *s = &m->sending;

	/* The lock keeps the link until the first messages are with Paho. After that only Paho's own thread sends, in a
	 * callback of this very connection. */
	(void)pthread_mutex_lock(&m->lock);
	(void)pthread_mutex_lock(&m->acks_lock);
	ensure(!s->filling && s->closed);
	*s = (struct sending){ .parcel = *p, .link = publisher_link(m), .filling = true };
	if (!s->link || s->link->number != p->connection)
		close_parcel(m);
	(void)pthread_mutex_unlock(&m->acks_lock);
	fill(m);
	(void)pthread_mutex_unlock(&m->lock);
}

/* With acks_lock. */
static bool going(struct mqtt *m)
{
	struct sending *s = &m->sending;

	if (!s->filling && !s->closed &&
	    (clock_boot_ms() >= s->parcel.until_boot_ms || atomic_load(&m->connections) != s->parcel.connection ||
	     atomic_load(&s->link->state) != LINK_UP))
		close_parcel(m);
	return s->filling || !s->closed;
}

bool mqtt_parcel_going(struct mqtt *m)
{
	bool yes;

	(void)pthread_mutex_lock(&m->acks_lock);
	yes = going(m);
	(void)pthread_mutex_unlock(&m->acks_lock);
	return yes;
}

size_t mqtt_parcel_end(struct mqtt *m, int64_t *ret_boot_ms)
{
	struct sending *s = &m->sending;
	size_t n;

	(void)pthread_mutex_lock(&m->acks_lock);
	while (going(m))
		(void)wait_changed(m, INT64_MAX);
	n = s->next;
	*ret_boot_ms = s->ended_ms;
	(void)pthread_mutex_unlock(&m->acks_lock);
	return n;
}

size_t mqtt_acks(struct mqtt *m, struct arena *a, struct mqtt_ack **ret)
{
	size_t n;

	(void)pthread_mutex_lock(&m->acks_lock);
	n = m->n_acks;
	*ret = ARENA_ARRAY(a, n + 1, struct mqtt_ack);
	if (n)
		memcpy(*ret, m->acks, n * sizeof **ret);
	m->n_acks = 0;
	(void)pthread_mutex_unlock(&m->acks_lock);
	return n;
}

static void waiter_remove(struct mqtt *m, const struct waiter *w)
{
	struct waiter **p = &m->waiters;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
}

enum err mqtt_send_wait(struct mqtt *m, const struct mqtt_message *messages, size_t n, int timeout_ms)
{
	int64_t until = clock_boot_ms() + timeout_ms, connection;
	struct waiter w = { .left = n };
	enum err e = OK;

	(void)pthread_mutex_lock(&m->acks_lock);
	connection = atomic_load(&m->connections);
	w.token = WAITER_BIT | (m->next_waiter++ & MQTT_TOKEN_MAX);
	w.next = m->waiters;
	m->waiters = &w;
	(void)pthread_mutex_unlock(&m->acks_lock);
	for (size_t i = 0; e == OK && i < n; i++)
		e = send_one(m, &messages[i], w.token);
	(void)pthread_mutex_lock(&m->acks_lock);
	while (e == OK && w.left > 0) {
		if (atomic_load(&m->connections) != connection || !wait_changed(m, until))
			break;
		(void)pthread_mutex_unlock(&m->acks_lock);
		if (!mqtt_publisher_up(m))
			e = ERR_UNAVAILABLE;
		(void)pthread_mutex_lock(&m->acks_lock);
	}
	waiter_remove(m, &w);
	(void)pthread_mutex_unlock(&m->acks_lock);
	return w.left == 0 ? OK : ERR_UNAVAILABLE;
}
