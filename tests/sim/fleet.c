/* SPDX-License-Identifier: Apache-2.0 */
/* The devices: they come and go, and do with a push what the seed has in store for them: obey, stall, lie,
 * fail, repeat, reorder, vanish, come back with another version, talk nonsense. */
#include "tests/sim/sim.h"

#include "tests/sim/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const sim_modules[MODULES_MAX] = { "default", "mcu" };

enum { OBEY, QUICK, STALL, SILENT, LIE, FAIL, THIRD, REBOOT };

/* ---- talking ---- */

struct letter {
	const char *topic, *payload;
};

static void posted(struct world *w, int64_t a, int64_t b, const char *text)
{
	const struct letter *l = (const struct letter *)(uintptr_t)a;

	(void)b;
	(void)text;
	broker_uplink(w, l->topic, l->payload);
}

static int64_t latency_us(struct world *w, struct device *d)
{
	int64_t ms = rng_between(&d->rng, 5, 60);

	if (!w->calm && rng_chance(&d->rng, w->p.reorder))
		ms += rng_skewed(&d->rng, 20000);
	return ms * US_PER_MS;
}

static void post(struct world *w, struct device *d, const char *topic, const char *payload)
{
	struct letter *l = ARENA_NEW(&w->arena, struct letter);

	if (!d->conn)
		return;
	*l = (struct letter){ topic, payload };
	agenda_in(w, latency_us(w, d), posted, (int64_t)(uintptr_t)l, 0, NULL);
	while (!w->calm && rng_chance(&d->rng, w->p.duplicate)) {
		faults_count(w, FAULT_DUPLICATE, PLACE_NONE);
		agenda_in(w, latency_us(w, d) + rng_skewed(&d->rng, 60000) * US_PER_MS, posted, (int64_t)(uintptr_t)l, 0,
			  NULL);
	}
}

static const char *topic(struct world *w, const struct device *d, const char *kind)
{
	return arena_printf(&w->arena, "/ota/device/%s/" SIM_PRODUCT "/%s", kind, d->name);
}

/* `,"module":"mcu"`, or nothing for the default module. */
static const char *module_key(struct world *w, struct device *d, int module)
{
	if (module == 0 && !rng_chance(&d->rng, 200))
		return "";
	return arena_printf(&w->arena, ",\"module\":\"%s\"", sim_modules[module]);
}

static void say_version(struct world *w, struct device *d, int module, const char *version)
{
	int64_t id = model_said(w, (struct said){ .kind = SAID_VERSION, .device = d, .module = module, .version = version });

	post(w, d, topic(w, d, "inform"),
	     arena_printf(&w->arena, "{\"id\":\"%lld\",\"params\":{\"version\":\"%s\"%s}}", (long long)id, version,
			  module_key(w, d, module)));
}

static void say_step(struct world *w, struct device *d, int module, int step, const char *desc)
{
	const char *key = module_key(w, d, module);
	struct said s = { .kind = SAID_STEP, .device = d, .module = module, .step = step, .text = desc };
	int64_t id;

	if (module != 0 && rng_chance(&d->rng, 300)) { /* some SDKs never name the module */
		key = "";
		s.module = 0;
	}
	id = model_said(w, s);
	post(w, d, topic(w, d, "progress"),
	     arena_printf(&w->arena, "{\"id\":\"%lld\",\"params\":{\"step\":\"%d\",\"desc\":\"%s\"%s}}", (long long)id,
			  step, desc, key));
}

static void ask(struct world *w, struct device *d, int module)
{
	bool legacy = rng_chance(&d->rng, 300);
	int64_t id = model_said(w, (struct said){ .kind = SAID_PULL, .device = d, .module = module });

	post(w, d,
	     legacy ? topic(w, d, "request")
		    : arena_printf(&w->arena, "/sys/" SIM_PRODUCT "/%s/thing/ota/firmware/get", d->name),
	     arena_printf(&w->arena, "{\"id\":\"%lld\",\"params\":{%s}}", (long long)id,
			  module ? "\"module\":\"mcu\"" : ""));
}

