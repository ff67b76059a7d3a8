/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that come with their product's secret and want one of their own (device §1.5). Who signs well is
 * let in, may do nothing, and is asked about at otad, which decides; its answer is handed to the connection,
 * subscribed or not. The broker never waits: an answer that does not come in time costs the device its
 * connection. */
#include "plugin.h"

#include "engine/base/clock.h"
#include "engine/base/parse.h"
#include "engine/device_register.h"
#include "engine/text.h"

#include <string.h>

#define ANSWER_MS 10000
#define LEAVE_MS 5000 /* the device goes by itself when it has its secret */
#define REPLY_MAX 1024

bool registration_ports(struct plugin *p, const char *text)
{
	for (size_t n = 0; *text; n++) {
		size_t len = strcspn(text, " ");
		int64_t port;

		if (n == REGISTER_PORTS_MAX || !parse_i64n(text, len, 1, 65535, &port))
			return false;
		p->register_ports[n] = (int)port;
		text += len;
		text += strspn(text, " ");
	}
	return true;
}

static bool port_good(const struct plugin *p, int port)
{
	for (size_t i = 0; port > 0 && i < REGISTER_PORTS_MAX; i++)
		if (p->register_ports[i] == port)
			return true;
	return false;
}

static struct registration *slot_of(struct plugin *p, const struct conn *c)
{
	for (size_t i = 0; i < p->n_registrations; i++)
		if (p->registrations[i].conn == c)
			return &p->registrations[i];
	return NULL;
}

bool registration_check(const struct plugin *p, const struct device_login *l, const char *sign, int port,
			enum note *ret_why)
{
	const struct cred *product =
		creds_find(&p->creds, LINK_REGISTER, strlen(LINK_REGISTER), l->pk, strlen(l->pk));
	size_t used = 0;

	for (size_t i = 0; i < p->n_registrations; i++)
		used += p->registrations[i].conn != NULL;
	if (!port_good(p, port))
		*ret_why = NOTE_REGISTER_PORT;
	else if (!product)
		*ret_why = NOTE_REGISTER_PRODUCT;
	else if (!device_register_check(l, sign, cred_secret(product), strlen(cred_secret(product))))
		*ret_why = NOTE_REGISTER_SIGN;
	else if (l->auth == AUTH_REGNWL ? !text_is_device_name(l->dn)
					: !creds_find(&p->creds, l->pk, strlen(l->pk), l->dn, strlen(l->dn)))
		*ret_why = NOTE_REGISTER_DEVICE;
	else if (used == REGISTRATIONS_MAX)
		*ret_why = NOTE_REGISTER_MANY;
	else
		return true;
	return false;
}

void registration_begin(struct plugin *p, const struct conn_new *n)
{
	struct registration *r = slot_of(p, NULL);

	if (!r)
		r = &p->registrations[p->n_registrations++];
	*r = (struct registration){ .conn = conns_add(&p->conns, n),
				    .until_boot_ms = clock_boot_ms() + ANSWER_MS };
}

void registration_end(struct plugin *p, const struct conn *c)
{
	struct registration *r = slot_of(p, c);

	if (r)
		r->conn = NULL;
	while (p->n_registrations > 0 && !p->registrations[p->n_registrations - 1].conn)
		p->n_registrations--;
}

static void hand_over(const struct conn *c, const char *secret)
{
	bool any = c->kind == CONN_REGISTERS_ANY;
	struct arena a;
	struct buf *reply;

	arena_init(&a);
	reply = buf_owned(&a, REPLY_MAX);
	register_reply_mqtt(&a, reply, any, c->pk, c->dn, secret);
	if (!reply->overflow)
		(void)mosquitto_broker_publish_copy(c->id, register_reply_topic(any), (int)reply->len,
						    reply->data, 0, false, NULL);
	explicit_bzero(reply->data, reply->len);
	arena_free(&a);
}

void registration_answer(struct plugin *p, const struct link_line *l)
{
	struct registration *r = NULL;

	for (size_t i = 0; i < p->n_registrations && !r; i++)
		if (p->registrations[i].conn && p->registrations[i].conn->number == l->conn)
			r = &p->registrations[i];
	if (!r || r->conn->closing)
		return;
	if (l->verb == LINK_REG_OK) {
		hand_over(r->conn, l->secret);
		r->until_boot_ms = clock_boot_ms() + LEAVE_MS;
		return;
	}
	plugin_note(p, NOTE_REGISTER_REFUSED, r->conn->user, l->why);
	presence_close(p, r->conn);
}

static void ask(const struct conn *c)
{
	struct link_line l = { .verb = c->kind == CONN_REGISTERS_ANY ? LINK_ASK_REGNWL : LINK_ASK_REGISTER,
			       .conn = c->number,
			       .pk = c->pk,
			       .dn = c->dn,
			       .ip = c->ip };
	struct buf line;

	buf_init(&line, LINK_LINE_MAX);
	link_add(&line, &l);
	(void)mosquitto_broker_publish_copy(NULL, LINK_REGISTRATIONS, (int)line.len, line.data, 0, false,
					    NULL);
	buf_free(&line);
}

/* What is published while it is away would wait for it in its session. */
static bool otad_hears(const struct plugin *p)
{
	return conns_find_id(&p->conns, LINK_INGEST) != NULL;
}

void registration_tick(struct plugin *p, int64_t now_boot_ms)
{
	for (size_t i = 0; i < p->n_registrations; i++) {
		struct registration *r = &p->registrations[i];

		if (!r->conn || r->conn->closing)
			continue;
		if (!r->asked && otad_hears(p)) {
			ask(r->conn);
			r->asked = true;
		} else if (now_boot_ms >= r->until_boot_ms) {
			plugin_note(p, NOTE_REGISTER_LATE, r->conn->user, r->conn->ip);
			presence_close(p, r->conn);
		}
	}
}
