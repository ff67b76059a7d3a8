/* SPDX-License-Identifier: Apache-2.0 */
#include "conns.h"

#include "creds.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 4096u

void conns_init(struct conns *t)
{
	*t = (struct conns){ .buckets = BUCKETS_MIN };
	t->by_client = calloc(t->buckets, sizeof *t->by_client);
	t->by_id = calloc(t->buckets, sizeof *t->by_id);
	ensure(t->by_client && t->by_id);
}

static size_t hash_client(const struct conns *t, const struct mosquitto *client)
{
	uint64_t h = (uint64_t)(uintptr_t)client * 0x9e3779b97f4a7c15u;

	return (size_t)(h >> 32) & (t->buckets - 1);
}

static size_t hash_id(const struct conns *t, const char *id)
{
	uint64_t h = 14695981039346656037u;

	for (; *id; id++)
		h = (h ^ (unsigned char)*id) * 1099511628211u;
	return (size_t)(h ^ h >> 32) & (t->buckets - 1);
}

static void link_hashes(struct conns *t, struct conn *c)
{
	struct conn **client = &t->by_client[hash_client(t, c->client)], **id = &t->by_id[hash_id(t, c->id)];

	c->next_client = *client;
	*client = c;
	c->next_id = *id;
	*id = c;
}

static void unlink_hashes(struct conns *t, const struct conn *c)
{
	struct conn **slot = &t->by_client[hash_client(t, c->client)];

	while (*slot != c)
		slot = &(*slot)->next_client;
	*slot = c->next_client;
	slot = &t->by_id[hash_id(t, c->id)];
	while (*slot != c)
		slot = &(*slot)->next_id;
	*slot = c->next_id;
}

static void list_add(struct conn_list *l, struct conn *c)
{
	c->prev = NULL;
	c->next = l->first;
	if (c->next)
		c->next->prev = c;
	l->first = c;
}

static void list_remove(struct conn_list *l, const struct conn *c)
{
	if (c->next)
		c->next->prev = c->prev;
	if (l->first == c)
		l->first = c->next;
	else
		c->prev->next = c->next;
}

static void relink(struct conns *t, const struct conn_list *l)
{
	for (struct conn *c = l->first; c; c = c->next)
		link_hashes(t, c);
}

/* 100,000 connections are moved in about 10 ms, at every doubling of their number. */
static void grow(struct conns *t)
{
	free(t->by_client);
	free(t->by_id);
	t->buckets *= 2;
	t->by_client = calloc(t->buckets, sizeof *t->by_client);
	t->by_id = calloc(t->buckets, sizeof *t->by_id);
	ensure(t->by_client && t->by_id);
	relink(t, &t->live);
	relink(t, &t->closing);
}

void conns_free(struct conns *t)
{
	while (t->live.first)
		conns_remove(t, t->live.first);
	while (t->closing.first)
		conns_remove(t, t->closing.first);
	free(t->by_client);
	free(t->by_id);
	*t = (struct conns){ .by_client = NULL };
}

static size_t text_size(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

/* Copies a text behind the last one; NULL stays NULL. */
static const char *keep(char **at, const char *s)
{
	size_t len = text_size(s);
	char *start = *at;

	if (!s)
		return NULL;
	*at += len;
	return memcpy(start, s, len);
}

struct conn *conns_add(struct conns *t, const struct conn_new *n)
{
	size_t text = text_size(n->id) + text_size(n->user) + text_size(n->ip) + text_size(n->pk) +
		      text_size(n->dn);
	struct conn *c = malloc(sizeof *c + text);
	char *at;

	ensure(c != NULL);
	at = (char *)(c + 1);
	*c = (struct conn){ .client = n->client, .number = n->number, .cred = n->cred, .kind = n->kind };
	c->id = keep(&at, n->id);
	c->user = keep(&at, n->user);
	c->ip = keep(&at, n->ip);
	c->pk = keep(&at, n->pk);
	c->dn = keep(&at, n->dn);
	if (c->kind == CONN_DEVICE)
		c->cred->live = c;
	if (t->n >= t->buckets)
		grow(t);
	link_hashes(t, c);
	list_add(&t->live, c);
	t->n++;
	t->online += c->kind == CONN_DEVICE;
	return c;
}

struct conn *conns_find(const struct conns *t, const struct mosquitto *client)
{
	struct conn *c = t->by_client[hash_client(t, client)];

	while (c && c->client != client)
		c = c->next_client;
	return c;
}

struct conn *conns_find_id(const struct conns *t, const char *id)
{
	struct conn *c = t->by_id[hash_id(t, id)];

	while (c && strcmp(c->id, id) != 0)
		c = c->next_id;
	return c;
}

static void release(struct conn *c)
{
	if (c->cred && c->cred->live == c)
		c->cred->live = NULL;
	c->cred = NULL;
}

void conns_close(struct conns *t, struct conn *c)
{
	release(c);
	if (c->closing)
		return;
	c->closing = true;
	list_remove(&t->live, c);
	list_add(&t->closing, c);
	t->online -= c->kind == CONN_DEVICE;
}

void conns_remove(struct conns *t, struct conn *c)
{
	release(c);
	unlink_hashes(t, c);
	list_remove(c->closing ? &t->closing : &t->live, c);
	t->online -= !c->closing && c->kind == CONN_DEVICE;
	t->n--;
	free(c);
}
