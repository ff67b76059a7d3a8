/* SPDX-License-Identifier: Apache-2.0 */
/* The simulation ring.
 *
 *   sim [--filter WORD]              the ring of tests/run: TAP, then "N passed, N failed"
 *   sim --seed N [--trace]           one seed, replayed; --trace prints what happens
 *   sim --campaign [SEED]            30 days with 2,000 devices
 *   sim --seeds N [--from M] [--minutes T]   seeds M, M + 1, ..: N of them, or until the time is over */
#include "tests/sim/campaign.h"
#include "tests/sim/props.h"
#include "tests/sim/sim.h"

#include "engine/base/log.h"
#include "engine/base/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HANGS_AFTER_S 600

/* ---- one seed ---- */

static int some(struct rng *r, int of_thousand, int lo, int hi)
{
	return rng_chance(r, of_thousand) ? (int)rng_between(r, lo, hi) : 0;
}

/* Each seed has its own mixture: what is left out shows as much as what is there. */
static struct profile profile_of(uint64_t seed)
{
	struct rng r = rng_of(seed, 0);
	struct profile p = { .devices = (int)rng_between(&r, 2, 20),
			     .packages = (int)rng_between(&r, 1, 8),
			     .chaos_minutes = rng_between(&r, 15, 75),
			     .jobs = (int)rng_between(&r, 4, 24),
			     .window = (int)rng_between(&r, 1, 8) };

	p.modules = rng_chance(&r, 500) ? 2 : 1;
	p.crash = some(&r, 600, 1, 20);
	p.lost = some(&r, 500, 1, 20);
	p.slow = some(&r, 400, 1, 20);
	p.cut = some(&r, 500, 5, 60);
	p.freeze = some(&r, 300, 5, 40);
	p.broker_restart = some(&r, 300, 2, 15);
	p.database_crash = some(&r, 150, 3, 10);
	p.duplicate = some(&r, 500, 20, 300);
	p.reorder = some(&r, 500, 20, 500);
	p.nonsense = some(&r, 300, 20, 300);
	p.drop_presence = some(&r, 300, 10, 200);
	p.flapping = (int)rng_between(&r, 2, 50);
	for (size_t i = 0; i < ARRAY_LEN(p.misbehaviour); i++)
		p.misbehaviour[i] = some(&r, 700, 1, 10);
	p.misbehaviour[0]++;
	return p;
}

/* Longest time that everything may take once devices obey and nothing fails any more: the longest schedule,
 * retry and pause between pushes, and the slowest pace. */
#define CONVERGES_WITHIN_US (4LL * 3600 * US_PER_SECOND)

static void live(uint64_t seed, bool print)
{
	struct profile p = profile_of(seed);
	struct world *w = world_new(seed, &p, print);

	world_run(w, p.chaos_minutes * 60 * US_PER_SECOND, NULL);
	world_calm(w, CONVERGES_WITHIN_US);
	check_end(w);
	if (log_errors() > 0)
		broken(w, "there are errors in the log");
	printf("# seed %llu: trace %016llx, %lld steps, %lld turns, %zu jobs, %lld pushes, %lld reports, %lld calls, "
	       "%lld crashes, %lld cuts, %lld faults, %lld database crashes, %lld s\n",
	       (unsigned long long)seed, (unsigned long long)w->trace, (long long)w->steps, (long long)w->turns, w->n_jobs,
	       (long long)w->pushes, (long long)w->reports, (long long)w->calls, (long long)w->crashes,
	       (long long)w->cuts,
	       (long long)(w->faults[FAULT_LOST_BEFORE] + w->faults[FAULT_LOST_AFTER] + w->faults[FAULT_SLOW]),
	       (long long)w->database_crashes, (long long)(sim_now_us() / US_PER_SECOND));
	cluster_report(w->trace);
	world_free(w);
}

struct life {
	void (*live)(uint64_t arg, bool print);
	uint64_t arg;
	bool print;
};

