/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, one row an option. */
#include "cmd/otasim/options.h"

#include "cmd/otasim/profile.h"
#include "cmd/otasim/scenario.h"
#include "engine/base/parse.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIVEN_MAX 100

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum option_kind { KIND_TEXT, KIND_NUMBER, KIND_PERCENT, KIND_FLAG, KIND_MIX };
/* FLEET: a scenario says it instead. */
enum option_use { FLEET, LOAD, BOTH };

struct option_row {
	const char *name;
	enum option_use use;
	enum option_kind kind;
	size_t offset;
	int64_t min, max;
	const char *doc;
};

/* clang-format off */
static const struct option_row rows[] = {
	{ "broker",         BOTH,  KIND_TEXT,    offsetof(struct options, broker),          0, 0, "HOST:PORT of the MQTT broker" },
	{ "ca",             BOTH,  KIND_TEXT,    offsetof(struct options, ca),              0, 0, "PEM file of an authority: speak TLS to the broker, and check https against it" },
	{ "devices",        BOTH,  KIND_TEXT,    offsetof(struct options, devices_file),    0, 0, "CSV: product_key,device_name,secret[,version]" },
	{ "version",        FLEET, KIND_TEXT,    offsetof(struct options, version),         0, 0, "version of the devices that the CSV gives none (1.0.0)" },
	{ "module",         FLEET, KIND_TEXT,    offsetof(struct options, module),          0, 0, "module that they name in all they say (none)" },
	{ "profile",        FLEET, KIND_MIX,     0,                                         1, 1000, "SDK generations to play, with their shares: NAME[:SHARE],... (paho)" },
	{ "connect-rate",   FLEET, KIND_NUMBER,  offsetof(struct options, connect_rate),    1, 100000, "logins a second (200)" },
	{ "offline",        FLEET, KIND_PERCENT, offsetof(struct options, offline_milli),   0, 0, "percent of the devices that are offline at the start" },
	{ "offline-until",  FLEET, KIND_NUMBER,  offsetof(struct options, offline_until_s), 0, 1000000, "seconds until they come, spread over a fifth of it; 0: never (0)" },
	{ "fail-rate",      FLEET, KIND_PERCENT, offsetof(struct options, fail_rate_milli), 0, 0, "percent of the devices that fail their updates" },
	{ "fail-kinds",     FLEET, KIND_TEXT,    offsetof(struct options, fail_kinds),      0, 0, "how, separated by commas: -1 to -4, version (a third one), stall (-1,-2,-3,-4,version)" },
	{ "fail-first",     FLEET, KIND_NUMBER,  offsetof(struct options, fail_first),      0, 1000, "they fail this many times, then do well; 0: always (0)" },
	{ "flap",           FLEET, KIND_PERCENT, offsetof(struct options, flap_milli),      0, 0, "percent of the devices that lose their connection again and again" },
	{ "flap-every",     FLEET, KIND_NUMBER,  offsetof(struct options, flap_every_s),    1, 100000, "seconds between two losses, on average (30)" },
	{ "duplicates",     FLEET, KIND_PERCENT, offsetof(struct options, duplicate_milli), 0, 0, "percent of the devices that send every report twice" },
	{ "steps",          FLEET, KIND_NUMBER,  offsetof(struct options, steps),           1, 100, "progress reports of a download (4)" },
	{ "delay",          FLEET, KIND_NUMBER,  offsetof(struct options, delay_ms),        0, 3600000, "ms for flashing, on average (1000)" },
	{ "download-kbps",  FLEET, KIND_NUMBER,  offsetof(struct options, download_kbps),   0, 10000000, "KiB a second of each download; 0: as fast as it goes (0)" },
	{ "http-port",      BOTH,  KIND_NUMBER,  offsetof(struct options, http_port),       1, 65535, "port of download URLs that name none (80, with https 443)" },
	{ "any-port",       FLEET, KIND_FLAG,    offsetof(struct options, any_port),        true, 0, "let c-link-3.2, which cannot read a port in a URL, do so" },
	{ "downloads-max",  FLEET, KIND_NUMBER,  offsetof(struct options, downloads_max),   1, 20000, "downloads at a time, the others wait (200)" },
	{ "no-download",    FLEET, KIND_FLAG,    offsetof(struct options, download),        false, 0, "take pushes as downloaded (load tests)" },
	{ "pull-every",     FLEET, KIND_NUMBER,  offsetof(struct options, pull_every_s),    0, 1000000, "seconds between two questions for an update; 0: only pushes (0)" },
	{ "reboot",         FLEET, KIND_FLAG,    offsetof(struct options, reboot),          true, 0, "reconnect after flashing and report the version then" },
	{ "seed",           BOTH,  KIND_NUMBER,  offsetof(struct options, seed),            0, INT64_MAX, "which devices play what (1)" },
	{ "duration",       FLEET, KIND_NUMBER,  offsetof(struct options, duration_s),      0, 10000000, "stop after so many seconds; 0: don't (0)" },
	{ "exit-when-idle", FLEET, KIND_NUMBER,  offsetof(struct options, idle_s),          0, 10000000, "stop after so many seconds without anything happening; 0: don't (0)" },
	{ "report",         BOTH,  KIND_TEXT,    offsetof(struct options, report_file),     0, 0, "file for the summary (standard output)" },
	{ "html",           LOAD,  KIND_TEXT,    offsetof(struct options, html_file),       0, 0, "file for the report of a scenario, a page for the browser" },
	{ "endpoint",       LOAD,  KIND_TEXT,    offsetof(struct options, endpoint),        0, 0, "[https://]HOST:PORT of the management API" },
	{ "keep-devices",   LOAD,  KIND_TEXT,    offsetof(struct options, keep_file),       0, 0, "file for the devices that a scenario registers, to be used again with --devices" },
	{ "about",          LOAD,  KIND_TEXT,    offsetof(struct options, about),           0, 0, "what the report should say of the machines and versions" },
	{ "push-log",       BOTH,  KIND_TEXT,    offsetof(struct options, push_log_file),   0, 0, "file for one line a push: ms since boot, device, version; \"again\" if it had it before, \"held\" if a cut held it back" },
};
/* clang-format on */

