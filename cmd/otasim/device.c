/* SPDX-License-Identifier: Apache-2.0 */
/* One device's connection: login, subscriptions, pings, flapping, reconnects. What it does about an update is
 * in update.c. */
#include "cmd/otasim/sim.h"
#include "engine/base/clock.h"

#include <event2/bufferevent.h>
#include <event2/buffer.h>
#include <string.h>

#define CONNECT_MS_MAX 20000
#define RECONNECT_MS 1000
#define REFUSED_RECONNECT_MS 15000

static void link_lost(struct device *d, int64_t again_ms);

/* ---- sending ---- */

static void scratch_send(struct device *d)
{
	struct buf *b = &d->sim->scratch;

	ensure(!b->overflow);
	(void)bufferevent_write(d->bev, b->data, b->len);
	buf_clear(b);
}

static uint16_t packet_id_next(struct device *d)
{
	d->packet_id = (uint16_t)(d->packet_id == UINT16_MAX ? 1 : d->packet_id + 1);
	return d->packet_id;
}

bool device_publish(struct device *d, const char *kind, const char *payload, int qos)
{
	char topic[256];
	uint16_t id = 0;

	if (d->link != LINK_UP)
		return false;
	(void)snprintf(topic, sizeof topic, "/ota/device/%s/%s/%s", kind, d->pk, d->name);
	if (qos > 0)
		id = packet_id_next(d);
	mqtt_put_publish(&d->sim->scratch, topic, payload, qos, id);
	scratch_send(d);
	d->sim->stats.reports++;
	return true;
}

static void subscribe_all(struct device *d)
{
	char own[160];

	(void)snprintf(own, sizeof own, "%s/%s", d->pk, d->name);
	for (const char *const *t = d->profile->topics; *t; t++) {
		struct buf topic;

		buf_init(&topic, 512);
		profile_text(&topic, *t, 0, own);
		mqtt_put_subscribe(&d->sim->scratch, buf_str(&topic), 1, packet_id_next(d));
		scratch_send(d);
		buf_free(&topic);
	}
}

/* ---- receiving ---- */

static void connack(struct device *d, const struct mqtt_packet *p)
{
	struct sim *s = d->sim;
	int64_t now = clock_boot_ms();

	if (p->body_len < 2 || p->body[1] != 0) {
		s->stats.refused++;
		link_lost(d, REFUSED_RECONNECT_MS);
		return;
	}
	s->stats.connects++;
	d->link = LINK_UP;
	d->link_since_ms = d->pinged_ms = s->active_ms = now;
	if (sim_chance(s, d->index, 'F', PERCENT_MILLI) < s->o.flap_milli)
		d->flap_at_ms = now + s->o.flap_every_s * 500 +
				sim_chance(s, d->index, (uint64_t)now, s->o.flap_every_s * 1000);
	if (!d->ever_online && d->profile->first_inform) {
		struct buf text;

		buf_init(&text, 1024);
		profile_text(&text, d->profile->inform, 1, d->profile->first_inform);
		(void)device_publish(d, "inform", buf_str(&text), d->profile->inform_qos);
		buf_free(&text);
	}
	/* A session that the broker kept has its subscriptions. */
	if (!d->subscribed || d->profile->clean)
		subscribe_all(d);
	d->subscribed = true;
	if (!d->ever_online || d->inform_due || d->inform_packet != 0)
		update_inform(d);
	d->ever_online = true;
}

static bool topic_ends(const struct mqtt_message *m, const char *start)
{
	return m->topic_len > strlen(start) && strncmp(m->topic, start, strlen(start)) == 0;
}

static void publish(struct device *d, const struct mqtt_packet *p)
{
	struct mqtt_message m;

	if (!mqtt_parse_publish(p, &m)) {
		link_lost(d, RECONNECT_MS);
		return;
	}
	if (m.qos > 0) {
		mqtt_put_puback(&d->sim->scratch, m.id);
		scratch_send(d);
	}
	if (topic_ends(&m, "/ota/device/upgrade/"))
		update_push(d, m.payload, m.payload_len);
}

static void packet(struct device *d, const struct mqtt_packet *p)
{
	unsigned id = p->body_len >= 2 ? (unsigned)p->body[0] << 8 | p->body[1] : 0U;

	if (p->type == MQTT_CONNACK)
		connack(d, p);
	else if (p->type == MQTT_PUBLISH)
		publish(d, p);
	else if (p->type == MQTT_PUBACK && id == d->inform_packet)
		d->inform_packet = 0;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct device *d = arg;
	struct evbuffer *in = bufferevent_get_input(bev);

	while (d->bev == bev) {
		size_t len = evbuffer_get_length(in);
		const unsigned char *data = evbuffer_pullup(in, -1);
		struct mqtt_packet p;
		int64_t used = len > 0 ? mqtt_parse(data, len, &p) : 0;

		if (used == 0)
			return;
		if (used < 0) {
			link_lost(d, RECONNECT_MS);
			return;
		}
		packet(d, &p);
		if (d->bev == bev)
			(void)evbuffer_drain(in, (size_t)used);
	}
}

/* ---- opening and closing ---- */

