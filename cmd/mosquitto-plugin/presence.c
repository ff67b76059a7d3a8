/* SPDX-License-Identifier: Apache-2.0 */
/* Who is online, as told to otad: every login and end of a connection as a line with a sequence number, a
 * snapshot when otad asks for one, a heartbeat. Lines are published in batches at the end of a turn of the
 * broker's loop. */
#include "plugin.h"

#include "engine/base/clock.h"
#include "engine/base/crypto.h"

#include <string.h>

#define KICKS_PER_TICK 500	/* each sends and closes */
#define SNAPSHOT_PER_TICK 10000 /* lines: about 2 ms */
#define COUNTER_BITS 20

void presence_init(struct plugin *p)
{
	uint64_t random;

	crypto_random(&random, sizeof random);
	p->boot = (int64_t)(random >> 1) | 1;
	p->next_conn = clock_now() << COUNTER_BITS;
	buf_init(&p->out, LINK_MESSAGE_MAX);
}

static void publish(struct plugin *p)
{
	if (p->out.len == 0)
		return;
	/* Without otad there are no subscribers, and the message goes nowhere. */
	(void)mosquitto_broker_publish_copy(NULL, LINK_FROM_BROKER, (int)p->out.len, p->out.data, 1, false,
					    NULL);
	buf_clear(&p->out);
}

static void say(struct plugin *p, enum link_verb verb, const struct conn *c, int64_t count)
{
	struct link_line l = {
		.verb = verb, .boot = p->boot, .seq = p->seq, .position = p->position, .count = count
	};

	if (c) {
		l.conn = c->number;
		l.pk = c->pk;
		l.dn = c->dn;
		l.ip = c->ip;
	}
	if (p->out.len + LINK_LINE_MAX > LINK_MESSAGE_MAX)
		publish(p);
	link_add(&p->out, &l);
}

void presence_close(struct plugin *p, struct conn *c)
{
	if (p->cursor == c)
		p->cursor = c->next;
	conns_close(&p->conns, c);
}

void presence_revoke(struct plugin *p, const struct cred *cred)
{
	struct conn *next;

	if (cred->live)
		presence_close(p, cred->live);
	if (strcmp(cred_pk(cred), LINK_SERVICE) != 0)
		return;
	for (struct conn *c = p->conns.live.first; c; c = next) {
		next = c->next;
		if (c->cred == cred)
			presence_close(p, c);
	}
}

void presence_login(struct plugin *p, const struct conn_new *n)
{
	if (n->kind != CONN_DEVICE) {
		(void)conns_add(&p->conns, n);
		return;
	}
	/* One identity, one connection. Closing it here would be inside of the new one's CONNECT. */
	if (n->cred->live)
		presence_close(p, n->cred->live);
	p->seq++;
	say(p, LINK_ON, conns_add(&p->conns, n), 0);
}

void presence_end(struct plugin *p, struct conn *c)
{
	if (p->cursor == c)
		p->cursor = c->next;
	if (c->kind == CONN_DEVICE) {
		p->seq++;
		say(p, LINK_OFF, c, 0);
	}
	registration_end(p, c);
	conns_remove(&p->conns, c);
}

void presence_state(struct plugin *p)
{
	say(p, LINK_STATE, NULL, (int64_t)p->conns.online);
}

void presence_snapshot(struct plugin *p)
{
	say(p, LINK_SNAP_BEGIN, NULL, 0);
	p->in_snapshot = true;
	p->cursor = p->conns.live.first;
	p->named = 0;
}

/* Connections made meanwhile stand before the cursor and are told by their `on` lines. */
static void snapshot_piece(struct plugin *p)
{
	for (int i = 0; i < SNAPSHOT_PER_TICK && p->cursor; i++) {
		const struct conn *c = p->cursor;

		p->cursor = c->next;
		if (c->kind != CONN_DEVICE)
			continue;
		say(p, LINK_SNAP, c, 0);
		p->named++;
	}
	if (p->cursor)
		return;
	say(p, LINK_SNAP_END, NULL, p->named);
	p->in_snapshot = false;
}

static void kick(struct plugin *p)
{
	for (int i = 0; i < KICKS_PER_TICK && p->conns.closing.first; i++) {
		struct conn *c = p->conns.closing.first;

		/* Calls us back with its end. */
		(void)mosquitto_kick_client_by_clientid(c->id, false);
		if (p->conns.closing.first == c)
			presence_end(p, c); /* the broker does not have it any more */
	}
}

void presence_tick(struct plugin *p, int64_t now_boot_ms)
{
	kick(p);
	if (p->in_snapshot)
		snapshot_piece(p);
	if (now_boot_ms >= p->beat_boot_ms) {
		p->beat_boot_ms = now_boot_ms + MS_PER_SECOND;
		say(p, LINK_BEAT, NULL, (int64_t)p->conns.online);
	}
	publish(p);
	registration_tick(p, now_boot_ms); /* behind the lines of those who have logged in before */
}
