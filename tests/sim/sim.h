/* SPDX-License-Identifier: Apache-2.0 */
/* Campaigns in simulated time: the real engine, maker, journal, API actions and SQL on a private PostgreSQL, in
 * one thread under a clock that only the simulation moves. What is simulated is the world around them: the
 * broker with its plugin (in place of dispatcher/mqtt.c), devices, operators, crashes. Everything random comes
 * out of the seed, so the same seed gives the same trace. Each seed runs in a process of its own. */
#ifndef SIM_H
#define SIM_H

#include "engine/base/arena.h"
#include "engine/base/config.h"
#include "engine/base/crypto.h"
#include "engine/task.h"
#include "storage/db.h"

#define US_PER_MS 1000LL
#define US_PER_SECOND 1000000LL

struct world;
struct model_task;

/* ---- chance ---- */

struct rng {
	uint64_t state;
};
struct rng rng_of(uint64_t seed, uint64_t stream);
uint64_t rng_next(struct rng *r);
int64_t rng_between(struct rng *r, int64_t lo, int64_t hi); /* both possible */
bool rng_chance(struct rng *r, int permille);
/* Mostly small, sometimes up to max. */
int64_t rng_skewed(struct rng *r, int64_t max);
/* One of them. */
int rng_pick(struct rng *r, const int *of, size_t n);
#define RNG_PICK(r, ...) rng_pick((r), (const int[]){ __VA_ARGS__ }, sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int))

/* ---- time (in place of engine/base/clock.c) ---- */

#define SIM_EPOCH_MS 1767225600000LL /* 2026-01-01: the clock starts at 1 s after boot */
int64_t sim_now_us(void);
/* Never backwards: an earlier time is ignored. */
void sim_clock_set(int64_t boot_us);
/* The clocks of all machines are set, to so much before or ahead; time since boot goes on. */
void sim_clock_jump(int64_t by_ms);
/* The time by these clocks at a time since boot, and the other way round. */
utc_ms sim_utc(int64_t boot_us);
int64_t sim_boot_us(utc_ms at);
/* A file of 20 digits that is this clock for others, in microseconds since 1970. */
void sim_clock_show(const char *path);

/* ---- the private cluster; the parent process owns it ---- */

struct tally;
void cluster_start(void); /* once */
void cluster_stop(void);
/* In the parent: serves what a child asks for until it ends; returns its wait status, and what it told of itself. */
int cluster_serve(int fd, int child, struct tally *ret);
/* In a child: the channel to the parent. */
void cluster_client(int fd);
void cluster_report(const struct tally *t);
/* In a child. Kills the server as a crash would, and starts it again; returns when it answers. */
void cluster_crash(void);
void cluster_recover(void);
/* Roles of the database: what otad does is done with its own, what the simulation looks at with all rights. */
#define SIM_OTAD "otad"
#define SIM_ADMIN "postgres"
const char *cluster_conninfo(struct arena *a, const char *role, const char *database);
/* An empty database with the schema, the default account and one product, and this process' clock; how otad connects to
 * it. */
const char *cluster_database(struct arena *a, const char *name);
void cluster_drop(const char *name);
/* Connections made from now on wait for locks, as elsewhere. */
void cluster_wait_for_locks(const char *name);
/* A directory that goes with the cluster. */
const char *cluster_dir(struct arena *a, const char *name);

#define SIM_PRODUCT "a1simulated"

/* ---- what is to happen ---- */

typedef void (*event_fn)(struct world *w, int64_t a, int64_t b, const char *text);
struct event {
	int64_t at_us;
	uint64_t no; /* order among equals */
	event_fn fn;
	int64_t a, b;
	const char *text;
};
struct agenda {
	struct event *items; /* a binary heap */
	size_t n, cap;
	uint64_t next_no;
};

/* ---- packages and devices ---- */

#define MODULES_MAX 2
extern const char *const sim_modules[MODULES_MAX];

