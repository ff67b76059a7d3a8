/* SPDX-License-Identifier: Apache-2.0 */
/* Reports of devices: out of the journal, to their device and task, and what they do to it. */
#include "dispatcher/tick_priv.h"

#include "dispatcher/payload.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"

#include <stdlib.h>
#include <string.h>

#define REGISTER_FRESH_MS 5000 /* below the plugin's patience */
/* A device may go through so many within one tick; of one that says more the last counts. */
#define VERSIONS_MAX 8

static void dropped(enum nonsense n)
{
	metric_add_label(M_NONSENSE, nonsense_name(n), 1);
}

/* A wish of long ago is one of a device that has given up: what a restart finds in the journal. */
static void read_registration(struct work *w, const struct journal_record *r)
{
	char *text = arena_strndup(w->a, r->payload, r->payload_len), *line = link_next(&text);
	struct link_line l;

	metric_add_label(M_REPORTS, uplink_name(UPLINK_REGISTER), 1);
	if (w->now - r->received_ms > REGISTER_FRESH_MS)
		dropped(NONSENSE_LATE);
	else if (line && link_parse(line, &l) && (l.verb == LINK_ASK_REGISTER || l.verb == LINK_ASK_REGNWL))
		VEC_ADD(w->a, &w->registrations, l);
}

static void read_record(struct work *w, const struct journal_record *r, size_t n)
{
	struct uplink_topic topic = uplink_parse(w->a, r->topic, r->topic_len);
	struct work_report report = { .at = r->received_ms, .record = n, .position = r->position };
	enum nonsense bad;

	if (topic.kind == UPLINK_BROKER) {
		if (r->position >= w->g->presence_cursor && !w->left_over)
			online_message(w, r);
		return;
	}
	if (topic.kind == UPLINK_REGISTER) {
		read_registration(w, r);
		return;
	}
	bad = r->position + 1 == w->g->poisoned
		      ? NONSENSE_POISON
		      : report_parse(w->a, &topic, r->payload, r->payload_len, &report.r);
	if (bad == NONSENSE_POISON)
		log_event(EV_REPORT_POISONED, LSTR("topic", r->topic));
	if (bad != SENSE) {
		dropped(bad);
		return;
	}
	VEC_ADD(w->a, &w->reports, report);
}

enum err reports_read(struct work *w)
{
	struct engine *g = w->g;
	size_t max = g->cursor < g->single_until ? 1 : g->opt.bounds.records;
	struct journal_record *r = ARENA_ARRAY(w->a, max + 1, struct journal_record);
	size_t n = journal_read(g->opt.journal, w->a, g->cursor, max + (max > 1), r);

	w->now = clock_now(); /* later than what was read, or a report would overtake a timer that is due before it */
	w->now_us = clock_boot_us();
	w->next_position = g->cursor;
	w->timers_until = w->now;
	if (n > max || (max == 1 && n == 1 && journal_pending(g->opt.journal, r[0].next)))
		w->timers_until = i64_min(w->now, r[n - 1].received_ms); /* there is more to be applied */
	w->n_records = n < max ? n : max;
	for (size_t i = 0; i < w->n_records; i++) {
		read_record(w, &r[i], i);
		w->next_position = r[i].next;
	}
	if (w->next_position > g->presence_cursor)
		g->presence_cursor = w->next_position;
	return OK;
}

void reports_cut(struct work *w, utc_ms at)
{
	w->timers_until = i64_min(w->timers_until, at - 1);
	for (size_t i = 0; i < w->reports.n; i++) {
		if (w->reports.items[i].at < at)
			continue;
		w->n_records = w->reports.items[i].record;
		w->next_position = w->reports.items[i].position;
		w->reports.n = i;
		return;
	}
}

/* ---- to their devices ---- */

static int by_name(const void *x, const void *y)
{
	const struct tick_device *a = x, *b = y;
	int c = strcmp(a->name, b->name);

	return c ? c : strcmp(a->product_key, b->product_key);
}

/* Names that are not connected are looked up, all in one statement. */
static enum err find_devices(struct work *w)
{
	size_t n = w->reports.n, n_names = 0, n_found = 0;
	const char **keys = ARENA_ARRAY(w->a, n + 1, const char *),
		   **names = ARENA_ARRAY(w->a, n + 1, const char *);
	const struct tick_device *found = NULL;
	struct tick_device *sorted;

