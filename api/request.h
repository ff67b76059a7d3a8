/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request on its way from the listener to a worker and back. Whoever holds the pointer owns all of
 * it; the listener makes and frees it. */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include "api/field.h"
#include "engine/base/buf.h"

struct header {
	const char *name, *value;
};

struct request {
	struct arena arena; /* holds everything below */
	const char *method; /* GET, POST */
	const char *path, *query; /* as they came; query "" when there is none */
	const struct header *headers;
	size_t n_headers;
	const char *body; /* NUL behind it */
	size_t body_len;
	int64_t arrived_us; /* clock_boot_us() of the last byte */
	char request_id[37];

	/* The answer, filled in by the worker. */
	int status;
	const char *content_type;
	struct buf *reply;
	bool close;

	/* The listener's own. */
	void *peer;
	struct request *next;
};

/* The first header of this name, in any case; NULL when there is none. */
const char *request_header(const struct request *rq, const char *name);

/* Query and form, decoded once, in the order they came, form last. A name given twice is
 * ERR_DUPLICATE_PARAM; broken escapes, NULs and bad UTF-8 are ERR_BAD_REQUEST. */
struct params {
	const struct param *v;
	size_t n;
	size_t n_query; /* the first so many came with the query */
};
/* *ret holds what was good so far also when this fails. */
enum err request_params(struct request *rq, struct error *e, struct params *ret) MUST_USE;
/* Value of the parameter, NULL when it is not there; "" counts as not there. */
const char *param_value(const struct params *p, const char *name);

#endif
