/* SPDX-License-Identifier: Apache-2.0 */
/* Queue, waker, clock, log, metrics. */
#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "engine/base/queue.h"
#include "engine/base/waker.h"
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ITEMS 20000
#define PRODUCERS 3

/* ---- queue ---- */

static void queue_is_bounded_and_in_order(void)
{
	struct queue *q = queue_new(3);
	int v[4];

	for (int i = 0; i < 3; i++)
		CHECK(queue_push(q, &v[i]));
	CHECK(!queue_push(q, &v[3]));
	CHECK_INT(queue_depth(q), 3);
	CHECK(queue_pop(q, 0) == &v[0]);
	CHECK(queue_push(q, &v[3]));
	for (int i = 1; i < 4; i++)
		CHECK(queue_pop(q, -1) == &v[i]);
	CHECK(queue_pop(q, 0) == NULL);
	queue_free(q);
	queue_free(NULL);
}

static void queue_pop_waits_no_longer_than_asked(void)
{
	struct queue *q = queue_new(1);
	int64_t t = clock_boot_ms();

	CHECK(queue_pop(q, 60) == NULL);
	t = clock_boot_ms() - t;
	CHECK(t >= 55 && t < 5000);
	queue_free(q);
}

static void queue_closed_gives_what_is_left(void)
{
	struct queue *q = queue_new(4);
	int v[2];

	CHECK(queue_push(q, &v[0]) && queue_push(q, &v[1]));
	queue_close(q);
	CHECK(!queue_push(q, &v[0]));
	CHECK(queue_pop(q, -1) == &v[0]);
	CHECK(queue_pop(q, -1) == &v[1]);
	CHECK(queue_pop(q, -1) == NULL);
	queue_free(q);
}

static void *produce(void *arg)
{
	struct queue *q = arg;
	static int thing;

	for (int i = 0; i < ITEMS; i++)
		while (!queue_push(q, &thing))
			(void)usleep(10);
	return NULL;
}

static void *consume(void *arg)
{
	int64_t n = 0;

	while (queue_pop(arg, -1))
		n++;
	return (void *)(uintptr_t)n;
}

static void queue_loses_nothing_between_threads(void)
{
	struct queue *q = queue_new(16);
	pthread_t p[PRODUCERS], c[2];
	uintptr_t total = 0;

	for (int i = 0; i < PRODUCERS; i++)
		CHECK(pthread_create(&p[i], NULL, produce, q) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&c[i], NULL, consume, q) == 0);
	for (int i = 0; i < PRODUCERS; i++)
		CHECK(pthread_join(p[i], NULL) == 0);
	queue_close(q);
	for (int i = 0; i < 2; i++) {
		void *n;

		CHECK(pthread_join(c[i], &n) == 0);
		total += (uintptr_t)n;
	}
	CHECK_INT(total, PRODUCERS * ITEMS);
	queue_free(q);
}

/* ---- waker ---- */

static struct waker waker;
static _Atomic int rounds;

static void *work(void *arg)
{
	(void)arg;
	do {
		atomic_fetch_add(&rounds, 1);
	} while (waker_wait(&waker, 60000));
	CHECK(waker_stopping(&waker));
	return NULL;
}

static void await_rounds(int n)
{
	int64_t until = clock_boot_ms() + 5000;

	while (atomic_load(&rounds) < n && clock_boot_ms() < until)
		(void)usleep(1000);
	CHECK_INT(atomic_load(&rounds), n);
}

static void waker_runs_a_round_per_wake_and_ends(void)
{
	int64_t t;

	waker_start(&waker, work, NULL);
	await_rounds(1);
	waker_wake(&waker);
	await_rounds(2);
	waker_wake(&waker);
	await_rounds(3);
	t = clock_boot_ms();
	waker_stop(&waker);
	CHECK(clock_boot_ms() - t < 5000);
	CHECK_INT(atomic_load(&rounds), 3);
}

/* ---- clock ---- */

static void clock_follows_its_offset(void)
{
	int64_t before = clock_now();

	CHECK(before > 1577836800000); /* 2020: taken from the host at first */
	clock_set_offset(-clock_boot_ms() + 5000);
	CHECK(clock_now() >= 5000 && clock_now() < 15000);
	CHECK(clock_boot_us() / 1000 - clock_boot_ms() <= 0);
}