static void login_send(struct device *d)
{
	const struct profile *p = d->profile;
	struct arena a;
	unsigned char mac[DIGEST_MAX];
	char password[2 * DIGEST_MAX + 1], now[24];
	const char *stamp = p->cid_timestamp;
	static const char *const methods[] = { [DIGEST_MD5] = "hmacmd5",
					       [DIGEST_SHA1] = "hmacsha1",
					       [DIGEST_SHA256] = "hmacsha256" };
	char *cid, *content, *id;

	arena_init(&a);
	if (stamp && strcmp(stamp, "now") == 0) {
		(void)snprintf(now, sizeof now, "%lld", (long long)clock_now());
		stamp = now;
	}
	cid = arena_printf(&a, "%s%c%s", d->pk, p->cid_joint, d->name);
	content = arena_printf(&a, "clientId%sdeviceName%sproductKey%s%s%s", cid, d->name, d->pk,
			       stamp ? "timestamp" : "", stamp ? stamp : "");
	hmac_once(p->method, d->secret, strlen(d->secret), content, strlen(content), mac);
	hex_encode(mac, digest_len(p->method), password);
	for (char *c = password; p->upper && *c; c++)
		if (*c >= 'a' && *c <= 'f')
			*c = (char)(*c - 'a' + 'A');
	id = arena_printf(&a, "%s|securemode=3,signmethod=%s%s%s%s|", cid, methods[p->method],
			  stamp ? ",timestamp=" : "", stamp ? stamp : "", p->cid_options);
	mqtt_put_connect(&d->sim->scratch, id, arena_printf(&a, "%s&%s", d->name, d->pk), password, p->clean,
			 p->keepalive_s);
	scratch_send(d);
	arena_free(&a);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct device *d = arg;

	if (d->bev != bev)
		return;
	if (what & BEV_EVENT_CONNECTED)
		login_send(d);
	else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		link_lost(d, RECONNECT_MS);
}

void device_connect(struct device *d)
{
	struct sim *s = d->sim;

	d->link = LINK_CONNECTING;
	d->link_since_ms = clock_boot_ms();
	d->bev = bufferevent_socket_new(s->base, -1, BEV_OPT_CLOSE_ON_FREE);
	ensure(d->bev);
	bufferevent_setcb(d->bev, on_read, NULL, on_event, d);
	(void)bufferevent_enable(d->bev, EV_READ | EV_WRITE);
	if (bufferevent_socket_connect(d->bev, (struct sockaddr *)&s->broker, (int)s->broker_len) != 0 && d->bev)
		link_lost(d, RECONNECT_MS);
}

static void link_close(struct device *d)
{
	if (d->bev)
		bufferevent_free(d->bev);
	d->bev = NULL;
	d->link = LINK_OFF;
	d->flap_at_ms = 0;
}

/* Comes back by itself after again_ms and up to half as much on top. */
static void link_lost(struct device *d, int64_t again_ms)
{
	int64_t wait = again_ms + sim_chance(d->sim, d->index, (uint64_t)clock_boot_ms(), again_ms / 2 + 1);
	struct timeval t = { .tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000 };

	if (d->link == LINK_UP)
		d->sim->stats.disconnects++;
	link_close(d);
	/* The update's timer is busy while it flashes: it looks after the connection when it fires. */
	if (!d->sim->stopping && d->update != UPDATE_FLASHING && d->update != UPDATE_FAILING)
		(void)evtimer_add(d->timer, &t);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct device *d = arg;

	(void)fd;
	(void)what;
	if (d->update == UPDATE_FLASHING || d->update == UPDATE_FAILING)
		update_timer(d);
	if (d->link == LINK_OFF && !d->sim->stopping)
		device_enqueue(d);
}

void device_enqueue(struct device *d)
{
	struct sim *s = d->sim;

	if (d->link != LINK_OFF)
		return;
	d->link = LINK_QUEUED;
	d->next_queued = NULL;
	if (s->queue_last)
		s->queue_last->next_queued = d;
	else
		s->queue_first = d;
	s->queue_last = d;
}

void device_tick(struct device *d, int64_t now_ms)
{
	if (d->link == LINK_CONNECTING && now_ms - d->link_since_ms > CONNECT_MS_MAX) {
		link_lost(d, RECONNECT_MS);
	} else if (d->link == LINK_UP && d->flap_at_ms != 0 && now_ms >= d->flap_at_ms) {
		link_lost(d, RECONNECT_MS); /* without DISCONNECT: the radio is gone */
	} else if (d->link == LINK_UP && now_ms - d->pinged_ms > d->profile->keepalive_s * 500) {
		d->pinged_ms = now_ms;
		mqtt_put_bare(&d->sim->scratch, MQTT_PINGREQ);
		scratch_send(d);
	}
}

void device_close(struct device *d)
{
	if (d->link == LINK_UP) {
		mqtt_put_bare(&d->sim->scratch, MQTT_DISCONNECT);
		scratch_send(d);
		(void)bufferevent_flush(d->bev, EV_WRITE, BEV_FINISHED);
		/* Leaves the socket at once: bufferevent_free drops what was not written yet. */
		(void)evbuffer_write(bufferevent_get_output(d->bev), bufferevent_getfd(d->bev));
	}
	link_close(d);
}

bool device_is_offline_at_start(const struct device *d)
{
	return sim_chance(d->sim, d->index, 'O', PERCENT_MILLI) < d->sim->o.offline_milli;
}

void device_init(struct device *d)
{
	d->timer = evtimer_new(d->sim->base, on_timer, d);
	ensure(d->timer);
}

void device_free(struct device *d)
{
	device_close(d);
	update_drop(d);
	if (d->timer)
		event_free(d->timer);
	d->timer = NULL;
}