struct package {
	int64_t id;
	int module;
	bool differential;
	const char *src, *dest;
	enum firmware_status status; /* by the rules */
};

struct device {
	int index;
	int64_t id;  /* 0: deleted */
	int64_t row; /* the same, for ever */
	const char *name;
	struct rng rng;
	const char *version[MODULES_MAX]; /* what it runs */
	int64_t conn;	  /* live connection at the broker; 0: none */
	int64_t away_until_us;
	int64_t plan;	  /* number of what it is doing; older plans stop */
	bool gone;	  /* it never comes back */
	bool disabled, deleted;
	utc_ms created_ms;
	int64_t pushed;	  /* messages that reached it */
	bool in_group, tagged; /* of the static group; of the dynamic one */
	utc_ms changed_ms;     /* last time that a dynamic job may have come to match it, but for reports and its tasks' ends */
	utc_ms reported_ms[MODULES_MAX]; /* last report of a version that was applied */
	struct model_task *tasks;	 /* newest first */
	struct version_said *said[MODULES_MAX];
};

/* ---- the broker ---- */

struct broker_message {
	const char *topic, *payload;
	size_t len;
};
struct broker {
	int64_t boot, seq, conns, parcels;
	bool down;
	int64_t frozen_until_us, last_beat_us;
	/* The ingest session: messages not yet handed to it, and the last ones that were. */
	struct broker_message *queue;
	size_t head, n, cap;
	struct broker_message recent[8];
	size_t n_recent;
};

/* ---- otad ---- */

enum actor { ACTOR_NONE, ACTOR_ENGINE, ACTOR_MAKER, ACTOR_CALL, ACTOR_WATCH };

struct otad {
	struct journal *journal;
	struct mqtt *mqtt;
	struct maker *maker;
	struct engine *engine;
	bool up;
	bool dead; /* crashed within a step: from here on nothing it does reaches anybody */
	int64_t next_turn_us, maker_due_us;
	int walk_rows;	      /* of a job, in one turn */
	utc_ms turned_ms[64]; /* when the last turns began, by their number */
	bool maker_busy; /* stopped in the middle of its work */
	int64_t maker_budget;
};

/* Faults within a step wait for their moment, which is a call of the database or the broker. */
enum fault_kind {
	FAULT_NONE,
	FAULT_CRASH_BEFORE, /* the process is killed before this call of the database or broker reaches it */
	FAULT_CRASH_AFTER,  /* and here before its answer comes back */
	FAULT_LOST_BEFORE,  /* the connection breaks before the statement */
	FAULT_LOST_AFTER,   /* it is carried out, and the answer lost */
	FAULT_SLOW,	    /* the call takes seconds; meanwhile the world goes on */
	FAULT_STEP_KINDS,
	/* Those of the world come between steps, or while one of them is slow. */
	FAULT_KILL = FAULT_STEP_KINDS,
	FAULT_CUT,
	FAULT_BROKER_FREEZE,
	FAULT_BROKER_RESTART,
	FAULT_DATABASE_CRASH,
	FAULT_PRESENCE_LOST,
	FAULT_DUPLICATE,
	FAULT_CLOCK,
	FAULT_KINDS
};
/* Where a fault within a step strikes. */
enum fault_place { PLACE_NONE, PLACE_BEGIN, PLACE_STATEMENT, PLACE_COMMIT, PLACE_PUBLISH, PLACE_WAIT, PLACE_COUNT };
struct fault {
	enum fault_kind kind;
	enum actor actor;
	int64_t countdown; /* calls of that actor until it strikes */
	enum fault_place place; /* only there, in whatever step; PLACE_NONE: anywhere, and within this step */
	int64_t slow_us;	/* 0: for 0.1 to 20 s */
};

/* ---- jobs, as the operators know them ---- */

enum targets { TARGETS_ALL, TARGETS_GRAY, TARGETS_NAMED, TARGETS_GROUP, TARGETS_DYNAMIC };

/* A row of job_order. */
struct order_seen {
	struct sim_job *j;
	int64_t no, mask;
	const char *reason;
	enum event_why why;
	utc_ms at;
};

