/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that print what the tables of the program know: the configuration file, the pages generated into
 * docs/, the OpenAPI document. */
#include "api/api.h"
#include "cmd/otactl/ctl.h"
#include "engine/base/config.h"

#include <stdio.h>
#include <string.h>

#define PAGE_BYTES_MAX ((size_t)16 * 1024 * 1024)

static const char made[] = "Made by `otactl %s` from `%s`; a test compares them.\n\n";

static enum err page_out(struct ctl *c, const struct buf *b)
{
	if (b->overflow)
		return fail(c->error, ERR_IO, "the page is too large");
	if (fwrite(buf_str(b), 1, b->len, stdout) != b->len)
		return fail(c->error, ERR_IO, "standard output cannot be written");
	return OK;
}

static enum err config_check_cmd(struct ctl *c)
{
	const char *path = c->n_args ? c->args[0] : c->config_path;

	TRY(config_check(path, c->error));
	(void)printf("%s: good\n", path ? path : "defaults and environment");
	return OK;
}

static enum err config_print_cmd(struct ctl *c)
{
	struct buf *b = buf_owned(c->arena, PAGE_BYTES_MAX);
	bool current = ctl_option(c, "current") != NULL;

	if (current)
		TRY(config_load(c->config_path, c->error));
	config_print(b, current);
	return page_out(c, b);
}

static enum err openapi_cmd(struct ctl *c)
{
	struct buf *b = buf_owned(c->arena, PAGE_BYTES_MAX);

	openapi_print(b);
	if (b->len && buf_str(b)[b->len - 1] != '\n')
		buf_addc(b, '\n');
	return page_out(c, b);
}

static enum err api_cmd(struct ctl *c)
{
	struct buf *b = buf_owned(c->arena, PAGE_BYTES_MAX);

	buf_adds(b, "# The management API\n\n");
	buf_addf(b, made, "api", "api/actions.def");
	api_page_print(b);
	return page_out(c, b);
}

/* One row per key, as a page. The bounds of a number and the default of a text come as the table has them. */
static void config_row(struct buf *b, const char *key, const char *def, const char *range, bool reloadable,
		       const char *doc)
{
	buf_addf(b, "| `%s` | %s%s%s | %s | %s | %s |\n", key, *def ? "`" : "", def, *def ? "`" : "", range,
		 reloadable ? "yes" : "restart", doc);
}

static enum err config_docs_cmd(struct ctl *c)
{
	struct buf *b = buf_owned(c->arena, PAGE_BYTES_MAX);

	buf_adds(b, "# Configuration keys\n\n");
	buf_addf(b, made, "config docs", "engine/base/config.def");
	buf_adds(b, "The file has `key = value` lines; a comment has a line of its own. Unknown keys and "
		    "keys given twice are\n"
		    "refused. The environment variable `OTAD_<KEY IN CAPITALS>` beats the file. \"Reload\": "
		    "a SIGHUP\n"
		    "changes it; otherwise a reload that changes the key is refused as a whole.\n\n"
		    "| key | default | range | reload | meaning |\n|---|---|---|---|---|\n");
#define CONFIG_TEXT(key, def, reloadable, secret, doc) config_row(b, #key, def, "text", reloadable, doc);
#define CONFIG_INT(key, def, min, max, unit, reloadable, doc) \
	config_row(b, #key, #def, #min " to " #max " " unit, reloadable, doc);
#define CONFIG_BOOL(key, def, reloadable, doc) config_row(b, #key, #def, "true or false", reloadable, doc);
#include "engine/base/config.def"
	return page_out(c, b);
}

/* "%s" of a code or text stands for the parameter. */
static const char *shown(struct ctl *c, const char *text)
{
	const char *at = strstr(text, "%s");

	return at ? arena_printf(c->arena, "%.*s<Parameter>%s", (int)(at - text), text, at + 2) : text;
}

static enum err errors_cmd(struct ctl *c)
{
	struct buf *b = buf_owned(c->arena, PAGE_BYTES_MAX);