struct options options_default(void)
{
	return (struct options){ .version = "1.0.0",
				 .fail_kinds = "-1,-2,-3,-4,version",
				 .connect_rate = 200,
				 .flap_every_s = 30,
				 .steps = 4,
				 .delay_ms = 1000,
				 .downloads_max = 200,
				 .drop_s = 10,
				 .seed = 1,
				 .download = true,
				 .mix = { { profile_find("paho"), 1 } },
				 .n_mix = 1 };
}

/* clang-format off */
static const char usage_head[] =
	"usage: otasim --broker HOST:PORT --devices FILE.csv [OPTIONS]\n"
	"       otasim --scenario FILE.json [OPTIONS marked with *]\n"
	"       otasim --check FILE.json      says whether a scenario is good\n"
	"       otasim --scenario-keys        prints docs/scenario.md\n\n";
static const char usage_tail[] =
	"What no option says, a scenario takes from the environment, as deploy/stack writes it:\n"
	"OTA_BROKER, OTA_CA, OTA_PROTOCOL, OTA_ENDPOINT, OTA_AK, OTA_SK (of an admin key), and\n"
	"OTA_PID_OTAD, OTA_PID_BROKER, OTA_PID_POSTGRES (a pid, or a file with one): whose CPU and memory to show.\n"
	"SIGTERM and SIGINT disconnect the devices and print the summary.\n"
	"Exit status: 0 done, 1 could not start or report, 2 usage, 3 not everything of the scenario came true.\n";
/* clang-format on */

static void usage_print(FILE *to)
{
	(void)fputs(usage_head, to);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		(void)fprintf(to, " %c --%-15s %s\n", rows[i].use == FLEET ? ' ' : '*', rows[i].name,
			      rows[i].doc);
	(void)fprintf(to, "\nprofiles: %s\n%s", profile_names(), usage_tail);
}

