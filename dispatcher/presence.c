/* SPDX-License-Identifier: Apache-2.0 */
/* See presence.h. Two chained hash tables over the same entries: by name, and by device id once it is known. */
#include "dispatcher/presence.h"

#include <stdlib.h>
#include <string.h>

#define SILENCE_MS 5000      /* five heartbeats */
#define ASK_AGAIN_MS 3000    /* a snapshot that was asked for and did not come */
#define BUCKETS_MIN 1024u

struct entry {
	struct presence_device d;
	struct entry *next_name, *next_id;
	int64_t mark; /* snapshot that named it */
	char text[];  /* pk, dn, ip */
};

struct presence {
	struct entry **by_name, **by_id;
	size_t buckets, n;
	int64_t boot, seq;       /* last on/off line applied */
	utc_ms heard_ms, asked_ms;
	bool complete;           /* a snapshot has ended and no line was missed since */
	bool in_snapshot;
	int64_t snapshot, named; /* number of the snapshot; lines of it */
	bool new_state;
	int64_t state_position;
};

struct presence *presence_new(void)
{
	struct presence *p = calloc(1, sizeof *p);

	ensure(p != NULL);
	p->buckets = BUCKETS_MIN;
	p->by_name = calloc(p->buckets, sizeof *p->by_name);
	p->by_id = calloc(p->buckets, sizeof *p->by_id);
	ensure(p->by_name && p->by_id);
	return p;
}

void presence_free(struct presence *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->buckets; i++)
		for (struct entry *e = p->by_name[i], *next; e; e = next) {
			next = e->next_name;
			free(e);
		}
	free(p->by_name);
	free(p->by_id);
	free(p);
}