	for (size_t i = 0; i < n; i++) {
		struct work_report *r = &w->reports.items[i];

		if (!w->left_over)
			r->device_id = online_device(w->g, r->r.product_key, r->r.device_name);
		if (r->device_id)
			continue;
		keys[n_names] = r->r.product_key;
		names[n_names++] = r->r.device_name;
	}
	TRY(store_tick_devices(w->g->db, keys, names, n_names, &found, &n_found));
	if (n_found == 0)
		return OK;
	sorted = ARENA_ARRAY(w->a, n_found, struct tick_device);
	memcpy(sorted, found, n_found * sizeof *sorted);
	qsort(sorted, n_found, sizeof *sorted, by_name);
	for (size_t i = 0; i < n; i++) {
		struct work_report *r = &w->reports.items[i];
		struct tick_device want = { .product_key = r->r.product_key, .name = r->r.device_name };
		const struct tick_device *d;

		if (r->device_id)
			continue;
		d = bsearch(&want, sorted, n_found, sizeof *sorted, by_name);
		r->device_id = d ? d->device_id : 0;
	}
	return OK;
}

/* ---- to their tasks ---- */

static int by_device(const void *x, const void *y)
{
	const struct tick_active *a = x, *b = y;

	return (a->device_id > b->device_id) - (a->device_id < b->device_id);
}

/* A block is asked for by the stream's number, everything else by the module. */
static bool meant(const struct report *r, const struct tick_job *j)
{
	if (r->kind == UPLINK_DOWNLOAD)
		return r->stream_id == payload_stream_id(j->firmware_id);
	return strcmp(j->rules.module, r->module) == 0;
}

/* A progress report that names no module, or one that has no task, belongs to the device's only task
 * (device §2.7). Versions and requests are of exactly one module. */
static enum err find_task(struct work *w, struct work_report *r, const struct tick_active *active, size_t n)
{
	struct tick_active want = { .device_id = r->device_id };
	const struct tick_active *a = n ? bsearch(&want, active, n, sizeof *active, by_device) : NULL;
	const struct tick_active *only, *end = active + n;
	size_t others = 0;

	if (!a)
		return OK;
	while (a > active && a[-1].device_id == r->device_id)
		a--;
	for (only = a; a < end && a->device_id == r->device_id; a++, others++) {
		struct live_job *j;
		enum err e = jobs_get(&w->g->jobs, w->g->db, a->job_id, &j);

		if (e == ERR_NOT_FOUND)
			continue;
		TRY(e);
		if (!meant(&r->r, &j->set))
			continue;
		r->key = (struct key){ .job_id = a->job_id, .seq = a->seq };
		return OK;
	}
	if (others == 1 && r->r.kind == UPLINK_PROGRESS)
		r->key = (struct key){ .job_id = only->job_id, .seq = only->seq };
	return OK;
}

enum err reports_resolve(struct work *w)
{
	const struct tick_active *active = NULL;
	int64_t *ids = ARENA_ARRAY(w->a, w->reports.n + 1, int64_t);
	size_t n_ids = 0, n_active = 0, kept = 0;

	TRY(find_devices(w));
	for (size_t i = 0; i < w->reports.n; i++) {
		struct work_report *r = &w->reports.items[i];

		if (!r->device_id) {
			dropped(NONSENSE_DEVICE);
			continue;
		}
		w->reports.items[kept++] = *r;
		if (n_ids == 0 || ids[n_ids - 1] != r->device_id)
			ids[n_ids++] = r->device_id;
	}
	w->reports.n = kept;
	if (kept == 0)
		return OK;
	TRY(store_tick_active(w->g->db, ids, n_ids, &active, &n_active));
	for (size_t i = 0; i < w->reports.n; i++) {
		struct work_report *r = &w->reports.items[i];

		TRY(find_task(w, r, active, n_active));
		if (r->key.job_id)
			work_want(w, r->key.job_id, r->key.seq, true);
	}
	return OK;
}

/* ---- what they do ---- */

static int by_module(const void *x, const void *y)
{
	const struct tick_version *a = *(struct tick_version *const *)x,
				  *b = *(struct tick_version *const *)y;
	int c;

	if (a->device_id != b->device_id)
		return a->device_id < b->device_id ? -1 : 1;
	c = strcmp(a->module, b->module);
	return c ? c : (a > b) - (a < b); /* as they came */
}

static bool same_module(const struct tick_version *a, const struct tick_version *b)
{
	return a->device_id == b->device_id && strcmp(a->module, b->module) == 0;
}

/* Takes the first version of each device and module out of v[*n]: one row each, with when it was first and last said. */
static size_t first_of_each(struct tick_version **v, size_t *n, struct tick_version *out)
{
	size_t taken = 0, left = 0;
	bool over = false; /* another one has come after it */

	for (size_t i = 0; i < *n; i++) {
		struct tick_version *last = taken ? &out[taken - 1] : NULL;

		if (!last || !same_module(last, v[i])) {
			out[taken++] = *v[i];
			over = false;
			continue;
		}
		over = over || strcmp(last->version, v[i]->version) != 0;
		if (over)
			v[left++] = v[i];
		else
			last->heard_ms = v[i]->heard_ms;
	}
	*n = left;
	return taken;
}

