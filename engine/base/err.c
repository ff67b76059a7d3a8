/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/err.h"

#include "engine/base/parse.h"

#include <string.h>

static const struct err_info infos[ERR_COUNT] = {
	[OK] = { "OK", "", 200, "" },
#define ERROR(name, api_code, http_status, text) [name] = { #name, api_code, http_status, text },
#include "engine/base/errors.def"
#undef ERROR
};

const struct err_info *err_info(enum err e)
{
	ensure(e >= OK && e < ERR_COUNT);
	return &infos[e];
}

void error_init(struct error *e, struct arena *a)
{
	*e = (struct error){ .arena = a };
}

void error_clear(struct error *e)
{
	error_init(e, e->arena);
}

enum err fail(struct error *e, enum err err, const char *fmt, ...)
{
	va_list ap;
	char *message;

	ensure(err != OK);
	if (e->err != OK)
		return err;
	va_start(ap, fmt);
	message = arena_vprintf(e->arena, fmt, ap);
	va_end(ap);
	utf8_mend(message); /* "%.64s" may have cut a character in two */
	e->message = message;
	e->err = err;
	return err;
}

enum err fail_param(struct error *e, enum err err, const char *param)
{
	ensure(err != OK);
	if (e->err != OK)
		return err;
	e->err = err;
	e->param = param ? arena_strdup(e->arena, param) : NULL;
	return err;
}

/* Replaces the one %s of a template. */
static const char *fill(const struct error *e, const char *template)
{
	const char *at = strstr(template, "%s");

	if (!at)
		return template;
	return arena_printf(e->arena, "%.*s%s%s", (int)(at - template), template, e->param ? e->param : "Parameter",
			    at + 2);
}

const char *error_code(const struct error *e)
{
	return fill(e, err_info(e->err)->api_code);
}

const char *error_text(const struct error *e)
{
	return e->message ? e->message : fill(e, err_info(e->err)->text);
}
