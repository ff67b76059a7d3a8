/* SPDX-License-Identifier: Apache-2.0 */
/* The report: one HTML file that needs nothing else, for people who were not there. Verdicts first, then
 * pictures, then tables, how everything was measured, the scenario, and the data. */
#include "cmd/otasim/chart.h"
#include "cmd/otasim/result.h"
#include "engine/base/parse.h"

#include "cmd/otasim/page_css.h"
#include "cmd/otasim/page_measured.h"

#include <math.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define RATE_S_MIN 0.5 /* the last sample may be too short to say anything a second */
#define DATA_BYTES_MAX ((size_t)32 * 1024 * 1024)

struct page {
	const struct load *l;
	const struct verdicts *v;
	struct arena *a;
	struct buf *b;
	double *x_s; /* of the samples */
};

/* An embedded text. */
static void lines_print(struct page *p, const char *const *lines)
{
	for (; *lines; lines++)
		buf_adds(p->b, *lines);
}

/* ---- tables ---- */

static void text(struct page *p, const char *s)
{
	html_add(p->b, s);
}

static void table_open(struct page *p, const char *const *heads, size_t n)
{
	buf_adds(p->b, "<table><thead><tr>");
	for (size_t i = 0; i < n; i++) {
		bool number = heads[i][0] == '#';

		buf_adds(p->b, number ? "<th class=\"n\" scope=\"col\">" : "<th scope=\"col\">");
		text(p, heads[i] + number);
		buf_adds(p->b, "</th>");
	}
	buf_adds(p->b, "</tr></thead><tbody>\n");
}

static void table_close(struct page *p)
{
	buf_adds(p->b, "</tbody></table>\n");
}

static void cell(struct page *p, const char *s)
{
	buf_adds(p->b, "<td>");
	text(p, s);
	buf_adds(p->b, "</td>");
}

/* Long and without blanks. */
static void cell_id(struct page *p, const char *s)
{
	buf_adds(p->b, "<td class=\"id\">");
	text(p, s);
	buf_adds(p->b, "</td>");
}

static void cell_right(struct page *p, const char *s)
{
	buf_adds(p->b, "<td class=\"n\">");
	text(p, s);
	buf_adds(p->b, "</td>");
}

static void cell_number(struct page *p, int64_t n)
{
	cell_right(p, say_number(p->a, n));
}

static void row_open(struct page *p)
{
	buf_adds(p->b, "<tr>");
}

static void row_close(struct page *p)
{
	buf_adds(p->b, "</tr>\n");
}

static void term(struct page *p, const char *name, const char *value)
{
	buf_adds(p->b, "<dt>");
	text(p, name);
	buf_adds(p->b, "</dt><dd>");
	text(p, value);
	buf_adds(p->b, "</dd>\n");
}

/* ---- the top ---- */

static void banner(struct page *p)
{
	static const char *const words[] = { "Everything came true.", "Doubtful.", "Not as expected.", "" };
	enum verdict_kind worst = verdicts_worst(p->v);
	size_t judged = 0, good = 0;

	for (size_t i = 0; i < p->v->n; i++) {
		judged += p->v->v[i].kind != VERDICT_NOTE;
		good += p->v->v[i].kind == VERDICT_GOOD;
	}
	buf_addf(p->b, "<p class=\"banner %s\"><b>%s</b> <span>%zu of %zu verdicts are good.</span></p>\n",
		 verdict_word(worst), words[worst], good, judged);
}