/* ---- values ---- */

/* NAME[:SHARE] with commas between. */
static bool mix_set(struct options *o, const struct option_row *r, const char *value)
{
	char name[32];

	for (o->n_mix = 0;; o->n_mix++) {
		size_t len = strcspn(value, ",:");
		bool share = value[len] == ':';

		if (len >= sizeof name || o->n_mix == ARRAY_LEN(o->mix))
			return false;
		memcpy(name, value, len);
		name[len] = '\0';
		o->mix[o->n_mix].profile = profile_find(name);
		o->mix[o->n_mix].share = 1;
		value += len + share;
		len = share ? strcspn(value, ",") : 0;
		if (!o->mix[o->n_mix].profile ||
		    (share && !parse_i64n(value, len, r->min, r->max, &o->mix[o->n_mix].share)))
			return false;
		value += len;
		if (!*value)
			break;
		value++;
	}
	o->n_mix++;
	return true;
}

static bool option_set(struct options *o, const struct option_row *r, const char *value)
{
	char *at = (char *)o + r->offset;

	switch (r->kind) {
	case KIND_TEXT:
		memcpy(at, &value, sizeof value);
		return value[0] != '\0';
	case KIND_NUMBER:
		return parse_i64(value, r->min, r->max, (int64_t *)(void *)at);
	case KIND_PERCENT:
		return parse_percent(value, (int64_t *)(void *)at) && *(int64_t *)(void *)at <= PERCENT_MILLI;
	case KIND_FLAG:
		*(bool *)(void *)at = r->min != 0;
		return true;
	case KIND_MIX:
		return mix_set(o, r, value);
	}
	return false;
}

static enum failure failure_find(const char *word, size_t len)
{
	static const char *const words[] = {
#define FAILURE(name, step, word, key, doc) word,
#include "cmd/otasim/failures.def"
#undef FAILURE
	};
	enum failure f = 0;

	while (f < FAILURES && !(strlen(words[f]) == len && strncmp(words[f], word, len) == 0))
		f++;
	return f;
}

/* Shares fail_rate_milli out among the kinds; who is named twice gets two parts. */
static bool failures_share(struct options *o)
{
	int64_t parts = 1, left = o->fail_rate_milli;

	for (const char *k = o->fail_kinds; *k; k++)
		parts += *k == ',';
	for (const char *k = o->fail_kinds;; k++, parts--) {
		size_t len = strcspn(k, ",");
		enum failure f = failure_find(k, len);

		if (f == FAIL_NOT)
			return false;
		o->fail_milli[f] += left / parts;
		left -= left / parts;
		k += len;
		if (!*k)
			return true;
	}
}

/* ---- the command line ---- */

struct given {
	const struct option_row *row;
	const char *value;
};

/* The file's text in the arena; NULL: said. */
static char *file_read(struct arena *a, const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "r");
	struct buf *b = buf_owned(a, SCENARIO_BYTES_MAX);
	char piece[4096];
	size_t n;

	while (f && (n = fread(piece, 1, sizeof piece, f)) > 0)
		buf_add(b, piece, n);
	if (!f || ferror(f) || b->overflow) {
		(void)fprintf(stderr, "otasim: %s: %s\n", path, b->overflow ? "too large" : "cannot be read");
		b = NULL;
	}
	if (f)
		(void)fclose(f);
	if (!b)
		return NULL;
	*ret_len = b->len;
	return arena_strndup(a, buf_str(b), b->len);
}

static const struct scenario *scenario_load(struct arena *a, const char *path, const char **ret_text)
{
	struct scenario *c = ARENA_NEW(a, struct scenario);
	const char *error;
	size_t len;

	*ret_text = file_read(a, path, &len);
	if (!*ret_text)
		return NULL;
	if (scenario_read(a, *ret_text, len, c, &error))
		return c;
	(void)fprintf(stderr, "otasim: %s: %s\n", path, error);
	return NULL;
}

