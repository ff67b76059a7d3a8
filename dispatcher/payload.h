/* SPDX-License-Identifier: Apache-2.0 */
/* What devices are sent, byte for byte as device §2.3 wants it: compact, keys in a fixed order. Devices'
 * parsers are first-match scanners, so neither the order nor a blank is free. Pure; any thread. */
#ifndef DISPATCHER_PAYLOAD_H
#define DISPATCHER_PAYLOAD_H

#include "engine/base/buf.h"

/* Pushes above this are refused at creation of the job; it bounds the buffer. */
#define PAYLOAD_MAX ((size_t)64 * 1024)

struct payload_file {
	int64_t n; /* firmware_file.n, from 1 */
	const char *name;
	const char *url; /* signed; not used with mqtt */
	int64_t size;
	const char *md5, *sha256; /* lower-case hex */
};

/* A package's number in downloads over MQTT: devices keep 32 bits of it. */
static inline int64_t payload_stream_id(int64_t firmware_id)
{
	return firmware_id & 0xffffffff;
}

/* The package as one device is told of it. */
struct payload {
	int64_t firmware_id;
	const char *version;	 /* DestVersion */
	const char *module;	 /* "default": not sent */
	const char *sign_method; /* MD5 | SHA256, as it is stored */
	const char *udi;	 /* "" = none */
	bool differential;
	bool mqtt; /* download over MQTT; only with one file */
	const char *const *tag_keys, *const *tag_values;
	size_t tags;
	const struct payload_file *files;
	size_t files_n; /* at least 1 */
};

/* A push, also the answer on the legacy request topic. */
void payload_push(struct arena *a, struct buf *out, const struct payload *p, utc_ms now);
/* The answer to thing/ota/firmware/get: id is the request's, as text. */
void payload_get_reply(struct arena *a, struct buf *out, const struct payload *p, const char *id);
/* The same when there is nothing for the device. */
void payload_get_none(struct arena *a, struct buf *out, const char *id);

/* Answer to thing/file/download (device §5.2): length, JSON, block, CRC-16/ARC of the block. block may be
 * NULL with a code other than 200: then the frame has no block. file_token NULL: the request had none. */
struct payload_block {
	const char *id, *file_token;
	int code;
	int64_t file_length, offset;
	const void *block;
	size_t size;
};
void payload_block_reply(struct arena *a, struct buf *out, const struct payload_block *b);

#endif
