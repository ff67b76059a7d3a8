/* SPDX-License-Identifier: Apache-2.0 */
#include "creds.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 1024u

void creds_init(struct creds *t)
{
	*t = (struct creds){ .n_buckets = BUCKETS_MIN, .cap = BUCKETS_MIN, .set = 1, .valid = 1 };
	t->buckets = calloc(t->cap, sizeof *t->buckets);
	ensure(t->buckets != NULL);
}

void creds_free(struct creds *t)
{
	for (size_t i = 0; i < t->n_buckets; i++)
		for (struct cred *c = t->buckets[i], *next; c; c = next) {
			next = c->next;
			free(c);
		}
	free(t->buckets);
	*t = (struct creds){ .buckets = NULL };
}

/* FNV-1a over both names, mixed so that the low bits serve as the index. */
static uint32_t hash_of(const char *pk, size_t pk_len, const char *dn, size_t dn_len)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < pk_len; i++)
		h = (h ^ (unsigned char)pk[i]) * 1099511628211u;
	h = (h ^ 0xff) * 1099511628211u;
	for (size_t i = 0; i < dn_len; i++)
		h = (h ^ (unsigned char)dn[i]) * 1099511628211u;
	return (uint32_t)(h ^ h >> 32);
}

/* The largest power of two that is not above the number of buckets. */
static size_t base_of(const struct creds *t)
{
	return (size_t)1 << (63 - __builtin_clzll((unsigned long long)t->n_buckets));
}

static size_t index_of(const struct creds *t, uint32_t hash)
{
	size_t base = base_of(t), i = hash & (2 * base - 1);

	return i < t->n_buckets ? i : i - base;
}

static bool usable(const struct creds *t, const struct cred *c)
{
	return c->mark >= t->valid;
}

static struct cred *find_any(const struct creds *t, const char *pk, size_t pk_len, const char *dn,
			     size_t dn_len)
{
	uint32_t hash = hash_of(pk, pk_len, dn, dn_len);

	for (struct cred *c = t->buckets[index_of(t, hash)]; c; c = c->next)
		if (c->hash == hash && c->pk_len == pk_len && c->dn_len == dn_len &&
		    memcmp(cred_pk(c), pk, pk_len) == 0 && memcmp(cred_dn(c), dn, dn_len) == 0)
			return c;
	return NULL;
}

struct cred *creds_find(const struct creds *t, const char *pk, size_t pk_len, const char *dn, size_t dn_len)
{
	struct cred *c = find_any(t, pk, pk_len, dn, dn_len);

	return c && usable(t, c) ? c : NULL;
}

/* Shares one bucket's devices with a new one at the end. */
static void split(struct creds *t)
{
	size_t from = t->n_buckets - base_of(t), to = t->n_buckets;
	struct cred **slot;

	if (t->n_buckets == t->cap) { /* the kernel moves pages of an array of this size, not bytes */
		t->cap *= 2;
		t->buckets = realloc(t->buckets, t->cap * sizeof *t->buckets);
		ensure(t->buckets != NULL);
	}
	t->buckets[to] = NULL;
	t->n_buckets++;
	for (slot = &t->buckets[from]; *slot;) {
		struct cred *c = *slot;

		if (index_of(t, c->hash) != to) {
			slot = &c->next;
			continue;
		}
		*slot = c->next;
		c->next = t->buckets[to];
		t->buckets[to] = c;
	}
}

struct cred *creds_add(struct creds *t, const char *pk, const char *dn, const char *secret)
{
	size_t pk_len = strlen(pk), dn_len = strlen(dn), secret_len = strlen(secret);
	struct cred *old = find_any(t, pk, pk_len, dn, dn_len), **slot;
	struct cred *c = malloc(sizeof *c + pk_len + dn_len + secret_len + 3);

	ensure(c && pk_len <= UINT8_MAX && dn_len <= UINT8_MAX);
	if (old) { /* dropped by a full set and not freed yet */
		ensure(!usable(t, old));
		creds_remove(t, old);
	}
	*c = (struct cred){ .hash = hash_of(pk, pk_len, dn, dn_len),
			    .mark = t->set,
			    .pk_len = (uint8_t)pk_len,
			    .dn_len = (uint8_t)dn_len };
	memcpy(c->text, pk, pk_len + 1);
	memcpy(c->text + pk_len + 1, dn, dn_len + 1);
	memcpy(c->text + pk_len + dn_len + 2, secret, secret_len + 1);
	if (t->n >= t->n_buckets)
		split(t);
	slot = &t->buckets[index_of(t, c->hash)];
	c->next = *slot;
	*slot = c;
	t->n++;
	return c;
}

static void unlink_at(struct creds *t, struct cred **slot)
{
	struct cred *c = *slot;

	*slot = c->next;
	t->n--;
	free(c);
}

void creds_remove(struct creds *t, struct cred *c)
{
	struct cred **slot = &t->buckets[index_of(t, c->hash)];

	while (*slot != c)
		slot = &(*slot)->next;
	unlink_at(t, slot);
}

bool creds_walk(const struct creds *t, size_t *at, size_t buckets, void (*fn)(void *ctx, struct cred *c),
		void *ctx)
{
	for (; buckets > 0 && *at < t->n_buckets; buckets--, (*at)++)
		for (struct cred *c = t->buckets[*at]; c; c = c->next)
			if (usable(t, c))
				fn(ctx, c);
	return *at < t->n_buckets;
}

bool creds_sweep(struct creds *t, size_t *at, size_t buckets, void (*fn)(void *ctx, struct cred *c),
		 void *ctx)
{
	for (; buckets > 0 && *at < t->n_buckets; buckets--, (*at)++)
		for (struct cred **slot = &t->buckets[*at]; *slot;) {
			if (usable(t, *slot)) {
				slot = &(*slot)->next;
				continue;
			}
			fn(ctx, *slot);
			unlink_at(t, slot);
		}
	return *at < t->n_buckets;
}