static void from_environment(struct options *o)
{
	const struct {
		const char **to;
		const char *name;
	} vars[] = { { &o->broker, "OTA_BROKER" }, { &o->ca, "OTA_CA" } };

	for (size_t i = 0; i < ARRAY_LEN(vars); i++) {
		const char *value = getenv(vars[i].name);

		if (value && *value)
			*vars[i].to = value;
	}
}

static int keys_print(void)
{
	struct buf b;

	buf_init(&b, SCENARIO_BYTES_MAX);
	scenario_print_keys(&b);
	(void)fputs(buf_str(&b), stdout);
	buf_free(&b);
	return EXIT_DONE;
}

static int check(struct arena *a, const char *path)
{
	const char *text;

	if (!scenario_load(a, path, &text))
		return EXIT_USAGE;
	(void)printf("%s: good\n", path);
	return EXIT_DONE;
}

/* Sorts the command line into *given, *ret_n of them; -1 or the exit status. */
static int words_read(struct arena *a, int argc, char **argv, struct given given[GIVEN_MAX], size_t *ret_n,
		      const char **ret_scenario)
{
	enum { OPTION = 1, SCENARIO, KEYS, CHECK, HELP };
	struct option longs[ARRAY_LEN(rows) + 5] = { { 0 } };
	int c, index = 0;
	size_t n = ARRAY_LEN(rows);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		longs[i] = (struct option){ rows[i].name,
					    rows[i].kind == KIND_FLAG ? no_argument : required_argument, NULL,
					    OPTION };
	longs[n++] = (struct option){ "scenario", required_argument, NULL, SCENARIO };
	longs[n++] = (struct option){ "scenario-keys", no_argument, NULL, KEYS };
	longs[n++] = (struct option){ "check", required_argument, NULL, CHECK };
	longs[n] = (struct option){ "help", no_argument, NULL, HELP };
	*ret_n = 0;
	while ((c = getopt_long(argc, argv, "h", longs, &index)) != -1) {
		switch (c) {
		case OPTION:
			if (*ret_n == GIVEN_MAX)
				return EXIT_USAGE;
			given[(*ret_n)++] = (struct given){ &rows[index], optarg ? optarg : "" };
			break;
		case SCENARIO:
			*ret_scenario = optarg;
			break;
		case KEYS:
			return keys_print();
		case CHECK:
			return check(a, optarg);
		case HELP:
		case 'h':
			usage_print(stdout);
			return EXIT_DONE;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		usage_print(stderr);
	return optind < argc ? EXIT_USAGE : -1;
}

static bool given_apply(const struct given *g, bool scenario, struct options *o)
{
	if (g->row->use != BOTH && (g->row->use == LOAD) != scenario) {
		(void)fprintf(stderr, "otasim: --%s: %s\n", g->row->name,
			      scenario ? "the scenario says that" : "goes with --scenario only");
		return false;
	}
	if (!option_set(o, g->row, g->value)) {
		(void)fprintf(stderr, "otasim: --%s %s: not a good value\n", g->row->name, g->value);
		return false;
	}
	return true;
}

int options_read(struct arena *a, int argc, char **argv, struct options *ret,
		 const struct scenario **ret_scenario, const char **ret_text)
{
	struct given given[GIVEN_MAX];
	const char *path = NULL;
	size_t n;
	int status = words_read(a, argc, argv, given, &n, &path);

	*ret = options_default();
	*ret_scenario = NULL;
	if (status >= 0)
		return status;
	if (path) {
		*ret_scenario = scenario_load(a, path, ret_text);
		if (!*ret_scenario)
			return EXIT_USAGE;
		*ret = (*ret_scenario)->fleet;
		from_environment(ret);
	}
	for (size_t i = 0; i < n; i++)
		if (!given_apply(&given[i], path != NULL, ret))
			return EXIT_USAGE;
	if (!ret->broker || (!ret->devices_file && !path) || !failures_share(ret)) {
		usage_print(stderr);
		return EXIT_USAGE;
	}
	return -1;
}
