/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that was measured, as JSON: what the page is drawn from, for whoever wants to look further. */
#include "cmd/otasim/result.h"
#include "engine/base/json.h"

static void verdicts_put(struct json_out *j, const struct verdicts *v)
{
	json_key(j, "verdicts");
	json_array(j);
	for (size_t i = 0; i < v->n; i++) {
		json_object(j);
		json_put_string(j, "verdict", verdict_word(v->v[i].kind));
		json_put_string(j, "title", v->v[i].title);
		json_put_string(j, "text", v->v[i].text);
		json_object_end(j);
	}
	json_array_end(j);
}

static void histogram_put(struct json_out *j, const char *key, const struct histogram *h)
{
	json_key(j, key);
	json_object(j);
	json_put_int(j, "n", h->n);
	json_put_int(j, "p50_us", histogram_percentile(h, 50000));
	json_put_int(j, "p90_us", histogram_percentile(h, 90000));
	json_put_int(j, "p99_us", histogram_percentile(h, 99000));
	json_put_int(j, "p99_9_us", histogram_percentile(h, 99900));
	json_put_int(j, "max_us", h->n > 0 ? h->max_us : -1);
	json_object_end(j);
}

/* ---- devices ---- */

static void failures_put(struct json_out *j, const struct sim *s)
{
	int64_t roles[FAILURES + 1] = { 0 };

	for (size_t i = 0; i < s->n; i++)
		roles[update_role(&s->devices[i])]++;
	json_key(j, "failures");
	json_object(j);
	for (enum failure f = 0; f < FAILURES; f++) {
		json_key(j, failure_key(f));
		json_object(j);
		json_put_int(j, "asked_percent_milli", s->o.fail_milli[f]);
		json_put_int(j, "devices", roles[f]);
		json_put_int(j, "played", s->stats.played[f]);
		json_object_end(j);
	}
	json_object_end(j);
	json_put_int(j, "disconnected_half_way", s->stats.dropped);
}

static void profiles_put(struct json_out *j, const struct sim *s)
{
	const struct profile *p;

	json_key(j, "profiles");
	json_object(j);
	for (size_t i = 0; (p = profile_at(i)); i++) {
		int64_t ever, n = fleet_playing(s, p, &ever);

		if (n == 0)
			continue;
		json_key(j, p->name);
		json_object(j);
		json_put_int(j, "devices", n);
		json_put_int(j, "ever_online", ever);
		json_object_end(j);
	}
	json_object_end(j);
}

static void devices_put(struct json_out *j, const struct sim *s)
{
	const struct stats *t = &s->stats;
	int64_t ever = 0;

	for (size_t i = 0; i < s->n; i++)
		ever += s->devices[i].ever_online;
	json_key(j, "devices");
	json_object(j);
	json_put_int(j, "count", (int64_t)s->n);
	json_put_int(j, "ever_online", ever);
	json_put_int(j, "unheard", fleet_unheard(s));
	json_put_int(j, "logins", t->connects);
	json_put_int(j, "logins_refused", t->refused);
	json_put_int(j, "connections_lost", t->disconnects);
	json_put_int(j, "pushes", t->pushes);
	json_put_int(j, "pushes_again", t->duplicates);
	json_put_int(j, "pushes_unusable", t->foreign);
	json_put_int(j, "downloads", t->downloads);
	json_put_int(j, "downloads_resumed", t->resumed);
	json_put_int(j, "downloads_given_up", t->download_failures);
	json_put_int(j, "digest_errors", t->digest_errors);
	json_put_int(j, "bytes", t->bytes);
	json_put_int(j, "reports", t->reports);
	json_put_int(j, "successes", t->successes);
	json_put_int(j, "failed", t->failures);
	profiles_put(j, s);
	failures_put(j, s);
	histogram_put(j, "login", &s->login.all);
	histogram_put(j, "push_to_new_version", &s->update.all);
	json_object_end(j);
}

static void cuts_put(struct json_out *j, const struct load *l)
{
	json_key(j, "cuts");
	json_array(j);
	for (size_t i = 0; i < l->plan->n_cuts; i++) {
		const struct cut *c = &l->plan->cuts[i];

		json_object(j);
		json_put_int(j, "at_s", c->at_s);
		json_put_int(j, "for_s", c->for_s);
		json_put_string(j, "how", c->silent ? "silence" : "close");
		json_put_int(j, "devices", l->sim->cut_devices[i]);
		json_object_end(j);
	}
	json_array_end(j);
}

/* ---- campaigns, API, processes ---- */

static void text_put(struct json_out *j, const char *key, const char *text)
{
	json_put_string(j, key, text ? text : "");
}

static void campaign_put(struct json_out *j, const struct campaign *c)
{
	const struct push_times *p = &c->pushes;
	int64_t from_ms = -1, worst = push_times_worst(p, &from_ms), start = c->load->sim->started_ms;

	json_object(j);
	text_put(j, "job", c->job);
	text_put(j, "firmware", c->firmware);
	text_put(j, "version", c->version);
	text_put(j, "status", c->status);
	text_put(j, "error", c->error);
	json_put_int(j, "created_ms", c->created_ms);
	json_put_int(j, "ended_ms", c->ended_ms);
	json_put_int(j, "per_minute", c->limit_max);
	json_put_int(j, "pushes", (int64_t)p->n + p->held);
	json_put_int(j, "held_back", p->held);
	json_put_int(j, "worst_minute", worst);
	json_put_int(j, "worst_minute_from_ms", p->n > 0 ? from_ms - start : -1);
	json_put_int(j, "first_push_ms", p->n > 0 ? p->at_ms[0] - start : -1);
	json_put_int(j, "last_push_ms", p->n > 0 ? p->at_ms[p->n - 1] - start : -1);
	json_put_int(j, "rate_used_percent_milli", campaign_used_milli(c));
	json_key(j, "tasks");
	json_object(j);
	for (int s = 1; s <= TASK_STATES; s++)
		json_put_int(j, task_state_name((enum task_state)s), c->states[s]);
	json_object_end(j);
	json_object_end(j);
}

