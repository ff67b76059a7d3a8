/* SPDX-License-Identifier: Apache-2.0 */
/* The scenario file: what load there is, and when. JSON, comments as in C allowed; every key is a row of a
 * table, what is not in it is refused, and docs/scenario.md is printed from it. Times are s since the start
 * of the run. Reading it touches nothing else. */
#ifndef OTASIM_SCENARIO_H
#define OTASIM_SCENARIO_H

#include "cmd/otasim/curve.h"
#include "cmd/otasim/options.h"
#include "engine/base/buf.h"

#define SCENARIO_BYTES_MAX ((size_t)1024 * 1024)
#define CUTS_MAX 20
#define CAMPAIGNS_MAX 8
#define CALLS_MAX 16
#define PARAMS_MAX 30 /* of a call; of a scenario's some less */

/* A parameter of an API call. */
struct param_text {
	const char *name, *value;
};
struct param_list {
	size_t n;
	struct param_text v[PARAMS_MAX];
};

/* The network is gone for a part of the devices. */
struct cut {
	int64_t at_s, for_s, share_milli;
	bool silent; /* packets vanish and nobody closes; else connections break at once */
};

struct campaign_plan {
	int64_t at_s;
	const char *job;    /* one that exists already; or NULL: made of the rest */
	int64_t per_minute; /* -1: what the platform does without being told */
	int64_t package_kib;
	struct param_list params; /* of CreateOTAStaticUpgradeJob */
};

/* One kind of call of the API load. */
struct call_plan {
	const char *action;
	int64_t share_milli;
	struct param_list params;
};

/* What has to come true; -1: not asked for. */
struct expectation {
	int64_t api_p99_ms, api_errors_milli, login_p99_ms, rate_used_milli, done_s;
};

struct scenario {
	const char *title, *note;
	int64_t duration_s;
	int64_t count; /* devices; 0: those of --devices */
	struct curve online;
	bool leave_when_done;
	struct options fleet; /* how they behave */
	struct cut cuts[CUTS_MAX];
	size_t n_cuts;
	struct campaign_plan campaigns[CAMPAIGNS_MAX];
	size_t n_campaigns;
	int64_t api_connections;
	struct curve api_rate;
	struct call_plan calls[CALLS_MAX];
	size_t n_calls;
	struct expectation expect;
};

/* Fills in *ret (strings live in the arena). false: *ret_error says where and what. */
bool scenario_read(struct arena *a, const char *text, size_t len, struct scenario *ret,
		   const char **ret_error);
/* docs/scenario.md. */
void scenario_print_keys(struct buf *out);
/* Is one of "$job", ... a value of these parameters? */
bool params_use(const struct param_list *p, const char *word);

#endif
