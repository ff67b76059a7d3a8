/* SPDX-License-Identifier: Apache-2.0 */
/* The strategy of a dynamic job: which devices it matches after its creation (api §5.3, §10.6, §10.7). Pure.
 * What matches when the job is created is chosen like the candidates of a static job. */
#ifndef ENGINE_STRATEGY_H
#define ENGINE_STRATEGY_H

#include "engine/base/base.h"

/* A device gets so many tasks of one dynamic job at most: one that fails each time comes to rest. */
#define STRATEGY_MATCHES_MAX 10

enum dynamic_mode {
	DYNAMIC_ALL = 1,    /* devices that match now, and all that match later */
	DYNAMIC_REPORTS = 2 /* only devices that report a version after the creation */
};

struct strategy {
	int64_t job_id; /* the newer, the larger */
	const char *module;
	const char *dest_version;
	const char *diff_version; /* source version of a differential package; NULL: a full one */
	enum dynamic_mode mode;
	bool by_group; /* by group, else by versions */
	size_t n_versions;
	const char *const *versions;
	utc_ms created_ms;
};

/* Why a device is looked at, and what is known of it. */
struct strategy_look {
	const char *reported; /* module of which it reported a version; NULL: anything else changed */
	utc_ms reported_ms;
	const char *version; /* of the strategy's module; NULL: never reported */
	bool member;	     /* of the strategy's group */
	int64_t matches;     /* tasks of the job that it has had */
};

/* A report may bring a device another task of a job that it has had tasks of; anything else only a first one.
 */
bool strategy_matches(const struct strategy *s, const struct strategy_look *l);

#endif