static void api_put(struct json_out *j, const struct load *l)
{
	const struct api_load *api = &l->api;

	json_key(j, "api");
	json_object(j);
	json_put_int(j, "calls", api->all.all.n - api->unsent);
	json_put_int(j, "errors", api->errors);
	json_put_int(j, "unsent", api->unsent);
	histogram_put(j, "latency", &api->all.all);
	histogram_put(j, "sent_late", &api->late);
	json_key(j, "actions");
	json_array(j);
	for (size_t i = 0; i < l->plan->n_calls; i++) {
		json_object(j);
		json_put_string(j, "action", l->plan->calls[i].action);
		json_put_int(j, "errors", api->calls[i].errors);
		histogram_put(j, "latency", &api->calls[i].took.all);
		json_object_end(j);
	}
	json_array_end(j);
	json_key(j, "codes");
	json_object(j);
	for (size_t i = 0; i < api->n_codes; i++)
		json_put_int(j, api->codes[i].code, api->codes[i].n);
	json_object_end(j);
	json_object_end(j);
}

static void procs_put(struct json_out *j, const struct load *l)
{
	json_key(j, "processes");
	json_array(j);
	for (size_t i = 0; i < PROCS; i++) {
		const struct proc *p = &l->procs[i];

		if (!p->where)
			continue;
		json_object(j);
		json_put_string(j, "name", p->name);
		json_put_string(j, "program", p->program);
		json_put_int(j, "cpu_ms", p->cpu_ms - p->from_cpu_ms);
		json_put_int(j, "peak_rss_kib", p->peak_kib);
		json_object_end(j);
	}
	json_array_end(j);
}

/* ---- samples: one list of names, then a list of numbers each ---- */

struct column {
	const char *name;
	size_t offset;
};

#define COLUMN(member)                                   \
	{                                                \
#member, offsetof(struct sample, member) \
	}
static const struct column columns[] = {
	COLUMN(at_ms),	      COLUMN(wanted),	     COLUMN(online),	    COLUMN(downloading),
	COLUMN(logins),	      COLUMN(refused),	     COLUMN(lost),	    COLUMN(reports),
	COLUMN(bytes),	      COLUMN(successes),     COLUMN(failures),	    COLUMN(login_p50_us),
	COLUMN(login_p99_us), COLUMN(update_p50_us), COLUMN(update_p99_us), COLUMN(calls),
	COLUMN(errors),	      COLUMN(call_p50_us),   COLUMN(call_p90_us),   COLUMN(call_p99_us),
	COLUMN(call_max_us),  COLUMN(lag_max_us),
};

static void sample_put(struct json_out *j, const struct load *l, const struct sample *v)
{
	json_array(j);
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		json_int(j, *(const int64_t *)(const void *)((const char *)v + columns[i].offset));
	for (size_t i = 0; i < PROCS; i++) {
		json_int(j, v->procs[i].cpu_milli);
		json_int(j, v->procs[i].rss_kib);
	}
	for (size_t i = 0; i < l->plan->n_campaigns; i++) {
		const struct campaign_sample *c = &v->campaigns[i];

		json_int(j, c->pushes);
		json_int(j, c->minute);
		json_int(j, c->limit);
		for (int s = 1; s <= TASK_STATES; s++)
			json_int(j, c->states[s]);
	}
	json_array_end(j);
}

static void columns_put(struct json_out *j, const struct load *l, struct arena *a)
{
	json_key(j, "columns");
	json_array(j);
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		json_string(j, columns[i].name);
	for (size_t i = 0; i < PROCS; i++) {
		json_string(j, arena_printf(a, "%s_cpu_milli", l->procs[i].name));
		json_string(j, arena_printf(a, "%s_rss_kib", l->procs[i].name));
	}
	for (size_t i = 1; i <= l->plan->n_campaigns; i++) {
		json_string(j, arena_printf(a, "campaign%zu_pushes", i));
		json_string(j, arena_printf(a, "campaign%zu_minute", i));
		json_string(j, arena_printf(a, "campaign%zu_limit", i));
		for (int s = 1; s <= TASK_STATES; s++)
			json_string(
				j, arena_printf(a, "campaign%zu_%s", i, task_state_name((enum task_state)s)));
	}
	json_array_end(j);
}

void data_print(const struct load *l, const struct verdicts *v, struct arena *a, struct buf *out)
{
	struct json_out *j = json_new(a, out);

	json_object(j);
	json_put_string(j, "title", l->plan->title);
	json_put_int(j, "started_utc_ms", l->started);
	json_put_int(j, "ended_ms", l->ended_ms);
	json_put_int(j, "seed", l->sim->o.seed);
	json_put_string(j, "product", l->product);
	json_put_string(j, "verdict", verdict_word(verdicts_worst(v)));
	verdicts_put(j, v);
	devices_put(j, l->sim);
	cuts_put(j, l);
	json_key(j, "campaigns");
	json_array(j);
	for (size_t i = 0; i < l->plan->n_campaigns; i++)
		campaign_put(j, &l->campaigns[i]);
	json_array_end(j);
	api_put(j, l);
	procs_put(j, l);
	histogram_put(j, "loop_late", &l->lag);
	columns_put(j, l, a);
	json_key(j, "samples");
	json_array(j);
	for (size_t i = 0; i < l->samples.n; i++)
		sample_put(j, l, &l->samples.v[i]);
	json_array_end(j);
	json_object_end(j);
}
