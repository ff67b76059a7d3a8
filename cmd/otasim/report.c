/* SPDX-License-Identifier: Apache-2.0 */
/* The summary at the end, as one JSON object. */
#include "cmd/otasim/sim.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_MS 60000

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Of a sorted list, the value that `percent` of the samples don't exceed; -1 without samples. */
static int64_t percentile(const int64_t *list, size_t n, size_t percent)
{
	return n == 0 ? -1 : list[i64_min((int64_t)((n * percent + 99) / 100), (int64_t)n) - 1];
}

/* The most pushes in any 60 seconds; the list is in order of arrival. */
static int64_t worst_window(const int64_t *at_ms, size_t n)
{
	int64_t worst = 0;

	for (size_t first = 0, last = 0; last < n; last++) {
		while (at_ms[last] - at_ms[first] >= WINDOW_MS)
			first++;
		worst = i64_max(worst, (int64_t)(last - first + 1));
	}
	return worst;
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
		     { "reports_repeated", t->resent } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		json_put_int(j, rows[i].name, rows[i].value);
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
	counters(&s->stats, j);
	json_put_int(j, "worst_minute_pushes", worst_window(s->pushes_ms, s->n_pushes));
	json_put_int(j, "push_span_ms",
		     s->n_pushes > 0 ? s->pushes_ms[s->n_pushes - 1] - s->pushes_ms[0] : 0);
	if (s->n_updates > 0)
		qsort(s->update_ms, s->n_updates, sizeof *s->update_ms, by_value);
	json_put_int(j, "update_ms_p50", percentile(s->update_ms, s->n_updates, 50));
	json_put_int(j, "update_ms_p99", percentile(s->update_ms, s->n_updates, 99));
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
