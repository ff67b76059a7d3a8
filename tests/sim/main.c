/* SPDX-License-Identifier: Apache-2.0 */
/* The simulation ring.
 *
 *   sim [--filter WORD] [--first] [--trace] [--part K --of N]
 *                                    the ring of tests/run: TAP, then "N passed, N failed"; --first: up to the first
 *                                    failure; --trace: of what is neither a seed nor a property; --part: every N-th
 *   sim --seed N [--trace]           one seed, replayed; --trace prints what happens
 *   sim --campaign [SEED]            30 days with 2,000 devices
 *   sim [--seeds N] [--minutes T] [--from M]   seeds M, M + 1, ..: N of them, or until the time is over (tests/sim/soak) */
#include "tests/sim/campaign.h"
#include "tests/sim/every_rule.h"
#include "tests/sim/props.h"
#include "tests/sim/scenes.h"
#include "tests/sim/sim.h"

#include "engine/base/log.h"
#include "engine/base/parse.h"

#include <sched.h>
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
	p.clock = seed % 5 == 0; /* so that the others' mixtures stay what they were */
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

static int64_t faults_of(const struct tally *t)
{
	int64_t n = 0;

	for (int k = 0; k < FAULT_KINDS; k++)
		for (int p = 0; p < PLACE_COUNT; p++)
			n += t->faults[k][p];
	return n;
}

static void live(uint64_t seed, bool print)
{
	struct profile p = profile_of(seed);
	struct world *w = world_new(seed, &p, NULL, print);
	const struct tally *t = &w->tally;

	world_run(w, p.chaos_minutes * 60 * US_PER_SECOND, NULL);
	world_calm(w, CONVERGES_WITHIN_US);
	check_end(w);
	if (log_errors() > 0)
		broken(w, "there are errors in the log");
	world_tell(w);
	printf("# seed %llu: trace %016llx, %lld steps, %lld turns, %lld jobs, %lld pushes, %lld reports, %lld calls, %lld faults, "
	       "%lld s\n",
	       (unsigned long long)seed, (unsigned long long)t->trace, (long long)t->steps, (long long)t->turns,
	       (long long)t->jobs, (long long)t->pushes, (long long)t->reports, (long long)t->calls,
	       (long long)faults_of(t), (long long)t->seconds);
	world_free(w);
}

struct life {
	void (*live)(uint64_t arg, bool print);
	uint64_t arg;
	bool print, alone; /* alone: it needs no database */
};

/* In a process of its own; returns its wait status. */
static int run(struct life life, struct tally *ret)
{
	int fd[2], status;
	pid_t pid;

	if (!life.alone)
		cluster_start();
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
	*ret = (struct tally){ .trace = 0 };
	status = cluster_serve(fd[0], pid, ret);
	(void)close(fd[0]);
	return status;
}

static bool run_seed(uint64_t seed, bool print, struct tally *ret)
{
	int status = run((struct life){ live, seed, print, false }, ret);

	if (status != 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 1)) /* else broken() has told it */
		printf("# seed %llu: %s %d\n# replay: %s --seed %llu --trace\n", (unsigned long long)seed,
		       WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		       sim_program, (unsigned long long)seed);
	return status == 0;
}

/* ---- the ring ---- */

static int passed, failed;
static bool only_first; /* failure: nothing runs after it */

static void result(bool good, const char *name)
{
	passed += good;
	failed += !good;
	printf("%s %d - sim/%s\n", good ? "ok" : "not ok", passed + failed, name);
	if (!good && only_first)
		exit(1);
}

/* Those that once failed. */
static const uint64_t known[] = {
#define SEED(seed, why) seed,
#include "tests/sim/seeds.def"
#undef SEED
};

static int64_t part, parts = 1;

/* The simulation and its server take turns: on one processor that is a change of process, and not each time the waking of
 * an idle processor. The parts of a ring have different ones. */
static void stay_on_one_processor(void)
{
	cpu_set_t may, one;
	int64_t left = part;
	int on = sched_getcpu();

	if (sched_getaffinity(0, sizeof may, &may) != 0)
		return;
	for (int c = 0; parts > 1 && c < CPU_SETSIZE && left >= 0; c++)
		if (CPU_ISSET((size_t)c, &may)) {
			on = c;
			left--;
		}
	if (on < 0)
		return;
	CPU_ZERO(&one);
	CPU_SET((size_t)on, &one);
	(void)sched_setaffinity(0, sizeof one, &one);
}

/* Is a test to be run? Asked once for each, in the same order every time. */
static bool wanted(const char *name, const char *filter)
{
	static int64_t asked;

	return asked++ % parts == part && strstr(name, filter);
}

static void try_seed(uint64_t seed, const char *filter)
{
	struct tally t;
	char name[32];

	(void)snprintf(name, sizeof name, "seed_%llu", (unsigned long long)seed);
	if (wanted(name, filter))
		result(run_seed(seed, false, &t), name);
}

static void try_seeds(const char *filter)
{
	for (uint64_t seed = 1; seed <= 4; seed++)
		try_seed(seed, filter);
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		try_seed(known[i], filter);
}

