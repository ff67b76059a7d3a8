/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected: the broker's lines into presence, newly connected devices to their waiting tasks, and the
 * table of sessions for the API's answers. Presence itself is in memory (presence.h); the table follows with
 * the tick's commit, so changes are kept until then. */
#include "dispatcher/tick_priv.h"

#include "engine/base/clock.h"
#include "engine/base/metrics.h"

#include <stdlib.h>
#include <string.h>

#define GRACE_MS 1000 /* the earliest that anything is due after a connect; the claim looks closer */
#define ASK_MS 100 /* for room in the window, to ask for a snapshot */
#define NAMES_MAX ((size_t)20000)

struct taking {
	struct engine *g;
	utc_ms at;
};

static void changed(void *ctx, const struct presence_device *d, bool online)
{
	struct taking *t = ctx;
	struct engine *g = t->g;
	struct arena *a = &g->online_arena;

	VEC_KEEP(&g->changes, ((struct online_change){ .pk = arena_strdup(a, d->pk),
						       .dn = arena_strdup(a, d->dn),
						       .ip = arena_strdup(a, d->ip),
						       .device_id = d->device_id,
						       .conn = d->conn,
						       .at = t->at,
						       .online = online,
						       .fed = !online }));
}

void online_message(struct work *w, const struct journal_record *r)
{
	struct taking t = { .g = w->g, .at = r->received_ms };

	presence_apply(w->g->presence, arena_strndup(w->a, r->payload, r->payload_len), r->received_ms,
		       changed, &t);
	metric_add_label(M_REPORTS, uplink_name(UPLINK_BROKER), 1);
}

bool online_known(struct engine *g)
{
	return presence_known(g->presence, clock_now());
}

int64_t online_conn(struct engine *g, int64_t device_id, utc_ms *ret_since)
{
	const struct presence_device *d = presence_of(g->presence, device_id);

	if (d && ret_since)
		*ret_since = d->since_ms;
	return d ? d->conn : 0;
}

const char *online_name(struct engine *g, int64_t device_id)
{
	const struct presence_device *d = presence_of(g->presence, device_id);

	return d ? d->dn : NULL;
}

int64_t online_device(struct engine *g, const char *product_key, const char *device_name)
{
	const struct presence_device *d = presence_find(g->presence, product_key, device_name);

	return d && d->device_id > 0 ? d->device_id : 0;
}

bool online_dirty(const struct engine *g)
{
	return g->changes.n > 0 || g->session_rest;
}

void online_ask(struct engine *g)
{
	static const char ask[] = "presence\n";
	struct mqtt_message message = { .topic = LINK_TO_BROKER, .payload = ask, .len = sizeof ask - 1 };
	utc_ms since = mqtt_ingest_since(g->opt.mqtt);

	if (!mqtt_ingest_up(g->opt.mqtt) || !mqtt_publisher_up(g->opt.mqtt))
		return;
	if (since != g->ingest_since) {
		g->ingest_since = since;
		presence_lost(g->presence);
	}
	if (presence_wants_snapshot(g->presence, clock_now()) &&
	    mqtt_publish(g->opt.mqtt, &message, clock_boot_ms() + ASK_MS) != OK)
		presence_lost(g->presence); /* asks again */
	metric_set(M_ONLINE, (int64_t)presence_online(g->presence));
}

/* ---- keys ---- */

static int by_names(const void *x, const void *y)
{
	const struct online_change *a = *(struct online_change *const *)x,
				   *b = *(struct online_change *const *)y;
	int c = strcmp(a->dn, b->dn);

	return c ? c : strcmp(a->pk, b->pk);
}

static void found(struct online_change **c, size_t n, const struct tick_device *d, size_t n_found,
		  struct presence *p)
{
	for (size_t i = 0; i < n_found; i++) {
		struct online_change want = { .pk = d[i].product_key, .dn = d[i].name }, *w = &want, **hit;

		presence_resolve(p, d[i].product_key, d[i].name, d[i].device_id);
		hit = bsearch(&w, c, n, sizeof(struct online_change *), by_names);
		while (hit && hit > c && by_names(&hit[-1], &w) == 0)
			hit--;
		for (; hit && hit < c + n && by_names(hit, &w) == 0; hit++)
			(*hit)->device_id = d[i].device_id;
	}
}

static enum err find_keys(struct work *w)
{
	struct engine *g = w->g;
	struct online_change **c = arena_array(w->a, g->changes.n + 1, sizeof(struct online_change *));
	size_t n = 0;