	buf_adds(b, "# Error codes\n\n");
	buf_addf(b, made, "errors", "engine/base/errors.def");
	buf_adds(b, "HTTP 200: refused by the business; 4xx: refused by the gateway, the action did not run; "
		    "5xx: it failed.\n"
		    "Every body has `RequestId`, `HostId`, `Success` (false), `Code`, `ErrorMessage` and "
		    "`Message`.\n"
		    "Each action's own errors are in [api.md](api.md).\n\n"
		    "| code | HTTP | message |\n|---|---|---|\n");
	for (int i = OK + 1; i < ERR_COUNT; i++) {
		const struct err_info *info = err_info((enum err)i);
		bool inside = i > ERR_UNAVAILABLE && strncmp(info->api_code, "iot.", 4) != 0;

		if (!inside)
			buf_addf(b, "| `%s` | %d | %s |\n", shown(c, info->api_code), info->http_status,
				 shown(c, info->text));
	}
	buf_adds(b, "\n## Answers to devices that register\n\n"
		    "`POST /auth/register/device` answers HTTP 200 with one of these codes "
		    "(`engine/register.def`). Over MQTT a "
		    "refusal\nis CONNACK 5 or the end of the connection. The names are those of the metric "
		    "`otad_registrations_total`.\n\n"
		    "| code | name | message |\n|---|---|---|\n");
#define REGISTER_RESULT(id, code, name, text) buf_addf(b, "| %d | `%s` | %s |\n", code, name, text);
#include "engine/register.def"
	return page_out(c, b);
}

static enum err events_cmd(struct ctl *c)
{
	struct buf *b = buf_owned(c->arena, PAGE_BYTES_MAX);

	buf_adds(b, "# Log events\n\n");
	buf_addf(b, made, "events", "engine/base/events.def");
	buf_adds(b, "One JSON line each on standard error: `time`, `level`, `event`, then the event's own "
		    "fields. Events that\n"
		    "may repeat come at most once a minute, with the number left out as `suppressed`.\n\n"
		    "| event | level | meaning |\n|---|---|---|\n");
#define EVENT(id, level, name, doc) buf_addf(b, "| `%s` | %s | %s |\n", name, #level + 4, doc);
#include "engine/base/events.def"
#undef EVENT
	return page_out(c, b);
}

static enum err metrics_cmd(struct ctl *c)
{
	struct buf *b = buf_owned(c->arena, PAGE_BYTES_MAX);

	buf_adds(b, "# Metrics\n\n");
	buf_addf(b, made, "metrics", "engine/base/metrics.def");
	buf_adds(b, "On `/metrics`, in the Prometheus text format.\n\n| metric | kind | label | meaning "
		    "|\n|---|---|---|---|\n");
#define METRIC(id, kind, name, label, help) \
	buf_addf(b, "| `%s` | %s | %s | %s |\n", name, #kind, label, help);
#include "engine/base/metrics.def"
#undef METRIC
	return page_out(c, b);
}

static enum err states_cmd(struct ctl *c)
{
	struct buf *b = buf_owned(c->arena, PAGE_BYTES_MAX);

	buf_adds(b, "# States\n\n");
	buf_addf(b, made, "states", "engine/states.def");
	buf_adds(b, "The numbers are what the database stores.\n\n## Tasks\n\n| state | number | unfinished "
		    "|\n|---|---|---|\n");
#define TASK_STATE(id, number, name, unfinished) \
	buf_addf(b, "| `%s` | %d | %s |\n", name, number, (unfinished) ? "yes" : "no");
#include "engine/states.def"
	buf_adds(b, "\n## Jobs\n\n| status | number | ended |\n|---|---|---|\n");
#define JOB_STATUS(id, number, name, ended) \
	buf_addf(b, "| `%s` | %d | %s |\n", name, number, (ended) ? "yes" : "no");
#include "engine/states.def"
	buf_adds(b, "\n## Why a task moved (`task_event.why`)\n\n| why | number |\n|---|---|\n");
#define EVENT_WHY(id, number, name) buf_addf(b, "| %s | %d |\n", name, number);
#include "engine/states.def"
	return page_out(c, b);
}

/* clang-format off */
const struct command commands_docs[] = {
	{ "config", "check", WAY_FILE, 0, 1, "", "[FILE]", "Says whether the configuration is valid.", config_check_cmd },
	{ "config", "print", WAY_FILE, 0, 0, "current?", "[--current]",
	  "Prints a sample file with every key; --current: the values in force (secrets as ***).", config_print_cmd },
	{ "config", "docs", WAY_NONE, 0, 0, "", "", "Prints docs/config.md.", config_docs_cmd },
	{ "api", NULL, WAY_NONE, 0, 0, "", "", "Prints docs/api.md.", api_cmd },
	{ "openapi", NULL, WAY_NONE, 0, 0, "", "", "Prints the OpenAPI document of the management API.", openapi_cmd },
	{ "errors", NULL, WAY_NONE, 0, 0, "", "", "Prints docs/errors.md.", errors_cmd },
	{ "events", NULL, WAY_NONE, 0, 0, "", "", "Prints docs/events.md.", events_cmd },
	{ "metrics", NULL, WAY_NONE, 0, 0, "", "", "Prints docs/metrics.md.", metrics_cmd },
	{ "states", NULL, WAY_NONE, 0, 0, "", "", "Prints docs/states.md.", states_cmd },
	{ .group = NULL },
};
/* clang-format on */
