/* SPDX-License-Identifier: Apache-2.0 */
/* An upload is in the hands of the loop or, while `busy`, of one writer; it goes there and back through
 * queues. Errors have the codes of the object store that the vendor's clients know. */
#include "api/upload.h"

#include "api/multipart.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "engine/base/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PIECE_BYTES ((size_t)128 * 1024)
#define PIECE_ROOM ((size_t)32 * 1024) /* one feed may go this much beyond PIECE_BYTES */
#define FEED_MAX ((size_t)16 * 1024)
#define FIELD_MAX 4096
#define FIELDS_MAX 32768 /* all content before the file */
#define THREADS_MAX 8

enum field {
	FIELD_KEY,
	FIELD_POLICY,
	FIELD_ACCESS_ID,
	FIELD_SIGNATURE,
	FIELD_STATUS,
	FIELD_COUNT,
	FIELD_FILE,
	FIELD_OTHER
};

static const struct {
	const char *name;
	enum field field;
} fields[] = {
	{ "key", FIELD_KEY },
	{ "policy", FIELD_POLICY },
	{ "OSSAccessKeyId", FIELD_ACCESS_ID },
	{ "AccessKeyId", FIELD_ACCESS_ID }, /* the vendor's sample for device lists */
	{ "signature", FIELD_SIGNATURE },
	{ "success_action_status", FIELD_STATUS },
	{ "file", FIELD_FILE },
};

/* How what went wrong is told. */
static const struct {
	enum err err;
	int status;
	const char *code;
} answers[] = {
	{ ERR_BAD_REQUEST, 400, "MalformedPOSTRequest" }, { ERR_MISSING_PARAM, 400, "InvalidArgument" },
	{ ERR_KEY_NOT_FOUND, 403, "InvalidAccessKeyId" }, { ERR_SIGNATURE, 403, "SignatureDoesNotMatch" },
	{ ERR_FORBIDDEN, 403, "AccessDenied" },		  { ERR_OBJECT_EXISTS, 409, "FileAlreadyExists" },
	{ ERR_BODY_TOO_LARGE, 413, "EntityTooLarge" },	  { ERR_UNAVAILABLE, 503, "ServiceUnavailable" },
};

enum order { ORDER_WRITE, ORDER_COMMIT, ORDER_ABORT };

struct upload {
	struct upload_pool *pool;
	struct package_store *store;
	struct arena arena;
	struct error error;
	void *owner; /* NULL: cancelled */
	enum upload_state state;
	utc_ms now;
	struct multipart *form;
	enum multipart_state form_state;
	struct buf *value[FIELD_COUNT];
	size_t values_len;
	enum field at;
	bool file_seen, file_whole, stored;
	char md5[33];
	struct form_grant grant;
	/* the writer's while busy */
	struct buf piece;
	enum order order;
	struct object_writer *writer;
};

struct upload_pool {
	struct queue *todo, *done;
	pthread_t threads[THREADS_MAX];
	int n;
	size_t out; /* uploads in the writers' hands; the loop's */
	void (*wake)(void *ctx);
	void *ctx;
};

/* ---- writers ---- */

/* What a disk says is for the log; the client gets a plain sentence. */
static void upload_write(struct upload *u)
{
	enum err err = OK;

	if (u->order == ORDER_ABORT) {
		object_abort(u->writer);
		u->writer = NULL;
		return;
	}
	if (!u->writer)
		err = object_create(u->store, &u->error, buf_str(u->value[FIELD_KEY]), &u->grant, &u->writer);
	if (err == OK && u->piece.len > 0)
		err = object_write(u->writer, &u->error, u->piece.data, u->piece.len);
	if (err == OK)
		metric_add(M_STORE_UP, (int64_t)u->piece.len);
	buf_clear(&u->piece);
	if (err == OK && u->order == ORDER_COMMIT) {
		struct object_writer *w = u->writer;

		u->writer = NULL; /* commit frees it */
		err = object_commit(w, &u->error, clock_now(), u->md5);
		u->stored = err == OK;
	}
	if (err != OK) {
		object_abort(u->writer);
		u->writer = NULL;
	}
	if (err == ERR_IO)
		log_limited(EV_STORE_FAILED, LSTR("why", error_text(&u->error)));
}