static void same_seed_same_trace(const char *filter)
{
	static const char name[] = "same_seed_same_trace";
	struct tally a, b, c;

	if (wanted(name, filter))
		result(run_seed(101, false, &a) && run_seed(101, false, &b) && run_seed(100, false, &c) &&
			       a.trace == b.trace && a.trace != c.trace,
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

static void versions(uint64_t n, bool print)
{
	(void)n;
	(void)print;
	prop_versions();
}

static void overlapping(uint64_t n, bool print)
{
	(void)n;
	(void)print;
	prop_overlapping();
}

static void properties(const char *filter, bool print)
{
	static const struct {
		const char *name;
		struct life life;
	} all[] = {
		{ "any_order_of_reports_ends_as_permitted", { any_order, 100000, false, true } },
		{ "gray_is_exact_repeatable_and_nested", { gray, 0, false, false } },
		{ "jobs_take_devices_by_their_versions_at_creation", { versions, 0, false, false } },
		{ "overlapping_jobs_from_many_connections", { overlapping, 0, false, false } },
		{ "every_rule", { every_rule, 1, false, false } },
	};
	struct tally t;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct life life = all[i].life;

		life.print = print;
		if (wanted(all[i].name, filter))
			result(run(life, &t) == 0, all[i].name);
	}
}

static void scene(uint64_t n, bool print)
{
	(void)print;
	scenes[n].play();
}

static void play(const char *filter)
{
	struct tally t;

	for (size_t i = 0; i < n_scenes; i++)
		if (wanted(scenes[i].name, filter))
			result(run((struct life){ scene, i, false, false }, &t) == 0, scenes[i].name);
}

static int ring(const char *filter, bool print)
{
	play(filter);
	properties(filter, print);
	try_seeds(filter);
	same_seed_same_trace(filter);
	printf("1..%d\n%d passed, %d failed\n", passed + failed, passed, failed);
	return failed != 0;
}

/* ---- many seeds ---- */

static void add(struct tally *sum, const struct tally *t)
{
	sum->steps += t->steps;
	sum->turns += t->turns;
	sum->jobs += t->jobs;
	sum->pushes += t->pushes;
	sum->reports += t->reports;
	sum->calls += t->calls;
	sum->seconds += t->seconds;
	for (int k = 0; k < FAULT_KINDS; k++)
		for (int p = 0; p < PLACE_COUNT; p++)
			sum->faults[k][p] += t->faults[k][p];
}

static void print_sum(const struct tally *t)
{
	printf("# %d seeds, %d failed; %lld steps, %lld turns of the engine, %lld jobs, %lld pushes, %lld reports, %lld calls in "
	       "%lld simulated hours; %lld faults:\n",
	       passed + failed, failed, (long long)t->steps, (long long)t->turns, (long long)t->jobs, (long long)t->pushes,
	       (long long)t->reports, (long long)t->calls, (long long)(t->seconds / 3600), (long long)faults_of(t));
	for (int k = 0; k < FAULT_KINDS; k++)
		for (int p = 0; p < PLACE_COUNT; p++)
			if (t->faults[k][p] > 0)
				printf("# %8lld %s%s\n", (long long)t->faults[k][p], fault_name((enum fault_kind)k),
				       fault_place_name((enum fault_place)p));
}

static int many(int64_t from, int64_t n, int64_t minutes)
{
	struct tally sum = { .steps = 0 }, t;
	struct timespec start, now;
	int64_t bad[50];

	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	for (int64_t i = 0; i < n; i++) {
		int before = failed;
		char name[32];

		(void)snprintf(name, sizeof name, "seed_%lld", (long long)(from + i));
		result(run_seed((uint64_t)(from + i), false, &t), name);
		add(&sum, &t);
		if (failed > before && failed <= (int)ARRAY_LEN(bad))
			bad[failed - 1] = from + i;
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		if (minutes && now.tv_sec - start.tv_sec >= minutes * 60)
			break;
	}
	print_sum(&sum);
	for (int i = 0; i < failed && i < (int)ARRAY_LEN(bad); i++)
		printf("# failed: %s --seed %lld --trace\n", sim_program, (long long)bad[i]);
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}

static void usage(void)
{
	(void)fprintf(stderr, "usage: sim [--filter WORD] [--first] [--trace] [--part K --of N] | --seed N [--trace] | --campaign [SEED] | [--seeds N] [--minutes T] [--from M]\n");
	exit(2);
}

/* However slow the machine is: no deadline of real time. */
static void configure(void)
{
	struct arena a;
	struct error e;

	arena_init(&a);
	error_init(&e, &a);
	(void)setenv("OTAD_DATABASE_TIMEOUT_MS", "600000", 1);
	ensure(config_load(NULL, &e) == OK);
	arena_free(&a);
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
	struct life life = { NULL, 0, false, false };
	struct tally t;
	bool print = false;

	sim_program = argv[0];
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0)
			print = true;
		else if (strcmp(argv[i], "--filter") == 0 && argv[i + 1])
			filter = argv[++i];
		else if (strcmp(argv[i], "--part") == 0)
			part = number(argv[++i]);
		else if (strcmp(argv[i], "--of") == 0)
			parts = number(argv[++i]);
		else if (strcmp(argv[i], "--first") == 0)
			only_first = true;
		else if (strcmp(argv[i], "--seed") == 0)
			seed = number(argv[++i]);
		else if (strcmp(argv[i], "--campaign") == 0)
			life = (struct life){ campaign, argv[i + 1] && argv[i + 1][0] != '-' ? (uint64_t)number(argv[++i]) : 1, false, false };
		else if (strcmp(argv[i], "--seeds") == 0)
			seeds = number(argv[++i]);
		else if (strcmp(argv[i], "--from") == 0)
			from = number(argv[++i]);
		else if (strcmp(argv[i], "--minutes") == 0)
			minutes = number(argv[++i]);
		else
			usage();
	}
	if (part >= parts)
		usage();
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	log_set_level(LOG_ERROR);
	stay_on_one_processor();
	configure();
	if (life.live)
		return run((struct life){ life.live, life.arg, print, false }, &t) != 0;
	if (seed >= 0)
		return !run_seed((uint64_t)seed, print, &t);
	if (seeds > 0 || minutes > 0)
		return many(from, seeds > 0 ? seeds : INT64_MAX, minutes);
	return ring(filter, print);
}
