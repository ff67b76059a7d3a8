/* SPDX-License-Identifier: Apache-2.0 */
/* Reader of multipart/form-data (RFC 7578) that is fed in pieces of any size and holds none of the content
 * back but what may be the beginning of a boundary. Pure: no I/O. Called by api/upload.c. */
#ifndef API_MULTIPART_H
#define API_MULTIPART_H

#include "engine/base/arena.h"

#define MULTIPART_HEAD_MAX 4096 /* bytes of one part's header lines */
#define MULTIPART_PARTS_MAX 64

/* A handler returns false to stop: multipart_feed then answers MULTIPART_STOPPED. */
struct multipart_handler {
	bool (*part)(void *ctx, const char *name);	       /* a part begins; name of its field */
	bool (*data)(void *ctx, const char *data, size_t len); /* content of the part, in pieces */
	bool (*end)(void *ctx);				       /* the part is whole */
};

enum multipart_state { MULTIPART_MORE, MULTIPART_DONE, MULTIPART_BAD, MULTIPART_STOPPED };

struct multipart;

/* The boundary of a Content-Type header, in the arena; NULL when it is not multipart/form-data with a
 * boundary of 1 to 70 characters. */
const char *multipart_boundary(struct arena *a, const char *content_type);
/* Lives in the arena. */
struct multipart *multipart_new(struct arena *a, const char *boundary,
				const struct multipart_handler *handler, void *ctx);
/* MULTIPART_DONE: the closing boundary was seen; what follows it is ignored. The other end states are for
 * ever too. */
enum multipart_state multipart_feed(struct multipart *m, const char *data, size_t len);

#endif
