/* SPDX-License-Identifier: Apache-2.0 */
/* otasim: options, the loop, the end. Plays a fleet of devices against a broker: real logins, real downloads
 * with digest check, scripted failures. Stops by itself (--duration, --exit-when-idle) or on SIGTERM.
 * Exit status: 0 done, 1 could not start or report, 2 usage. */
#include "cmd/otasim/sim.h"
#include "engine/base/clock.h"
#include "engine/base/parse.h"

#include <event2/bufferevent.h>
#include <event2/util.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define TICK_MS 20

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum option_kind { KIND_TEXT, KIND_NUMBER, KIND_PERCENT, KIND_FLAG, KIND_MIX };

struct option_row {
	const char *name;
	enum option_kind kind;
	size_t offset;
	int64_t min, max;
	const char *doc;
};

/* clang-format off */
static const struct option_row rows[] = {
	{ "broker",         KIND_TEXT,     offsetof(struct options, broker),         0, 0, "HOST:PORT of the MQTT broker" },
	{ "ca",             KIND_TEXT,     offsetof(struct options, ca),             0, 0, "PEM file of an authority: speak TLS to the broker, and check https downloads against it" },
	{ "devices",        KIND_TEXT,     offsetof(struct options, devices_file),   0, 0, "CSV: product_key,device_name,secret[,version]" },
	{ "version",        KIND_TEXT,     offsetof(struct options, version),        0, 0, "version of the devices that the CSV gives none (1.0.0)" },
	{ "module",         KIND_TEXT,     offsetof(struct options, module),         0, 0, "module that they name in all they say (none)" },
	{ "profile",        KIND_MIX,      0,                                        1, 1000, "SDK generations to play, with their shares: NAME[:SHARE],... (paho)" },
	{ "connect-rate",   KIND_NUMBER,   offsetof(struct options, connect_rate),   1, 100000, "logins a second (200)" },
	{ "offline",        KIND_PERCENT,  offsetof(struct options, offline_milli),  0, 0, "percent of the devices that are offline at the start" },
	{ "offline-until",  KIND_NUMBER,   offsetof(struct options, offline_until_s), 0, 1000000, "seconds until they come, spread over a fifth of it; 0: never (0)" },
	{ "fail-rate",      KIND_PERCENT,  offsetof(struct options, fail_milli),     0, 0, "percent of the devices that fail their updates" },
	{ "fail-kinds",     KIND_TEXT,     offsetof(struct options, fail_kinds),     0, 0, "how, separated by commas: -1 to -4, version (a third one), stall (-1,-2,-3,-4,version)" },
	{ "fail-first",     KIND_NUMBER,   offsetof(struct options, fail_first),     0, 1000, "they fail this many times, then do well; 0: always (0)" },
	{ "flap",           KIND_PERCENT,  offsetof(struct options, flap_milli),     0, 0, "percent of the devices that lose their connection again and again" },
	{ "flap-every",     KIND_NUMBER,   offsetof(struct options, flap_every_s),   1, 100000, "seconds between two losses, on average (30)" },
	{ "duplicates",     KIND_PERCENT,  offsetof(struct options, duplicate_milli), 0, 0, "percent of the devices that send every report twice" },
	{ "steps",          KIND_NUMBER,   offsetof(struct options, steps),          1, 100, "progress reports of a download (4)" },
	{ "delay",          KIND_NUMBER,   offsetof(struct options, delay_ms),       0, 3600000, "ms for flashing, on average (1000)" },
	{ "download-kbps",  KIND_NUMBER,   offsetof(struct options, download_kbps),  0, 10000000, "KiB a second of each download; 0: as fast as it goes (0)" },
	{ "http-port",      KIND_NUMBER,   offsetof(struct options, http_port),      1, 65535, "port of download URLs that name none (80, with https 443)" },
	{ "any-port",       KIND_FLAG,     offsetof(struct options, any_port),       true, 0, "let c-link-3.2, which cannot read a port in a URL, do so" },
	{ "downloads-max",  KIND_NUMBER,   offsetof(struct options, downloads_max),  1, 20000, "downloads at a time, the others wait (200)" },
	{ "no-download",    KIND_FLAG,     offsetof(struct options, download),       false, 0, "take pushes as downloaded (load tests)" },
	{ "pull-every",     KIND_NUMBER,   offsetof(struct options, pull_every_s),   0, 1000000, "seconds between two questions for an update; 0: only pushes (0)" },
	{ "reboot",         KIND_FLAG,     offsetof(struct options, reboot),         true, 0, "reconnect after flashing and report the version then" },
	{ "seed",           KIND_NUMBER,   offsetof(struct options, seed),           0, INT64_MAX, "which devices play what (1)" },
	{ "duration",       KIND_NUMBER,   offsetof(struct options, duration_s),     0, 10000000, "stop after so many seconds; 0: don't (0)" },
	{ "exit-when-idle", KIND_NUMBER,   offsetof(struct options, idle_s),         0, 10000000, "stop after so many seconds without anything happening; 0: don't (0)" },
	{ "report",         KIND_TEXT,     offsetof(struct options, report_file),    0, 0, "file for the summary (standard output)" },
	{ "push-log",       KIND_TEXT,     offsetof(struct options, push_log_file),  0, 0, "file for one line a push: ms since boot, device, version" },
};
/* clang-format on */

