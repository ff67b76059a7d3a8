/* SPDX-License-Identifier: Apache-2.0 */
/* One upload: the fields of a form, then the file, which writer threads hash and put on disk piece by piece
 * so that the loop never waits for a disk. Memory per upload is bounded: the piece that is filled or written.
 * Called by the loop thread of the package server only, but for the writers inside. */
#ifndef API_UPLOAD_H
#define API_UPLOAD_H

#include "storage/package_store.h"

struct upload;
struct upload_pool;

/* wake is called from a writer thread when upload_pool_collect has something to do. */
struct upload_pool *upload_pool_new(int threads, size_t uploads_max, void (*wake)(void *ctx), void *ctx);
/* Hands every upload whose piece was written back to its owner. */
void upload_pool_collect(struct upload_pool *p, void (*fn)(void *owner));
/* Every upload must be cancelled before. Waits for the writers. */
void upload_pool_free(struct upload_pool *p);

enum upload_state {
	UPLOAD_MORE, /* feed on */
	UPLOAD_BUSY, /* a piece is being written: wait for upload_pool_collect, then ask upload_state */
	UPLOAD_ENDED /* stored or refused: see upload_result */
};

struct upload_result {
	int status;	  /* of HTTP */
	const char *code; /* of an error; NULL when stored */
	const char *message;
	const char *key, *md5; /* when stored */
};

/* content_type may be NULL. now: when the request arrived. Never NULL. */
struct upload *upload_new(struct upload_pool *p, struct package_store *s, const char *content_type,
			  utc_ms now, void *owner);
enum upload_state upload_state(const struct upload *u);
/* Only while upload_state is UPLOAD_MORE. */
enum upload_state upload_feed(struct upload *u, const char *data, size_t len);
/* The body is whole. Only while upload_state is UPLOAD_MORE. */
enum upload_state upload_finish(struct upload *u);
/* Once UPLOAD_ENDED. Good until upload_cancel. */
struct upload_result upload_result(const struct upload *u);
/* Frees it, at any time; what was not stored is removed. NULL is allowed. */
void upload_cancel(struct upload *u);

#endif