#define RATES_MAX 32
struct sim_job {
	int64_t id; /* 0: not known yet whether it was created */
	enum job_kind kind;
	struct package *package;
	enum targets targets;
	bool *named;	    /* by device */
	const char *src[2]; /* none: of any version */
	int n_src;
	int64_t gray_milli;
	int dynamic_mode;
	bool by_group; /* dynamic: for the members of the dynamic group, whatever their version */
	bool need_push, need_confirm, multi_module;
	int overwrite_mode;
	int retry_interval_min, retry_count, timeout_min; /* -1, 0, 0: none */
	utc_ms created_ms, schedule_ms, finish_ms;
	/* MaximumPerMinute as it was set, and when that was answered; the highest of them */
	struct {
		int64_t at_us;
		int rate;
	} rates[RATES_MAX];
	size_t n_rates;
	int most;

	/* as the database says (check.c) */
	enum job_status status;
	enum job_status told; /* in its last notification */
	utc_ms chosen_ms; /* when that was seen */
	bool paused, chosen, finished; /* finished: its finish time was carried out */
	bool strategy_ended, reopened;
	utc_ms running_ms; /* since when it is IN_PROGRESS */
	int made;
	struct order_seen order[16];
	size_t n_orders;
	struct model_task **tasks; /* by seq - 1 */
	size_t cap_tasks;
	size_t *expected; /* devices that were to be chosen, in the order of their seq */
	const char **expected_src; /* their versions then */
	size_t n_expected;
	int64_t silent_from_us; /* nothing is handed over later than 1 s after this; INT64_MAX: it may be */
	int64_t answered_us;	/* when the last order that stops pushes was answered: from then on it holds for a frozen otad, too */
	int64_t *pushed_us;	/* when its pushes entered the broker */
	size_t n_pushed, cap_pushed;
};

/* What the call under way is about, for the model. */
struct intent {
	enum event_why why; /* WHY_CONFIRM, WHY_REUPGRADE, WHY_CANCEL */
	struct model_task *tasks[16];
	size_t n;
	const struct device *of_device; /* instead: all that it has in jobs of this package, or in this job */
	const struct package *of_package;
	const struct sim_job *of_job;
	bool done; /* the log shows it */
};

/* CancelOTATaskByJob under way: the states that it is to cancel. */
struct cancelling {
	const struct sim_job *job; /* NULL: none is */
	int mask;
	bool done; /* its order has been seen */
};

/* ---- the world ---- */

/* What a world has seen; the parent adds it up. */
struct tally {
	uint64_t trace;
	int64_t steps, turns, jobs, pushes, reports, calls, crashes, seconds;
	int64_t faults[FAULT_KINDS][PLACE_COUNT]; /* those of the world: PLACE_NONE */
};

/* How rough a seed is; in permille where nothing else is said. */
struct profile {
	int devices, packages;
	int64_t chaos_minutes; /* of simulated time */
	int jobs;	       /* about so many are created */
	int window;	       /* pushes that may wait for the broker */
	int crash, lost, slow, cut, freeze, broker_restart, database_crash; /* per step */
	int duplicate, reorder, nonsense, drop_presence;		      /* per message */
	bool clock;   /* it is set back by hours, until it is calm */
	int flapping; /* how often devices come and go */
	int misbehaviour[8]; /* weights of what a device does with a push (fleet.c) */
	int modules;
	int64_t grid_us; /* devices act at multiples of this, so that many act together; 0: whenever */
	bool scripted;	 /* no operators of its own */
	bool played;	 /* scripted, and until it is calm devices only do what they are told */
	bool quiet;	 /* nothing happens by itself: no faults, no devices, no operators */
};

struct world {
	uint64_t seed;
	struct profile p;
	struct arena arena; /* lives as long as the world */
	struct rng rng_plan, rng_ops, rng_net, rng_fault;
	struct agenda agenda;
	bool print_trace;
	const char *replay; /* the arguments that run it again */
	const char *dir, *database;
	struct config config;
	struct seal_key master;
	struct package_store *store;
	struct db *db_call, *db_watch;
	int64_t account_id, instance_id, product_id;

