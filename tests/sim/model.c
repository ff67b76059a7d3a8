/* SPDX-License-Identifier: Apache-2.0 */
/* What the model knows of the world: what was said and received, versions, and who was to get a task (rules §3). */
#include "tests/sim/model_priv.h"

#include "dispatcher/journal.h"
#include "engine/base/clock.h"
#include "engine/brokerlink.h"
#include "engine/ids.h"

#include <stdlib.h>
#include <string.h>

bool model_ahead(utc_ms at)
{
	return at > clock_now() + MS_PER_MINUTE;
}

struct model *model_new(struct world *w)
{
	struct model *m = calloc(1, sizeof *m);

	(void)w;
	ensure(m != NULL);
	return m;
}

void model_free(struct model *m)
{
	free(m->said.items);
	free(m->received.items);
	free(m->conns.items);
	free(m->tasks.items);
	free(m->told.items);
	free(m);
}

/* ---- reports ---- */

int64_t model_said(struct world *w, struct said s)
{
	LIST_ADD(&w->model->said, s);
	return (int64_t)w->model->said.n;
}

static struct conn_seen *conn_slot(struct world *w, int64_t conn)
{
	struct model *m = w->model;
	size_t i = (size_t)(conn & 0xfffff);

	while (m->conns.n <= i)
		LIST_ADD(&m->conns, ((struct conn_seen){ .conn = 0 }));
	return &m->conns.items[i];
}

struct conn_seen *model_conn(struct world *w, int64_t conn)
{
	struct conn_seen *c = conn_slot(w, conn);

	return c->conn == conn ? c : NULL;
}

/* The earliest that otad can know of a connection, and the first line that says it is over. */
static void presence(struct world *w, char *text, utc_ms at, uint64_t next)
{
	struct link_line l;
	struct conn_seen *c;
	char *line;

	for (line = link_next(&text); line; line = link_next(&text)) {
		if (!link_parse(line, &l) || !l.conn)
			continue;
		c = model_conn(w, l.conn);
		if (!c && l.verb != LINK_OFF)
			*conn_slot(w, l.conn) = (struct conn_seen){ .conn = l.conn,
								    .device = world_device_named(w, l.dn),
								    .since = at };
		else if (c && l.verb == LINK_OFF && !c->over_at)
			c->over_at = next;
	}
}

void model_received(struct world *w, const char *topic, const char *payload, utc_ms at)
{
	struct model *m = w->model;
	struct received r = { .at = at, .reconnected = mqtt_ingest_since(w->otad.mqtt) };
	struct journal_record rec;
	struct arena a;
	const char *digits;

	arena_init(&a);
	if (journal_read(w->otad.journal, &a, m->journal_end, 1, &rec) != 1)
		broken(w, "the journal does not give back what it took");
	m->journal_end = r.next = rec.next;
	if (strcmp(topic, LINK_FROM_BROKER) == 0)
		presence(w, arena_strdup(&a, payload), at, r.next);
	arena_free(&a);
	digits = strstr(payload, "\"id\":\"");
	if (strcmp(topic, LINK_FROM_BROKER) != 0 && digits) {
		r.said = (size_t)strtoll(digits + 6, NULL, 10);
		trace(w, "report %zu at %llu", r.said, (unsigned long long)r.next);
	}
	LIST_ADD(&m->received, r);
}

/* ---- versions ---- */

bool model_reported(struct world *w, struct device *d, int module, const char *version, utc_ms at)
{
	const char *now = model_version(w, d, module, INT64_MAX);
	struct version_said *v;

	d->reported_ms[module] = at;
	if (now && (strcmp(now, version) == 0 || strcmp(version, "app-1.0.0-20180101.1000") == 0))
		return false;
	v = ARENA_NEW(&w->arena, struct version_said);
	*v = (struct version_said){ .version = version, .at = at, .older = d->said[module] };
	d->said[module] = v;
	return true;
}

const char *model_version(const struct world *w, const struct device *d, int module, utc_ms at)
{
	const struct version_said *v = d->said[module];

	(void)w;
	while (v && v->at > at && !model_ahead(v->at))
		v = v->older;
	return v ? v->version : NULL;
}

void model_imported(struct world *w, struct device *d, const char *version)
{
	(void)model_reported(w, d, 0, version, SIM_EPOCH_MS);
}

/* ---- who gets a task ---- */

static bool younger(const struct device *d, const struct sim_job *j)
{
	return d->created_ms > j->created_ms && !model_ahead(d->created_ms);
}

