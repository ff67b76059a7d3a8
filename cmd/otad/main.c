/* SPDX-License-Identifier: Apache-2.0 */
/* otad: options, configuration, the parts (world.c), signals; then everything down in reverse order.
 * Exit status: 0 stopped in order, 1 could not start, 2 usage, 3 the drain took too long. */
#include "cmd/otad/notify.h"
#include "cmd/otad/world.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VERSION "0.1.0"
#define DRAIN_SECONDS_MAX 9U

enum exit_status { EXIT_STOPPED = 0, EXIT_NOT_STARTED = 1, EXIT_USAGE = 2, EXIT_NOT_DRAINED = 3 };

struct options {
	const char *config;
	bool check;
};

static const char usage_text[] =
	"usage: otad [--config FILE] [--role api,engine] [--check]\n"
	"\n"
	"  --config FILE  configuration; without it defaults and the environment (OTAD_<KEY>) only\n"
	"  --role LIST    parts that this process runs: api, engine, or both (beats the file)\n"
	"  --check        read the configuration, say whether it is valid, and end\n"
	"  --version, --help\n"
	"\n"
	"SIGHUP reads the configuration and the certificates anew; SIGTERM and SIGINT stop in order; a "
	"second one stops at "
	"once.\n";

/* false: end with *ret_status. */
static bool options_read(int argc, char **argv, struct options *o, int *ret_status)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' }, { "role", required_argument, NULL, 'r' },
		{ "check", no_argument, NULL, 'k' },	    { "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },	    { NULL, 0, NULL, 0 }
	};
	int c;

	*ret_status = EXIT_STOPPED;
	while ((c = getopt_long(argc, argv, "c:r:kvh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'r': /* the environment beats the file, at reloads too */
			ensure(setenv("OTAD_ROLE", optarg, 1) == 0);
			break;
		case 'k':
			o->check = true;
			break;
		case 'v':
			(void)puts("otad " VERSION);
			return false;
		case 'h':
			(void)fputs(usage_text, stdout);
			return false;
		default:
			*ret_status = EXIT_USAGE;
			return false;
		}
	}
	if (optind == argc)
		return true;
	(void)fputs(usage_text, stderr);
	*ret_status = EXIT_USAGE;
	return false;
}

static void level_apply(void)
{
	enum log_level level;

	if (log_level_parse(config_now()->log_level, &level))
		log_set_level(level);
}

/* No other user reads our files or memory; sockets enough for all clients. */
static void process_harden(void)
{
	struct rlimit files;

	(void)umask(077);
#if !OTAD_TEST_HOOKS
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* Signals are taken by the main thread alone, where it waits for them. */
static sigset_t signals_block(void)
{
	static const int wanted[] = { SIGHUP, SIGTERM, SIGINT };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;

	ensure(sigemptyset(&set) == 0 && sigaction(SIGPIPE, &ignore, NULL) == 0);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		ensure(sigaddset(&set, wanted[i]) == 0);
	ensure(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	return set;
}

NORETURN static void leave_at_once(int sig)
{
	_exit(sig == SIGALRM ? EXIT_NOT_DRAINED : 128 + sig);
}

/* From now on a second signal, or the clock, ends the process. */
static void signals_arm_for_stop(void)
{
	static const int deadly[] = { SIGTERM, SIGINT, SIGALRM };
	struct sigaction now = { .sa_handler = leave_at_once };
	sigset_t set;

	ensure(sigemptyset(&set) == 0);
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++) {
		ensure(sigaddset(&set, deadly[i]) == 0);
		ensure(sigaction(deadly[i], &now, NULL) == 0);
	}
	(void)alarm(DRAIN_SECONDS_MAX);
	ensure(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
}

static void reload(struct world *w, const char *path, struct arena *a)
{
	struct error e;

	error_init(&e, a);
	notify_send("RELOADING=1");
	if (config_load(path, &e) == OK) {
		level_apply();
		log_event(EV_CONFIG_RELOADED, LSTR("file", path ? path : ""));
	} else {
		log_event(EV_CONFIG_BAD, LSTR("why", error_text(&e)));
	}
	world_reload(w);
	notify_send("READY=1");
	arena_reset(a);
}

/* Until a signal asks for the end. */
static int signals_wait(struct world *w, const sigset_t *set, const struct options *o, struct arena *a)
{
	int64_t beat_ms = notify_watchdog_ms();

	for (;;) {
		int64_t wait_ms = beat_ms > 0 ? beat_ms : MS_PER_HOUR;
		struct timespec wait = { .tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000 };
		int sig = sigtimedwait(set, NULL, &wait);

		if (sig == SIGHUP)
			reload(w, o->config, a);
		else if (sig > 0)
			return sig;
		if (beat_ms > 0)
			notify_send("WATCHDOG=1");
	}
}

static enum err start(struct world *w, const struct options *o, struct error *e)
{
	const struct config *c;

	TRY(config_load(o->config, e));
	c = config_now();
	level_apply();
	log_event(EV_STARTING, LSTR("version", VERSION), LSTR("config", o->config ? o->config : ""),
		  LSTR("role", c->role));
	TRY(world_start(w, c, e));
	world_write_ready(w, c, e->arena);
	log_event(EV_READY, LINT("api_port", w->api ? api_port(w->api) : 0),
		  LINT("store_port", world_store_port(w, 0)),
		  LINT("store_device_port", world_store_port(w, 1)));
	return OK;
}

static int check_only(const struct options *o, struct error *e)
{
	if (config_check(o->config, e) != OK) {
		(void)fprintf(stderr, "otad: %s\n", error_text(e));
		return EXIT_NOT_STARTED;
	}
	(void)printf("%s: good\n", o->config ? o->config : "defaults and environment");
	return EXIT_STOPPED;
}

static int run(const struct options *o, struct arena *a)
{
	sigset_t set = signals_block();
	struct world w = { .api = NULL };
	struct error e;
	int sig = 0, status = EXIT_STOPPED;

	error_init(&e, a);
	process_harden();
	if (start(&w, o, &e) == OK) {
		arena_reset(a);
		notify_send("READY=1");
		sig = signals_wait(&w, &set, o, a);
		notify_send("STOPPING=1");
		log_event(EV_STOPPING, LSTR("signal", sig == SIGINT ? "INT" : "TERM"));
	} else {
		log_event(e.err == ERR_CONFIG ? EV_CONFIG_BAD : EV_START_FAILED, LSTR("why", error_text(&e)));
		(void)fprintf(stderr, "otad: %s\n", error_text(&e));
		status = EXIT_NOT_STARTED;
	}
	signals_arm_for_stop();
	world_stop(&w);
	config_free();
	if (status == EXIT_STOPPED)
		log_event(EV_STOPPED, LINT("errors", log_errors()));
	return status;
}

int main(int argc, char **argv)
{
	struct options o = { .config = NULL };
	struct arena a;
	struct error e;
	int status;

	if (!options_read(argc, argv, &o, &status))
		return status;
	arena_init(&a);
	error_init(&e, &a);
	status = o.check ? check_only(&o, &e) : run(&o, &a);
	arena_free(&a);
	return status;
}
