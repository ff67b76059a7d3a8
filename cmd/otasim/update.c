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
#define FILES_MAX ((size_t)20)

/* ---- reports ---- */

static void report(struct device *d, const char *topic, const char *text, const char *value, const char *desc,
		   int qos)
{
	struct buf b;
	bool sent;

	buf_init(&b, 4096);
	profile_text(&b, d, text, ++d->number, value, desc);
	sent = device_publish(d, topic, buf_str(&b), qos);
	if (sent && sim_chance(d->sim, d->index, 'D', PERCENT_MILLI) < d->sim->o.duplicate_milli) {
		(void)device_publish(d, topic, buf_str(&b), qos);
		d->sim->stats.resent++;
	}
	buf_free(&b);
}

void update_progress(struct device *d, int64_t step, const char *desc)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%lld", (long long)step);
	report(d, "/ota/device/progress/$P/$D", d->profile->progress, text, desc, 0);
}

void update_inform(struct device *d)
{
	const struct profile *p = d->profile;

	d->inform_due = d->link != LINK_UP;
	if (d->inform_due)
		return;
	report(d, "/ota/device/inform/$P/$D", p->inform, d->version, "", p->inform_qos);
	/* Without its acknowledgement it is sent again after a reconnect. */
	d->inform_packet = p->inform_qos > 0 ? d->packet_id : 0;
}