	struct device *devices;
	size_t n_devices;
	struct package *packages;
	size_t n_packages;
	struct sim_job *jobs;
	size_t n_jobs, cap_jobs;
	struct broker broker;
	struct otad otad;
	struct fault fault;
	enum actor actor;
	bool in_turn, in_call;
	bool unwatched; /* the model does not follow */
	enum actor dirty; /* who committed something since the last look */
	bool calm; /* the chaos is over: no faults, devices obey */
	bool database_down;
	int64_t busy_until_us;
	int64_t frozen_us;  /* since when otad is frozen with a push in its hand that it has found to be in time; 0: it is not */
	int64_t trouble_us; /* when something last went wrong, or was changed, that delays pushes */
	int64_t behind_ms; /* the clock was set back by so much; 0: it is not */
	int64_t jumped_us; /* when the clock was last set */
	utc_ms punctual_ms; /* the last turn did all that was due at this time; 0: it did not */
	struct model *model;
	struct intent intent;
	struct cancelling cancelling;
	const char *group_id, *dynamic_group_id;
	const struct device *deleting;
	struct tally tally;
};

/* world.c */
void agenda_at(struct world *w, int64_t at_us, event_fn fn, int64_t a, int64_t b, const char *text);
void agenda_in(struct world *w, int64_t delay_us, event_fn fn, int64_t a, int64_t b, const char *text);
/* A line of the trace: hashed, and printed when asked for. No addresses, no random ids. */
void trace(struct world *w, const char *fmt, ...) PRINTF(2, 3);
/* The simulation found something: says what, the seed and how to replay it, and ends the process. */
#define broken(w, ...) broken_by((w), __func__, __VA_ARGS__)
NORETURN void broken_by(struct world *w, const char *check, const char *fmt, ...) PRINTF(3, 4);
extern const char *sim_program; /* as it was called */
/* replay: NULL for that of a seed. */
struct world *world_new(uint64_t seed, const struct profile *p, const char *replay, bool print_trace);
/* Tells the parent. */
void world_tell(struct world *w);
void world_free(struct world *w);
/* Until this time, or until done() says so (may be NULL). */
void world_run(struct world *w, int64_t until_us, bool (*done)(struct world *w));
/* What other threads and processes do while a call of otad waits, up to a time. */
void world_meanwhile(struct world *w, int64_t until_us);
/* The same for a wait outside otad's own steps: its turns and the maker's rounds go on too. */
void world_others(struct world *w, int64_t until_us);
/* The clock is set, everywhere at once. */
void world_clock_jump(struct world *w, int64_t by_ms);
/* Something happened that concerns otad. */
void world_busy(struct world *w);
/* The chaos is over: faults end, devices obey, operators clear up; runs until everything has ended, at most for so
 * long, and a little longer for what remains to be acknowledged. */
void world_calm(struct world *w, int64_t most_us);
struct db *world_connection(struct world *w, const char *name);
void world_watch(struct world *w);
void see_prepare(struct world *w);
struct sim_job *world_job(struct world *w, int64_t job_id);
struct device *world_device_named(struct world *w, const char *name);

/* otad.c */
void otad_start(struct world *w);
/* Drops everything that was only in memory. */
void otad_crash(struct world *w);
/* After a step in which it was killed: buries it, and starts it again later. */
void otad_bury(struct world *w);
void otad_turn(struct world *w);
void otad_maker_round(struct world *w, int64_t budget);

/* faults.c */
void faults_plan(struct world *w, enum actor actor);
/* A call to the broker: false when the process is dead. */
bool faults_at_broker(struct world *w);
/* It waits for room in the window: it may be slow here. Or its connection is lost, and it has another one before it is
 * noticed. */
