/* SPDX-License-Identifier: Apache-2.0 */
/* How a fleet behaves and where it finds everything: from the command line (options.c) or a scenario
 * (scenario.c). */
#ifndef OTASIM_OPTIONS_H
#define OTASIM_OPTIONS_H

#include "engine/base/base.h"

#define NAME_MAX_LEN 64
#define VERSION_MAX_LEN 64
#define PERCENT_MILLI 100000 /* 100 % in the unit of parse_percent */
#define MIX_MAX 8

enum failure {
#define FAILURE(name, step, word, key, doc) FAIL_##name,
#include "cmd/otasim/failures.def"
#undef FAILURE
	FAILURES,
	FAIL_NOT = FAILURES
};

struct profile;
struct scenario;
struct arena;

struct options {
	/* where */
	const char *broker, *ca; /* ca NULL: the broker does not speak TLS */
	const char *endpoint;	 /* of the management API, load kit only */
	const char *devices_file, *keep_file;
	const char *report_file, *html_file, *push_log_file;
	const char *about;
	int64_t http_port; /* 0: as the scheme has it */
	/* who */
	const char *version, *module;
	struct {
		const struct profile *profile;
		int64_t share;
	} mix[MIX_MAX];
	size_t n_mix;
	int64_t seed;
	/* when */
	int64_t connect_rate;	 /* connections a second */
	int64_t offline_milli;	 /* shares of the fleet are percent * 1000 */
	int64_t offline_until_s; /* when the offline ones come; 0: never */
	int64_t duration_s, idle_s;
	/* what goes wrong */
	int64_t fail_milli[FAILURES];
	int64_t fail_first;	 /* a failing device fails this many pushes, then does well; 0: all */
	int64_t fail_rate_milli; /* the command line's way to say fail_milli */
	const char *fail_kinds;
	int64_t drop_milli, drop_s; /* who loses the network half-way through a download, and for how long */
	int64_t flap_milli, flap_every_s, duplicate_milli;
	/* how fast */
	int64_t delay_ms, steps, download_kbps; /* 0: as fast as it goes */
	int64_t downloads_max, pull_every_s;
	bool reboot, download, any_port;
};

struct options options_default(void);
/* Reads the command line, and the scenario when it names one (else *ret_scenario is NULL); both live in the
 * arena. -1: go on, otherwise the exit status; what was wrong has been said. */
int options_read(struct arena *a, int argc, char **argv, struct options *ret,
		 const struct scenario **ret_scenario, const char **ret_scenario_text);

#endif