static size_t only_last_of_each(struct tick_version **v, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || !same_module(v[i], v[i + 1]))
			v[kept++] = v[i];
	return kept;
}

/* One after the other, as they were said: each may be notified, and the one before is remembered. */
enum err versions_write(struct work *w)
{
	struct tick_version **v = arena_array(w->a, w->versions.n + 1, sizeof(struct tick_version *)),
			    *row = ARENA_ARRAY(w->a, w->versions.n + 1, struct tick_version);
	size_t n = w->versions.n;

	for (size_t i = 0; i < n; i++)
		v[i] = &w->versions.items[i];
	if (n > 1)
		qsort(v, n, sizeof(struct tick_version *), by_module);
	for (int round = 1; n > 0; round++) {
		size_t n_rows;

		if (round == VERSIONS_MAX)
			n = only_last_of_each(v, n);
		n_rows = first_of_each(v, &n, row);
		TRY(store_tick_versions(w->g->db, row, n_rows, w->g->since_ms, w->now));
	}
	return OK;
}

/* The device asks: it gets its task if the job runs, and nothing else. */
static void answer(struct work *w, const struct work_report *r, struct work_task *k)
{
	bool legacy = r->r.kind == UPLINK_REQUEST;
	struct reply reply = { .kind = legacy ? DOWNLINK_REQUEST : DOWNLINK_GET_REPLY, .report = &r->r };
	struct task_event e = { .kind = TASK_EV_PULL, .at = w->now, .desc = "" };

	if (k && k->run->status == JOB_IN_PROGRESS && !k->run->paused && task_pullable(&k->t, w->now)) {
		e.conn = online_conn(w->g, k->t.device_id, NULL);
		work_step(w, k, &e);
		reply.task = k;
		reply.push_no = k->t.pushes;
	}
	if (reply.task || !legacy)
		VEC_ADD(w->a, &w->replies, reply);
}

/* A report of the time before the lease came to this owner: another has gone on, and what that learned later wins.
 * Requests are answered by whoever ticks when they are received. Versions are compared where they are written. */
static bool overtaken(const struct work *w, const struct work_report *r, const struct work_task *k)
{
	if (r->at >= w->g->since_ms || r->r.kind == UPLINK_INFORM)
		return false;
	if (r->r.kind != UPLINK_PROGRESS)
		return true;
	return k && r->at < (r->r.step < 0 ? k->t.push_ms : k->t.modified_ms);
}

void report_apply(struct work *w, const struct work_report *r)
{
	struct work_task *k = r->key.job_id ? work_find(w, r->key.job_id, r->key.seq) : NULL;
	struct task_event e = { .at = r->at,
				.desc = r->r.desc,
				.step = r->r.step,
				.version = r->r.version,
				.reconnected_ms = ms_past(mqtt_ingest_since(w->g->opt.mqtt), w->now) };

	metric_add_label(M_REPORTS, uplink_name(r->r.kind), 1);
	if (overtaken(w, r, k)) {
		dropped(NONSENSE_LATE);
		return;
	}
	switch (r->r.kind) {
	case UPLINK_INFORM:
		VEC_ADD(w->a, &w->versions,
			((struct tick_version){ .device_id = r->device_id,
						.module = r->r.module,
						.version = r->r.version,
						.reported_ms = r->at,
						.heard_ms = r->at }));
		e.kind = TASK_EV_VERSION;
		if (k)
			work_step(w, k, &e);
		break;
	case UPLINK_PROGRESS:
		e.kind = TASK_EV_PROGRESS;
		if (k)
			work_step(w, k, &e);
		break;
	case UPLINK_REQUEST:
	case UPLINK_GET:
		answer(w, r, k);
		break;
	case UPLINK_DOWNLOAD:
		/* Whoever has a task may load its package, also while the job is paused: it is running. */
		VEC_ADD(w->a, &w->replies,
			((struct reply){ .kind = DOWNLINK_DOWNLOAD_REPLY,
					 .report = &r->r,
					 .task = k && k->job->set.download_mqtt &&
								 task_state_unfinished(k->t.state)
							 ? k
							 : NULL }));
		break;
	case UPLINK_NONE:
	case UPLINK_BROKER:
	case UPLINK_REGISTER:
	case UPLINK_COUNT:
		break;
	}
}
