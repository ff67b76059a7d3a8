/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/config.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct arena arena;
static struct error error;
static char path[64];

static void setup(void)
{
	arena_init(&arena);
	error_init(&error, &arena);
	if (!*path)
		(void)snprintf(path, sizeof path, "/tmp/config_test.%d", (int)getpid());
}

static void done(void)
{
	config_free();
	arena_free(&arena);
	(void)unlink(path);
}

static void file_write(const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	CHECK(f != NULL);
	CHECK(fwrite(text, 1, len, f) == len);
	CHECK(fclose(f) == 0);
}

/* What loading this text says; NULL: it is good. */
static const char *refusal(const char *text)
{
	file_write(text, strlen(text));
	error_clear(&error);
	if (config_load(path, &error) == OK)
		return NULL;
	CHECK_INT(error.err, ERR_CONFIG);
	return error_text(&error);
}

static void defaults_are_in_force_before_loading(void)
{
	CHECK_INT(config_now()->api_workers, 24);
	CHECK_STR(config_now()->log_level, "info");
}

static void reads_keys_comments_and_blanks(void)
{
	setup();
	CHECK_STR(refusal("# a comment\n\n  api_workers =  3\t\r\nregion=eu # not a comment\nbroker_ca =\n  "
			  "# last"),
		  NULL);
	CHECK_INT(config_now()->api_workers, 3);
	CHECK_STR(config_now()->region, "eu # not a comment");
	CHECK_STR(config_now()->broker_ca, "");
	CHECK_INT(config_now()->api_queue, 256);
	done();
}

static void refuses_with_line_and_key(void)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "api_workerz = 3\n", ":1: unknown key \"api_workerz\"" },
		{ "API_WORKERS = 3\n", ":1: unknown key \"API_WORKERS\"" },
		{ "= 3\n", ":1: unknown key \"\"" },
		{ "region = a\n\nregion = b\n", ":3: region is given twice" },
		{ "region\n", ":1: a line has to be \"key = value\"" },
		{ "api_workers = 0\n", "api_workers must be a number from 1 to 64" },
		{ "api_workers = 65\n", "api_workers must be a number" },
		{ "api_workers = 3x\n", "not \"3x\"" },
		{ "api_workers =\n", "api_workers must be a number" },
		{ "limit_list_names = -2\n", "from -1 to" },
		{ "role = api,dispatch\n", "role must be" },
		{ "role = ,\n", "role must be" },
		{ "log_level = loud\n", "log_level must be debug, info, warn or error" },
		{ "limits_profile = next\n", "limits_profile must be seed or current" },
		{ "api_listen = 8080\n", "api_listen must be ADDRESS:PORT" },
		{ "api_listen = :8080\n", "api_listen must be" },
		{ "api_listen = 1.2.3.4:65536\n", "api_listen must be" },
		{ "api_listen = ::1:80\n", "api_listen must be" },
		{ "broker = 127.0.0.1:1883\n", "broker must be tcp://HOST:PORT or ssl://" },
		{ "broker = tcp://127.0.0.1\n", "broker must be" },
		{ "store_url = ftp://x\n", "store_url must be" },
		{ "store_url = http://x/\n", "store_url must be" },
		{ "store_url = http://\n", "store_url must be" },
		{ "store_external = http://a/ b\n", "store_external must be" },
		{ "quota = RegisterDevice\n", "quota must be Action=N pairs" },
		{ "quota = RegisterDevice=x\n", "quota must be" },
		{ "quota = =5\n", "quota must be" },
		{ "state_dir =\n", "state_dir must be a directory" },
		{ "api_tls_cert = /x\n", "go together" },
		{ "limit_max_per_minute_min = 50\nlimit_max_per_minute_max = 40\n", "is larger than" },
	};

	setup();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *said = refusal(rows[i].text);

		if (!said || !strstr(said, rows[i].says))
			test_fail(__FILE__, __LINE__, "row %zu: said \"%s\", wanted \"%s\"", i,
				  said ? said : "(good)", rows[i].says);
	}
	CHECK_INT(config_now()->api_workers, 24);
	done();
}

static void accepts_what_checks_allow(void)
{
	static const char *const rows[] = {
		"role = engine\n",
		"role = api engine\n",
		"api_listen = [::1]:80\n",
		"api_listen = ota.example:0\n",
		"broker = ssl://[::1]:8883\n",
		"store_url = https://ota.example/x\n",
		"store_url =\n",
		"store_external = http://a https://b/c\n",
		"quota = *=0 RegisterDevice=500\n",
		"quota =\n",
		"metrics_listen = 127.0.0.1:9000\n",
		"api_tls_cert = /x\napi_tls_key = /y\n",
		"limit_max_per_minute_min = 50\n",
	};

	setup();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		file_write(rows[i], strlen(rows[i]));
		error_clear(&error);
		if (config_check(path, &error) != OK)
			test_fail(__FILE__, __LINE__, "row %zu: %s", i, error_text(&error));
	}
	done();
}

