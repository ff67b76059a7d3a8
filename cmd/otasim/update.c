/* SPDX-License-Identifier: Apache-2.0 */
/* What a device does about a push: downloads, checks the digest, reports progress, flashes, comes up with the
 * new version, or plays one of the failures that it was given. */
#include "cmd/otasim/sim.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "engine/base/parse.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Neither the old nor the new one, also when a job after this one takes it for the old one. */
#define THIRD_VERSION "0.0.0-third.%lld"

/* ---- reports ---- */

static void report(struct device *d, const char *kind, const char *text, int64_t number, const char *value, int qos)
{
	struct buf b;
	bool sent;

	buf_init(&b, 4096);
	profile_text(&b, text, number, value);
	sent = device_publish(d, kind, buf_str(&b), qos);
	if (sent && sim_chance(d->sim, d->index, 'D', PERCENT_MILLI) < d->sim->o.duplicate_milli) {
		(void)device_publish(d, kind, buf_str(&b), qos);
		d->sim->stats.resent++;
	}
	buf_free(&b);
}

void update_progress(struct device *d, int64_t step)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%lld", (long long)step);
	report(d, "progress", d->profile->progress, ++d->number, text, 0);
}

void update_inform(struct device *d)
{
	d->inform_due = d->link != LINK_UP;
	if (d->inform_due)
		return;
	report(d, "inform", d->profile->inform, ++d->number, d->version, d->profile->inform_qos);
	/* Without its acknowledgement it is sent again after a reconnect. */
	d->inform_packet = d->profile->inform_qos > 0 ? d->packet_id : 0;
}

static void timer_set(struct device *d, int64_t ms)
{
	struct timeval t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	(void)evtimer_add(d->timer, &t);
}

/* ---- failures ---- */

/* The kind of failure that this device plays now, or NULL when it does well. */
static const char *failure_kind(const struct device *d, size_t *ret_len)
{
	const struct options *o = &d->sim->o;
	int64_t kinds = 1, pick;
	const char *k = o->fail_kinds;

	if (sim_chance(d->sim, d->index, 'X', PERCENT_MILLI) >= o->fail_milli)
		return NULL;
	if (o->fail_first > 0 && d->failed_pushes >= o->fail_first)
		return NULL;
	for (const char *c = k; *c; c++)
		kinds += *c == ',';
	for (pick = sim_chance(d->sim, d->index, 'K', kinds); pick > 0; pick--)
		k = strchr(k, ',') + 1;
	*ret_len = strcspn(k, ",");
	return k;
}

static void update_end(struct device *d)
{
	d->update = UPDATE_NONE;
	d->done = true;
	d->sim->active_ms = clock_boot_ms();
}

static void fail_with(struct device *d, int64_t step)
{
	d->sim->stats.failures++;
	d->failed_pushes++;
	update_progress(d, step);
	update_end(d);
}

static void play_failure(struct device *d, const char *kind, size_t len)
{
	int64_t step;

	if (strncmp(kind, "stall", len) == 0) {
		d->sim->stats.stalls++;
		d->done = true;
		d->update = UPDATE_STALLED;
	} else if (strncmp(kind, "version", len) == 0) {
		d->sim->stats.failures++;
		d->failed_pushes++;
		(void)snprintf(d->version, sizeof d->version, THIRD_VERSION, (long long)d->failed_pushes);
		update_inform(d);
		update_end(d);
	} else if (parse_i64n(kind, len, -4, -1, &step)) {
		fail_with(d, step);
	}
}

/* ---- the course of an update ---- */