static void head(struct page *p)
{
	const struct scenario *c = p->l->plan;
	char when[UTC_TEXT_LEN];

	format_utc_ms(p->l->started, when);
	buf_adds(p->b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
		       "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
	text(p, c->title);
	buf_adds(p->b, "</title>\n<style>\n");
	lines_print(p, page_css);
	buf_adds(p->b, "</style>\n</head>\n<body>\n<header>\n<p class=\"faint\">otad load test</p>\n<h1>");
	text(p, c->title);
	buf_addf(p->b, "</h1>\n<p class=\"faint\">%.10s %.5s UTC &middot; %s &middot; %s devices", when,
		 when + 11, say_seconds(p->a, p->l->ended_ms), say_number(p->a, (int64_t)p->l->sim->n));
	if (p->l->target.host) {
		buf_adds(p->b, " &middot; against ");
		text(p, p->l->target.host);
	}
	buf_adds(p->b, "</p>\n");
	if (c->note) {
		buf_adds(p->b, "<p>");
		text(p, c->note);
		buf_adds(p->b, "</p>\n");
	}
	banner(p);
	buf_adds(p->b, "</header>\n<main>\n");
}

static void tile(struct page *p, const char *name, const char *value, const char *of)
{
	buf_adds(p->b, "<div><dt>");
	text(p, name);
	buf_adds(p->b, "</dt><dd><b>");
	text(p, value);
	buf_adds(p->b, "</b> ");
	text(p, of);
	buf_adds(p->b, "</dd></div>\n");
}

/* The fullest minute of the campaign that came closest to its limit. */
static void rate_tile(struct page *p)
{
	const struct campaign *closest = NULL;
	double most = -1;

	for (size_t i = 0; i < p->l->plan->n_campaigns; i++) {
		const struct campaign *c = &p->l->campaigns[i];
		double part = (double)push_times_worst(&c->pushes, NULL) / (double)i64_max(c->limit_max, 1);

		if (part > most) {
			most = part;
			closest = c;
		}
	}
	if (closest)
		tile(p, "Pushes in the fullest minute",
		     say_number(p->a, push_times_worst(&closest->pushes, NULL)),
		     arena_printf(p->a, "of %s allowed", say_number(p->a, closest->limit_max)));
}

static void tasks_tile(struct page *p)
{
	int64_t open = 0, ended = 0, succeeded = 0;

	for (size_t i = 0; i < p->l->plan->n_campaigns; i++) {
		const struct campaign *c = &p->l->campaigns[i];

		open += campaign_unfinished(c);
		succeeded += c->states[TASK_SUCCEEDED];
		for (int s = TASK_SUCCEEDED; s <= TASK_STATES; s++)
			ended += c->states[s];
	}
	if (p->l->plan->n_campaigns > 0)
		tile(p, "Updated", say_number(p->a, succeeded),
		     arena_printf(p->a, "of %s tasks, %s not ended", say_number(p->a, open + ended),
				  say_number(p->a, open)));
}

static void tiles(struct page *p)
{
	const struct load *l = p->l;
	int64_t most = 0;

	buf_adds(p->b, "<dl class=\"tiles\">\n");
	for (size_t i = 0; i < l->samples.n; i++)
		most = i64_max(most, l->samples.v[i].online);
	tile(p, "Devices connected at once", say_number(p->a, most),
	     arena_printf(p->a, "of %s", say_number(p->a, (int64_t)l->sim->n)));
	rate_tile(p);
	tasks_tile(p);
	if (l->plan->n_calls > 0)
		tile(p, "99 % of API calls within",
		     say_us(p->a, histogram_percentile(&l->api.all.all, 99000)),
		     arena_printf(p->a, "of %s", say_number(p->a, l->api.all.all.n)));
	buf_adds(p->b, "</dl>\n");
}

static void verdicts_print(struct page *p)
{
	static const char *const heads[] = { "Verdict", "", "What was seen" };
	static const char *const signs[] = { "&#10003;", "?", "&#10007;", "&middot;" };

	buf_adds(p->b, "<div class=\"verdicts\">");
	table_open(p, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < p->v->n; i++) {
		const struct verdict *v = &p->v->v[i];

		row_open(p);
		buf_addf(p->b,
			 "<td class=\"v %s\"><span aria-hidden=\"true\">%s</span> %s</td><th scope=\"row\">",
			 verdict_word(v->kind), signs[v->kind], verdict_word(v->kind));
		text(p, v->title);
		buf_adds(p->b, "</th>");
		cell(p, v->text);
		row_close(p);
	}
	table_close(p);
	buf_adds(p->b, "</div>\n");
}

/* ---- pictures ---- */

/* A number of every sample; what is negative is not there. */
static double *series_at(struct page *p, size_t offset, double per)
{
	const struct samples *s = &p->l->samples;
	double *y = ARENA_ARRAY(p->a, s->n + 1, double);

	for (size_t i = 0; i < s->n; i++) {
		int64_t n = *(const int64_t *)(const void *)((const char *)&s->v[i] + offset);

		y[i] = n < 0 ? (double)NAN : (double)n / per;
	}
	return y;
}

/* The same of what happened in the sample's time, a second. */
static double *rate_at(struct page *p, size_t offset, double per)
{
	double *y = series_at(p, offset, per);

	for (size_t i = 0; i < p->l->samples.n; i++) {
		double s = p->x_s[i] - (i > 0 ? p->x_s[i - 1] : 0);

		y[i] = s < RATE_S_MIN ? (double)NAN : y[i] / s;
	}
	return y;
}

static void add(struct chart *c, const char *name, int color, bool dashed, double *y)
{
	ensure(c->n_series < CHART_SERIES_MAX);
	c->series[c->n_series++] = (struct chart_series){ name, color, dashed, y };
}

/* An empty picture with the cuts and the beginnings of campaigns in it. */
static struct chart chart_new(struct page *p, const char *id, const char *title, const char *unit,
			      const char *what)
{
	const struct load *l = p->l;
	struct chart c = {
		.id = id, .title = title, .what = what, .unit = unit, .n = l->samples.n, .x_s = p->x_s
	};

	for (size_t i = 0; i < l->plan->n_cuts; i++) {
		const struct cut *k = &l->plan->cuts[i];

		c.marks[c.n_marks++] =
			(struct chart_mark){ (double)k->at_s, (double)(k->at_s + k->for_s),
					     arena_printf(p->a, "cut %s",
							  say_percent(p->a, k->share_milli, PERCENT_MILLI)) };
	}
	for (size_t i = 0; i < l->plan->n_campaigns; i++) {
		double s = (double)l->campaigns[i].created_ms / 1000;

		if (s >= 0)
			c.marks[c.n_marks++] = (struct chart_mark){
				s, s, l->plan->n_campaigns > 1 ? arena_printf(p->a, "job %zu", i + 1) : "job"
			};
	}
	return c;
}

#define OF_CAMPAIGN(i, member)                                                       \
	(offsetof(struct sample, campaigns) + (i) * sizeof(struct campaign_sample) + \
	 offsetof(struct campaign_sample, member))

static const char *campaign_name(struct page *p, size_t i, const char *what)
{
	return p->l->plan->n_campaigns > 1 ? arena_printf(p->a, "%s of campaign %zu", what, i + 1) : what;
}

/* The pushes of every campaign and their limits, in 60 seconds or in one. */
static void pushes_chart(struct page *p, struct chart *c, bool second)
{
	for (size_t i = 0; i < p->l->plan->n_campaigns; i++) {
		int color = (int)(i % 4) + 1;
		double *pushes = second ? rate_at(p, OF_CAMPAIGN(i, pushes), 1)
					: series_at(p, OF_CAMPAIGN(i, minute), 1);

		add(c, campaign_name(p, i, "pushes"), color, false, pushes);
		add(c, campaign_name(p, i, "limit"), color, true,
		    series_at(p, OF_CAMPAIGN(i, limit), second ? 60 : 1));
	}
	if (c->n_series == 2)
		c->series[1].color = 2;
	chart_print(p->b, c);
}

static void pushes_charts(struct page *p)
{
	struct chart c = chart_new(
		p, "minute", "Pushes in the 60 seconds before, against the limit", "",
		"Counted when a push arrives at its device, but for those that a silent cut held back. The "
		"limit is the job's MaximumPerMinute, as the platform says it is in force. The line must not "
		"cross it.");

	pushes_chart(p, &c, false);
	c = chart_new(
		p, "second", "Pushes a second, against the limit", "/s",
		"The same pushes; the limit a minute divided by 60. Single seconds may be above it, minutes "
		"may not.");
	pushes_chart(p, &c, true);
}

static void states_chart(struct page *p, size_t i)
{
	static const struct {
		enum task_state state;
		int color;
	} rows[] = { { TASK_SUCCEEDED, 3 }, { TASK_FAILED, 2 }, { TASK_CANCELED, 4 }, { TASK_IN_PROGRESS, 1 },
		     { TASK_NOTIFIED, 5 },  { TASK_QUEUED, 7 }, { TASK_CONFIRM, 6 } };
	struct chart c = chart_new(p, arena_printf(p->a, "states%zu", i + 1),
				   campaign_name(p, i, "Tasks by state"), "",
				   "As the platform says: ListOTATaskByJob for each state in turn, a round "
				   "every two seconds, so that the sum may be off by what moved "
				   "meanwhile.");

	c.stacked = true;
	for (size_t k = 0; k < ARRAY_LEN(rows); k++)
		add(&c, task_state_name(rows[k].state), rows[k].color, false,
		    series_at(p, OF_CAMPAIGN(i, states) + (size_t)rows[k].state * sizeof(int64_t), 1));
	chart_print(p->b, &c);
}

#define OF(member) offsetof(struct sample, member)

static void devices_charts(struct page *p)
{
	struct chart c = chart_new(
		p, "online", "Connected devices", "",
		"Devices whose login was accepted and whose connection is open, counted in otasim.");

	add(&c, "connected", 1, false, series_at(p, OF(online), 1));
	add(&c, "wanted by the scenario", 2, true, series_at(p, OF(wanted), 1));
	add(&c, "downloading", 3, false, series_at(p, OF(downloading), 1));
	chart_print(p->b, &c);
	c = chart_new(p, "links", "Logins and lost connections", "/s",
		      "Accepted and refused logins; connections that ended without the device's will, cuts "
		      "among them.");
	add(&c, "logins", 1, false, rate_at(p, OF(logins), 1));
	add(&c, "lost", 2, false, rate_at(p, OF(lost), 1));
	add(&c, "refused", 4, false, rate_at(p, OF(refused), 1));
	chart_print(p->b, &c);
	c = chart_new(p, "reports", "What devices report", "/s",
		      "Version and progress messages that were sent.");
	add(&c, "reports", 1, false, rate_at(p, OF(reports), 1));
	chart_print(p->b, &c);
	c = chart_new(p, "bytes", "What devices download", " MiB/s",
		      "Bytes of packages that arrived at devices.");
	add(&c, "downloads", 3, false, rate_at(p, OF(bytes), 1048576));
	chart_print(p->b, &c);
}

static void waits_charts(struct page *p)
{
	struct chart c = chart_new(p, "login", "How long logins take", " ms",
				   "From the opening of the connection to the broker's acceptance, of the "
				   "logins of that moment.");

	add(&c, "half of them", 1, false, series_at(p, OF(login_p50_us), 1000));
	add(&c, "99 %", 2, false, series_at(p, OF(login_p99_us), 1000));
	chart_print(p->b, &c);
	c = chart_new(p, "update", "From the push to the new version", " s",
		      "On the device's clock, downloads, waiting for a place among them, and flashing "
		      "included; of the devices that were done at that moment.");
	add(&c, "half of them", 1, false, series_at(p, OF(update_p50_us), 1e6));
	add(&c, "99 %", 2, false, series_at(p, OF(update_p99_us), 1e6));
	chart_print(p->b, &c);
}

static void api_charts(struct page *p)
{
	struct chart c = chart_new(
		p, "api", "Latency of API calls", " ms",
		"From the moment that a call was due to the end of its answer, of the calls answered at "
		"that moment. A call that had to wait for a connection has waited: nothing is hidden by "
		"slow answers.");

	if (p->l->plan->n_calls == 0)
		return;
	add(&c, "half of them", 1, false, series_at(p, OF(call_p50_us), 1000));
	add(&c, "90 %", 3, false, series_at(p, OF(call_p90_us), 1000));
	add(&c, "99 %", 2, false, series_at(p, OF(call_p99_us), 1000));
	add(&c, "slowest", 7, false, series_at(p, OF(call_max_us), 1000));
	chart_print(p->b, &c);
	c = chart_new(p, "calls", "API calls a second", "/s",
		      "Calls that were answered, and those of them that were refused.");
	add(&c, "answered", 1, false, rate_at(p, OF(calls), 1));
	add(&c, "refused or without an answer", 2, false, rate_at(p, OF(errors), 1));
	chart_print(p->b, &c);
}

static void procs_charts(struct page *p)
{
	struct chart cpu =
		chart_new(p, "cpu", "CPU", " %", "Of one core, child processes included (/proc/PID/stat).");
	struct chart rss =
		chart_new(p, "memory", "Memory", " MiB",
			  "Resident memory of each, with its child processes; what they share counts once.");

	for (size_t i = 0; i < PROCS; i++) {
		size_t at = offsetof(struct sample, procs) + i * sizeof p->l->samples.v[0].procs[0];

		if (!p->l->procs[i].where)
			continue;
		add(&cpu, p->l->procs[i].name, (int)i + 1, false, series_at(p, at, 10));
		add(&rss, p->l->procs[i].name, (int)i + 1, false, series_at(p, at + sizeof(int64_t), 1024));
	}
	chart_print(p->b, &cpu);
	chart_print(p->b, &rss);
}

static void pictures(struct page *p)
{
	const struct samples *s = &p->l->samples;

	p->x_s = ARENA_ARRAY(p->a, s->n + 1, double);
	for (size_t i = 0; i < s->n; i++)
		p->x_s[i] = (double)s->v[i].at_ms / 1000;
	buf_addf(p->b,
		 "<h2>Pictures</h2>\n<p class=\"faint\">Time runs from the start, minutes and seconds; "
		 "there is a point every %lld s. Point at a picture to read its numbers.</p>\n",
		 (long long)s->every_s);
	if (p->l->plan->n_campaigns > 0)
		pushes_charts(p);
	for (size_t i = 0; i < p->l->plan->n_campaigns; i++)
		states_chart(p, i);
	devices_charts(p);
	waits_charts(p);
	api_charts(p);
	procs_charts(p);
}

/* ---- numbers ---- */

static void campaigns_table(struct page *p)
{
	static const char *const heads[] = {
		"Job",	      "#Limit a minute", "#Pushes",   "#Fullest minute", "#Rate used",
		"#SUCCEEDED", "#FAILED",	 "#CANCELED", "#Not ended",	 "#Took"
	};

	if (p->l->plan->n_campaigns == 0)
		return;
	buf_adds(p->b, "<h3>Campaigns</h3>\n");
	table_open(p, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < p->l->plan->n_campaigns; i++) {
		const struct campaign *c = &p->l->campaigns[i];
		int64_t used = campaign_used_milli(c);

		row_open(p);
		cell_id(p, c->job ? c->job : "none");
		cell_number(p, c->limit_max);
		cell_number(p, (int64_t)c->pushes.n + c->pushes.held);
		cell_number(p, push_times_worst(&c->pushes, NULL));
		cell_right(p, used < 0 ? "-" : say_percent(p->a, used, PERCENT_MILLI));
		cell_number(p, c->states[TASK_SUCCEEDED]);
		cell_number(p, c->states[TASK_FAILED]);
		cell_number(p, c->states[TASK_CANCELED]);
		cell_number(p, campaign_unfinished(c));
		cell_right(p, c->ended_ms >= 0 && c->created_ms >= 0
				      ? say_seconds(p->a, c->ended_ms - c->created_ms)
				      : "-");
		row_close(p);
	}
	table_close(p);
}

static void profiles_table(struct page *p)
{
	static const char *const heads[] = { "SDK generation", "#Devices that play it", "#Ever online" };
	const struct profile *profile;

	table_open(p, heads, ARRAY_LEN(heads));
	for (size_t i = 0; (profile = profile_at(i)); i++) {
		int64_t ever, n = fleet_playing(p->l->sim, profile, &ever);

		if (n == 0)
			continue;
		row_open(p);
		cell(p, profile->name);
		cell_number(p, n);
		cell_number(p, ever);
		row_close(p);
	}
	table_close(p);
}

static void failures_table(struct page *p)
{
	static const char *const heads[] = { "Failure", "What the device does", "#Asked", "#Devices that do",
					     "#Played" };
	const struct sim *s = p->l->sim;
	int64_t roles[FAILURES + 1] = { 0 }, droppers = 0;

	for (size_t i = 0; i < s->n; i++) {
		roles[update_role(&s->devices[i])]++;
		droppers += update_drops(&s->devices[i]);
	}
	if (roles[FAIL_NOT] == (int64_t)s->n && s->o.drop_milli == 0)
		return;
	buf_adds(p->b, "<h3>What devices were told to do wrong</h3>\n");
	table_open(p, heads, ARRAY_LEN(heads));
	for (enum failure f = 0; f < FAILURES; f++) {
		row_open(p);
		cell(p, failure_key(f));
		cell(p, failure_text(f));
		cell_right(p, say_percent(p->a, s->o.fail_milli[f], PERCENT_MILLI));
		cell_number(p, roles[f]);
		cell_number(p, s->stats.played[f]);
		row_close(p);
	}
	row_open(p);
	cell(p, "disconnect");
	cell(p, "loses the network half-way through a download, comes back and resumes");
	cell_right(p, say_percent(p->a, s->o.drop_milli, PERCENT_MILLI));
	cell_number(p, droppers);
	cell_number(p, s->stats.dropped);
	row_close(p);
	table_close(p);
}

static void cuts_table(struct page *p)
{
	static const char *const heads[] = { "Network cut", "How", "#For", "#Asked",
					     "#Devices connected then" };

	if (p->l->plan->n_cuts == 0)
		return;
	table_open(p, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < p->l->plan->n_cuts; i++) {
		const struct cut *c = &p->l->plan->cuts[i];

		row_open(p);
		cell(p, arena_printf(p->a, "at %s", say_seconds(p->a, c->at_s * MS_PER_SECOND)));
		cell(p, c->silent ? "silence: packets vanished" : "close: connections broke");
		cell_right(p, say_seconds(p->a, c->for_s * MS_PER_SECOND));
		cell_right(p, say_percent(p->a, c->share_milli, PERCENT_MILLI));
		cell_number(p, p->l->sim->cut_devices[i]);
		row_close(p);
	}
	table_close(p);
}

static void bars(struct page *p, const struct histogram *h, int64_t most_us)
{
	static const int64_t percents[] = { 50000, 90000, 99000 };

	buf_adds(p->b, "<td class=\"bars\" aria-hidden=\"true\">");
	for (size_t i = 0; i < ARRAY_LEN(percents); i++)
		buf_addf(p->b, "<span class=\"bar s%zu\" style=\"width:%.1f%%;height:4px\"></span>",
			 i == 2	  ? 2
			 : i == 1 ? 3
				  : (size_t)1,
			 100 * (double)histogram_percentile(h, percents[i]) / (double)i64_max(most_us, 1));
	buf_adds(p->b, "</td>");
}

static void latency_cells(struct page *p, const struct histogram *h)
{
	static const int64_t percents[] = { 50000, 90000, 99000, 99900 };

	for (size_t i = 0; i < ARRAY_LEN(percents); i++)
		cell_right(p, say_us(p->a, histogram_percentile(h, percents[i])));
	cell_right(p, say_us(p->a, h->n > 0 ? h->max_us : -1));
}

static void api_tables(struct page *p)
{
	static const char *const heads[] = { "Action", "#Calls",  "#Refused", "#50 %",	     "#90 %",
					     "#99 %",  "#99.9 %", "#Slowest", "50, 90, 99 %" };
	static const char *const code_heads[] = { "Code", "#Calls" };
	const struct api_load *api = &p->l->api;
	int64_t most = 0;

	if (p->l->plan->n_calls == 0)
		return;
	for (size_t i = 0; i < p->l->plan->n_calls; i++)
		most = i64_max(most, histogram_percentile(&api->calls[i].took.all, 99000));
	buf_adds(p->b, "<h3>API calls by action</h3>\n");
	table_open(p, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < p->l->plan->n_calls; i++) {
		row_open(p);
		cell(p, p->l->plan->calls[i].action);
		cell_number(p, api->calls[i].took.all.n);
		cell_number(p, api->calls[i].errors);
		latency_cells(p, &api->calls[i].took.all);
		bars(p, &api->calls[i].took.all, most);
		row_close(p);
	}
	table_close(p);
	if (api->n_codes == 0)
		return;
	buf_adds(p->b, "<h3>API errors by Code</h3>\n");
	table_open(p, code_heads, ARRAY_LEN(code_heads));
	for (size_t i = 0; i < api->n_codes; i++) {
		row_open(p);
		cell(p, api->codes[i].code);
		cell_number(p, api->codes[i].n);
		row_close(p);
	}
	table_close(p);
}

static void procs_table(struct page *p)
{
	static const char *const heads[] = { "Process", "Program", "#CPU", "#Of one core, on average",
					     "#Most memory" };

	buf_adds(p->b, "<h3>Processes on this machine</h3>\n");
	table_open(p, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < PROCS; i++) {
		const struct proc *c = &p->l->procs[i];

		if (!c->where)
			continue;
		row_open(p);
		cell(p, c->name);
		cell_id(p, c->program);
		cell_right(p, say_seconds(p->a, c->cpu_ms - c->from_cpu_ms));
		cell_right(p, say_percent(p->a, c->cpu_ms - c->from_cpu_ms, p->l->ended_ms));
		cell_right(p, arena_printf(p->a, "%.1f MiB", (double)c->peak_kib / 1024));
		row_close(p);
	}
	table_close(p);
}

static void devices_table(struct page *p)
{
	static const char *const heads[] = { "Devices", "#Number", "#50 %",   "#90 %",
					     "#99 %",	"#99.9 %", "#Slowest" };
	const struct sim *s = p->l->sim;

	buf_adds(p->b, "<h3>Devices</h3>\n");
	table_open(p, heads, ARRAY_LEN(heads));
	row_open(p);
	cell(p, "Logins");
	cell_number(p, s->login.all.n);
	latency_cells(p, &s->login.all);
	row_close(p);
	row_open(p);
	cell(p, "Updates, push to new version");
	cell_number(p, s->update.all.n);
	latency_cells(p, &s->update.all);
	row_close(p);
	table_close(p);
}

/* ---- the rest ---- */

/* "model name : X" of the first processor. */
static const char *cpu_name(struct page *p)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[512];
	const char *name = "unknown";

	while (f && fgets(line, sizeof line, f)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) == 0 && colon) {
			colon[strcspn(colon, "\n")] = '\0';
			name = arena_strdup(p->a, colon + 2);
			break;
		}
	}
	if (f)
		(void)fclose(f);
	return name;
}