/* In a process of its own; returns its wait status. */
static int run(struct life life, uint64_t *ret_trace)
{
	int fd[2], status;
	pid_t pid;

	ensure(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
	(void)fflush(stdout);
	pid = fork();
	ensure(pid >= 0);
	if (pid == 0) {
		(void)close(fd[0]);
		(void)alarm(HANGS_AFTER_S);
		cluster_client(fd[1]);
		life.live(life.arg, life.print);
		exit(0); /* LeakSanitizer looks */
	}
	(void)close(fd[1]);
	status = cluster_serve(fd[0], pid, ret_trace);
	(void)close(fd[0]);
	return status;
}

static bool run_seed(uint64_t seed, bool print, uint64_t *ret_trace)
{
	int status = run((struct life){ live, seed, print }, ret_trace);

	if (WIFSIGNALED(status))
		printf("# seed %llu: signal %d\n# replay: sim --seed %llu --trace\n", (unsigned long long)seed,
		       WTERMSIG(status), (unsigned long long)seed);
	return status == 0;
}

/* ---- the ring ---- */

static int passed, failed;

static void result(bool good, const char *name)
{
	passed += good;
	failed += !good;
	printf("%s %d - sim/%s\n", good ? "ok" : "not ok", passed + failed, name);
}

static bool seed_passes(uint64_t seed)
{
	uint64_t trace;

	return run_seed(seed, false, &trace);
}

static void fresh_seeds(const char *filter)
{
	char name[32];

	for (uint64_t seed = 1; seed <= 8; seed++) {
		(void)snprintf(name, sizeof name, "seed_%llu", (unsigned long long)seed);
		if (strstr(name, filter))
			result(seed_passes(seed), name);
	}
}

static void same_seed_same_trace(const char *filter)
{
	static const char name[] = "same_seed_same_trace";
	uint64_t a = 1, b = 2, c = 3;

	if (strstr(name, filter))
		result(run_seed(101, false, &a) && run_seed(101, false, &b) && run_seed(100, false, &c) && a == b && a != c,
		       name);
}

static void any_order(uint64_t n, bool print)
{
	(void)print;
	prop_any_order((int)n);
}

static void gray(uint64_t n, bool print)
{
	(void)n;
	(void)print;
	prop_gray();
}

static void overlapping(uint64_t n, bool print)
{
	(void)n;
	(void)print;
	prop_overlapping();
}

static void properties(const char *filter)
{
	static const struct {
		const char *name;
		struct life life;
	} all[] = {
		{ "any_order_of_reports_ends_as_permitted", { any_order, 100000, false } },
		{ "gray_is_exact_repeatable_and_nested", { gray, 0, false } },
		{ "overlapping_jobs_from_many_connections", { overlapping, 0, false } },
	};
	uint64_t trace;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strstr(all[i].name, filter))
			result(run(all[i].life, &trace) == 0, all[i].name);
}

static int ring(const char *filter)
{
	properties(filter);
	fresh_seeds(filter);
	same_seed_same_trace(filter);
	printf("1..%d\n%d passed, %d failed\n", passed + failed, passed, failed);
	return failed != 0;
}

/* ---- many seeds ---- */

static int many(int64_t from, int64_t n, int64_t minutes)
{
	struct timespec start, now;

	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	for (int64_t i = 0; i < n; i++) {
		char name[32];

		(void)snprintf(name, sizeof name, "seed_%lld", (long long)(from + i));
		result(seed_passes((uint64_t)(from + i)), name);
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		if (minutes && now.tv_sec - start.tv_sec >= minutes * 60)
			break;
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}

static void usage(void)
{
	(void)fprintf(stderr, "usage: sim [--filter WORD] | --seed N [--trace] | --campaign [SEED] | --seeds N [--from M] [--minutes T]\n");
	exit(2);
}

static int64_t number(const char *text)
{
	int64_t n;

	if (!text || !parse_i64(text, 0, INT64_MAX, &n))
		usage();
	return n;
}

int main(int argc, char **argv)
{
	int64_t seed = -1, seeds = 0, from = 1, minutes = 0;
	const char *filter = "";
	struct life life = { NULL, 0, false };
	uint64_t trace;
	bool print = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0)
			print = true;
		else if (strcmp(argv[i], "--filter") == 0 && argv[i + 1])
			filter = argv[++i];
		else if (strcmp(argv[i], "--seed") == 0)
			seed = number(argv[++i]);
		else if (strcmp(argv[i], "--campaign") == 0)
			life = (struct life){ campaign, argv[i + 1] && argv[i + 1][0] != '-' ? (uint64_t)number(argv[++i]) : 1, false };
		else if (strcmp(argv[i], "--seeds") == 0)
			seeds = number(argv[++i]);
		else if (strcmp(argv[i], "--from") == 0)
			from = number(argv[++i]);
		else if (strcmp(argv[i], "--minutes") == 0)
			minutes = number(argv[++i]);
		else
			usage();
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	log_set_level(LOG_ERROR);
	cluster_start();
	if (life.live)
		return run((struct life){ life.live, life.arg, print }, &trace) != 0;
	if (seed >= 0)
		return !run_seed((uint64_t)seed, print, &trace);
	return seeds > 0 ? many(from, seeds, minutes) : ring(filter);
}