static void environment_beats_the_file(void)
{
	setup();
	CHECK(setenv("OTAD_API_WORKERS", "5", 1) == 0);
	CHECK_STR(refusal("api_workers = 3\n"), NULL);
	CHECK_INT(config_now()->api_workers, 5);
	CHECK(setenv("OTAD_API_WORKERS", "many", 1) == 0);
	error_clear(&error);
	CHECK_INT(config_check(NULL, &error), ERR_CONFIG);
	CHECK(strstr(error_text(&error), "OTAD_API_WORKERS: api_workers must be a number"));
	done();
}

static void reload_is_taken_whole_or_not_at_all(void)
{
	const struct config *first, *second;

	setup();
	CHECK_STR(refusal("store_url_hours = 1\nregion = a\n"), NULL);
	first = config_now();
	CHECK_STR(refusal("store_url_hours = 2\nregion = b\n"), "region cannot change without a restart");
	CHECK(config_now() == first);
	CHECK_INT(config_now()->store_url_hours, 1);
	CHECK(refusal("store_url_hours = 0\nregion = a\n") != NULL);
	CHECK(config_now() == first);
	CHECK_STR(refusal("store_url_hours = 2\nregion = a\n"), NULL);
	second = config_now();
	CHECK(second != first);
	CHECK_INT(second->store_url_hours, 2);
	CHECK_INT(first->store_url_hours, 1); /* whoever holds the old one goes on with it */
	CHECK_STR(first->region, "a");
	done();
}

static void unreadable_files_are_refused(void)
{
	static const char zero[] = "region = a\0b\n";
	char *big = malloc((size_t)2 * 1024 * 1024);

	setup();
	CHECK_INT(config_load("/nonexistent/otad.conf", &error), ERR_CONFIG);
	CHECK(strstr(error_text(&error), "/nonexistent/otad.conf: "));
	error_clear(&error);
	CHECK_INT(config_load("/tmp", &error), ERR_CONFIG);
	error_clear(&error);
	file_write(zero, sizeof zero - 1);
	CHECK_INT(config_load(path, &error), ERR_CONFIG);
	error_clear(&error);
	CHECK(big != NULL);
	memset(big, '\n', (size_t)2 * 1024 * 1024);
	file_write(big, (size_t)2 * 1024 * 1024);
	CHECK_INT(config_load(path, &error), ERR_CONFIG);
	free(big);
	done();
}

static void sample_parses_back(void)
{
	struct buf sample;

	setup();
	buf_init(&sample, (size_t)256 * 1024);
	config_print(&sample, false);
	CHECK(!sample.overflow);
	CHECK_STR(refusal(buf_str(&sample)), NULL);
#define CONFIG_TEXT(key, def, reloadable, secret, doc) \
	CHECK_STR(config_now()->key, def);             \
	CHECK(strstr(buf_str(&sample), doc) != NULL);
#define CONFIG_INT(key, def, min, max, unit, reloadable, doc) \
	CHECK_INT(config_now()->key, def);                    \
	CHECK((min) <= (def) && (def) <= (max));              \
	CHECK(strstr(buf_str(&sample), doc) != NULL);
#define CONFIG_BOOL(key, def, reloadable, doc) CHECK(config_now()->key == (def));
#include "engine/base/config.def"
	buf_free(&sample);
	done();
}

static void current_values_without_secrets(void)
{
	struct buf out;

	setup();
	CHECK_STR(refusal("database = host=x password=canary\napi_workers = 7\nregion = eu\nbroker_ca =\n"),
		  NULL);
	buf_init(&out, (size_t)256 * 1024);
	config_print(&out, true);
	CHECK(!strstr(buf_str(&out), "canary"));
	CHECK(strstr(buf_str(&out), "\ndatabase = ***\n"));
	CHECK(strstr(buf_str(&out), "\napi_workers = 7\n"));
	CHECK(strstr(buf_str(&out), "\nregion = eu\n"));
	CHECK(strstr(buf_str(&out), "\nbroker_ca =\n"));
	buf_free(&out);
	done();
}

TESTS("base/config", { "defaults_are_in_force_before_loading", defaults_are_in_force_before_loading },
      { "reads_keys_comments_and_blanks", reads_keys_comments_and_blanks },
      { "refuses_with_line_and_key", refuses_with_line_and_key },
      { "accepts_what_checks_allow", accepts_what_checks_allow },
      { "environment_beats_the_file", environment_beats_the_file },
      { "reload_is_taken_whole_or_not_at_all", reload_is_taken_whole_or_not_at_all },
      { "unreadable_files_are_refused", unreadable_files_are_refused },
      { "sample_parses_back", sample_parses_back },
      { "current_values_without_secrets", current_values_without_secrets })