static void *writer_run(void *ctx)
{
	struct upload_pool *p = ctx;
	struct upload *u;

	while ((u = queue_pop(p->todo, -1)) != NULL) {
		upload_write(u);
		ensure(queue_push(p->done, u)); /* as large as todo, which is bounded by `out` */
		p->wake(p->ctx);
	}
	return NULL;
}

struct upload_pool *upload_pool_new(int threads, size_t uploads_max, void (*wake)(void *ctx), void *ctx)
{
	struct upload_pool *p = calloc(1, sizeof *p);

	ensure(p != NULL && threads <= THREADS_MAX);
	p->todo = queue_new(uploads_max);
	p->done = queue_new(uploads_max);
	p->wake = wake;
	p->ctx = ctx;
	for (; p->n < threads; p->n++)
		ensure(pthread_create(&p->threads[p->n], NULL, writer_run, p) == 0);
	return p;
}

static void upload_free(struct upload *u)
{
	buf_free(&u->piece);
	arena_free(&u->arena);
	free(u);
}

/* Gives u to a writer; false when there are too many. */
static bool upload_order(struct upload *u, enum order order)
{
	u->order = order;
	if (!queue_push(u->pool->todo, u))
		return false;
	u->pool->out++;
	u->state = UPLOAD_BUSY;
	return true;
}

static void upload_drop(struct upload *u)
{
	if (u->writer && upload_order(u, ORDER_ABORT))
		return;
	object_abort(u->writer);
	upload_free(u);
}

/* Back in the loop's hands. */
static void upload_return(struct upload *u)
{
	u->pool->out--;
	u->state = u->error.err != OK || u->stored ? UPLOAD_ENDED : UPLOAD_MORE;
	if (u->stored)
		metric_add(M_STORE_UPLOADS, 1);
}

void upload_pool_collect(struct upload_pool *p, void (*fn)(void *owner))
{
	struct upload *u;

	while ((u = queue_pop(p->done, 0)) != NULL) {
		upload_return(u);
		if (u->owner)
			fn(u->owner);
		else
			upload_drop(u);
	}
}

void upload_pool_free(struct upload_pool *p)
{
	while (p->out > 0) {
		struct upload *u = queue_pop(p->done, -1);

		upload_return(u);
		ensure(u->owner == NULL);
		upload_drop(u);
	}
	queue_close(p->todo);
	for (int i = 0; i < p->n; i++)
		(void)pthread_join(p->threads[i], NULL);
	queue_free(p->todo);
	queue_free(p->done);
	free(p);
}

/* ---- the form ---- */

static bool refuse(struct upload *u, enum err err, const char *why)
{
	(void)fail(&u->error, err, "%s", why);
	return false;
}

static bool form_check(struct upload *u)
{
	for (int f = 0; f <= FIELD_SIGNATURE; f++)
		if (!u->value[f])
			return refuse(u, ERR_MISSING_PARAM,
				      "The form needs the fields key, policy, OSSAccessKeyId and signature "
				      "before file.");
	return package_store_check_form(u->store, &u->error, buf_str(u->value[FIELD_KEY]),
					buf_str(u->value[FIELD_POLICY]), buf_str(u->value[FIELD_ACCESS_ID]),
					buf_str(u->value[FIELD_SIGNATURE]), u->now, &u->grant) == OK;
}

static bool on_part(void *ctx, const char *name)
{
	struct upload *u = ctx;

	u->at = FIELD_OTHER;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (strcasecmp(name, fields[i].name) == 0)
			u->at = fields[i].field;
	if (u->file_seen) {
		u->at = FIELD_OTHER; /* fields after the file are ignored */
		return true;
	}
	if (u->at == FIELD_FILE) {
		u->file_seen = true;
		return form_check(u);
	}
	if (u->at == FIELD_OTHER)
		return true;
	if (u->value[u->at])
		return refuse(u, ERR_BAD_REQUEST, "A field of the form is given twice.");
	u->value[u->at] = buf_owned(&u->arena, FIELD_MAX);
	return true;
}

static bool on_data(void *ctx, const char *data, size_t len)
{
	struct upload *u = ctx;

	if (u->at == FIELD_FILE) {
		buf_add(&u->piece, data, len);
		ensure(!u->piece.overflow);
		return true;
	}
	u->values_len += len;
	if (!u->file_seen && u->values_len > FIELDS_MAX)
		return refuse(u, ERR_BAD_REQUEST, "The fields before the file are too long.");
	if (u->at == FIELD_OTHER)
		return true;
	buf_add(u->value[u->at], data, len);
	if (u->value[u->at]->overflow || memchr(data, '\0', len))
		return refuse(u, ERR_BAD_REQUEST, "A field of the form is too long or holds a NUL.");
	return true;
}