static void say_nonsense(struct world *w, struct device *d)
{
	static const char *const forms[] = {
		"{\"id\":\"%lld\",\"params\":{\"step\":\"101\",\"desc\":\"\"}}",
		"{\"id\":\"%lld\",\"params\":{\"step\":\"-5\",\"desc\":\"\"}}",
		"{\"id\":\"%lld\",\"params\":{\"step\":\"x\"}}",
		"{\"id\":\"%lld\",\"params\":{\"version\":\"\"}}",
		"{\"id\":\"%lld\"}",
		"{\"id\":\"%lld\",\"params\":{\"step\":\"50\"",
		"{\"id\":\"%lld\",\"params\":[1,2]}",
	};
	size_t i = (size_t)rng_between(&d->rng, 0, ARRAY_LEN(forms) - 1);
	int64_t id = model_said(w, (struct said){ .kind = SAID_NONSENSE, .device = d });
	char text[128];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(text, sizeof text, forms[i], (long long)id);
#pragma GCC diagnostic pop
	post(w, d, topic(w, d, i == 3 ? "inform" : "progress"), arena_strdup(&w->arena, text));
}

void fleet_say_version(struct world *w, struct device *d, int module, const char *version)
{
	if (d->conn)
		say_version(w, d, module, version);
}

void fleet_say_step(struct world *w, struct device *d, int step, const char *desc)
{
	if (d->conn)
		say_step(w, d, 0, step, desc);
}

void fleet_ask(struct world *w, struct device *d, int module)
{
	if (d->conn)
		ask(w, d, module);
}

void fleet_say_nonsense(struct world *w, struct device *d, const char *params)
{
	int64_t id = model_said(w, (struct said){ .kind = SAID_NONSENSE, .device = d });

	post(w, d, topic(w, d, "progress"),
	     arena_printf(&w->arena, "{\"id\":\"%lld\",\"params\":%s}", (long long)id, params));
}

static int64_t on_grid(const struct world *w, int64_t at_us)
{
	int64_t grid = w->p.grid_us;

	return grid ? (at_us + grid - 1) / grid * grid : at_us;
}

/* ---- coming and going ---- */

static void comes(struct world *w, int64_t index, int64_t b, const char *text)
{
	struct device *d = &w->devices[index];

	(void)b;
	(void)text;
	if (d->gone || d->conn || !d->id)
		return;
	if (w->broker.down) {
		agenda_in(w, rng_between(&d->rng, 500, 5000) * US_PER_MS, comes, index, 0, NULL);
		return;
	}
	broker_connect_device(w, d);
}

static void goes(struct world *w, int64_t index, int64_t conn, const char *text)
{
	struct device *d = &w->devices[index];

	(void)text;
	if (d->conn != conn || w->calm)
		return;
	if (rng_chance(&d->rng, 4))
		d->gone = true;
	broker_disconnect_device(w, d);
}

static void reports_version(struct world *w, int64_t index, int64_t module, const char *text)
{
	struct device *d = &w->devices[index];

	say_version(w, d, (int)module, text ? text : d->version[module]);
}

static void pulls(struct world *w, int64_t index, int64_t module, const char *text)
{
	struct device *d = &w->devices[index];

	(void)text;
	if (d->conn)
		ask(w, d, (int)module);
	if (w->calm)
		agenda_in(w, rng_between(&d->rng, 60, 180) * US_PER_SECOND, pulls, index, module, NULL);
}

