/* SPDX-License-Identifier: Apache-2.0 */
/* The one memory idiom of the house; see arena.h. */
#include "engine/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)16 * 1024)
#define ALIGN _Alignof(max_align_t)

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	max_align_t data[];
};

struct arena_owned {
	struct arena_owned *next;
	void *thing;
	void (*release)(void *);
};

void arena_init(struct arena *a)
{
	memset(a, 0, sizeof *a);
}

static void release_owned(struct arena *a)
{
	for (struct arena_owned *o = a->owned; o; o = o->next)
		o->release(o->thing);
	a->owned = NULL;
}

void arena_reset(struct arena *a)
{
	struct arena_block *keep = NULL;

	release_owned(a);
	while (a->blocks) {
		struct arena_block *b = a->blocks;

		a->blocks = b->next;
		if (b->size == BLOCK_BYTES && !keep) {
			keep = b;
			b->used = 0;
			b->next = NULL;
		} else {
			free(b);
		}
	}
	a->blocks = keep;
	a->used_bytes = 0;
}

void arena_free(struct arena *a)
{
	arena_reset(a);
	free(a->blocks);
	a->blocks = NULL;
}

static struct arena_block *block_new(struct arena *a, size_t bytes)
{
	size_t size = bytes > BLOCK_BYTES / 2 ? bytes : BLOCK_BYTES;
	struct arena_block *b = malloc(sizeof *b + size);

	ensure(b != NULL);
	b->size = size;
	b->used = 0;
	if (size != BLOCK_BYTES && a->blocks) { /* a large object must not hide the room left in the newest block */
		b->next = a->blocks->next;
		a->blocks->next = b;
	} else {
		b->next = a->blocks;
		a->blocks = b;
	}
	return b;
}

/* Not cleared. */
static void *take(struct arena *a, size_t bytes)
{
	struct arena_block *b = a->blocks;
	void *p;

	ensure(bytes < SIZE_MAX - ALIGN - sizeof *b);
	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	if (bytes == 0)
		bytes = ALIGN;
	if (!b || b->size - b->used < bytes)
		b = block_new(a, bytes);
	p = (char *)b->data + b->used;
	b->used += bytes;
	a->used_bytes += bytes;
	if (a->used_bytes > a->peak_bytes)
		a->peak_bytes = a->used_bytes;
	return p;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
	return memset(take(a, bytes), 0, bytes);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	ensure(size == 0 || count <= SIZE_MAX / 2 / size);
	return arena_alloc(a, count * size);
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *p = take(a, len + 1);

	if (len)
		memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	struct arena_block *b = a->blocks;
	size_t room = b ? b->size - b->used : 0;
	va_list again;
	int n;
	char *p;

	va_copy(again, ap);
	n = vsnprintf(room > 0 ? (char *)b->data + b->used : NULL, room, fmt, again);
	va_end(again);
	ensure(n >= 0);
	p = take(a, (size_t)n + 1);
	/* What fitted stands where it belongs: room is a multiple of ALIGN, so it was taken from there. */
	if ((size_t)n >= room)
		ensure(vsnprintf(p, (size_t)n + 1, fmt, ap) == n);
	return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return p;
}

void *arena_own(struct arena *a, void *thing, void (*release)(void *))
{
	struct arena_owned *o;

	if (!thing)
		return NULL;
	o = arena_alloc(a, sizeof *o);
	*o = (struct arena_owned){ .next = a->owned, .thing = thing, .release = release };
	a->owned = o;
	return thing;
}