static bool on_end(void *ctx)
{
	struct upload *u = ctx;

	u->file_whole |= u->at == FIELD_FILE;
	return true;
}

struct upload *upload_new(struct upload_pool *p, struct package_store *s, const char *content_type,
			  utc_ms now, void *owner)
{
	static const struct multipart_handler handler = { on_part, on_data, on_end };
	struct upload *u = calloc(1, sizeof *u);
	const char *boundary;

	ensure(u != NULL);
	*u = (struct upload){ .pool = p, .store = s, .owner = owner, .now = now, .at = FIELD_OTHER };
	arena_init(&u->arena);
	error_init(&u->error, &u->arena);
	buf_init(&u->piece, PIECE_BYTES + PIECE_ROOM);
	boundary = multipart_boundary(&u->arena, content_type);
	if (boundary) {
		u->form = multipart_new(&u->arena, boundary, &handler, u);
	} else {
		(void)refuse(u, ERR_BAD_REQUEST, "The body must be multipart/form-data with a boundary.");
		u->state = UPLOAD_ENDED;
	}
	return u;
}

enum upload_state upload_state(const struct upload *u)
{
	return u->state;
}

/* After a change on the loop's side: ended, or a piece to be written? */
static enum upload_state upload_settle(struct upload *u)
{
	if (u->error.err == OK && u->piece.len >= PIECE_BYTES) {
		if (upload_order(u, ORDER_WRITE))
			return UPLOAD_BUSY; /* from here on even the error is the writer's */
		(void)refuse(u, ERR_UNAVAILABLE, "Too many uploads at once.");
	}
	if (u->error.err != OK)
		u->state = UPLOAD_ENDED;
	return u->state;
}

enum upload_state upload_feed(struct upload *u, const char *data, size_t len)
{
	ensure(u->state == UPLOAD_MORE && len <= FEED_MAX);
	if (u->form_state == MULTIPART_MORE)
		u->form_state = multipart_feed(u->form, data, len);
	if (u->form_state == MULTIPART_BAD)
		(void)refuse(u, ERR_BAD_REQUEST, "The body is not well-formed multipart/form-data.");
	return upload_settle(u);
}

enum upload_state upload_finish(struct upload *u)
{
	ensure(u->state == UPLOAD_MORE);
	if (u->form_state != MULTIPART_DONE)
		(void)refuse(u, ERR_BAD_REQUEST, "The body ended before the closing boundary.");
	else if (!u->file_whole)
		(void)refuse(u, ERR_MISSING_PARAM, "The form needs the field file.");
	else if (upload_order(u, ORDER_COMMIT))
		return UPLOAD_BUSY; /* from here on even the error is the writer's */
	else
		(void)refuse(u, ERR_UNAVAILABLE, "Too many uploads at once.");
	u->state = UPLOAD_ENDED;
	return u->state;
}

/* As the vendor's store does: 204 unless the form asks for 200 or 201. */
static int success_status(const struct upload *u)
{
	const char *wanted = u->value[FIELD_STATUS] ? buf_str(u->value[FIELD_STATUS]) : "";

	return strcmp(wanted, "200") == 0 ? 200 : strcmp(wanted, "201") == 0 ? 201 : 204;
}

struct upload_result upload_result(const struct upload *u)
{
	struct upload_result r = { .status = 500,
				   .code = "InternalError",
				   .message = "The file could not be stored." };

	ensure(u->state == UPLOAD_ENDED);
	if (u->stored)
		return (struct upload_result){ .status = success_status(u),
					       .key = buf_str(u->value[FIELD_KEY]),
					       .md5 = u->md5 };
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		if (answers[i].err == u->error.err) {
			r.status = answers[i].status;
			r.code = answers[i].code;
			r.message = error_text(&u->error);
		}
	return r;
}

void upload_cancel(struct upload *u)
{
	if (!u)
		return;
	u->owner = NULL;
	if (u->state != UPLOAD_BUSY)
		upload_drop(u);
}
