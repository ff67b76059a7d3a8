/* SPDX-License-Identifier: Apache-2.0 */
#include "api/key_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 256

struct slot {
	struct arena arena; /* the strings of key */
	struct access_key key; /* key_id NULL: free */
	int64_t until_ms;
};

struct key_cache {
	pthread_mutex_t lock; /* guards the slots; nothing is taken under it */
	struct slot slots[SLOTS];
};

struct key_cache *key_cache_new(void)
{
	struct key_cache *c = calloc(1, sizeof *c);

	ensure(c != NULL);
	for (size_t i = 0; i < SLOTS; i++)
		arena_init(&c->slots[i].arena);
	ensure(pthread_mutex_init(&c->lock, NULL) == 0);
	return c;
}

static void wipe(struct slot *s)
{
	s->key = (struct access_key){ .key_id = NULL };
	arena_reset(&s->arena);
}

void key_cache_free(struct key_cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		arena_free(&c->slots[i].arena);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct slot *slot_of(struct key_cache *c, const char *key_id)
{
	uint32_t h = 2166136261U;

	for (; *key_id; key_id++)
		h = (h ^ (unsigned char)*key_id) * 16777619U;
	return &c->slots[h % SLOTS];
}

static struct access_key copy(struct arena *a, const struct access_key *k)
{
	struct access_key to = *k;

	to.key_id = arena_strdup(a, k->key_id);
	to.secret = arena_strdup(a, k->secret);
	to.role = arena_strdup(a, k->role);
	to.instance = k->instance ? arena_strdup(a, k->instance) : NULL;
	return to;
}

bool key_cache_get(struct key_cache *c, const char *key_id, int64_t now_ms, struct arena *a, struct access_key *ret)
{
	struct slot *s = slot_of(c, key_id);
	bool hit;

	ensure(pthread_mutex_lock(&c->lock) == 0);
	hit = s->key.key_id && now_ms < s->until_ms && strcmp(s->key.key_id, key_id) == 0;
	if (hit)
		*ret = copy(a, &s->key);
	ensure(pthread_mutex_unlock(&c->lock) == 0);
	return hit;
}

void key_cache_put(struct key_cache *c, const struct access_key *key, int64_t now_ms)
{
	struct slot *s = slot_of(c, key->key_id);

	ensure(pthread_mutex_lock(&c->lock) == 0);
	wipe(s);
	s->key = copy(&s->arena, key);
	s->until_ms = now_ms + KEY_CACHE_MS;
	ensure(pthread_mutex_unlock(&c->lock) == 0);
}
