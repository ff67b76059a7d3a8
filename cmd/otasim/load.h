/* SPDX-License-Identifier: Apache-2.0 */
/* The load kit: what a scenario adds to the simulator. Sets the scene over the management API, creates the
 * campaigns, makes the API load, takes samples, writes the report. One thread, the event loop's. */
#ifndef OTASIM_LOAD_H
#define OTASIM_LOAD_H

#include "cmd/otasim/push_times.h"
#include "cmd/otasim/rpc.h"
#include "cmd/otasim/sim.h"
#include "cmd/otasim/turns.h"
#include "engine/task.h"

#define TASK_STATES 7 /* the first is 1 */
#define PROCS 4
#define CODES_MAX 40
#define SAMPLES_MAX 2000

/* A job of the scenario. */
struct campaign {
	struct load *load;
	const struct campaign_plan *plan;
	size_t number;
	const char *job, *firmware, *version; /* NULL until known */
	const char *status;		      /* JobStatus; "" until known */
	int64_t limit;			      /* MaximumPerMinute in force; -1: not known */
	int64_t limit_max;		      /* the largest that ever was */
	int64_t states[TASK_STATES + 1];      /* tasks, as the platform counts them */
	int64_t created_ms, ended_ms;	      /* since the start; -1: not yet */
	bool creating, asking, ended;
	bool over; /* its JobStatus says so, and since when it is known; ended: the tasks were counted after
		      that */
	int64_t over_ms;
	int64_t round_ms, told_ms; /* when the round of questions began that goes on; the last one whose
				      answers are there */
	int asked;		   /* the next question: 0 for the job, else a state */
	const char *error;	   /* why there is no job */
	struct push_times pushes;  /* as they reached devices */
};

struct api_code {
	const char *code;
	int64_t n;
};

/* One kind of call. */
struct api_call {
	struct meter took;
	int64_t errors;
};

struct api_load {
	struct rpc *rpc;
	struct curve_walk walk;
	struct turns turns;
	struct event *timer;
	int64_t due_us; /* the next call's, since the start; -1: not known yet */
	int64_t number;
	bool serving, over;
	struct meter all;
	struct histogram late; /* from when a call was due to when it left */
	struct api_call calls[CALLS_MAX];
	int64_t errors, unsent;
	struct api_code codes[CODES_MAX];
	size_t n_codes;
};

/* What a process (with its children) has used so far. */
struct proc {
	const char *name;
	const char *where; /* a pid, or a file with one; NULL: not watched */
	const char *program;
	int64_t pid;		   /* 0: it does not run */
	int64_t cpu_ms, before_ms; /* before_ms: of those with other pids before it */
	int64_t from_cpu_ms;	   /* cpu_ms when the run began */
	int64_t rss_kib, peak_kib;
};

struct campaign_sample {
	int64_t pushes, minute, limit, states[TASK_STATES + 1];
};
/* What happened since the sample before, and how things are now. */
struct sample {
	int64_t at_ms; /* since the start */
	int64_t wanted, online, downloading;
	int64_t logins, refused, lost, reports, bytes, successes, failures;
	int64_t login_p50_us, login_p99_us, update_p50_us, update_p99_us; /* -1: none */
	int64_t calls, errors, call_p50_us, call_p90_us, call_p99_us, call_max_us;
	int64_t lag_max_us; /* how late otasim's own loop was */
	struct campaign_sample campaigns[CAMPAIGNS_MAX];
	struct {
		int64_t cpu_milli, rss_kib; /* thousandths of a core; -1: too short to say */
	} procs[PROCS];
};

struct samples {
	int64_t every_s;
	struct sample *v;
	size_t n;
	struct stats before;
	int64_t errors_before, cpu_before[PROCS];
};

struct load {
	struct sim *sim;
	const struct scenario *plan;
	const char *text; /* of the scenario */
	struct rpc_target target;
	struct rpc *control;
	struct control *controls; /* under way, or waiting to be made again */
	const char *product;
	struct campaign campaigns[CAMPAIGNS_MAX];
	struct event *ask;
	size_t ask_next;
	struct api_load api;
	struct proc procs[PROCS];
	struct samples samples;
	struct histogram lag;
	int64_t lag_max_us;
	utc_ms started;
	int64_t ending_ms, ended_ms; /* since the start: no further load; the end. -1: not yet */
};

/* ---- load.c ---- */
/* Everything before the start: target, devices, packages. false: said on standard error. */
bool load_prepare(struct sim *s, const char *text);
void load_start(struct load *l);
/* Every 20 ms; late_ms: how much later than it should have come. true: the run is over. */
bool load_tick(struct load *l, int64_t now_ms, int64_t late_ms);
/* The end, if it has not come by itself. */
void load_end(struct load *l, int64_t since_ms);
void load_free(struct load *l);
/* A push reached a device; held: a cut had held it back. */
void load_push(struct load *l, const char *version, int64_t now_ms, bool held);
/* ms since the start of the run. */
int64_t load_now(const struct load *l);

/* ---- result.c ---- */
/* After the loop. *ret_met: everything came true. false: the page could not be written. */
bool result_write(struct load *l, bool *ret_met);

/* ---- control.c: calls that set the scene, repeated while a quota is used up ---- */
void control_call(struct load *l, const char *action, const struct param_list *p, rpc_fn *fn, void *arg);
/* Waits, with the loop running, for the body of a success; NULL: said on standard error. */
const struct json *control_wait(struct load *l, struct arena *a, const char *action,
				const struct param_list *p);
/* Ends what is under way without a word. */
void control_free(struct load *l);
/* false: interrupted. */
bool control_sleep(struct load *l, int64_t ms);
void param_add(struct param_list *p, const char *name, const char *value);

/* ---- register.c ---- */
/* A new product with devices, into l->sim. false: said on standard error. */
bool fleet_register(struct load *l, int64_t count);

/* ---- upload.c ---- */
/* A package of random bytes, of this size and for this version -> its FirmwareId, in the simulator's arena;
 * NULL: said on standard error. */
const char *package_upload(struct load *l, const char *product, const char *version, int64_t kib);

/* ---- campaign.c ---- */
bool campaigns_prepare(struct load *l);
void campaigns_start(struct load *l);
void campaigns_tick(struct load *l, int64_t since_ms);
void campaigns_free(struct load *l);
/* Have all ended, or is nothing left but what devices keep silent about? */
bool campaigns_over(const struct load *l);
/* Have all been asked about since then? */
bool campaigns_told(const struct load *l, int64_t from_ms);
/* Tasks without an end. */
int64_t campaign_unfinished(const struct campaign *c);

/* ---- api_load.c ---- */
void api_load_start(struct load *l);
/* No further calls; those under way end. What is due and still waits for a connection counts with what it has
 * waited. */
void api_load_end(struct load *l);
bool api_load_quiet(const struct load *l);
void api_load_free(struct load *l);

/* ---- procs.c ---- */
void procs_open(struct load *l);
/* Looks at all of them. */
void procs_look(struct load *l);

/* ---- samples.c ---- */
void samples_start(struct load *l);
void samples_take(struct load *l, int64_t since_ms);

#endif
