/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){ .max = max_bytes };
}

static void buf_release(void *p)
{
	buf_free(p);
}

struct buf *buf_owned(struct arena *a, size_t max_bytes)
{
	struct buf *b = ARENA_NEW(a, struct buf);

	buf_init(b, max_bytes);
	return arena_own(a, b, buf_release);
}

void buf_free(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->data)
		b->data[0] = '\0';
}

/* Makes room for n more bytes and the NUL; false (and sticky) when that is over the maximum. */
static bool buf_room(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 256;

	if (b->overflow || n > b->max - b->len) {
		b->overflow = true;
		return false;
	}
	while (cap < b->len + n + 1)
		cap *= 2;
	if (cap != b->cap) {
		b->data = realloc(b->data, cap);
		ensure(b->data != NULL);
		b->cap = cap;
	}
	return true;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	if (!buf_room(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	size_t left = b->cap - b->len; /* with the NUL */
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(left > 0 ? b->data + b->len : NULL, left, fmt, ap);
	va_end(ap);
	ensure(n >= 0);
	if (!buf_room(b, (size_t)n)) {
		if (left > 0)
			b->data[b->len] = '\0';
		return;
	}
	if ((size_t)n >= left) {
		va_start(ap, fmt);
		ensure(vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap) == n);
		va_end(ap);
	}
	b->len += (size_t)n;
}

static bool is_unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
	       c == '.' || c == '~';
}

void buf_add_percent(struct buf *b, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (;;) {
		const char *start = s;
		unsigned char c;

		while (is_unreserved((unsigned char)*s))
			s++;
		buf_add(b, start, (size_t)(s - start));
		if (*s == '\0')
			return;
		c = (unsigned char)*s++;
		buf_add(b, (const char[]){ '%', hex[c >> 4], hex[c & 15] }, 3);
	}
}

const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}
