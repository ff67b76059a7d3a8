/* SPDX-License-Identifier: Apache-2.0 */
/* One device's connection: login, subscriptions, pings, flapping, reconnects. What it does about an update is
 * in update.c. */
#include "cmd/otasim/sim.h"
#include "engine/base/clock.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
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

/* A topic filled in; it lives until the next call. */
static const char *topic_of(const struct device *d, const char *text)
{
	struct buf *b = &d->sim->topic;

	buf_clear(b);
	profile_text(b, d, text, 0, "", "");
	ensure(!b->overflow);
	return buf_str(b);
}

bool device_publish(struct device *d, const char *topic, const char *payload, int qos)
{
	if (d->link != LINK_UP)
		return false;
	mqtt_put_publish(&d->sim->scratch, topic_of(d, topic), payload, qos, qos > 0 ? packet_id_next(d) : 0);
	scratch_send(d);
	d->sim->stats.reports++;
	return true;
}

void device_subscribe(struct device *d, const char *topic)
{
	if (d->link != LINK_UP)
		return;
	mqtt_put_subscribe(&d->sim->scratch, topic_of(d, topic + 1), topic[0] - '0', packet_id_next(d));
	scratch_send(d);
}

void device_unsubscribe(struct device *d, const char *topic)
{
	if (d->link != LINK_UP)
		return;
	mqtt_put_unsubscribe(&d->sim->scratch, topic_of(d, topic), packet_id_next(d));
	scratch_send(d);
}

static void ping(struct device *d)
{
	mqtt_put_bare(&d->sim->scratch, MQTT_PINGREQ);
	scratch_send(d);
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
	s->n_up++;
	meter_add(&s->login, (now - d->link_since_ms) * 1000);
	d->link = LINK_UP;
	d->link_since_ms = d->pinged_ms = s->active_ms = now;
	if (sim_share(s, d->index, 'F', s->o.flap_milli))
		d->flap_at_ms = now + s->o.flap_every_s * 500 +
				sim_chance(s, d->index, (uint64_t)now, s->o.flap_every_s * 1000);
	/* In front of the answer is what the broker kept for the device during a silence. */
	if (d->held || d->profile->traits & PING_FIRST)
		ping(d);
	if (!d->booted && d->profile->first_inform)
		(void)device_publish(d, "/ota/device/inform/$P/$D", d->profile->first_inform,
				     d->profile->inform_qos);
	/* A session that the broker kept has its subscriptions; who has none never subscribes again (device
	 * §0.2). */
	if (!d->booted || d->profile->traits & CLEAN_SESSION)
		for (const char *const *t = d->profile->topics; *t; t++)
			device_subscribe(d, *t);
	if (!d->booted || d->inform_due || d->inform_packet != 0)
		update_inform(d);
	update_fail(d);
	d->booted = d->ever_online = true;
}

