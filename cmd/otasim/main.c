/* SPDX-License-Identifier: Apache-2.0 */
/* otasim: the loop and its end. Plays a fleet of devices against a broker: real logins, real downloads
 * with digest check, scripted failures. Stops by itself (--duration, --exit-when-idle) or on SIGTERM.
 * Exit status: options.c. */
#include "cmd/otasim/load.h"
#include "cmd/otasim/turns.h"
#include "engine/base/clock.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/util.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define TICK_MS 20

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_NOT_MET = 3 };
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

bool sim_share(const struct sim *s, size_t device, uint64_t what, int64_t share_milli)
{
	return sim_chance(s, device, what, PERCENT_MILLI) < share_milli;
}

/* ---- the loop ---- */

static void stop(struct sim *s)
{
	(void)event_base_loopbreak(s->base);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct sim *s = arg;

	(void)number;
	(void)what;
	s->stopped = true;
	stop(s);
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
		d->load_queued = false;
		if (d->update == UPDATE_WAITING)
			update_load(d);
	}
}

/* The offline ones come at their own second within the last fifth of the time. */
static void late_come(struct sim *s, int64_t second)
{
	int64_t spread = s->o.offline_until_s / 5 + 1;

	for (size_t i = 0; s->n_late > 0 && i < s->n; i++) {
		struct device *d = &s->devices[i];

		if (d->on || d->ever_online || !device_is_offline_at_start(d) ||
		    second != s->o.offline_until_s - sim_chance(s, i, 'L', spread))
			continue;
		s->n_late--;
		device_switch(d, true);
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
	if (s->scenario)
		arrival_tick(s, now);
	queue_serve(s, now - before);
	loads_serve(s);
	for (int64_t t = (before - s->started_ms) / MS_PER_SECOND; t < (now - s->started_ms) / MS_PER_SECOND;
	     t++)
		second_pass(s, s->started_ms + (t + 1) * MS_PER_SECOND);
	if (s->load && load_tick(s->load, now, i64_max(now - before - TICK_MS, 0)))
		stop(s);
}

/* ---- start and end ---- */

/* Whatever is to be written can be: nobody wants to hear of it at the end of a long run. What is there stays
 * until then. */
static bool outputs_check(const struct options *o)
{
	const char *const paths[] = { o->report_file, o->html_file, o->keep_file, o->push_log_file };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		FILE *f;

		if (!paths[i] || strcmp(paths[i], "-") == 0)
			continue;
		f = fopen(paths[i], "a");
		if (!f) {
			(void)fprintf(stderr, "otasim: cannot write %s: %s\n", paths[i], strerror(errno));
			return false;
		}
		(void)fclose(f);
	}
	return true;
}

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
	size_t devices = s->scenario
				 ? (size_t)curve_max_before(&s->scenario->online, s->scenario->duration_s + 1)
				 : s->n;
	rlim_t need = (rlim_t)(devices + (size_t)s->o.downloads_max + 64 +
			       (s->scenario ? (size_t)s->scenario->api_connections : 0));

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return false;
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < need && limit.rlim_max != RLIM_INFINITY) {
		(void)fprintf(stderr,
			      "otasim: %zu devices need %llu open files, %llu are allowed (ulimit -n)\n",
			      devices, (unsigned long long)need, (unsigned long long)limit.rlim_max);
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

static void mix_play(struct sim *s)
{
	struct turns t = { 0 };

	for (size_t k = 0; k < s->o.n_mix; k++)
		turns_add(&t, s->o.mix[k].share);
	for (size_t i = 0; i < s->n; i++)
		s->devices[i].profile = s->o.mix[turns_next(&t)].profile;
}

/* To the microsecond, for the moments of API calls. */
static void loop_open(struct sim *s)
{
	struct event_config *config = event_config_new();

	ensure(config && event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0);
	s->base = event_base_new_with_config(config);
	event_config_free(config);
	ensure(s->base);
	s->on_term = evsignal_new(s->base, SIGTERM, on_signal, s);
	s->on_int = evsignal_new(s->base, SIGINT, on_signal, s);
	ensure(s->on_term && s->on_int && event_add(s->on_term, NULL) == 0 &&
	       event_add(s->on_int, NULL) == 0);
}

static bool push_log_open(struct sim *s)
{
	if (!s->o.push_log_file)
		return true;
	s->push_log = fopen(s->o.push_log_file, "w");
	if (!s->push_log)
		(void)fprintf(stderr, "otasim: %s cannot be opened\n", s->o.push_log_file);
	return s->push_log != NULL;
}

static void devices_start(struct sim *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct device *d = &s->devices[i];

		device_init(d);
		if (s->scenario)
			continue; /* arrival.c */
		if (!device_is_offline_at_start(d))
			device_switch(d, true);
		else if (s->o.offline_until_s > 0)
			s->n_late++;
	}
}

static void sim_start(struct sim *s)
{
	struct timeval tick = { .tv_sec = 0, .tv_usec = TICK_MS * 1000 };

	s->loads = calloc(s->n, sizeof(struct device *));
	s->tick = event_new(s->base, -1, EV_PERSIST, on_tick, s);
	ensure(s->loads && s->tick && event_add(s->tick, &tick) == 0);
	download_rate_set(s);
	s->started_ms = s->ticked_ms = s->active_ms = clock_boot_ms();
	s->arrived_ms = s->started_ms - 1;
	mix_play(s);
	devices_start(s);
	if (s->load)
		load_start(s->load);
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
	load_free(s->load);
	if (s->base)
		event_base_free(s->base);
	if (s->push_log)
		(void)fclose(s->push_log);
	tls_close(s);
	free(s->devices);
	free(s->loads);
	push_times_free(&s->pushes);
	buf_free(&s->scratch);
	buf_free(&s->topic);
	arena_free(&s->arena);
	libevent_global_shutdown();
}

int main(int argc, char **argv)
{
	struct sim s = { 0 };
	const char *text;
	int status;
	bool good, met = true;

	arena_init(&s.arena);
	status = options_read(&s.arena, argc, argv, &s.o, &s.scenario, &text);
	if (status >= 0) {
		arena_free(&s.arena);
		return status;
	}
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return EXIT_FAILED;
	buf_init(&s.scratch, MQTT_PACKET_MAX);
	buf_init(&s.topic, 512);
	good = outputs_check(&s.o);
	if (good && !broker_resolve(&s)) {
		(void)fprintf(stderr, "otasim: %s is not HOST:PORT of a broker\n", s.o.broker);
		good = false;
	}
	if (good)
		loop_open(&s);
	good = good && tls_open(&s) && (s.scenario ? load_prepare(&s, text) : fleet_read(&s)) &&
	       files_allow(&s) && push_log_open(&s);
	if (good) {
		sim_start(&s);
		(void)event_base_dispatch(s.base);
		if (s.load)
			load_end(s.load, clock_boot_ms() - s.started_ms);
		good = ((s.load && !s.o.report_file) || report_write(&s)) &&
		       (!s.load || result_write(s.load, &met));
	}
	sim_free(&s);
	return !good ? EXIT_FAILED : met ? EXIT_DONE : EXIT_NOT_MET;
}
