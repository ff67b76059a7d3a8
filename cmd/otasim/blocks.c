/* SPDX-License-Identifier: Apache-2.0 */
/* A download over MQTT (device §5.2), as C Link SDK 4.2 does it: one request at a time, with its comma too
 * many, ten seconds for each, and -4 after four failures in a row. Called by update.c and device.c. */
#include "cmd/otasim/sim.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"

#include <stdlib.h>

#define BLOCK_BYTES 5120
#define WAIT_SECONDS 10
#define FAILURES_MAX 3
#define PERCENT_STEP 5
#define REPLY "/sys/$P/$D/thing/file/download_reply"

struct blocks {
	struct device *d;
	struct event *timer; /* of the answer that is waited for */
	struct digest_ctx *digest;
	int64_t got, said; /* bytes; percent last reported */
	int failures;	   /* in a row */
	bool halfway;
};

static void ask(struct blocks *l)
{
	struct timeval wait = { .tv_sec = WAIT_SECONDS, .tv_usec = 0 };
	const struct push *p = l->d->push;
	struct buf b;

	buf_init(&b, 1024);
	buf_addf(&b,
		 "{\"id\":\"%lld\",\"version\":\"1.0\",\"params\":{\"fileToken\":\"default\","
		 "\"fileInfo\":{\"streamId\":%lld,\"fileId\":%lld,},\"fileBlock\":{\"size\":%d,\"offset\":%"
		 "lld}}}",
		 (long long)++l->d->number, (long long)p->stream_id, (long long)p->file_id, BLOCK_BYTES,
		 (long long)l->got);
	(void)device_publish(l->d, "/sys/$P/$D/thing/file/download", buf_str(&b), 0);
	buf_free(&b);
	(void)evtimer_add(l->timer, &wait);
}

static void failed(struct blocks *l)
{
	if (++l->failures > FAILURES_MAX)
		update_loaded(l->d, -4);
	else
		ask(l);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	failed(arg);
}

/* The block in a frame, or NULL: another one's, refused, or damaged. */
static const unsigned char *block_of(const struct blocks *l, const unsigned char *frame, size_t len,
				     size_t *ret_len)
{
	size_t head = len >= 2 ? (size_t)frame[0] << 8 | frame[1] : 0;
	int64_t code = 0, offset = -1, size = -1;
	const struct json *v;
	struct arena a;
	bool good = false;

	if (len < 2 + head)
		return NULL;
	arena_init(&a);
	v = json_parse(&a, (const char *)frame + 2, head, false);
	if (json_int_lenient(json_get(v, "code"), &code) && code == 200 &&
	    json_int_lenient(json_get(json_get(v, "data"), "bOffset"), &offset) &&
	    json_int_lenient(json_get(json_get(v, "data"), "bSize"), &size))
		good = offset == l->got && size > 0 && (size_t)size == len - 2 - head - 2;
	arena_free(&a);
	frame += 2 + head;
	*ret_len = (size_t)size;
	return good && crc16_arc(frame, *ret_len) == (frame[size] | frame[size + 1] << 8) ? frame : NULL;
}

static void finish(struct blocks *l)
{
	unsigned char sum[DIGEST_MAX];
	const struct push *p = l->d->push;

	digest_final(l->digest, sum);
	update_loaded(l->d, crypto_equal(sum, p->files[0].sum, digest_len(p->method)) ? 0 : -3);
}

void blocks_take(struct blocks *l, const unsigned char *frame, size_t len)
{
	const struct push *p = l->d->push;
	size_t size = 0;
	const unsigned char *block = block_of(l, frame, len, &size);
	int64_t percent;

	if (!block || l->got + (int64_t)size > p->files[0].size) {
		failed(l);
		return;
	}
	l->failures = 0;
	digest_update(l->digest, block, size);
	l->got += (int64_t)size;
	l->d->sim->stats.bytes += (int64_t)size;
	l->d->sim->stats.blocks++;
	l->d->sim->active_ms = clock_boot_ms();
	if (!l->halfway && 2 * l->got >= p->files[0].size) {
		l->halfway = true;
		if (!update_halfway(l->d))
			return;
	}
	if (l->got == p->files[0].size) {
		finish(l);
		return;
	}
	percent = 100 * l->got / p->files[0].size;
	if (percent >= l->said + PERCENT_STEP) {
		l->said = percent;
		update_progress(l->d, percent, "");
	}
	ask(l);
}

struct blocks *blocks_start(struct device *d)
{
	struct blocks *l = calloc(1, sizeof *l);

	ensure(l);
	l->d = d;
	l->digest = digest_new(d->push->method);
	l->timer = evtimer_new(d->sim->base, on_timer, l);
	ensure(l->timer);
	device_subscribe(d, "0" REPLY);
	update_progress(d, 0, "");
	ask(l);
	return l;
}

void blocks_free(struct blocks *l)
{
	device_unsubscribe(l->d, REPLY);
	event_free(l->timer);
	digest_free(l->digest);
	free(l);
}
