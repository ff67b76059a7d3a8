/* SPDX-License-Identifier: Apache-2.0 */
/* The scenario file: what it fills in, and every way to be refused. */
#include "cmd/otasim/scenario.h"

#include "cmd/otasim/profile.h"
#include "harness.h"

#include <stdio.h>
#include <string.h>

static struct arena arena;

static bool read_text(const char *text, struct scenario *c, const char **error)
{
	return scenario_read(&arena, text, strlen(text), c, error);
}

#define DEVICES "\"devices\": {\"count\": 10, \"online\": [[0, 10]]}"
#define CAMPAIGN "\"campaigns\": [{\"at_s\": 5}]"
/* A good file whose further members are m. */
#define FILE_WITH(m) "{\"title\": \"t\", \"duration_s\": 60, " DEVICES m "}"
/* One with this call as its API load. */
#define CALL(action, params)                                                                        \
	FILE_WITH(", \"api\": {\"rate\": [[0, 1]], \"mix\": [{\"action\": \"" action            \
		  "\", \"percent\": 100, \"params\": " params "}]}")

static const char full[] =
	"{ // everything\n"
	"  \"title\": \"a fleet\", \"note\": \"why\", \"seed\": 7, \"duration_s\": 600,\n"
	"  \"devices\": {\"count\": 1000, \"version\": \"1.2.3\",\n"
	"    \"profiles\": {\"c-link-3.2\": 60.5, \"node\": 39.5}, \"online\": [[0, 0], [30, 900], [30, "
	"1000]],\n"
	"    \"logins_per_s\": 50, \"download\": false, \"download_kib_s\": 64, \"downloads_at_once\": 33,\n"
	"    \"progress_reports\": 2, \"flash_ms\": 0, \"reboot\": true, \"pull_every_s\": 9, "
	"\"flap_percent\": 1.5,\n"
	"    \"flap_every_s\": 11, \"duplicates_percent\": 0.125, \"any_port\": false},\n"
	"  \"failures\": {\"upgrade\": 1, \"download\": 2, \"verify\": 3, \"burn\": 4, \"version\": 5, "
	"\"silent\": 6.25,\n"
	"    \"attempts\": 2, \"disconnect\": 7, \"disconnect_s\": 3},\n"
	"  \"cuts\": [{\"at_s\": 40, \"for_s\": 20, \"percent\": 30}, /* two */\n"
	"    {\"at_s\": 100, \"for_s\": 5, \"percent\": 100, \"how\": \"silence\"}],\n"
	"  \"campaigns\": [{\"at_s\": 35, \"per_minute\": 100, \"package_kib\": 12,\n"
	"    \"params\": {\"TargetSelection\": \"GRAY\", \"GrayPercent\": 12.5, \"NeedPush\": true}},\n"
	"    {\"at_s\": 50, \"job\": \"j1\"}],\n"
	"  \"api\": {\"rate\": [[0, 0], [35, 0], [60, 20]], \"connections\": 4, \"mix\": [\n"
	"    {\"action\": \"QueryOTAJob\", \"percent\": 75, \"params\": {\"JobId\": \"$job\"}},\n"
	"    {\"action\": \"QueryProductList\", \"percent\": 25}]},\n"
	"  \"expect\": {\"api_p99_ms\": 100, \"api_errors_percent\": 0.5, \"login_p99_ms\": 900,\n"
	"    \"rate_used_percent\": 98, \"done_s\": 500}\n"
	"}\n";

static void devices_and_failures_are_filled_in(void)
{
	struct scenario c;
	const char *error;

	arena_init(&arena);
	if (!read_text(full, &c, &error))
		test_fail(__FILE__, __LINE__, "%s", error);
	CHECK_STR(c.title, "a fleet");
	CHECK_STR(c.note, "why");
	CHECK_INT(c.fleet.seed, 7);
	CHECK_INT(c.duration_s, 600);
	CHECK_INT(c.count, 1000);
	CHECK_STR(c.fleet.version, "1.2.3");
	CHECK_INT(c.fleet.n_mix, 2);
	CHECK_STR(c.fleet.mix[0].profile->name, "c-link-3.2");
	CHECK_INT(c.fleet.mix[0].share, 60500);
	CHECK_STR(c.fleet.mix[1].profile->name, "node");
	CHECK_INT(c.online.n, 3);
	CHECK_INT(curve_at_milli(&c.online, 15000), 450000);
	CHECK_INT(curve_at_milli(&c.online, 30000), 1000000);
	CHECK_INT(c.fleet.connect_rate, 50);
	CHECK(!c.fleet.download && c.fleet.reboot && !c.fleet.any_port && !c.leave_when_done);
	CHECK_INT(c.fleet.download_kbps, 64);
	CHECK_INT(c.fleet.downloads_max, 33);
	CHECK_INT(c.fleet.steps, 2);
	CHECK_INT(c.fleet.delay_ms, 0);
	CHECK_INT(c.fleet.pull_every_s, 9);
	CHECK_INT(c.fleet.flap_milli, 1500);
	CHECK_INT(c.fleet.flap_every_s, 11);
	CHECK_INT(c.fleet.duplicate_milli, 125);
	for (int i = 0; i < FAILURES; i++)
		CHECK_INT(c.fleet.fail_milli[i], i == FAIL_SILENT ? 6250 : (i + 1) * 1000);
	CHECK_INT(c.fleet.fail_first, 2);
	CHECK_INT(c.fleet.drop_milli, 7000);
	CHECK_INT(c.fleet.drop_s, 3);
	arena_free(&arena);
}

