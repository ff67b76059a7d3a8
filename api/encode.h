/* SPDX-License-Identifier: Apache-2.0 */
/* Answers as JSON or XML, along the field tables (api §1.9, §2.3; rules §2). Called by workers, and by the
 * listener for refusals. */
#ifndef API_ENCODE_H
#define API_ENCODE_H

#include "api/action.h"
#include "api/request.h"

#define CONTENT_JSON "application/json;charset=utf-8"
#define CONTENT_XML "text/xml;charset=utf-8"
#define REPLY_MAX ((size_t)64 * 1024 * 1024)

enum format { FORMAT_JSON, FORMAT_XML };
const char *format_content_type(enum format f);

/* {"RequestId":..,"Success":true, the members of out}. to->overflow when it does not fit. */
void encode_success(struct arena *a, struct buf *to, enum format f, const struct action *action,
		    const char *request_id, const void *out);
/* The error's code and text in the members that every SDK generation reads. action NULL: not known. Refusals
 * by the business have the action's root element in XML, all others <Error>. why: the members of the action's
 * answer that explain a refusal by the business, or NULL. */
void encode_error(struct arena *a, struct buf *to, enum format f, const struct action *action,
		  const void *why, const char *request_id, const char *host_id, const struct error *error);
/* What an error looks like from outside: inner failures become InternalError or ServiceUnavailable. */
enum err err_shown(enum err e);
/* Makes the whole answer of a request that fails. */
void request_refuse(struct request *rq, enum format f, const struct action *action, const void *why,
		    const struct error *error);

#endif
