/* SPDX-License-Identifier: Apache-2.0 */
/* What is let through to evhttp: byte rules for the head of a request and for chunked bodies. evhttp 2.1.12
 * itself takes two Content-Length headers, blanks before a colon, bare line feeds, folded headers and
 * `Transfer-Encoding: gzip, chunked`, each of which a proxy in front may read differently (request smuggling).
 * Pure: bytes in, verdict out. */
#ifndef API_GUARD_H
#define API_GUARD_H

#include "engine/base/err.h"

struct guard_limits {
	size_t line_bytes;   /* request line, without its CRLF */
	size_t header_bytes; /* all header lines together */
	int64_t body_bytes;
};

struct guard_head {
	size_t len;             /* of the head with the empty line at its end; 0: more bytes are needed */
	int64_t content_length; /* 0 when there is none */
	bool chunked;
	bool expect_continue;
};

/* data: the first len bytes of a request. ERR_BAD_REQUEST: not to be answered but with a refusal, and the
 * connection is to be closed; ERR_METHOD: neither GET nor POST; ERR_BODY_TOO_LARGE: the declared length.
 * *ret is filled when the answer is OK or ERR_BODY_TOO_LARGE. */
enum err guard_head(const char *data, size_t len, const struct guard_limits *l, struct guard_head *ret) MUST_USE;

/* The size line of a chunk. data: the bytes from there on, as far as they are here (32 suffice).
 * OK with *ret_line 0: more bytes are needed; otherwise the line's length with its CRLF and the chunk's size.
 * No extensions, no signs, at most 8 hex digits. */
enum err guard_chunk(const char *data, size_t len, size_t *ret_line, int64_t *ret_size) MUST_USE;

/* Does whoever sent this head want XML? Looks at the raw bytes, for refusals that come before parsing. */
bool guard_wants_xml(const char *data, size_t len);

#endif
