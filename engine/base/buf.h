/* SPDX-License-Identifier: Apache-2.0 */
/* Growing byte buffer with a mandatory maximum and a sticky error: append as often as you like, look
 * at b->overflow once at the end. The content is always NUL-terminated. Heap-owned: buf_free it, or
 * give it to an arena with buf_owned. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "engine/base/arena.h"

struct buf {
	char *data; /* NULL until the first append; see buf_str */
	size_t len, cap, max;
	bool overflow; /* an append did not fit into max; everything after it was dropped */
};

/* max_bytes counts content only, without the closing NUL. */
void buf_init(struct buf *b, size_t max_bytes);
/* A buffer whose memory dies with the arena. */
struct buf *buf_owned(struct arena *a, size_t max_bytes);
void buf_free(struct buf *b);
void buf_clear(struct buf *b);

void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* UTF-8 bytes, RFC 3986: all but A-Z a-z 0-9 - _ . ~ becomes %XY. */
void buf_add_percent(struct buf *b, const char *s);
/* The content as a string, "" when empty. Valid until the next change. */
const char *buf_str(const struct buf *b);

#endif