static void the_rest_is_filled_in(void)
{
	struct scenario c;
	const char *error;

	arena_init(&arena);
	CHECK(read_text(full, &c, &error));
	CHECK_INT(c.n_cuts, 2);
	CHECK(c.cuts[0].at_s == 40 && c.cuts[0].for_s == 20 && c.cuts[0].share_milli == 30000 &&
	      !c.cuts[0].silent);
	CHECK(c.cuts[1].silent && c.cuts[1].share_milli == PERCENT_MILLI);
	CHECK_INT(c.n_campaigns, 2);
	CHECK(c.campaigns[0].at_s == 35 && c.campaigns[0].per_minute == 100 &&
	      c.campaigns[0].package_kib == 12 && !c.campaigns[0].job);
	CHECK_INT(c.campaigns[0].params.n, 3);
	CHECK_STR(c.campaigns[0].params.v[1].name, "GrayPercent");
	CHECK_STR(c.campaigns[0].params.v[1].value, "12.5");
	CHECK_STR(c.campaigns[0].params.v[2].value, "true");
	CHECK_STR(c.campaigns[1].job, "j1");
	CHECK_INT(c.campaigns[1].per_minute, -1);
	CHECK_INT(c.api_connections, 4);
	CHECK_INT(curve_at_milli(&c.api_rate, 60000), 20000);
	CHECK_INT(c.n_calls, 2);
	CHECK_STR(c.calls[0].action, "QueryOTAJob");
	CHECK_INT(c.calls[0].share_milli, 75000);
	CHECK(params_use(&c.calls[0].params, "$job") && !params_use(&c.calls[1].params, "$job"));
	CHECK(c.expect.api_p99_ms == 100 && c.expect.api_errors_milli == 500 &&
	      c.expect.login_p99_ms == 900 && c.expect.rate_used_milli == 98000 && c.expect.done_s == 500);
	arena_free(&arena);
}

static void what_is_left_out_has_a_default(void)
{
	struct scenario c;
	const char *error;

	arena_init(&arena);
	CHECK(read_text(FILE_WITH(", " CAMPAIGN), &c, &error));
	CHECK_STR(c.fleet.version, "1.0.0");
	CHECK_STR(c.fleet.mix[0].profile->name, "paho");
	CHECK(c.fleet.download && c.fleet.any_port && c.fleet.seed == 1);
	CHECK_INT(c.campaigns[0].per_minute, -1);
	CHECK_INT(c.campaigns[0].package_kib, 256);
	CHECK_INT(c.expect.api_p99_ms, -1);
	CHECK_INT(c.n_calls, 0);
	CHECK(read_text(FILE_WITH(", \"campaigns\": [{\"at_s\": 5, \"params\": {\"MaximumPerMinute\": 9}}]"), &c,
			&error));
	arena_free(&arena);
}