static bool candidate(const struct world *w, const struct sim_job *j, const struct device *d)
{
	const struct package *p = j->package;
	const char *v = model_version(w, d, p->module, j->created_ms);

	if (!d->id || d->disabled || younger(d, j) || (v && strcmp(v, p->dest) == 0))
		return false;
	if (j->targets == TARGETS_NAMED && !j->named[d->index])
		return false;
	if ((j->targets == TARGETS_GROUP && !d->in_group) || (j->by_group && !d->tagged))
		return false;
	if (j->n_src > 0 && (!v || (strcmp(v, j->src[0]) != 0 && (j->n_src < 2 || strcmp(v, j->src[1]) != 0))))
		return false;
	return !p->differential || (v && strcmp(v, p->src) == 0);
}

struct ranked {
	unsigned char hash[DIGEST_MAX];
	size_t device;
};

static int by_hash(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;
	int c = memcmp(a->hash, b->hash, 8);

	return c ? c : (a->device > b->device) - (a->device < b->device);
}

static int by_index(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;

	return (a->device > b->device) - (a->device < b->device);
}

void model_choose(struct world *w, struct sim_job *j)
{
	struct ranked *r = ARENA_ARRAY(&w->arena, w->n_devices, struct ranked);
	char id[ID_LEN + 1], text[ID_LEN + 1 + 64];
	size_t n = 0;

	id_format(ID_FIRMWARE, j->package->id, 0, id);
	for (size_t i = 0; i < w->n_devices; i++) {
		const struct device *d = &w->devices[i];

		if (!candidate(w, j, d))
			continue;
		memcpy(text, id, sizeof id); /* with its NUL */
		memcpy(text + sizeof id, d->name, strlen(d->name));
		digest_once(DIGEST_SHA256, text, sizeof id + strlen(d->name), r[n].hash);
		r[n++].device = i;
	}
	if (j->targets == TARGETS_GRAY && n > 0) {
		qsort(r, n, sizeof *r, by_hash);
		n = (size_t)i64_max((int64_t)n * j->gray_milli / 100000, 1);
		qsort(r, n, sizeof *r, by_index);
	}
	j->expected = ARENA_ARRAY(&w->arena, n + 1, size_t);
	j->expected_src = ARENA_ARRAY(&w->arena, n + 1, const char *);
	for (size_t i = 0; i < n; i++) {
		j->expected[i] = r[i].device;
		j->expected_src[i] = model_version(w, &w->devices[r[i].device], j->package->module, j->created_ms);
	}
	j->n_expected = n;
}

void model_created(struct world *w, struct sim_job *j, enum err e)
{
	if ((e != OK && e != ERR_NO_DEVICE) || j->kind == JOB_DYNAMIC)
		return;
	model_choose(w, j);
	if ((j->n_expected == 0) != (e == ERR_NO_DEVICE))
		broken(w, "a job with %zu candidates is answered with %s", j->n_expected, err_info(e)->name);
}

/* ---- when something is due ---- */

bool model_caught_up(const struct world *w)
{
	return w->model->position == w->model->journal_end;
}

/* When a push that the task waits for may come, by its device and the pace; INT64_MAX: nothing is to be pushed. */
static utc_ms next_push(struct world *w, const struct model_task *t)
{
	const struct sim_job *j = job_of(w, t);
	const struct conn_seen *c = t->device->conn ? model_conn(w, t->device->conn) : NULL;
	int rate = j->rates[j->n_rates - 1].rate;
	utc_ms due;

	if (!c || rate == 0 || !j->need_push || j->paused || j->status != JOB_IN_PROGRESS || t->state == TASK_CONFIRM ||
	    (t->row_conn == t->device->conn && !t->retry_at))
		return INT64_MAX;
	due = i64_max(due_at(t, c, false), clock_now() + 100);
	if (j->n_pushed == 0)
		return due;
	return i64_max(due, sim_utc(j->pushed_us[j->n_pushed - 1] + 60700000 / rate));
}

static utc_ms next_of(struct world *w, const struct model_task *t)
{
	utc_ms next = next_push(w, t);

	if (t->deadline)
		next = i64_min(next, t->deadline);
	if (t->retry_at > clock_now())
		next = i64_min(next, t->retry_at);
	if (t->verdict_at)
		next = i64_min(next, t->verdict_at);
	return next;
}

int64_t model_next_us(struct world *w)
{
	struct model *m = w->model;
	utc_ms next = INT64_MAX;

	for (size_t i = 0; i < m->tasks.n; i++)
		if (unfinished(m->tasks.items[i]))
			next = i64_min(next, next_of(w, m->tasks.items[i]));
	for (size_t i = 0; i < w->n_jobs; i++) {
		const struct sim_job *j = &w->jobs[i];

		if (j->status == JOB_PLANNED)
			next = i64_min(next, j->schedule_ms);
		if (j->finish_ms && j->status != JOB_NONE && !job_status_ended(j->status))
			next = i64_min(next, j->finish_ms);
	}
	return next == INT64_MAX ? INT64_MAX : i64_max(sim_boot_us(next), sim_now_us());
}
