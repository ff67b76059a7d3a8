/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads, ranges and bodies of the package store's HTTP/1.1. Pure: no I/O. Called by
 * api/package_conn.c. Strict where leniency would let two readers see two different requests. */
#ifndef API_STORE_REQUEST_H
#define API_STORE_REQUEST_H

#include "engine/base/arena.h"

enum store_method { METHOD_OTHER, METHOD_GET, METHOD_HEAD, METHOD_POST };

struct store_request {
	enum store_method method;
	const char *path, *query; /* as they came; query "" when there is none */
	bool keep_alive;
	bool chunked;
	int64_t content_length; /* -1: not given */
	bool expect_continue;
	const char *content_type, *range, *if_range; /* NULL: not given */
};
/* text is the head from the method to the empty line, len bytes. 0, or the HTTP status to refuse it with.
 * Strings in the arena. */
int store_request_parse(struct arena *a, const char *text, size_t len, struct store_request *ret);

enum store_range { RANGE_WHOLE, RANGE_PART, RANGE_OUTSIDE };
/* What a Range header (NULL: none) asks of an object of this size. Several ranges or none that can be read:
 * the whole. */
enum store_range store_range_parse(const char *range, int64_t size, int64_t *ret_first, int64_t *ret_len);

/* ---- bodies ---- */
enum body_place {
	BODY_LENGTH,
	CHUNK_SIZE,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_CR,
	CHUNK_LF,
	CHUNK_TRAILER,
	BODY_END,
	BODY_BAD
};
struct store_body {
	enum body_place place;
	int64_t left; /* bytes of the body or of the chunk */
	int digits;   /* of the chunk's size; -1: in its extension */
	int line;     /* length of a trailer line */
	int trailer;  /* bytes of chunk extensions and trailers so far */
};
void store_body_init(struct store_body *b, const struct store_request *rq);
/* Takes some of the input: returns how many bytes, and which part of them is content. After it look at
 * b->place for BODY_END and BODY_BAD. */
size_t store_body_take(struct store_body *b, const char *in, size_t len, const char **ret_data,
		       size_t *ret_len);

#endif