void fleet_connected(struct world *w, struct device *d)
{
	for (int m = 0; m < w->p.modules && !w->p.played; m++) {
		if (!w->calm && rng_chance(&d->rng, 50)) /* an SDK's placeholder, the true one follows, mostly */
			agenda_in(w, rng_skewed(&d->rng, 1000) * US_PER_MS, reports_version, d->index, m,
				  "app-1.0.0-20180101.1000");
		if (w->calm || rng_chance(&d->rng, 900))
			agenda_in(w, w->p.grid_us ? 0 : rng_skewed(&d->rng, 6000) * US_PER_MS, reports_version, d->index, m,
				  NULL);
		if (!w->calm && rng_chance(&d->rng, 100))
			agenda_in(w, rng_skewed(&d->rng, 9000) * US_PER_MS, pulls, d->index, m, NULL);
	}
	if (!w->calm && w->p.flapping)
		agenda_in(w, rng_between(&d->rng, 1, i64_max(2, 40000 / w->p.flapping)) * US_PER_SECOND, goes, d->index,
			  d->conn, NULL);
}

void fleet_lost(struct world *w, struct device *d)
{
	int64_t s;

	if (w->p.played)
		return;
	s = rng_chance(&d->rng, 800) ? rng_between(&d->rng, 0, 20) : rng_skewed(&d->rng, 3600);
	agenda_at(w, on_grid(w, i64_max(sim_now_us() + s * US_PER_SECOND + 50 * US_PER_MS, d->away_until_us)), comes, d->index, 0,
		  NULL);
}

/* ---- with a push ---- */

/* One act of a plan: a letter, the module's digit, and what the letter needs. */
static void act(struct world *w, int64_t index, int64_t plan, const char *text)
{
	struct device *d = &w->devices[index];
	int module = text[1] - '0';

	if (d->plan != plan || d->gone)
		return;
	switch (text[0]) {
	case 'p': /* percent */
		say_step(w, d, module, (int)strtol(text + 2, NULL, 10), "");
		break;
	case 'f': /* step text */
		say_step(w, d, module, (int)strtol(text + 2, NULL, 10), strchr(text, ' ') + 1);
		break;
	case 'u': /* updated */
		d->version[module] = text + 2;
		say_version(w, d, module, text + 2);
		break;
	case 'v': /* says so, and is not */
		say_version(w, d, module, text + 2);
		break;
	case 'r': /* restarts */
		broker_disconnect_device(w, d);
		break;
	case 'n':
		say_nonsense(w, d);
		break;
	default:
		ensure(false);
	}
}

struct script {
	struct world *w;
	struct device *d;
	int module;
	int64_t at_us;
};

static void later(struct script *s, int64_t ms, char letter, const char *text)
{
	s->at_us = on_grid(s->w, s->at_us + ms * US_PER_MS);
	agenda_at(s->w, s->at_us, act, s->d->index, s->d->plan,
		  arena_printf(&s->w->arena, "%c%d%s", letter, s->module, text));
}

static void some_progress(struct script *s, int64_t to)
{
	struct rng *r = &s->d->rng;
	int64_t step = 0, n = rng_between(r, 1, 4);

	for (int64_t i = 0; i < n; i++) {
		step = rng_between(r, step, to);
		later(s, rng_skewed(r, 90000) + 20, 'p', arena_printf(&s->w->arena, "%lld", (long long)step));
	}
}

static void fails(struct script *s)
{
	static const char *const why[] = { "", "no space", "bad digest" };
	struct rng *r = &s->d->rng;
	const char *text = arena_printf(&s->w->arena, "-%lld %s", (long long)rng_between(r, 1, 4),
					why[rng_between(r, 0, ARRAY_LEN(why) - 1)]);

	later(s, rng_skewed(r, 60000), 'f', text);
	if (rng_chance(r, 300))
		later(s, rng_skewed(r, 30000), 'f', text);
}

static void third(struct script *s, const char *dest)
{
	struct rng *r = &s->d->rng;
	int64_t ms = rng_between(r, 100, 9000); /* before or after the verdict */

	later(s, rng_skewed(r, 60000), 'v', rng_chance(r, 500) ? "7.7.7" : "8.8.8");
	if (rng_chance(r, 200))
		later(s, rng_skewed(r, 4000), 'v', "9.9.9");
	if (rng_chance(r, 300))
		later(s, ms, 'u', dest);
	else if (rng_chance(r, 400))
		later(s, ms, 'v', s->d->version[s->module]);
}

