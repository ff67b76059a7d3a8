/* SPDX-License-Identifier: Apache-2.0 */
#include "api/nonce_table.h"

#include "engine/base/crypto.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS ((size_t)1 << 21)
#define REACH 16 /* slots that a nonce may stand in */

/* Seconds fit 32 bits until 2106. */
struct slot {
	unsigned char digest[12];
	uint32_t expires_s; /* 0: free */
};

struct nonce_table {
	pthread_mutex_t lock; /* guards the slots; nothing is taken under it */
	unsigned char salt[16]; /* nobody outside can aim at one place */
	struct slot *slots;
};

struct nonce_table *nonce_table_new(void)
{
	struct nonce_table *t = calloc(1, sizeof *t);

	ensure(t != NULL);
	/* 32 MiB of address space; pages are touched as they are used. */
	t->slots = calloc(SLOTS + REACH, sizeof *t->slots);
	ensure(t->slots != NULL);
	ensure(pthread_mutex_init(&t->lock, NULL) == 0);
	crypto_random(t->salt, sizeof t->salt);
	return t;
}

void nonce_table_free(struct nonce_table *t)
{
	if (!t)
		return;
	(void)pthread_mutex_destroy(&t->lock);
	free(t->slots);
	free(t);
}

static void digest_of(const struct nonce_table *t, int64_t key_id, const char *nonce, unsigned char out[DIGEST_MAX])
{
	struct digest_ctx *c = digest_new(DIGEST_SHA1);

	digest_update(c, t->salt, sizeof t->salt);
	digest_update(c, &key_id, sizeof key_id);
	digest_update(c, nonce, strlen(nonce));
	digest_final(c, out);
	digest_free(c);
}

bool nonce_table_use(struct nonce_table *t, int64_t key_id, const char *nonce, utc_ms now, utc_ms expires)
{
	unsigned char digest[DIGEST_MAX];
	uint32_t now_s = (uint32_t)(now / MS_PER_SECOND);
	struct slot *first, *victim;
	uint64_t at;
	bool seen = false;

	digest_of(t, key_id, nonce, digest);
	memcpy(&at, digest + 12, sizeof at);
	first = victim = &t->slots[at % SLOTS];
	ensure(pthread_mutex_lock(&t->lock) == 0);
	for (struct slot *s = first; s < first + REACH; s++) {
		if (s->expires_s >= now_s && memcmp(s->digest, digest, sizeof s->digest) == 0)
			seen = true;
		if (s->expires_s < victim->expires_s)
			victim = s;
	}
	if (!seen) {
		memcpy(victim->digest, digest, sizeof victim->digest);
		victim->expires_s = (uint32_t)(expires / MS_PER_SECOND) + 1;
	}
	ensure(pthread_mutex_unlock(&t->lock) == 0);
	return !seen;
}