/* ---- options ---- */

static void usage_print(FILE *to)
{
	(void)fputs("usage: otasim --broker HOST:PORT --devices FILE.csv [OPTIONS]\n\n", to);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		(void)fprintf(to, "  --%-15s %s\n", rows[i].name, rows[i].doc);
	(void)fprintf(to,
		      "\nprofiles: %s\nSIGTERM and SIGINT disconnect the devices and print the summary.\n",
		      profile_names());
}

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

/* -1..-4, version, stall, with commas between. */
static bool fail_kinds_good(const char *k)
{
	for (;; k++) {
		size_t len = strcspn(k, ",");
		int64_t step;

		if (!(len == 7 && strncmp(k, "version", len) == 0) &&
		    !(len == 5 && strncmp(k, "stall", len) == 0) && !parse_i64n(k, len, -4, -1, &step))
			return false;
		k += len;
		if (!*k)
			return true;
	}
}

/* -1: go on, otherwise the exit status. */
static int options_read(int argc, char **argv, struct options *o)
{
	struct option longs[ARRAY_LEN(rows) + 2] = { { 0 } };
	int c, index = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		longs[i] = (struct option){ rows[i].name,
					    rows[i].kind == KIND_FLAG ? no_argument : required_argument, NULL,
					    'o' };
	longs[ARRAY_LEN(rows)] = (struct option){ "help", no_argument, NULL, 'h' };
	while ((c = getopt_long(argc, argv, "h", longs, &index)) != -1) {
		if (c == 'h') {
			usage_print(stdout);
			return EXIT_DONE;
		}
		if (c != 'o')
			return EXIT_USAGE;
		if (!option_set(o, &rows[index], optarg ? optarg : "")) {
			(void)fprintf(stderr, "otasim: --%s %s: not a good value\n", rows[index].name,
				      optarg);
			return EXIT_USAGE;
		}
	}
	if (optind < argc || !o->broker || !o->devices_file || !fail_kinds_good(o->fail_kinds)) {
		usage_print(stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/* ---- helpers of all files ---- */

/* splitmix64: three independent numbers in, one well mixed out. */
int64_t sim_chance(const struct sim *s, size_t device, uint64_t what, int64_t below)
{
	uint64_t x =
		(uint64_t)s->o.seed * 0x9e3779b97f4a7c15ULL + (uint64_t)device * 0xd1342543de82ef95ULL + what;

	for (int round = 0; round < 2; round++) {
		x += 0x9e3779b97f4a7c15ULL;
		x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
		x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
		x ^= x >> 31;
	}
	return below <= 0 ? 0 : (int64_t)(x % (uint64_t)below);
}

void sim_sample(int64_t **list, size_t *n, size_t *cap, int64_t value)
{
	if (*n == *cap) {
		*cap = *cap ? *cap * 2 : 4096;
		*list = realloc(*list, *cap * sizeof **list);
		ensure(*list);
	}
	(*list)[(*n)++] = value;
}

/* ---- the loop ---- */

static void stop(struct sim *s)
{
	s->stopping = true;
	(void)event_base_loopbreak(s->base);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	(void)number;
	(void)what;
	stop(arg);
}

static void queue_serve(struct sim *s, int64_t passed_ms)
{
	s->connect_credit_milli += passed_ms * s->o.connect_rate;
	while (s->queue_first && s->connect_credit_milli >= 1000) {
		struct device *d = s->queue_first;

		s->queue_first = d->next_queued;
		if (!s->queue_first)
			s->queue_last = NULL;
		s->connect_credit_milli -= 1000;
		device_connect(d);
	}
	/* Nothing is saved up while nobody waits. */
	s->connect_credit_milli =
		i64_min(s->connect_credit_milli, i64_max(1000, s->o.connect_rate * TICK_MS));
}

static void loads_serve(struct sim *s)
{
	while (s->n_loads > 0 && s->n_downloading < s->o.downloads_max) {
		struct device *d = s->loads[s->loads_first];

		s->loads_first = (s->loads_first + 1) % s->n;
		s->n_loads--;
		update_load(d);
	}
}

/* The offline ones come at their own second within the last fifth of the time. */
static void late_come(struct sim *s, int64_t second)
{
	int64_t spread = s->o.offline_until_s / 5 + 1;

	for (size_t i = 0; s->n_late > 0 && i < s->n; i++) {
		struct device *d = &s->devices[i];

		if (d->link != LINK_OFF || d->ever_online || !device_is_offline_at_start(d) ||
		    second != s->o.offline_until_s - sim_chance(s, i, 'L', spread))
			continue;
		s->n_late--;
		device_enqueue(d);
	}
}

static void second_pass(struct sim *s, int64_t now)
{
	int64_t second = (now - s->started_ms) / MS_PER_SECOND;

	for (size_t i = 0; i < s->n; i++)
		device_tick(&s->devices[i], now);
	late_come(s, second);
	if (s->push_log)
		(void)fflush(s->push_log);
	if ((s->o.duration_s > 0 && second >= s->o.duration_s) ||
	    (s->o.idle_s > 0 && now - s->active_ms >= s->o.idle_s * MS_PER_SECOND && s->n_late == 0))
		stop(s);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct sim *s = arg;
	int64_t now = clock_boot_ms(), before = s->ticked_ms;

	(void)fd;
	(void)what;
	s->ticked_ms = now;
	queue_serve(s, now - before);
	loads_serve(s);
	for (int64_t t = (before - s->started_ms) / MS_PER_SECOND; t < (now - s->started_ms) / MS_PER_SECOND;
	     t++)
		second_pass(s, s->started_ms + (t + 1) * MS_PER_SECOND);
}

/* ---- start and end ---- */

static bool broker_resolve(struct sim *s)
{
	char host[256];
	const char *colon = strrchr(s->o.broker, ':');
	struct evutil_addrinfo hint = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found = NULL;

	if (!colon || (size_t)(colon - s->o.broker) >= sizeof host)
		return false;
	memcpy(host, s->o.broker, (size_t)(colon - s->o.broker));
	host[colon - s->o.broker] = '\0';
	if (evutil_getaddrinfo(host, colon + 1, &hint, &found) != 0 || !found)
		return false;
	s->broker_host = arena_strdup(&s->arena, host);
	memcpy(&s->broker, found->ai_addr, found->ai_addrlen);
	s->broker_len = found->ai_addrlen;
	evutil_freeaddrinfo(found);
	return true;
}

/* A socket for every device and every download. */
static bool files_allow(const struct sim *s)
{
	struct rlimit limit;
	rlim_t need = (rlim_t)(s->n + (size_t)s->o.downloads_max + 64);

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return false;
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < need && limit.rlim_max != RLIM_INFINITY) {
		(void)fprintf(stderr,
			      "otasim: %zu devices need %llu open files, %llu are allowed (ulimit -n)\n",
			      s->n, (unsigned long long)need, (unsigned long long)limit.rlim_max);
		return false;
	}
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void download_rate_set(struct sim *s)
{
	struct timeval tick = { .tv_sec = 0, .tv_usec = 100000 };
	size_t bytes = (size_t)s->o.download_kbps * 1024 / 10;

	if (s->o.download_kbps == 0)
		return;
	s->download_rate = ev_token_bucket_cfg_new(bytes, bytes, EV_RATE_LIMIT_MAX, EV_RATE_LIMIT_MAX, &tick);
	ensure(s->download_rate);
}

/* Exact shares, well mixed: at each device everybody gets his share of it, and who has most plays it. */
static void mix_play(struct sim *s)
{
	int64_t due[ARRAY_LEN(s->o.mix)] = { 0 }, total = 0;

	for (size_t k = 0; k < s->o.n_mix; k++)
		total += s->o.mix[k].share;
	for (size_t i = 0; i < s->n; i++) {
		size_t most = 0;

		for (size_t k = 0; k < s->o.n_mix; k++) {
			due[k] += s->o.mix[k].share;
			if (due[k] > due[most])
				most = k;
		}
		due[most] -= total;
		s->devices[i].profile = s->o.mix[most].profile;
	}
}

static bool sim_start(struct sim *s)
{
	struct timeval tick = { .tv_sec = 0, .tv_usec = TICK_MS * 1000 };

	if (s->o.push_log_file) {
		s->push_log = fopen(s->o.push_log_file, "w");
		if (!s->push_log) {
			(void)fprintf(stderr, "otasim: %s cannot be opened\n", s->o.push_log_file);
			return false;
		}
	}
	s->base = event_base_new();
	s->loads = calloc(s->n, sizeof(struct device *));
	ensure(s->base && s->loads);
	s->tick = event_new(s->base, -1, EV_PERSIST, on_tick, s);
	s->on_term = evsignal_new(s->base, SIGTERM, on_signal, s);
	s->on_int = evsignal_new(s->base, SIGINT, on_signal, s);
	ensure(s->tick && s->on_term && s->on_int);
	ensure(event_add(s->tick, &tick) == 0 && event_add(s->on_term, NULL) == 0 &&
	       event_add(s->on_int, NULL) == 0);
	download_rate_set(s);
	s->started_ms = s->ticked_ms = s->active_ms = clock_boot_ms();
	mix_play(s);
	for (size_t i = 0; i < s->n; i++) {
		struct device *d = &s->devices[i];

		d->sim = s;
		device_init(d);
		if (!device_is_offline_at_start(d))
			device_enqueue(d);
		else if (s->o.offline_until_s > 0)
			s->n_late++;
	}
	return true;
}

static void sim_free(struct sim *s)
{
	for (size_t i = 0; i < s->n; i++)
		device_free(&s->devices[i]);
	if (s->tick)
		event_free(s->tick);
	if (s->on_term)
		event_free(s->on_term);
	if (s->on_int)
		event_free(s->on_int);
	if (s->download_rate)
		ev_token_bucket_cfg_free(s->download_rate);
	if (s->base)
		event_base_free(s->base);
	if (s->push_log)
		(void)fclose(s->push_log);
	tls_close(s);
	free(s->devices);
	free(s->loads);
	free(s->pushes_ms);
	free(s->update_ms);
	buf_free(&s->scratch);
	buf_free(&s->topic);
	arena_free(&s->arena);
	libevent_global_shutdown();
}

int main(int argc, char **argv)
{
	struct sim s = { .o = { .version = "1.0.0",
				.fail_kinds = "-1,-2,-3,-4,version",
				.connect_rate = 200,
				.flap_every_s = 30,
				.steps = 4,
				.delay_ms = 1000,
				.downloads_max = 200,
				.seed = 1,
				.download = true,
				.mix = { { profile_find("paho"), 1 } },
				.n_mix = 1 } };
	int status;
	bool good;

	status = options_read(argc, argv, &s.o);
	if (status >= 0)
		return status;
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return EXIT_FAILED;
	arena_init(&s.arena);
	buf_init(&s.scratch, MQTT_PACKET_MAX);
	buf_init(&s.topic, 512);
	good = broker_resolve(&s);
	if (!good)
		(void)fprintf(stderr, "otasim: %s is not HOST:PORT of a broker\n", s.o.broker);
	good = good && tls_open(&s) && fleet_read(&s) && files_allow(&s) && sim_start(&s);
	if (good) {
		(void)event_base_dispatch(s.base);
		good = report_write(&s);
	}
	sim_free(&s);
	return good ? EXIT_DONE : EXIT_FAILED;
}