static void machine(struct page *p)
{
	struct utsname u;
	double gib = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / (1 << 30);

	buf_adds(p->b, "<h2>Machine and versions</h2>\n<dl>\n");
	if (p->l->sim->o.about)
		term(p, "About", p->l->sim->o.about);
	if (uname(&u) == 0)
		term(p, "otasim ran on",
		     arena_printf(p->a, "%s, %s %s %s", u.nodename, u.sysname, u.release, u.machine));
	term(p, "Processors", arena_printf(p->a, "%ld x %s", sysconf(_SC_NPROCESSORS_ONLN), cpu_name(p)));
	term(p, "Memory", arena_printf(p->a, "%.1f GiB", gib));
	if (p->l->target.host)
		term(p, "Management API",
		     arena_printf(p->a, "%s://%s:%u", p->l->target.tls ? "https" : "http", p->l->target.host,
				  p->l->target.port));
	term(p, "Broker", arena_printf(p->a, "%s%s", p->l->sim->o.broker, p->l->sim->o.ca ? ", TLS" : ""));
	term(p, "Product", p->l->product);
	term(p, "Seed", arena_printf(p->a, "%lld", (long long)p->l->sim->o.seed));
	buf_adds(p->b, "</dl>\n");
}

/* JSON inside of HTML: a '<' might end the element. */
static void data(struct page *p)
{
	struct buf *json = buf_owned(p->a, DATA_BYTES_MAX);

	data_print(p->l, p->v, p->a, json);
	ensure(!json->overflow);
	buf_adds(p->b, "<h2>Data</h2>\n<p>Everything above, and every sample, is in this file as JSON, in "
		       "the element with the id <code>data</code>:</p>\n<pre>sed -n 's/^&lt;script "
		       "type=\"application\\/json\" id=\"data\"&gt;//p' REPORT.html | sed "
		       "'s/&lt;\\/script&gt;$//' | jq .campaigns</pre>\n<script type=\"application/json\" "
		       "id=\"data\">");
	for (const char *c = buf_str(json); *c; c++)
		if (*c == '<')
			buf_adds(p->b, "\\u003c");
		else
			buf_addc(p->b, *c);
	buf_adds(p->b, "</script>\n");
}

void page_print(const struct load *l, const struct verdicts *v, struct arena *a, struct buf *out)
{
	struct page p = { .l = l, .v = v, .a = a, .b = out };

	head(&p);
	tiles(&p);
	verdicts_print(&p);
	pictures(&p);
	buf_adds(out, "<h2>Numbers</h2>\n");
	campaigns_table(&p);
	devices_table(&p);
	profiles_table(&p);
	failures_table(&p);
	cuts_table(&p);
	api_tables(&p);
	procs_table(&p);
	lines_print(&p, page_measured);
	machine(&p);
	buf_adds(out, "<h2>Scenario</h2>\n<pre>");
	html_add(out, l->text);
	buf_adds(out, "</pre>\n");
	data(&p);
	buf_adds(out, "</main>\n</body>\n</html>\n");
}