	for (size_t i = 0; i < g->changes.n; i++)
		if (g->changes.items[i].device_id == 0)
			c[n++] = &g->changes.items[i];
	if (n > 1)
		qsort(c, n, sizeof(struct online_change *), by_names);
	for (size_t from = 0, m; from < n; from += m) {
		const struct tick_device *d = NULL;
		const char **pk, **dn;
		size_t n_found = 0;

		m = (size_t)i64_min((int64_t)(n - from), (int64_t)NAMES_MAX);
		pk = ARENA_ARRAY(w->a, m, const char *);
		dn = ARENA_ARRAY(w->a, m, const char *);
		for (size_t i = 0; i < m; i++) {
			pk[i] = c[from + i]->pk;
			dn[i] = c[from + i]->dn;
		}
		TRY(store_tick_devices(g->db, pk, dn, m, &d, &n_found));
		found(c, n, d, n_found, g->presence);
		for (size_t i = 0; i < m; i++)
			if (c[from + i]->device_id == 0)
				c[from + i]->device_id = -1;
	}
	return OK;
}

/* Tasks that wait for devices that have just connected. */
static enum err feed(struct work *w)
{
	struct engine *g = w->g;
	int64_t *ids = ARENA_ARRAY(w->a, g->changes.n + 1, int64_t);
	const struct tick_active *a = NULL;
	size_t n = 0, n_active = 0;

	for (size_t i = 0; i < g->changes.n; i++)
		if (!g->changes.items[i].fed && g->changes.items[i].device_id > 0)
			ids[n++] = g->changes.items[i].device_id;
	TRY(store_tick_active(g->db, ids, n, &a, &n_active));
	for (size_t i = 0; i < n_active; i++) {
		utc_ms since = 0;

		if (online_conn(g, a[i].device_id, &since))
			later_put(&g->later,
				  (struct later_entry){ .due_ms = since + GRACE_MS,
							.job_id = a[i].job_id,
							.entry = { .seq = a[i].seq,
								   .first = a[i].state == TASK_QUEUED,
								   .device_id = a[i].device_id } });
	}
	for (size_t i = 0; i < g->changes.n; i++)
		g->changes.items[i].fed = true;
	return OK;
}

enum err online_resolve(struct work *w)
{
	struct engine *g = w->g;
	bool known = online_known(g);

	if (g->changes.n > 0) {
		TRY(find_keys(w));
		if (known && g->presence_was_known)
			TRY(feed(w));
	}
	if (known && !g->presence_was_known) { /* the whole picture is new */
		jobs_rescan(&g->jobs);
		g->session_rest = true;
		for (size_t i = 0; i < g->changes.n; i++)
			g->changes.items[i].fed = true;
	}
	g->presence_was_known = known;
	return OK;
}

/* ---- the table of sessions ---- */

static int by_device(const void *x, const void *y)
{
	const struct online_change *a = *(struct online_change *const *)x,
				   *b = *(struct online_change *const *)y;

	if (a->device_id != b->device_id)
		return a->device_id < b->device_id ? -1 : 1;
	return (a > b) - (a < b); /* as they came */
}

struct listing {
	int64_t *ids;
	size_t n;
};

static void list_one(void *ctx, const struct presence_device *d, bool online)
{
	struct listing *l = ctx;

	if (online && d->device_id > 0)
		l->ids[l->n++] = d->device_id;
}

enum err online_write(struct work *w)
{
	struct engine *g = w->g;
	struct online_change **c = arena_array(w->a, g->changes.n + 1, sizeof(struct online_change *));
	struct tick_session *s = ARENA_ARRAY(w->a, g->changes.n + 1, struct tick_session);
	struct listing l;
	size_t n = 0, n_sessions = 0;

	for (size_t i = 0; i < g->changes.n; i++)
		if (g->changes.items[i].device_id > 0)
			c[n++] = &g->changes.items[i];
	if (n > 1)
		qsort(c, n, sizeof(struct online_change *), by_device);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && c[i + 1]->device_id == c[i]->device_id)
			continue; /* the last one counts */
		s[n_sessions++] = (struct tick_session){ .device_id = c[i]->device_id,
							 .online = c[i]->online,
							 .conn = c[i]->conn,
							 .ip = c[i]->ip,
							 .at_ms = c[i]->at };
	}
	TRY(store_tick_sessions(g->db, s, n_sessions));
	if (!g->session_rest)
		return OK;
	l = (struct listing){ .ids = ARENA_ARRAY(w->a, presence_online(g->presence) + 1, int64_t) };
	presence_each(g->presence, list_one, &l);
	return store_tick_session_rest(g->db, l.ids, l.n, w->now);
}

void online_committed(struct work *w)
{
	w->g->changes.n = 0;
	w->g->session_rest = false;
	arena_reset(&w->g->online_arena);
}