/* FNV-1a over both names. */
static size_t hash_name(const struct presence *p, const char *pk, const char *dn)
{
	uint64_t h = 14695981039346656037u;

	for (const char *s = pk; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	h = (h ^ 0xff) * 1099511628211u;
	for (const char *s = dn; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return (size_t)(h ^ h >> 32) & (p->buckets - 1);
}

static size_t hash_id(const struct presence *p, int64_t id)
{
	uint64_t h = (uint64_t)id * 0x9e3779b97f4a7c15u;

	return (size_t)(h >> 32) & (p->buckets - 1);
}

static struct entry **slot_of(const struct presence *p, const char *pk, const char *dn)
{
	struct entry **e = &p->by_name[hash_name(p, pk, dn)];

	while (*e && (strcmp((*e)->d.dn, dn) != 0 || strcmp((*e)->d.pk, pk) != 0))
		e = &(*e)->next_name;
	return e;
}

static void link_id(struct presence *p, struct entry *e)
{
	struct entry **slot = &p->by_id[hash_id(p, e->d.device_id)];

	e->next_id = *slot;
	*slot = e;
}

static void unlink_id(struct presence *p, const struct entry *e)
{
	struct entry **slot = &p->by_id[hash_id(p, e->d.device_id)];

	if (e->d.device_id == 0)
		return;
	while (*slot != e)
		slot = &(*slot)->next_id;
	*slot = e->next_id;
}

static void grow(struct presence *p)
{
	struct entry **old = p->by_name;
	size_t n = p->buckets;

	p->buckets *= 2;
	free(p->by_id);
	p->by_name = calloc(p->buckets, sizeof *p->by_name);
	p->by_id = calloc(p->buckets, sizeof *p->by_id);
	ensure(p->by_name && p->by_id);
	for (size_t i = 0; i < n; i++)
		for (struct entry *e = old[i], *next; e; e = next) {
			struct entry **slot = &p->by_name[hash_name(p, e->d.pk, e->d.dn)];

			next = e->next_name;
			e->next_name = *slot;
			*slot = e;
			if (e->d.device_id)
				link_id(p, e);
		}
	free(old);
}

static struct entry *entry_new(const struct link_line *l)
{
	size_t pk = strlen(l->pk) + 1, dn = strlen(l->dn) + 1, ip = strlen(l->ip) + 1;
	struct entry *e = calloc(1, sizeof *e + pk + dn + ip);

	ensure(e != NULL);
	e->d.pk = memcpy(e->text, l->pk, pk);
	e->d.dn = memcpy(e->text + pk, l->dn, dn);
	e->d.ip = memcpy(e->text + pk + dn, l->ip, ip);
	return e;
}

static void remove_at(struct presence *p, struct entry **slot, presence_fn fn, void *ctx)
{
	struct entry *e = *slot;

	*slot = e->next_name;
	unlink_id(p, e);
	p->n--;
	if (fn)
		fn(ctx, &e->d, false);
	free(e);
}

/* A line that says "online on this connection". */
static void came(struct presence *p, const struct link_line *l, utc_ms at, presence_fn fn, void *ctx)
{
	struct entry **slot = slot_of(p, l->pk, l->dn), *old = *slot, *e;

	if (old && old->d.conn == l->conn) {
		old->mark = p->snapshot;
		return;
	}
	e = entry_new(l);
	e->d.conn = l->conn;
	e->d.since_ms = at;
	e->mark = p->snapshot;
	if (old) { /* it took its older connection over; the address may be another */
		e->d.device_id = old->d.device_id;
		remove_at(p, slot, NULL, NULL);
	}
	e->next_name = *slot;
	*slot = e;
	p->n++;
	if (e->d.device_id)
		link_id(p, e);
	if (fn)
		fn(ctx, &e->d, true);
	if (p->n > p->buckets)
		grow(p);
}

static void went(struct presence *p, const struct link_line *l, presence_fn fn, void *ctx)
{
	struct entry **slot = slot_of(p, l->pk, l->dn);

	if (*slot && (*slot)->d.conn == l->conn)
		remove_at(p, slot, fn, ctx);
}

/* Removes what the snapshot that just ended did not name. */
static void sweep(struct presence *p, presence_fn fn, void *ctx)
{
	for (size_t i = 0; i < p->buckets; i++)
		for (struct entry **slot = &p->by_name[i]; *slot;) {
			if ((*slot)->mark == p->snapshot)
				slot = &(*slot)->next_name;
			else
				remove_at(p, slot, fn, ctx);
		}
}

/* An on or off line: is it the next one of this boot? A repetition of an older one changes nothing. */
static bool in_sequence(struct presence *p, const struct link_line *l)
{
	if (l->boot != p->boot) {
		p->complete = false;
		p->in_snapshot = false;
		p->boot = l->boot;
		p->seq = l->seq;
		return true;
	}
	if (l->seq <= p->seq)
		return false;
	if (l->seq != p->seq + 1) {
		p->complete = false;
		p->in_snapshot = false;
	}
	p->seq = l->seq;
	return true;
}

/* A line that tells the seq of the last on/off line: is one missing? */
static void check_seq(struct presence *p, const struct link_line *l)
{
	if (l->boot == p->boot && l->seq <= p->seq)
		return; /* <: the broker sends old messages again */
	p->complete = false;
	p->in_snapshot = false;
}

static void snapshot_end(struct presence *p, const struct link_line *l, presence_fn fn, void *ctx)
{
	bool whole = p->in_snapshot && l->boot == p->boot && l->count == p->named;

	p->in_snapshot = false;
	if (!whole)
		return;
	sweep(p, fn, ctx);
	p->seq = i64_max(p->seq, l->seq);
	p->complete = true;
}

static void apply_line(struct presence *p, const struct link_line *l, utc_ms at, presence_fn fn, void *ctx)
{
	switch (l->verb) {
	case LINK_ON:
		if (in_sequence(p, l))
			came(p, l, at, fn, ctx);
		return;
	case LINK_OFF:
		if (in_sequence(p, l))
			went(p, l, fn, ctx);
		return;
	case LINK_SNAP_BEGIN:
		p->boot = l->boot;
		p->seq = l->seq;
		p->in_snapshot = true;
		p->snapshot++;
		p->named = 0;
		return;
	case LINK_SNAP:
		p->named++;
		came(p, l, at, fn, ctx);
		return;
	case LINK_SNAP_END:
		snapshot_end(p, l, fn, ctx);
		return;
	case LINK_BEAT:
		check_seq(p, l);
		return;
	case LINK_STATE:
		p->new_state = true;
		p->state_position = l->position;
		return;
	case LINK_NONE:
	case LINK_HELLO:
	case LINK_CRED_BEGIN:
	case LINK_CRED:
	case LINK_CRED_DEL:
	case LINK_CRED_END:
	case LINK_CRED_POS:
	case LINK_PRESENCE:
	case LINK_REG_OK:
	case LINK_REG_NO:
	case LINK_ASK_REGISTER:
	case LINK_ASK_REGNWL:
		return;
	}
}

void presence_apply(struct presence *p, char *text, utc_ms at, presence_fn fn, void *ctx)
{
	struct link_line l;
	char *line;

	p->heard_ms = at;
	for (line = link_next(&text); line; line = link_next(&text))
		if (link_parse(line, &l))
			apply_line(p, &l, at, fn, ctx);
}

/* What was heard at a time that is still to come says nothing: the clock was set back. With the snapshot that follows
 * everything is looked at anew, and nothing waits for the times of before. */
static bool silent(const struct presence *p, utc_ms now)
{
	return now - p->heard_ms > SILENCE_MS || p->heard_ms - now > SILENCE_MS;
}

bool presence_known(const struct presence *p, utc_ms now)
{
	return p->complete && !silent(p, now);
}

bool presence_wants_snapshot(struct presence *p, utc_ms now)
{
	if (p->complete && silent(p, now))
		p->complete = false;
	if (p->complete || (p->asked_ms != 0 && now - p->asked_ms < ASK_AGAIN_MS && now >= p->asked_ms))
		return false;
	p->asked_ms = now;
	return true;
}

void presence_lost(struct presence *p)
{
	p->complete = false;
	p->in_snapshot = false;
	p->asked_ms = 0;
}

const struct presence_device *presence_find(const struct presence *p, const char *pk, const char *dn)
{
	const struct entry *e = *slot_of(p, pk, dn);

	return e ? &e->d : NULL;
}

const struct presence_device *presence_of(const struct presence *p, int64_t device_id)
{
	for (const struct entry *e = p->by_id[hash_id(p, device_id)]; e; e = e->next_id)
		if (e->d.device_id == device_id)
			return &e->d;
	return NULL;
}

void presence_resolve(struct presence *p, const char *pk, const char *dn, int64_t device_id)
{
	struct entry *e = *slot_of(p, pk, dn);

	if (!e || e->d.device_id == device_id)
		return;
	unlink_id(p, e); /* a name may be given to another device after a deletion */
	e->d.device_id = device_id;
	if (device_id)
		link_id(p, e);
}

size_t presence_online(const struct presence *p)
{
	return p->n;
}

void presence_each(const struct presence *p, presence_fn fn, void *ctx)
{
	for (size_t i = 0; i < p->buckets; i++)
		for (const struct entry *e = p->by_name[i]; e; e = e->next_name)
			fn(ctx, &e->d, true);
}

bool presence_state(struct presence *p, int64_t *ret_position)
{
	bool is_new = p->new_state;

	p->new_state = false;
	*ret_position = p->state_position;
	return is_new;
}