void faults_waiting(struct world *w);
/* Puts down that one has happened. */
void faults_count(struct world *w, enum fault_kind kind, enum fault_place place);
/* "crash before", "cut", ...; " commit", "" for those of the world. */
const char *fault_name(enum fault_kind kind);
const char *fault_place_name(enum fault_place place);
void faults_world(struct world *w); /* whose calls the hooks see */
struct world *faults_the_world(void);
/* Cuts, freezes, crashes and restarts from now on, until it is calm. */
void faults_start(struct world *w);

/* broker.c */
struct mqtt *sim_mqtt_new(struct world *w);
void sim_mqtt_free(struct mqtt *m);
void broker_start(struct world *w);
void broker_tend(struct world *w); /* connects clients that want it, heartbeat */
void broker_cut(struct world *w, bool publisher);
void broker_restart(struct world *w);
/* The publisher is cut off, and has a new connection before otad looks again. */
void broker_reconnect(struct world *w);
/* It keeps its connections, and does nothing for a while. */
void broker_freeze(struct world *w, int64_t for_us);
void broker_connect_device(struct world *w, struct device *d);
void broker_disconnect_device(struct world *w, struct device *d);
/* A message of a device arrives at the broker. */
void broker_uplink(struct world *w, const char *topic, const char *payload);

/* fleet.c */
void fleet_start(struct world *w);
void fleet_message(struct world *w, struct device *d, const char *topic, const char *payload);
void fleet_connected(struct world *w, struct device *d);
void fleet_lost(struct world *w, struct device *d);
void fleet_calm(struct world *w); /* from now on everybody is there and obeys */
/* Says so now; a device that is not connected says nothing. */
void fleet_say_version(struct world *w, struct device *d, int module, const char *version);
void fleet_say_step(struct world *w, struct device *d, int step, const char *desc); /* of the default module */
void fleet_ask(struct world *w, struct device *d, int module);
void fleet_say_nonsense(struct world *w, struct device *d, const char *params);

/* create.c */
void operator_create(struct world *w, enum job_kind kind);
void operator_set_rate(struct sim_job *j, int rate);

/* operator.c */
void operator_start(struct world *w);
void operator_calm(struct world *w);
/* Of CancelOTATaskByJob: s scheduled, q queued, n notified, i in progress, u unconfirmed; behind a minus: false. */
void operator_cancel(struct world *w, const struct sim_job *j, const char *options);
/* j: NULL for all jobs of the package of the device's newest task. */
void operator_cancel_of_device(struct world *w, struct device *d, const struct sim_job *j);
void operator_confirm(struct world *w, struct model_task *t);
void operator_run_again(struct world *w, struct model_task *t);
void operator_pause(struct world *w, struct sim_job *j, bool pause);
void operator_delete(struct world *w, struct device *d);
void operator_disable(struct world *w, struct device *d, bool disable);
void operator_register(struct world *w); /* one more device, while there are any */

/* groups.c */
/* The static group has its members already, by what the devices say. */
void groups_start(struct world *w);
void group_tag(struct world *w, struct device *d, bool in); /* in or out of the dynamic group */
void group_change(struct world *w, struct device *d, struct rng *r); /* in or out of one of the two */

/* check.c */
/* Everything that must hold now (architecture: what must always hold). */
void check_step(struct world *w);
/* After a turn that did all there was to do at this time. */
void check_late(struct world *w, utc_ms at);
/* A push is handed to the broker, or an answer to a device's request that has its task in it; a push enters it. */
struct model_task *check_handed(struct world *w, struct sim_job *j, struct device *d); /* whose it is */
void check_answered(struct world *w, const struct sim_job *j, const struct device *d);
void check_entered(struct world *w, struct sim_job *j, struct model_task *t, int64_t handed_us);
/* Nobody whom a dynamic job takes is left out for longer than the time between two sweeps. */
void check_joined(struct world *w);
/* At the end: every task has ended, and nothing is left over. */
bool check_all_ended(struct world *w);
void check_end(struct world *w);

#endif
