/* SPDX-License-Identifier: Apache-2.0 */
/* See mqtt.h. Paho calls us back on its own threads, holding its global lock: the callbacks copy, set a state
 * and return. A connection is a `link` of its own, with a Paho handle of its own, so that nothing of an old
 * connection can ever be sent on a new one. */
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

static struct mqtt *the_mqtt; /* a message's context has no room for a pointer; one per process */

static void sent(void *context, MQTTAsync_successData *response)
{
	uint64_t c = (uint64_t)(uintptr_t)context, token = c & (WAITER_BIT | MQTT_TOKEN_MAX);
	struct mqtt *m = the_mqtt;

	(void)response;
	(void)pthread_mutex_lock(&m->acks_lock);
	if ((c >> GENERATION_SHIFT & GENERATION_MASK) ==
	    ((uint64_t)atomic_load(&m->connections) & GENERATION_MASK)) {
		if (token & WAITER_BIT) {
			for (struct waiter *w = m->waiters; w; w = w->next)
				w->left -= w->token == token && w->left > 0;
		} else {
			m->in_flight--;
			if (token)
				keep_ack(m, token);
		}
		(void)pthread_cond_broadcast(&m->changed);
	}
	(void)pthread_mutex_unlock(&m->acks_lock);
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

/* With m->lock held. *ret_connection may be NULL. */
static enum err send_locked(struct mqtt *m, const char *topic, const void *payload, size_t len, uint64_t token,
			    int64_t *ret_connection)
{
	MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
	struct link *l = m->client[PUBLISHER].link;

	if (!l || atomic_load(&l->state) != LINK_UP)
		return ERR_UNAVAILABLE;
	o.onSuccess = sent;
	o.context = context_of(l->number, token);
	if (ret_connection)
		*ret_connection = l->number;
	return MQTTAsync_send(l->handle, topic, (int)len, payload, 1, 0, &o) == MQTTASYNC_SUCCESS
		       ? OK
		       : ERR_UNAVAILABLE;
}

static bool take_room(struct mqtt *m, int64_t n)
{
	bool room;

	(void)pthread_mutex_lock(&m->acks_lock);
	room = m->in_flight + n <= m->opt.window;
	if (room)
		m->in_flight += n;
	(void)pthread_mutex_unlock(&m->acks_lock);
	return room;
}

enum err mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t len, uint64_t token,
		      int64_t *ret_connection)
{
	enum err e;

	ensure(token <= MQTT_TOKEN_MAX);
	if (!take_room(m, 1))
		return ERR_UNAVAILABLE;
	(void)pthread_mutex_lock(&m->lock);
	e = send_locked(m, topic, payload, len, token, ret_connection);
	(void)pthread_mutex_unlock(&m->lock);
	if (e != OK)
		(void)take_room(m, -1);
	return e;
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

bool mqtt_wait_room(struct mqtt *m, int64_t until_boot_ms)
{
	bool room;

	(void)pthread_mutex_lock(&m->acks_lock);
	for (;;) {
		room = m->in_flight < m->opt.window;
		if (room)
			break;
		(void)pthread_mutex_unlock(&m->acks_lock);
		if (!mqtt_publisher_up(m))
			return false;
		(void)pthread_mutex_lock(&m->acks_lock);
		if (m->in_flight >= m->opt.window && !wait_changed(m, until_boot_ms))
			break;
	}
	(void)pthread_mutex_unlock(&m->acks_lock);
	return room;
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
	for (size_t i = 0; e == OK && i < n; i++) {
		(void)pthread_mutex_lock(&m->lock);
		e = send_locked(m, messages[i].topic, messages[i].payload, messages[i].len, w.token, NULL);
		(void)pthread_mutex_unlock(&m->lock);
	}
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
