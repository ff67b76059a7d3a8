/* SPDX-License-Identifier: Apache-2.0 */
/* Access keys as the workers know them, for at most two seconds: a key that was disabled or made is noticed
 * that soon. Any thread. */
#ifndef API_KEY_CACHE_H
#define API_KEY_CACHE_H

#include "storage/access_key.h"

#define KEY_CACHE_MS 2000

struct key_cache;

struct key_cache *key_cache_new(void);
void key_cache_free(struct key_cache *c);
/* A copy in the arena; false when it has to be looked up. now_ms: clock_boot_ms(). */
bool key_cache_get(struct key_cache *c, const char *key_id, int64_t now_ms, struct arena *a, struct access_key *ret);
void key_cache_put(struct key_cache *c, const struct access_key *key, int64_t now_ms);

#endif
