/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of errors (errors.def) and the one idiom: what can fail returns enum err, OK is 0, the
 * detail is said once, where it is known, with fail() or fail_param(); TRY() passes it up. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "engine/base/arena.h"

enum err {
	OK = 0,
#define ERROR(name, api_code, http_status, text) name,
#include "engine/base/errors.def"
#undef ERROR
	ERR_COUNT
};

/* A row of errors.def. api_code may contain one %s: the parameter's name goes there. */
struct err_info {
	const char *name;     /* "ERR_FIRMWARE_NOT_FOUND" */
	const char *api_code; /* "iot.firmware.FirmwareNotFound" */
	int http_status;      /* what rules.md §2 wants: 200 for a business refusal, 4xx/5xx for the gateway's */
	const char *text;     /* default message; may contain one %s like api_code */
};
const struct err_info *err_info(enum err e);

/* Where a unit of work keeps what went wrong first. Strings live in the arena. */
struct error {
	struct arena *arena;
	enum err err;
	const char *param;   /* the parameter concerned, for codes like MissingFirmwareId; or NULL */
	const char *message; /* what to show; NULL: the row's text */
};

void error_init(struct error *e, struct arena *a);
void error_clear(struct error *e);
/* Keeps err and the text (unless an earlier failure is kept already) and returns err. */
enum err fail(struct error *e, enum err err, const char *fmt, ...) PRINTF(3, 4);
/* The same with the row's own text and a parameter's name for its %s (param NULL where it has none). */
enum err fail_param(struct error *e, enum err err, const char *param);
/* The code and the text to show, with the parameter filled in; in the error's arena. */
const char *error_code(const struct error *e);
const char *error_text(const struct error *e);

/* The only macro that returns. */
#define TRY(call) \
	do { \
		enum err try_err_ = (call); \
		if (try_err_ != OK) \
			return try_err_; \
	} while (0)

#endif