static int misbehaviour(struct world *w, struct device *d)
{
	int64_t sum = 0, pick;
	int i = 0;

	if (w->calm)
		return OBEY;
	for (size_t k = 0; k < ARRAY_LEN(w->p.misbehaviour); k++)
		sum += w->p.misbehaviour[k];
	pick = rng_between(&d->rng, 0, sum - 1);
	while (pick >= w->p.misbehaviour[i])
		pick -= w->p.misbehaviour[i++];
	return i;
}

static void follow(struct world *w, struct device *d, int module, const char *dest)
{
	struct script s = { .w = w, .d = d, .module = module, .at_us = sim_now_us() };
	struct rng *r = &d->rng;

	d->plan++;
	if (!w->calm && rng_chance(r, w->p.nonsense))
		later(&s, rng_skewed(r, 5000), 'n', "");
	switch (misbehaviour(w, d)) {
	case OBEY:
		some_progress(&s, 100);
		later(&s, rng_skewed(r, 60000), 'u', dest);
		break;
	case QUICK:
		later(&s, rng_skewed(r, 30000), 'u', dest);
		break;
	case STALL:
		some_progress(&s, 99);
		break;
	case SILENT:
		break;
	case LIE:
		some_progress(&s, 99);
		later(&s, 500, 'p', "100");
		later(&s, rng_skewed(r, 30000), 'v', d->version[module]);
		break;
	case FAIL:
		if (rng_chance(r, 700))
			some_progress(&s, 99);
		fails(&s);
		break;
	case THIRD:
		some_progress(&s, 99);
		third(&s, dest);
		break;
	case REBOOT:
		some_progress(&s, 100);
		later(&s, 1000, 'r', "");
		if (rng_chance(r, 500))
			d->version[module] = dest; /* it will say so when it is back */
		break;
	default:
		ensure(false);
	}
}

/* The text behind a key of a payload, up to its quote; NULL: no such key. */
static const char *value_of(struct world *w, const char *payload, const char *key)
{
	const char *at = strstr(payload, key);

	return at ? arena_strndup(&w->arena, at + strlen(key), strcspn(at + strlen(key), "\"")) : NULL;
}

void fleet_message(struct world *w, struct device *d, const char *t, const char *payload)
{
	const char *version = value_of(w, payload, "\"version\":\""), *module = value_of(w, payload, "\"module\":\"");

	if (!version)
		return; /* an answer: there is nothing for it */
	trace(w, "%s gets %s by %.24s", d->name, version, t);
	d->pushed++;
	if (!w->p.played)
		follow(w, d, module && strcmp(module, sim_modules[1]) == 0, version);
}

/* ---- all of them ---- */

void fleet_start(struct world *w)
{
	for (size_t i = 0; i < w->n_devices && !w->p.played; i++) {
		struct device *d = &w->devices[i];

		int64_t ms = rng_chance(&d->rng, 900) ? rng_skewed(&d->rng, 60000) : rng_between(&d->rng, 60000, 3600000);

		agenda_at(w, on_grid(w, ms * US_PER_MS), comes, d->index, 0, NULL);
	}
}

void fleet_calm(struct world *w)
{
	for (size_t i = 0; i < w->n_devices; i++) {
		struct device *d = &w->devices[i];

		if (!d->id)
			continue;
		d->gone = false;
		d->plan++;
		broker_disconnect_device(w, d);
		agenda_in(w, rng_between(&d->rng, 1, 60) * US_PER_SECOND, comes, d->index, 0, NULL);
		for (int m = 0; m < w->p.modules; m++)
			agenda_in(w, rng_between(&d->rng, 90, 300) * US_PER_SECOND, pulls, d->index, m, NULL);
	}
}
