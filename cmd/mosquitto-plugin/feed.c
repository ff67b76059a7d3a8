/* SPDX-License-Identifier: Apache-2.0 */
/* What otad says on LINK_TO_BROKER: who may log in from now on, who not any more. */
#include "plugin.h"

#include "engine/base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_BUCKETS 256
#define SWEEP_US 1000 /* per tick */

/* The position that the file may claim: 0 while it lacks a set's changes. */
static int64_t file_position(const struct plugin *p)
{
	return p->in_set || p->sweeping ? 0 : p->position;
}

static void write_position(struct plugin *p)
{
	statefile_add(&p->file, &(struct link_line){ .verb = LINK_CRED_POS, .position = file_position(p) });
}

static void flush(struct plugin *p)
{
	if (!statefile_flush(&p->file))
		plugin_note(p, NOTE_STATE_FILE, p->file.path, strerrordesc_np(errno));
}

static void on_begin(struct plugin *p, const struct link_line *l)
{
	(void)l;
	p->creds.set++;
	p->in_set = true;
	p->position = 0; /* should the set never end, otad sends it again */
	write_position(p);
}

static void on_cred(struct plugin *p, const struct link_line *l)
{
	struct cred *c = creds_find(&p->creds, l->pk, strlen(l->pk), l->dn, strlen(l->dn));

	if (strlen(l->pk) > DEVICE_NAME_TEXT_MAX || strlen(l->dn) > DEVICE_NAME_TEXT_MAX) {
		plugin_note(p, NOTE_FEED, l->dn, "a name is too long");
		return;
	}
	if (c && strcmp(cred_secret(c), l->secret) == 0) {
		c->mark = p->creds.set;
		return;
	}
	if (c) {
		presence_revoke(p, c);
		creds_remove(&p->creds, c);
	}
	(void)creds_add(&p->creds, l->pk, l->dn, l->secret);
	statefile_add(&p->file, l);
}

static void on_del(struct plugin *p, const struct link_line *l)
{
	struct cred *c = creds_find(&p->creds, l->pk, strlen(l->pk), l->dn, strlen(l->dn));

	if (!c)
		return;
	presence_revoke(p, c);
	creds_remove(&p->creds, c);
	statefile_add(&p->file, l);
}

/* Devices that the set did not name are out at once; their memory is freed by and by. */
static void on_end(struct plugin *p, const struct link_line *l)
{
	struct conn *next;

	if (!p->in_set) {
		plugin_note(p, NOTE_FEED, "cred-end", "there was no cred-begin");
		return;
	}
	p->in_set = false;
	p->position = l->position;
	p->creds.valid = p->creds.set;
	p->sweeping = true;
	p->sweep_at = 0;
	for (struct conn *c = p->conns.live.first; c; c = next) {
		next = c->next;
		if (c->cred && c->cred->mark < p->creds.valid)
			presence_close(p, c);
	}
}

static void on_pos(struct plugin *p, const struct link_line *l)
{
	if (p->in_set) {
		plugin_note(p, NOTE_FEED, "cred-pos", "a set is not complete");
		return;
	}
	p->position = l->position;
	write_position(p);
}

static void on_hello(struct plugin *p, const struct link_line *l)
{
	(void)l;
	presence_state(p);
}

static void on_presence(struct plugin *p, const struct link_line *l)
{
	(void)l;
	presence_snapshot(p);
}

static void (*const handlers[])(struct plugin *p, const struct link_line *l) = {
	[LINK_HELLO] = on_hello,
	[LINK_CRED_BEGIN] = on_begin,
	[LINK_CRED] = on_cred,
	[LINK_CRED_DEL] = on_del,
	[LINK_CRED_END] = on_end,
	[LINK_CRED_POS] = on_pos,
	[LINK_PRESENCE] = on_presence,
	[LINK_REG_OK] = registration_answer,
	[LINK_REG_NO] = registration_answer,
};

void feed_message(struct plugin *p, const void *payload, size_t len)
{
	char *text = malloc(len + 1), *rest = text, *line;
	struct link_line l;

	ensure(text != NULL);
	memcpy(text, payload, len);
	text[len] = '\0';
	for (line = link_next(&rest); line; line = link_next(&rest)) {
		if (link_parse(line, &l) && (size_t)l.verb < ARRAY_LEN(handlers) && handlers[l.verb])
			handlers[l.verb](p, &l);
		else
			plugin_note(p, NOTE_FEED, LINK_TO_BROKER, "not a line of ours");
	}
	free(text);
	flush(p); /* before the acknowledgement goes out */
}

/* No connection is left that it let in: the end of the set has closed them. */
static void forget(void *ctx, struct cred *c)
{
	struct plugin *p = ctx;

	statefile_add(&p->file,
		      &(struct link_line){ .verb = LINK_CRED_DEL, .pk = cred_pk(c), .dn = cred_dn(c) });
}

static void sweep(struct plugin *p)
{
	int64_t end = clock_boot_us() + SWEEP_US;

	while (creds_sweep(&p->creds, &p->sweep_at, SWEEP_BUCKETS, forget, p))
		if (clock_boot_us() >= end) {
			flush(p);
			return;
		}
	p->sweeping = false;
	write_position(p);
	flush(p);
}

void feed_tick(struct plugin *p, int64_t now_boot_ms)
{
	if (p->sweeping)
		sweep(p);
	if (!statefile_tick(&p->file, &p->creds, file_position(p), now_boot_ms))
		plugin_note(p, NOTE_STATE_FILE, p->file.path, strerrordesc_np(errno));
}
