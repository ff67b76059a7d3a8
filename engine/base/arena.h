/* SPDX-License-Identifier: Apache-2.0 */
/* Arena: one owner of memory per unit of work (a request, a tick, a batch). Nothing inside is freed
 * one by one; arena_reset frees all of it, foreign objects newest first. Not thread-safe: an arena
 * belongs to the thread that runs its unit of work. Inputs are bounded, allocations are not: when the
 * machine is out of memory the process aborts, so no call returns NULL. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "engine/base/base.h"

#include <stdarg.h>

struct arena_block;
struct arena_owned;

struct arena {
	struct arena_block *blocks; /* newest first */
	struct arena_owned *owned;
	size_t used_bytes; /* handed out since the last reset */
	size_t peak_bytes; /* largest used_bytes ever, for the metric */
};

void arena_init(struct arena *a);
/* Releases everything, keeps one block for the next unit of work. */
void arena_reset(struct arena *a);
/* Releases everything. The arena may be used again. */
void arena_free(struct arena *a);

/* Zeroed memory, aligned for any type. */
void *arena_alloc(struct arena *a, size_t bytes);
/* Zeroed array; aborts when count * size overflows. */
void *arena_array(struct arena *a, size_t count, size_t size);
#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, count, type) ((type *)arena_array((a), (count), sizeof(type)))

char *arena_strdup(struct arena *a, const char *s);
/* len bytes of s and a closing NUL. */
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) PRINTF(2, 0);

/* Gives a foreign object to the arena: release(thing) runs at reset. Returns thing, so that taking and
 * giving away stand in one expression. thing may be NULL (nothing is registered then). */
void *arena_own(struct arena *a, void *thing, void (*release)(void *));

#endif