/* Asks for an update, when it has none. */
void update_pull(struct device *d)
{
	const struct profile *p = d->profile;

	if (d->update == UPDATE_NONE)
		report(d, p->pull_topic, p->pull, d->version, "", p->pull_qos);
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

static void push_free(struct device *d)
{
	for (size_t i = 0; d->push && i < d->push->n; i++)
		free(d->push->files[i].url);
	free(d->push);
	d->push = NULL;
}

static void update_end(struct device *d)
{
	push_free(d);
	d->update = UPDATE_NONE;
	d->done = true;
	d->sim->active_ms = clock_boot_ms();
}

static void fail_with(struct device *d, int64_t step)
{
	d->sim->stats.failures++;
	d->failed_pushes++;
	update_progress(d, step, step == -2 ? d->profile->loss_desc : "");
	update_end(d);
}

static void play_failure(struct device *d, const char *kind, size_t len)
{
	int64_t step;

	if (strncmp(kind, "stall", len) == 0) {
		d->sim->stats.stalls++;
		d->failed_pushes++;
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

/* ---- pushes ---- */

/* A push as its device looks at it. */
struct look {
	struct arena *a;
	const struct json *root, *data;
	const char *scanned; /* the text, for who does not parse it; else NULL */
};

/* What a first-match scanner finds behind a key, or NULL. */
static const char *scan(struct arena *a, const char *text, const char *key)
{
	const char *at = strstr(text, arena_printf(a, "\"%s\":", key));

	if (!at)
		return NULL;
	at += strlen(key) + 3;
	return *at == '"' ? arena_strndup(a, at + 1, strcspn(at + 1, "\""))
			  : arena_strndup(a, at, strcspn(at, ",}"));
}

static const char *field(const struct look *l, const struct json *of, const char *key)
{
	return l->scanned && of == l->data ? scan(l->a, l->scanned, key)
					   : json_scalar(l->a, json_get(of, key));
}

static bool method_read(const struct device *d, const struct look *l, enum digest *ret)
{
	const char *method = field(l, l->data, "signMethod");

	*ret = DIGEST_MD5;
	if (d->profile->traits & PUSH_MD5)
		return true;
	if (!method)
		return false;
	if (strcmp(method, "SHA256") == 0)
		*ret = DIGEST_SHA256;
	return *ret == DIGEST_SHA256 || strcmp(method, "Md5") == 0 ||
	       (!(d->profile->traits & PUSH_SCANNED) && strcasecmp(method, "MD5") == 0);
}

/* One file under the names that its members have there. */
static bool file_read(const struct look *l, const struct json *of, struct push *p, const char *url,
		      const char *size, const char *sign)
{
	struct file *f = &p->files[p->n];
	const char *link = field(l, of, url), *bytes = field(l, of, size), *sum = field(l, of, sign);

	if ((!link && !p->stream_id) || !sum || !bytes || !parse_i64(bytes, 1, INT64_MAX, &f->size) ||
	    !hex_decode(sum, strlen(sum), f->sum, digest_len(p->method)))
		return false;
	f->url = link ? strdup(link) : NULL;
	ensure(f->url || !link);
	p->n++;
	return true;
}

/* A scanner counts every object from "files" on for a file. */
static bool files_last(const struct look *l, size_t n)
{
	const char *at = l->scanned ? strstr(l->scanned, "\"files\":[") : NULL;
	size_t braces = 0;

	for (; at && *at; at++)
		braces += *at == '{';
	return !l->scanned || braces == n;
}

static bool files_read(const struct device *d, const struct look *l, const struct json *files, struct push *p)
{
	size_t n = json_length(files);

	if (!(d->profile->traits & PUSH_FILES) || n < 2 || n > FILES_MAX || !files_last(l, n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!file_read(l, json_at(files, i), p, "fileUrl", "fileSize", "fileSign"))
			return false;
	return true;
}

static bool stream_read(const struct device *d, const struct look *l, struct push *p)
{
	const char *protocol = field(l, l->data, "dProtocol"), *stream, *file;

	if (!protocol)
		return true;
	stream = field(l, l->data, "streamId");
	file = field(l, l->data, "streamFileId");
	return d->profile->traits & PUSH_BLOCKS && strcmp(protocol, "mqtt") == 0 && stream && file &&
	       parse_i64(stream, 1, UINT32_MAX, &p->stream_id) && parse_i64(file, 0, UINT32_MAX, &p->file_id);
}

/* Fills in p; false when it is nothing that this device would take. */
static bool push_parse(const struct device *d, const struct look *l, struct push *p)
{
	bool by_md5 = (d->profile->traits & PUSH_MD5) != 0;
	const char *version = field(l, l->data, "version"), *message = field(l, l->root, "message");
	const struct json *files = json_get(l->data, "files");

	if (!version || strlen(version) > VERSION_MAX_LEN ||
	    (by_md5 && (!message || strcmp(message, "success") != 0)) || !method_read(d, l, &p->method) ||
	    !stream_read(d, l, p))
		return false;
	(void)snprintf(p->version, sizeof p->version, "%s", version);
	return files ? files_read(d, l, files, p)
		     : file_read(l, l->data, p, "url", "size", by_md5 ? "md5" : "sign");
}

/* Takes the push into d->push. */
static bool push_read(struct device *d, const char *payload, size_t len)
{
	struct arena a;
	struct look l = { .a = &a };

	arena_init(&a);
	l.root = json_parse(&a, payload, len, false);
	l.data = json_get(l.root, "data");
	if (d->profile->traits & PUSH_SCANNED)
		l.scanned = arena_strndup(&a, payload, len);
	d->push = calloc(1, sizeof *d->push + FILES_MAX * sizeof d->push->files[0]);
	ensure(d->push);
	if (!json_is_object(l.data) || !push_parse(d, &l, d->push))
		push_free(d);
	arena_free(&a);
	return d->push != NULL;
}

static void push_log(struct device *d, int64_t now, const char *version, bool again)
{
	struct sim *s = d->sim;

	sim_sample(&s->pushes_ms, &s->n_pushes, &s->cap_pushes, now);
	if (s->push_log)
		(void)fprintf(s->push_log, "%lld %s %s%s\n", (long long)now, d->name, version,
			      again ? " again" : "");
}

/* Counts it; false when nothing is to be done about it. */
static bool push_taken(struct device *d, const char *payload, size_t len, bool pulled)
{
	struct sim *s = d->sim;
	int64_t now = clock_boot_ms();
	bool busy = d->update != UPDATE_NONE && d->update != UPDATE_STALLED;

	if (pulled && busy)
		return false;
	s->active_ms = now;
	s->stats.pushes += !pulled;
	if (busy) { /* what every SDK does with a second push while it works on one */
		s->stats.duplicates++;
		push_log(d, now, d->push->version, true);
		return false;
	}
	push_free(d);
	d->update = UPDATE_NONE;
	if (!push_read(d, payload, len)) {
		s->stats.foreign += !pulled; /* an answer may say that there is none */
		return false;
	}
	s->stats.pulls += pulled;
	if (!pulled) {
		push_log(d, now, d->push->version, d->done);
		s->stats.duplicates += d->done;
	}
	d->done = false;
	d->pushed_ms = now;
	return true;
}

/* ---- the course of an update ---- */

void update_push(struct device *d, const char *payload, size_t len, bool pulled)
{
	struct sim *s = d->sim;

	if (!push_taken(d, payload, len, pulled))
		return;
	if (strcmp(d->version, d->push->version) == 0) {
		update_inform(d);
		update_end(d);
		return;
	}
	(void)evtimer_del(d->timer);
	d->update = UPDATE_WAITING;
	if (!s->o.download || !(d->profile->traits & (SAYS_ZERO | SAYS_PERCENT)))
		update_progress(d, 0, "");
	if (s->o.download)
		s->loads[(s->loads_first + s->n_loads++) % s->n] = d;
	else
		update_loaded(d, 0);
}

/* Starts on the current file; it has one of the places. */
static void load(struct device *d)
{
	bool blocks = d->push->stream_id != 0;

	d->next_step = 1;
	if (blocks)
		d->blocks = blocks_start(d);
	else
		d->download = download_start(d);
	if (!d->blocks && !d->download)
		update_loaded(d, -2);
}

void update_load(struct device *d)
{
	d->update = UPDATE_LOADING;
	d->sim->n_downloading++;
	load(d);
}

static void load_drop(struct device *d)
{
	if (d->download)
		download_free(d->download);
	if (d->blocks)
		blocks_free(d->blocks);
	d->download = NULL;
	d->blocks = NULL;
}

void update_loaded(struct device *d, int64_t failure)
{
	struct sim *s = d->sim;
	size_t kind_len = 0;
	const char *kind = failure_kind(d, &kind_len);

	load_drop(d);
	s->active_ms = clock_boot_ms();
	if (failure == 0 && s->o.download) {
		s->stats.downloads++;
		if (++d->push->at < d->push->n) {
			load(d);
			return;
		}
	}
	s->n_downloading -= d->update == UPDATE_LOADING;
	s->stats.digest_errors += failure == -3;
	s->stats.download_failures += failure == -2 || failure == -4;
	if (failure != 0) {
		fail_with(d, failure);
		return;
	}
	update_progress(d, 100, "");
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
	(void)snprintf(d->version, sizeof d->version, "%s", d->push->version);
	s->stats.successes++;
	sim_sample(&s->update_ms, &s->n_updates, &s->cap_updates, clock_boot_ms() - d->pushed_ms);
	update_end(d);
	if (s->o.reboot) {
		device_reboot(d); /* the new image says its version when it is up */
		return;
	}
	update_inform(d);
}

void update_drop(struct device *d)
{
	load_drop(d);
	push_free(d);
}