static void what_is_wrong_is_named(void)
{
	static const struct {
		const char *text, *error; /* the beginning of it */
	} rows[] = {
		{ "", "line 1: " },
		{ "[]", "must be an object" },
		{ "{\n\n\"title\" 1}", "line 3: parse error" },
		{ "{}", "title: is missing" },
		{ "{\"title\": 5}", "title: must be a text of 1 to 200 characters" },
		{ "{\"title\": \"\"}", "title: must be a text" },
		{ "{\"title\": \"t\", \"title\": \"u\"}", "title: is there twice" },
		{ "{\"title\": \"t\", \"tilte\": 1}", "tilte: is no key of a scenario" },
		{ "{\"title\": \"t\"}", "duration_s: is missing" },
		{ "{\"title\": \"t\", \"duration_s\": 0}",
		  "duration_s: must be a whole number from 1 to 604800" },
		{ "{\"title\": \"t\", \"duration_s\": \"60\"}", "duration_s: must be a whole number" },
		{ "{\"title\": \"t\", \"duration_s\": 6.5}", "duration_s: must be a whole number" },
		{ "{\"title\": \"t\", \"duration_s\": 1e3}", "duration_s: must be a whole number" },
		{ "{\"title\": \"t\", \"duration_s\": 60}", "devices: is missing" },
		{ "{\"title\": \"t\", \"duration_s\": 60, \"devices\": []}", "devices: must be an object" },
		{ "{\"title\": \"t\", \"duration_s\": 60, \"devices\": {\"count\": 5}}",
		  "devices.online: is missing" },
		{ "{\"devices\": {\"online\": 5}}", "devices.online: must be a list of 1 to 100 points" },
		{ "{\"devices\": {\"online\": []}}", "devices.online: must be a list" },
		{ "{\"devices\": {\"online\": [[0]]}}", "devices.online[0]: must be [seconds, value]" },
		{ "{\"devices\": {\"online\": [[1, 0]]}}",
		  "devices.online[0]: the first point must be at 0 s" },
		{ "{\"devices\": {\"online\": [[0, -1]]}}",
		  "devices.online[0]: must be a whole number from 0" },
		{ "{\"devices\": {\"online\": [[0, 1], [9, 2], [8, 3]]}}", "devices.online[2]: is earlier" },
		{ "{\"devices\": {\"any_port\": 1}}", "devices.any_port: must be true or false" },
		{ "{\"devices\": {\"flap_percent\": 100.5}}",
		  "devices.flap_percent: must be a number from 0 to 100" },
		{ "{\"devices\": {\"flap_percent\": 0.0001}}", "devices.flap_percent: must be a number" },
		{ "{\"devices\": {\"flap_percent\": \"1\"}}", "devices.flap_percent: must be a number" },
		{ "{\"devices\": {\"profiles\": {\"nod\": 100}}}",
		  "devices.profiles: nod is no profile; there are: c-link-3.2 c-link-4 node paho" },
		{ "{\"devices\": {\"profiles\": {\"node\": 50, \"paho\": 49}}}",
		  "devices.profiles: adds up to 99 %" },
		{ "{\"devices\": {\"profiles\": {\"node\": 50, \"paho\": 10, \"node\": 40}}}",
		  "devices.profiles.node: is there twice" },
		{ "{\"devices\": {\"profiles\": {}}}", "devices.profiles: must be an object" },
		{ "{\"failures\": {\"other\": 1}}", "failures.other: is no key" },
		{ "{\"cuts\": {}}", "cuts: must be a list of 0 to 20 objects" },
		{ "{\"cuts\": [{\"at_s\": 5, \"for_s\": 5}]}", "cuts[0].percent: is missing" },
		{ "{\"cuts\": [{\"at_s\": 5, \"for_s\": 0}]}",
		  "cuts[0].for_s: must be a whole number from 1" },
		{ "{\"cuts\": [{\"how\": \"slow\"}]}", "cuts[0].how: must be \"close\" or \"silence\"" },
		{ "{\"campaigns\": [{\"at_s\": 1, \"params\": {\"A\": [1]}}]}",
		  "campaigns[0].params.A: must be a text" },
		{ "{\"campaigns\": [{\"at_s\": 1, \"params\": []}]}",
		  "campaigns[0].params: must be an object" },
		{ "{\"campaigns\": [{\"at_s\": 1, \"params\": {\"A\": 1, \"B\": 2, \"A\": 3}}]}",
		  "campaigns[0].params.A: is there twice" },
		{ "{\"campaigns\": [{\"job\": \"\"}]}", "campaigns[0].job: must be a text" },
		{ "{\"api\": {\"mix\": []}}", "api.mix: must be a list of 1 to 16" },
		{ "{\"api\": {\"mix\": [{\"percent\": 5}]}}", "api.mix[0].action: is missing" },
		{ FILE_WITH(", \"seed\": -1"), "seed: must be a whole number" },
		{ FILE_WITH(", \"failures\": {\"silent\": 60, \"burn\": 40.001}"),
		  "failures: more than 100 %" },
		{ FILE_WITH(", \"cuts\": [{\"at_s\": 50, \"for_s\": 11, \"percent\": 5}]"),
		  "cuts[0]: is after the end of the run" },
		{ FILE_WITH(", \"campaigns\": [{\"at_s\": 60}]"), "campaigns[0].at_s: is after the end" },
		{ FILE_WITH(", \"campaigns\": [{\"at_s\": 5, \"job\": \"j\", \"per_minute\": 5}]"),
		  "campaigns[0]: job exists already" },
		{ FILE_WITH(
			  ", \"api\": {\"rate\": [[0, 1]], \"mix\": [{\"action\": \"QueryOTAJob\", \"percent\": 99}]}"),
		  "api.mix: adds up to 99 %" },
		{ FILE_WITH(", \"api\": {\"rate\": [[0, 1], [61, 2]], \"mix\": [{\"action\": \"QueryOTAJob\", "
			    "\"percent\": 100}]}"),
		  "api.rate: is after the end" },
		{ FILE_WITH(", " CAMPAIGN
			    ", \"api\": {\"rate\": [[0, 1]], \"mix\": [{\"action\": \"QueryOTAJob\", \"percent\": 100, "
			    "\"params\": {\"JobId\": \"$job\"}}]}"),
		  "api.rate: must be 0 until the first campaign begins: QueryOTAJob is about its job" },
		{ FILE_WITH(", \"api\": {\"rate\": [[0, 1]], \"mix\": [{\"action\": \"QueryOTAJob\", \"percent\": 100, "
			    "\"params\": {\"FirmwareId\": \"$firmware\"}}]}"),
		  "api.mix: QueryOTAJob needs a campaign" },
		{ FILE_WITH(", \"api\": {\"rate\": [[0, 0]], \"mix\": [{\"action\": \"QueryOTAJob\", \"percent\": 100, "
			    "\"params\": {\"JobId\": \"$job\"}}]}"),
		  "api.mix: QueryOTAJob needs a campaign" },
		{ FILE_WITH(", \"campaigns\": [{\"at_s\": 5, \"per_minute\": 9, \"params\": "
			    "{\"MaximumPerMinute\": 9}}]"),
		  "campaigns[0].params.MaximumPerMinute: is what per_minute says already" },
		{ FILE_WITH(", \"campaigns\": [{\"at_s\": 5, \"params\": {\"FirmwareId\": \"f\"}}]"),
		  "campaigns[0].params.FirmwareId: is set by otasim itself" },
		{ FILE_WITH(", \"campaigns\": [{\"at_s\": 5, \"params\": {\"Signature\": \"s\"}}]"),
		  "campaigns[0].params.Signature: is set by otasim itself" },
		{ CALL("QueryProductLst", "{}"),
		  "api.mix[0].action: QueryProductLst is no action (docs/api.md)" },
		{ CALL("QueryProductList", "{\"AccessKeyId\": \"k\"}"),
		  "api.mix[0].params.AccessKeyId: is set by otasim itself" },
		{ CALL("QueryDevice", "{\"ProductKey\": \"$produkt\"}"),
		  "api.mix[0].params.ProductKey: $produkt is not filled in; there are: $product" },
		{ FILE_WITH(", \"expect\": {\"api_p99_ms\": 5}"),
		  "expect: api_p99_ms and api_errors_percent need an api" },
		{ FILE_WITH(", \"expect\": {\"done_s\": 5}"),
		  "expect: rate_used_percent and done_s need a campaign" },
		{ "{\"title\": \"t\", \"duration_s\": 60, \"devices\": {\"count\": 5, \"online\": [[0, 6]]}}",
		  "devices.online[0]: 6 is more than the 5 devices" },
		{ "{\"title\": \"t\", \"duration_s\": 9, \"devices\": {\"count\": 5, \"online\": [[0, 5], "
		  "[10, 5]]}}",
		  "devices.online: is after the end" },
		{ "{\"title\": \"t\", \"duration_s\": 9, \"devices\": {\"leave_when_done\": true, \"count\": "
		  "5, "
		  "\"online\": [[0, 5], [8, 4]]}, " CAMPAIGN "}",
		  "devices.online[1]: must not fall with" },
		{ "{\"title\": \"t\", \"duration_s\": 9, \"devices\": {\"leave_when_done\": true, "
		  "\"online\": [[0, 5]]}}",
		  "devices.leave_when_done: goes with one campaign" },
	};

	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scenario c;
		const char *error = NULL;
		bool good = read_text(rows[i].text, &c, &error);

		if (good || !error || strncmp(error, rows[i].error, strlen(rows[i].error)) != 0)
			test_fail(__FILE__, __LINE__, "%s: %s instead of %s", rows[i].text,
				  error ? error : "accepted", rows[i].error);
	}
	arena_free(&arena);
}

static char *file_text(const char *path)
{
	static char text[100000];
	FILE *f = fopen(path, "r");
	size_t n;

	CHECK(f != NULL);
	n = fread(text, 1, sizeof text - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	return text;
}

static void the_page_is_fresh(void)
{
	struct buf b;

	buf_init(&b, 1000000);
	scenario_print_keys(&b);
	if (strcmp(buf_str(&b), file_text(SOURCE_DIR "/docs/scenario.md")) != 0)
		test_fail(__FILE__, __LINE__, "otasim --scenario-keys > docs/scenario.md");
	buf_free(&b);
}

TESTS("otasim/scenario", { "devices_and_failures_are_filled_in", devices_and_failures_are_filled_in },
      { "the_rest_is_filled_in", the_rest_is_filled_in },
      { "what_is_left_out_has_a_default", what_is_left_out_has_a_default },
      { "what_is_wrong_is_named", what_is_wrong_is_named }, { "the_page_is_fresh", the_page_is_fresh })