/* Is it this topic of the device's? */
static bool topic_is(const struct device *d, const struct mqtt_message *m, const char *text)
{
	const char *topic = topic_of(d, text);

	return m->topic_len == strlen(topic) && memcmp(m->topic, topic, m->topic_len) == 0;
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
	if (topic_is(d, &m, "/ota/device/upgrade/$P/$D"))
		update_push(d, m.payload, m.payload_len, false);
	else if (topic_is(d, &m, "/ota/device/request/$P/$D") ||
		 topic_is(d, &m, "/sys/$P/$D/thing/ota/firmware/get_reply"))
		update_push(d, m.payload, m.payload_len, true);
	else if (d->blocks && topic_is(d, &m, "/sys/$P/$D/thing/file/download_reply"))
		blocks_take(d->blocks, (const unsigned char *)m.payload, m.payload_len);
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
	else if (p->type == MQTT_PINGRESP)
		d->held = d->cut_silent;
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

static char *filled(struct arena *a, const struct device *d, const char *text)
{
	struct buf *b = buf_owned(a, 512);

	profile_text(b, d, text, 0, "", "");
	ensure(!b->overflow);
	return arena_strdup(a, buf_str(b));
}

static void login_send(struct device *d)
{
	const struct profile *p = d->profile;
	bool stamped = strstr(p->cid_options, "$t") != NULL;
	struct arena a;
	unsigned char mac[DIGEST_MAX];
	char password[2 * DIGEST_MAX + 1], *cid, *content;

	arena_init(&a);
	cid = filled(&a, d, p->cid);
	content = arena_printf(&a, "clientId%sdeviceName%sproductKey%s%s%s", cid, d->name, d->pk,
			       stamped ? "timestamp" : "", stamped ? d->stamp : "");
	hmac_once(p->method, d->secret, strlen(d->secret), content, strlen(content), mac);
	hex_encode(mac, digest_len(p->method), password);
	for (char *c = password; p->traits & PASSWORD_UPPER && *c; c++)
		if (*c >= 'a' && *c <= 'f')
			*c = (char)(*c - 'a' + 'A');
	mqtt_put_connect(&d->sim->scratch, arena_printf(&a, "%s|%s|", cid, filled(&a, d, p->cid_options)),
			 arena_printf(&a, "%s&%s", d->name, d->pk), password,
			 (p->traits & CLEAN_SESSION) != 0, d->booted ? p->keepalive_again_s : p->keepalive_s);
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

	d->link = LINK_OFF;
	if (!d->on)
		return;
	if (clock_boot_ms() < d->cut_until_ms) {
		link_lost(d, RECONNECT_MS);
		return;
	}
	d->link = LINK_CONNECTING;
	d->link_since_ms = clock_boot_ms();
	d->bev = connection_new(s, s->o.ca ? s->broker_host : NULL);
	bufferevent_setcb(d->bev, on_read, NULL, on_event, d);
	(void)bufferevent_enable(d->bev, EV_READ | EV_WRITE);
	if (bufferevent_socket_connect(d->bev, (struct sockaddr *)&s->broker, (int)s->broker_len) != 0 &&
	    d->bev)
		link_lost(d, RECONNECT_MS);
}

static void link_close(struct device *d)
{
	if (d->bev)
		bufferevent_free(d->bev);
	d->bev = NULL;
	d->sim->n_up -= d->link == LINK_UP;
	if (d->link != LINK_QUEUED) /* it stays in the queue */
		d->link = LINK_OFF;
	d->flap_at_ms = 0;
}

/* Comes back by itself after again_ms and up to half as much on top, but not before a cut is over. */
static void link_lost(struct device *d, int64_t again_ms)
{
	int64_t now = clock_boot_ms(), wait = again_ms +
					      sim_chance(d->sim, d->index, (uint64_t)now, again_ms / 2 + 1) +
					      i64_max(d->cut_until_ms - now, 0);
	struct timeval t = { .tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000 };

	if (d->link == LINK_UP)
		d->sim->stats.disconnects++;
	link_close(d);
	/* The update's timer is busy while it flashes: it looks after the connection when it fires. */
	if (d->on && d->update != UPDATE_FLASHING && d->update != UPDATE_FAILING)
		(void)evtimer_add(d->timer, &t);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct device *d = arg;

	(void)fd;
	(void)what;
	if (d->update == UPDATE_FLASHING || d->update == UPDATE_FAILING)
		update_timer(d);
	if (d->on && d->link == LINK_OFF)
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

static void hold(struct device *d, bool held)
{
	if (!d->bev)
		return;
	if (held)
		(void)bufferevent_disable(d->bev, EV_READ | EV_WRITE);
	else
		(void)bufferevent_enable(d->bev, EV_READ | EV_WRITE);
}

void device_cut(struct device *d, int64_t until_ms, bool silent)
{
	d->cut_until_ms = i64_max(d->cut_until_ms, until_ms);
	d->cut_silent = silent;
	d->held |= silent;
	if (silent)
		hold(d, true);
	else if (d->link == LINK_UP || d->link == LINK_CONNECTING)
		link_lost(d, RECONNECT_MS);
	if (d->download)
		download_cut(d->download, silent);
}

static void mend(struct device *d)
{
	d->cut_silent = false;
	hold(d, false);
	/* What was under way arrives before the answer. */
	if (d->link == LINK_UP)
		ping(d);
	if (d->download)
		download_mend(d->download);
}

void device_tick(struct device *d, int64_t now_ms)
{
	const struct profile *p = d->profile;
	const struct options *o = &d->sim->o;
	int64_t ping_ms = (d->booted ? p->keepalive_again_s : p->keepalive_s) * 500;

	if (d->cut_silent && now_ms >= d->cut_until_ms)
		mend(d);
	if (d->link == LINK_CONNECTING && now_ms - d->link_since_ms > CONNECT_MS_MAX) {
		link_lost(d, RECONNECT_MS);
	} else if (d->link == LINK_UP && d->flap_at_ms != 0 && now_ms >= d->flap_at_ms) {
		link_lost(d, RECONNECT_MS); /* without DISCONNECT: the radio is gone */
	} else if (d->link == LINK_UP && now_ms - d->pinged_ms > ping_ms) {
		d->pinged_ms = now_ms;
		ping(d);
	}
	if (o->pull_every_s > 0 && d->link == LINK_UP &&
	    now_ms - d->pulled_ms >= o->pull_every_s * MS_PER_SECOND) {
		d->pulled_ms = now_ms;
		update_pull(d);
	}
}

/* DISCONNECT and close. */
static void device_close(struct device *d)
{
	if (d->link == LINK_UP && !d->cut_silent) {
		mqtt_put_bare(&d->sim->scratch, MQTT_DISCONNECT);
		scratch_send(d);
		/* It has to leave at once: bufferevent_free drops what was not written yet. */
		connection_flush(d->bev);
	}
	link_close(d);
}

bool device_is_offline_at_start(const struct device *d)
{
	return sim_share(d->sim, d->index, 'O', d->sim->o.offline_milli);
}

/* What a process knows when it starts. */
static void boot(struct device *d)
{
	d->booted = false;
	if (d->profile->stamp)
		(void)snprintf(d->stamp, sizeof d->stamp, "%s", d->profile->stamp);
	else
		(void)snprintf(d->stamp, sizeof d->stamp, "%lld", (long long)clock_now());
}

void device_reboot(struct device *d)
{
	device_close(d);
	boot(d);
	device_enqueue(d);
}

void device_switch(struct device *d, bool on)
{
	if (d->on == on)
		return;
	d->on = on;
	if (on) {
		d->sim->n_on++;
		device_enqueue(d);
		return;
	}
	d->sim->n_on--;
	(void)evtimer_del(d->timer);
	update_drop(d);
	device_close(d);
	boot(d);
}

void device_init(struct device *d)
{
	d->timer = evtimer_new(d->sim->base, on_timer, d);
	ensure(d->timer);
	boot(d);
}

void device_free(struct device *d)
{
	device_close(d);
	update_drop(d);
	if (d->timer)
		event_free(d->timer);
	d->timer = NULL;
}