/* The fields of a push; false when it is none that a device would take. */
static bool push_read(struct device *d, const char *payload, size_t len)
{
	struct arena a;
	const struct json *data;
	const char *version, *url, *sign, *method;
	bool good;

	arena_init(&a);
	data = json_get(json_parse(&a, payload, len, false), "data");
	version = json_text(json_get(data, "version"));
	url = json_text(json_get(data, "url"));
	sign = json_text(json_get(data, "sign"));
	method = json_text(json_get(data, "signMethod"));
	good = version && url && sign && method && strlen(version) <= VERSION_MAX_LEN &&
	       json_int_lenient(json_get(data, "size"), &d->size) && d->size > 0;
	if (good) {
		d->method = strcasecmp(method, "SHA256") == 0 ? DIGEST_SHA256 : DIGEST_MD5;
		good = hex_decode(sign, strlen(sign), d->sign, digest_len(d->method));
	}
	if (good) {
		(void)snprintf(d->wanted, sizeof d->wanted, "%s", version);
		free(d->url);
		d->url = strdup(url);
		ensure(d->url);
	}
	arena_free(&a);
	return good;
}

static void push_log(struct device *d, int64_t now, bool again)
{
	struct sim *s = d->sim;

	sim_sample(&s->pushes_ms, &s->n_pushes, &s->cap_pushes, now);
	if (s->push_log)
		(void)fprintf(s->push_log, "%lld %s %s%s\n", (long long)now, d->name, d->wanted, again ? " again" : "");
}

void update_push(struct device *d, const char *payload, size_t len)
{
	struct sim *s = d->sim;
	int64_t now = clock_boot_ms();
	bool busy = d->update != UPDATE_NONE && d->update != UPDATE_STALLED;

	s->active_ms = now;
	s->stats.pushes++;
	if (busy) { /* what every SDK does with a second push while it works on one */
		s->stats.duplicates++;
		push_log(d, now, true);
		return;
	}
	if (!push_read(d, payload, len)) {
		s->stats.foreign++;
		return;
	}
	push_log(d, now, d->done);
	s->stats.duplicates += d->done;
	d->done = false;
	d->pushed_ms = now;
	if (strcmp(d->version, d->wanted) == 0) {
		update_inform(d);
		update_end(d);
		return;
	}
	(void)evtimer_del(d->timer);
	update_progress(d, 0);
	d->next_step = 1;
	d->update = UPDATE_WAITING;
	if (!s->o.download) {
		update_loaded(d, true, true);
		return;
	}
	s->loads[(s->loads_first + s->n_loads++) % s->n] = d;
}

void update_load(struct device *d)
{
	d->update = UPDATE_LOADING;
	d->download = download_start(d);
	if (!d->download)
		update_loaded(d, false, false);
	else
		d->sim->n_downloading++;
}

void update_loaded(struct device *d, bool complete, bool digest_good)
{
	struct sim *s = d->sim;
	size_t kind_len = 0;
	const char *kind = failure_kind(d, &kind_len);

	if (d->download) {
		download_free(d->download);
		d->download = NULL;
		s->n_downloading--;
	}
	s->active_ms = clock_boot_ms();
	if (!complete) {
		s->stats.download_failures++;
		fail_with(d, -2);
		return;
	}
	s->stats.downloads += s->o.download;
	if (!digest_good) {
		s->stats.digest_errors++;
		fail_with(d, -3);
		return;
	}
	update_progress(d, 100);
	d->update = kind ? UPDATE_FAILING : UPDATE_FLASHING;
	timer_set(d, s->o.delay_ms / 2 + sim_chance(s, d->index, 'T', s->o.delay_ms + 1));
}

void update_timer(struct device *d)
{
	struct sim *s = d->sim;
	size_t kind_len = 0;
	const char *kind = d->update == UPDATE_FAILING ? failure_kind(d, &kind_len) : NULL;

	if (kind) {
		play_failure(d, kind, kind_len);
		return;
	}
	(void)snprintf(d->version, sizeof d->version, "%s", d->wanted);
	s->stats.successes++;
	sim_sample(&s->update_ms, &s->n_updates, &s->cap_updates, clock_boot_ms() - d->pushed_ms);
	update_end(d);
	if (s->o.reboot) {
		d->inform_due = true; /* the new image says its version when it is up */
		device_close(d);
		device_enqueue(d);
		return;
	}
	update_inform(d);
}

void update_drop(struct device *d)
{
	if (d->download)
		download_free(d->download);
	d->download = NULL;
	free(d->url);
	d->url = NULL;
}
