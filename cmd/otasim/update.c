/* SPDX-License-Identifier: Apache-2.0 */
/* What a device does about a push: downloads, checks the digest, reports progress, flashes, comes up with the
 * new version, or plays one of the failures that it was given. */
#include "cmd/otasim/load.h"
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

enum failure update_role(const struct device *d)
{
	int64_t x = sim_chance(d->sim, d->index, 'X', PERCENT_MILLI);
	const int64_t *share = d->sim->o.fail_milli;
	enum failure f = 0;

	for (; f < FAILURES && x >= share[f]; f++)
		x -= share[f];
	return f;
}

bool update_drops(const struct device *d)
{
	return sim_share(d->sim, d->index, 'B', d->sim->o.drop_milli);
}

/* How this device fails now; FAIL_NOT: it does well. */
static enum failure failure_now(const struct device *d)
{
	int64_t first = d->sim->o.fail_first;

	return first > 0 && d->failed_pushes >= first ? FAIL_NOT : update_role(d);
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

void update_fail(struct device *d)
{
	int64_t step = d->failure_due;

	if (step == 0 || d->link != LINK_UP)
		return;
	d->failure_due = 0;
	update_progress(d, step, step == -2 ? d->profile->loss_desc : "");
}

static void fail_with(struct device *d, int64_t step)
{
	d->sim->stats.failures++;
	d->failed_pushes++;
	d->failure_due = step;
	update_fail(d);
	update_end(d);
}

static void play_failure(struct device *d, enum failure f)
{
	static const int64_t steps[] = {
#define FAILURE(name, step, word, key, doc) step,
#include "cmd/otasim/failures.def"
#undef FAILURE
	};

	d->sim->stats.played[f]++;
	if (steps[f] != 0) {
		fail_with(d, steps[f]);
		return;
	}
	d->failed_pushes++;
	if (f == FAIL_SILENT) {
		d->sim->stats.stalls++;
		d->done = d->silent = true;
		d->update = UPDATE_STALLED;
		return;
	}
	d->sim->stats.failures++;
	(void)snprintf(d->version, sizeof d->version, THIRD_VERSION, (long long)d->failed_pushes);
	update_inform(d);
	update_end(d);
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

	if (d->held)
		push_times_held(&s->pushes);
	else
		push_times_add(&s->pushes, now);
	if (s->load)
		load_push(s->load, version, now, d->held);
	if (s->push_log)
		(void)fprintf(s->push_log, "%lld %s %s%s%s\n", (long long)now, d->name, version,
			      again ? " again" : "", d->held ? " held" : "");
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
	d->done = d->silent = false;
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
	if (!s->o.download) {
		if (update_halfway(d))
			update_loaded(d, 0);
	} else if (!d->load_queued) {
		d->load_queued = true;
		s->loads[(s->loads_first + s->n_loads++) % s->n] = d;
	}
}

/* Starts on the current file; it has one of the places. */
static void fetch(struct device *d)
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
	fetch(d);
}

static void fetch_drop(struct device *d)
{
	if (d->download)
		download_free(d->download);
	if (d->blocks)
		blocks_free(d->blocks);
	d->download = NULL;
	d->blocks = NULL;
}

/* Gives the place among the running downloads up, too. */
static void fetch_end(struct device *d)
{
	fetch_drop(d);
	d->sim->n_downloading -= d->update == UPDATE_LOADING;
}

bool update_halfway(struct device *d)
{
	struct sim *s = d->sim;

	if (failure_now(d) == FAIL_DOWNLOAD) {
		fetch_end(d);
		play_failure(d, FAIL_DOWNLOAD);
		return false;
	}
	/* Once for a version: who lost it at every push would never get to its end. */
	if (strcmp(d->dropped, d->push->version) != 0 && update_drops(d)) {
		(void)snprintf(d->dropped, sizeof d->dropped, "%s", d->push->version);
		s->stats.dropped++;
		device_cut(d, clock_boot_ms() + s->o.drop_s * MS_PER_SECOND, false);
	}
	return true;
}

void update_loaded(struct device *d, int64_t failure)
{
	struct sim *s = d->sim;

	fetch_drop(d);
	s->active_ms = clock_boot_ms();
	if (failure == 0 && s->o.download) {
		s->stats.downloads++;
		if (++d->push->at < d->push->n) {
			fetch(d);
			return;
		}
	}
	fetch_end(d);
	s->stats.digest_errors += failure == -3;
	s->stats.download_failures += failure == -2 || failure == -4;
	if (failure != 0) {
		fail_with(d, failure);
		return;
	}
	if (failure_now(d) == FAIL_VERIFY) {
		play_failure(d, FAIL_VERIFY);
		return;
	}
	update_progress(d, 100, "");
	d->update = failure_now(d) == FAIL_NOT ? UPDATE_FLASHING : UPDATE_FAILING;
	timer_set(d, s->o.delay_ms / 2 + sim_chance(s, d->index, 'T', s->o.delay_ms + 1));
}

void update_timer(struct device *d)
{
	struct sim *s = d->sim;

	if (d->update == UPDATE_FAILING) {
		play_failure(d, failure_now(d));
		return;
	}
	(void)snprintf(d->version, sizeof d->version, "%s", d->push->version);
	s->stats.successes++;
	meter_add(&s->update, (clock_boot_ms() - d->pushed_ms) * 1000);
	update_end(d);
	if (s->o.reboot) {
		device_reboot(d); /* the new image says its version when it is up */
		return;
	}
	update_inform(d);
}

void update_drop(struct device *d)
{
	fetch_end(d);
	push_free(d);
	d->update = UPDATE_NONE;
	d->failure_due = 0;
}
