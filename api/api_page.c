/* SPDX-License-Identifier: Apache-2.0 */
/* docs/api.md out of the action tables: what openapi.c says to programs, for readers. Printed by otactl. */
#include "api/api.h"

#include <string.h>

static void put_words(struct buf *b, const char *words)
{
	for (const char *w = words; *w; w++)
		*w == ' ' ? buf_adds(b, ", ") : buf_addc(b, *w);
}

static void put_limits(struct buf *b, const struct field *f)
{
	if (f->one_of) {
		buf_adds(b, ": ");
		put_words(b, f->one_of);
	}
	if (f->min != 0 || f->max != 0)
		buf_addf(b, ", %lld to %lld", (long long)f->min, (long long)f->max);
	if (f->max_chars > 0 && f->min_chars > 0)
		buf_addf(b, ", %lld to %lld characters", (long long)f->min_chars, (long long)f->max_chars);
	else if (f->max_chars > 0)
		buf_addf(b, ", at most %lld characters", (long long)f->max_chars);
	if (f->chars && *f->chars)
		buf_addf(b, ", letters, digits and `%s`", f->chars);
	else if (f->chars)
		buf_adds(b, ", letters and digits");
	if (f->max_items > 0)
		buf_addf(b, ", at most %lld", (long long)f->max_items);
}

/* Rows of a table; `prefix` is the name of what the fields are part of. Parameters have their refusal. */
static void put_rows(struct buf *b, const struct field *table, const char *prefix, bool parameters)
{
	static const char *const kinds[] = { "text", "number", "number", "flag", "text", "struct", "struct" };

	for (const struct field *f = table; f && f->name; f++) {
		bool list = f->kind == FIELD_STRS || f->kind == FIELD_OBJS;
		struct arena a;
		const char *name;

		arena_init(&a);
		name = parameters && list ? arena_printf(&a, "%s%s.N", prefix, f->name)
					  : arena_printf(&a, "%s%s%s%s%s", prefix, f->name,
							 list && f->item ? "." : "", list && f->item ? f->item : "",
							 list ? "[]" : "");
		buf_addf(b, "| `%s` | %s", name, kinds[f->kind]);
		put_limits(b, f);
		buf_addf(b, " | %s%s", f->flags & REQUIRED ? "**Required.** " : "", f->doc ? f->doc : "");
		if (f->alias)
			buf_addf(b, " Also `%s`.", f->alias);
		if (parameters)
			buf_addf(b, " | %s%s%s", f->err != OK ? "`" : "", f->err != OK ? err_info(f->err)->api_code : "",
				 f->err != OK ? "`" : "");
		buf_adds(b, " |\n");
		put_rows(b, f->of, arena_printf(&a, "%s.", name), parameters);
		arena_free(&a);
	}
}

static void put_action(struct buf *b, const struct action *a)
{
	static const char *const roles[] = { "", "viewer", "operator", "admin" };

	buf_addf(b, "\n## %s\n\n%s %s; role %s; %d calls a second", a->name, a->doc ? a->doc : "",
		 a->effect == WRITES ? "Writes" : "Reads", roles[a->role], a->qps);
	if (a->is_deep)
		buf_addf(b, ", %d for deep pages", a->deep_qps);
	buf_adds(b, ".\n");
	if (a->in && a->in->name) {
		buf_adds(b, "\n| parameter | type | meaning | refused with |\n|---|---|---|---|\n");
		put_rows(b, a->in, "", true);
	}
	if (a->out && a->out->name) {
		buf_adds(b, "\n| answer | type | meaning |\n|---|---|---|\n");
		put_rows(b, a->out, "", false);
	}
	if (a->fails && *a->fails != OK)
		buf_adds(b, "\n| error | meaning |\n|---|---|\n");
	for (const enum err *e = a->fails; e && *e != OK; e++) {
		const char *text = err_info(*e)->text, *at = strstr(text, "%s");

		buf_addf(b, "| `%s` | ", err_info(*e)->api_code);
		if (at)
			buf_addf(b, "%.*s<Parameter>%s |\n", (int)(at - text), text, at + 2);
		else
			buf_addf(b, "%s |\n", text);
	}
}

void api_page_print(struct buf *b)
{
	buf_adds(b, "Version 2018-01-20 of product `Iot`. Every action is a GET or POST of `/`; `Action` and "
		    "`Version` are parameters or the\nheaders `x-acs-action` and `x-acs-version`; parameters "
		    "may stand in the query or in a form body. How clients are\npointed at it: "
		    "[clients.md](clients.md); the same for programs: [openapi.json](openapi.json).\n\n"
		    "Every action also takes `IotInstanceId` (absent: the account's default instance) and "
		    "answers `RequestId`, `Success`\nand, when it refuses, `Code` and `ErrorMessage`. A "
		    "required parameter that is absent is `Missing<Parameter>`, one that\nis not of its type "
		    "`Invalid<Parameter>`, and so is one beyond its limits unless its row names another code; "
		    "a list that\nis too long is `iot.firmware.ParameterSizeExceedMax`. What refuses a request "
		    "before its action runs: [errors.md](errors.md).\n");
	for (size_t i = 0; actions[i]; i++)
		put_action(b, actions[i]);
}
