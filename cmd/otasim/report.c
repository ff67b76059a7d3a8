/* SPDX-License-Identifier: Apache-2.0 */
/* The summary at the end, as one JSON object. */
#include "cmd/otasim/sim.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"

#include <string.h>

static int64_t update_ms(const struct sim *s, int64_t percent)
{
	int64_t us = histogram_percentile(&s->update.all, percent * 1000);

	return us < 0 ? -1 : us / 1000;
}

static void fleet_state(const struct sim *s, struct json_out *j)
{
	int64_t online = 0, ever = 0, busy = 0;

	for (size_t i = 0; i < s->n; i++) {
		online += s->devices[i].link == LINK_UP;
		ever += s->devices[i].ever_online;
		busy += s->devices[i].update != UPDATE_NONE && s->devices[i].update != UPDATE_STALLED;
	}
	json_put_int(j, "devices", (int64_t)s->n);
	json_put_int(j, "online", online);
	json_put_int(j, "ever_online", ever);
	json_put_int(j, "busy", busy);
}

static void counters(const struct stats *t, struct json_out *j)
{
	const struct {
		const char *name;
		int64_t value;
	} rows[] = { { "connects", t->connects },
		     { "connects_refused", t->refused },
		     { "disconnects", t->disconnects },
		     { "pushes", t->pushes },
		     { "push_duplicates", t->duplicates },
		     { "push_unusable", t->foreign },
		     { "downloads", t->downloads },
		     { "downloads_failed", t->download_failures },
		     { "downloads_resumed", t->resumed },
		     { "pulls", t->pulls },
		     { "blocks", t->blocks },
		     { "digest_errors", t->digest_errors },
		     { "bytes", t->bytes },
		     { "successes", t->successes },
		     { "failures", t->failures },
		     { "stalls", t->stalls },
		     { "reports", t->reports },
		     { "reports_repeated", t->resent },
		     { "dropped_networks", t->dropped } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		json_put_int(j, rows[i].name, rows[i].value);
}

/* Played failures by their kind. */
static void failures(const struct stats *t, struct json_out *j)
{
	static const char *const keys[] = {
#define FAILURE(name, step, word, key, doc) key,
#include "cmd/otasim/failures.def"
#undef FAILURE
	};

	json_key(j, "played");
	json_object(j);
	for (size_t i = 0; i < FAILURES; i++)
		json_put_int(j, keys[i], t->played[i]);
	json_object_end(j);
}

/* Devices by the SDK generation that they play. */
static void profiles(const struct sim *s, struct json_out *j)
{
	const struct profile *p;

	json_key(j, "profiles");
	json_object(j);
	for (size_t i = 0; (p = profile_at(i)); i++) {
		int64_t ever, n = fleet_playing(s, p, &ever);

		if (n > 0)
			json_put_int(j, p->name, n);
	}
	json_object_end(j);
}

bool report_write(const struct sim *s)
{
	struct arena a;
	struct buf *b;
	struct json_out *j;
	const char *file = s->o.report_file;
	FILE *f = file && strcmp(file, "-") != 0 ? fopen(file, "w") : stdout;
	bool good;

	arena_init(&a);
	b = buf_owned(&a, 65536);
	j = json_new(&a, b);
	json_object(j);
	fleet_state(s, j);
	profiles(s, j);
	counters(&s->stats, j);
	failures(&s->stats, j);
	json_put_int(j, "worst_minute_pushes", push_times_worst(&s->pushes, NULL));
	json_put_int(j, "push_span_ms",
		     s->pushes.n > 0 ? s->pushes.at_ms[s->pushes.n - 1] - s->pushes.at_ms[0] : 0);
	json_put_int(j, "update_ms_p50", update_ms(s, 50));
	json_put_int(j, "update_ms_p99", update_ms(s, 99));
	json_put_int(j, "seconds", (clock_boot_ms() - s->started_ms) / MS_PER_SECOND);
	json_object_end(j);
	good = f && fprintf(f, "%s\n", buf_str(b)) > 0;
	if (f && f != stdout)
		good = fclose(f) == 0 && good;
	arena_free(&a);
	if (!good)
		(void)fprintf(stderr, "otasim: cannot write the report %s\n", file);
	return good;
}