static void clock_yields_to_proof_only(void)
{
	static const struct {
		int64_t least, most, want;
	} rows[] = {
		{ 0, 2000, 1000 }, { 1000, 1000, 1000 }, { -5000, 999, 999 }, { 1001, 9000, 1001 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t before = clock_boot_ms(), now;

		clock_set_offset(1000);
		clock_bound_offset(rows[i].least, rows[i].most);
		now = clock_now();
		CHECK(now >= before + rows[i].want && now <= clock_boot_ms() + rows[i].want);
	}
}

/* ---- log ---- */

static char logged[65536];

/* Everything that fn writes to standard error. */
static void log_capture(void (*fn)(void))
{
	int fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	CHECK(saved >= 0 && pipe(fds) == 0 && dup2(fds[1], STDERR_FILENO) >= 0);
	(void)close(fds[1]);
	fn();
	CHECK(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	n = read(fds[0], logged, sizeof logged - 1);
	logged[n > 0 ? n : 0] = '\0';
	(void)close(fds[0]);
}

static int lines(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static void log_hostile(void)
{
	log_event(EV_READY, LSTR("text", "a\"b\\c\nd\te\x1b[31m\x7f\xe4\xb8\xad"),
		  LSTR("broken", "x\xff\xfe"), LSTR("none", NULL), LINT("n", INT64_MIN));
}

static void log_lines_are_json_whatever_the_text(void)
{
	const struct json *v;
	struct arena a;

	log_capture(log_hostile);
	CHECK_INT(lines(logged), 1);
	arena_init(&a);
	v = json_parse(&a, logged, strlen(logged), false);
	CHECK(v != NULL);
	CHECK_STR(json_text(json_get(v, "event")), "ready");
	CHECK_STR(json_text(json_get(v, "level")), "info");
	CHECK_INT(strlen(json_text(json_get(v, "time"))), 24);
	CHECK_STR(json_text(json_get(v, "text")), "a\"b\\c\nd\te\x1b[31m\x7f\xe4\xb8\xad");
	CHECK(json_text(json_get(v, "broken")) != NULL);
	CHECK_STR(json_text(json_get(v, "none")), "");
	for (const char *s = logged; s[1]; s++)
		CHECK((unsigned char)*s >= 0x20 && *s != 0x7f);
	arena_free(&a);
}

static char long_text[100001];

static void log_long(void)
{
	for (size_t i = 0; i + 3 < sizeof long_text; i += 3)
		memcpy(long_text + i, "\xe4\xb8\xad", 3);
	log_event(EV_READY, LSTR("text", long_text), LINT("after", 7));
	memset(long_text, '\xbf', sizeof long_text - 1);
	log_event(EV_READY, LSTR("text", long_text), LINT("after", 7));
}

static void log_cuts_long_texts(void)
{
	const struct json *v;
	struct arena a;

	log_capture(log_long);
	CHECK_INT(lines(logged), 2);
	arena_init(&a);
	v = json_parse(&a, logged, strcspn(logged, "\n"), false);
	CHECK(v != NULL);
	CHECK(strlen(json_text(json_get(v, "text"))) < 2100);
	CHECK_STR(json_scalar(&a, json_get(v, "after")), "7");
	CHECK(json_parse(&a, strchr(logged, '\n') + 1, strcspn(strchr(logged, '\n') + 1, "\n"), false) !=
	      NULL);
	arena_free(&a);
}

static void log_quiet(void)
{
	log_set_level(LOG_ERROR);
	log_event(EV_READY, LINT("n", 1));
	log_event(EV_CONFIG_BAD, LINT("n", 2));
}

static void log_level_drops_what_is_below(void)
{
	enum log_level level;

	log_capture(log_quiet);
	CHECK_INT(lines(logged), 1);
	CHECK(strstr(logged, "\"event\":\"config_bad\""));
	CHECK_INT(log_errors(), 1);
	CHECK(log_level_parse("debug", &level) && level == LOG_DEBUG);
	CHECK(!log_level_parse("Debug", &level) && !log_level_parse("", &level));
}

static void log_often(void)
{
	for (int i = 0; i < 1000; i++)
		log_limited(EV_DB_LOST, LINT("i", i));
	log_limited(EV_DB_REFUSED, LINT("i", 0));
}

static void log_limited_writes_one_a_minute(void)
{
	log_capture(log_often);
	CHECK_INT(lines(logged), 2);
	CHECK(strstr(logged, "\"suppressed\":0"));
}

/* ---- metrics ---- */

static const char *page(void)
{
	static struct buf b;

	buf_free(&b);
	buf_init(&b, (size_t)4 * 1024 * 1024);
	metrics_print(&b);
	CHECK(!b.overflow);
	return buf_str(&b);
}

static void metrics_count(void)
{
	metric_add_label(M_API_CALLS, "CreateProduct", 2);
	metric_add_label(M_API_CALLS, "CreateProduct", 1);
	metric_add_label(M_API_CALLS, "DeleteDevice", 1);
	metric_set(M_ARENA_PEAK, 5);
	metric_raise(M_ARENA_PEAK, 7);
	metric_raise(M_ARENA_PEAK, 6);
	metric_observe_us(M_API_SECONDS, "CreateProduct", 900);
	metric_observe_us(M_API_SECONDS, "CreateProduct", 9000000);
	CHECK_INT(metric_get(M_API_CALLS), 4);
	CHECK(strstr(page(), "otad_api_calls_total{action=\"CreateProduct\"} 3\n"));
	CHECK(strstr(page(), "otad_api_calls_total{action=\"DeleteDevice\"} 1\n"));
	CHECK(strstr(page(), "otad_arena_peak_bytes 7\n"));
	CHECK(strstr(page(),
		     "otad_api_call_duration_seconds_bucket{action=\"CreateProduct\",le=\"0.00025\"} 0\n"));
	CHECK(strstr(page(),
		     "otad_api_call_duration_seconds_bucket{action=\"CreateProduct\",le=\"0.001\"} 1\n"));
	CHECK(strstr(page(), "otad_api_call_duration_seconds_bucket{action=\"CreateProduct\",le=\"3\"} 1\n"));
	CHECK(strstr(page(),
		     "otad_api_call_duration_seconds_bucket{action=\"CreateProduct\",le=\"+Inf\"} 2\n"));
	CHECK(strstr(page(), "otad_api_call_duration_seconds_sum{action=\"CreateProduct\"} 9.000900\n"));
	CHECK(strstr(page(), "otad_api_call_duration_seconds_count{action=\"CreateProduct\"} 2\n"));
}

static void metrics_too_many_labels_go_together(void)
{
	char label[16];

	for (int i = 0; i < 600; i++) {
		(void)snprintf(label, sizeof label, "l%d", i);
		metric_add_label(M_API_CALLS, label, 1);
	}
	CHECK_INT(metric_get(M_API_CALLS), 600);
	CHECK(strstr(page(), "{action=\"l511\"} 1\n"));
	CHECK(!strstr(page(), "{action=\"l512\"}"));
	CHECK(strstr(page(), "{action=\"other\"} 88\n"));
}

/* Labels come from code, but a page must not break even if one has a quote. */
static void metrics_escape_labels(void)
{
	metric_add_label(M_API_CALLS, "a\"b\\c\nd", 1);
	CHECK(strstr(page(), "{action=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

static void *count_labels(void *arg)
{
	(void)arg;
	for (int i = 0; i < ITEMS; i++)
		metric_add_label(M_API_CALLS, i % 2 ? "odd" : "even", 1);
	return NULL;
}

static void metrics_lose_nothing_between_threads(void)
{
	pthread_t t[PRODUCERS];

	for (int i = 0; i < PRODUCERS; i++)
		CHECK(pthread_create(&t[i], NULL, count_labels, NULL) == 0);
	for (int i = 0; i < PRODUCERS; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	CHECK_INT(metric_get(M_API_CALLS), PRODUCERS * ITEMS);
	CHECK(strstr(page(), "{action=\"odd\"} 30000\n"));
}

/* Every row of the page has its HELP and TYPE; every metric's name carries its unit or _total. */
static void metrics_every_row_is_well_formed(void)
{
	const char *s = page();

#define METRIC(id, kind, name, label, help)               \
	CHECK(strncmp(name, "otad_", 5) == 0 && *(help)); \
	CHECK(strstr(s, "# HELP " name " " help "\n# TYPE " name " "));
#include "engine/base/metrics.def"
#undef METRIC
}

TESTS("base/runtime", { "queue_is_bounded_and_in_order", queue_is_bounded_and_in_order },
      { "queue_pop_waits_no_longer_than_asked", queue_pop_waits_no_longer_than_asked },
      { "queue_closed_gives_what_is_left", queue_closed_gives_what_is_left },
      { "queue_loses_nothing_between_threads", queue_loses_nothing_between_threads },
      { "waker_runs_a_round_per_wake_and_ends", waker_runs_a_round_per_wake_and_ends },
      { "log_cuts_long_texts", log_cuts_long_texts },
      { "clock_follows_its_offset", clock_follows_its_offset },
      { "clock_yields_to_proof_only", clock_yields_to_proof_only },
      { "log_lines_are_json_whatever_the_text", log_lines_are_json_whatever_the_text },
      { "log_level_drops_what_is_below", log_level_drops_what_is_below },
      { "log_limited_writes_one_a_minute", log_limited_writes_one_a_minute },
      { "metrics_count", metrics_count },
      { "metrics_too_many_labels_go_together", metrics_too_many_labels_go_together },
      { "metrics_escape_labels", metrics_escape_labels },
      { "metrics_lose_nothing_between_threads", metrics_lose_nothing_between_threads },
      { "metrics_every_row_is_well_formed", metrics_every_row_is_well_formed })
