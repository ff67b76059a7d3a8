/* SPDX-License-Identifier: Apache-2.0 */
/* See journal.h. One writer (Paho's receive thread), one reader (the tick), one sync thread; they share
 * positions as atomics. A segment is written only after the sync thread has zeroed it for this round, so that
 * behind the last record there is always a length of 0. */
#include "dispatcher/journal.h"

#include "engine/base/clock.h"
#include "engine/base/crypto.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "engine/base/waker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENTS_MAX 64
#define SYNC_EVERY_MS 5
#define REST_MS 100 /* of the sync thread, while nothing is written */
#define KEEP_MS (10 * MS_PER_MINUTE)
#define ALIGN ((uint64_t)8)
#define ID_TEXT_LEN 32
/* One journal_read stops soon after so much. */
#define READ_BYTES_MAX ((size_t)4 * (uint64_t)1024 * 1024)

enum { KIND_MESSAGE = 1, KIND_SKIP = 2 /* the rest of the segment is empty */ };

struct header {
	_Atomic uint32_t length; /* of header, topic and payload; stored last */
	uint32_t crc;		 /* over the header without these two, length, topic and payload */
	uint64_t position;
	int64_t received_ms;
	uint32_t payload_len;
	uint16_t topic_len, kind;
};

struct segment {
	int fd;
	unsigned char *map;
	_Atomic uint64_t round_end; /* writable below this position; 0: not prepared */
	int64_t applied_boot_ms;    /* sync thread: when it was first seen applied as a whole; 0: not yet */
};

struct journal {
	char id[ID_TEXT_LEN + 1];
	int lock_fd; /* one process per directory */
	uint64_t segment_bytes;
	int segments;
	struct segment seg[SEGMENTS_MAX];
	_Atomic uint64_t written, applied;
	uint64_t synced; /* sync thread */
	struct waker waker;
	_Atomic bool resting;
};

/* ---- checksum ---- */

static uint32_t crc_table[256];

static void crc_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		crc_table[i] = c;
	}
}

static uint32_t crc_add(uint32_t crc, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len--)
		crc = crc_table[(crc ^ *p++) & 0xff] ^ crc >> 8;
	return crc;
}

/* Of a record whose topic and payload follow the header. */
static uint32_t record_crc(const struct header *h, uint32_t length)
{
	const unsigned char *p = (const unsigned char *)h;
	uint32_t crc = crc_add(0xffffffffu, &length, sizeof length);

	return ~crc_add(crc, p + offsetof(struct header, position),
			length - offsetof(struct header, position));
}

/* ---- places ---- */

static struct segment *segment_of(struct journal *j, uint64_t position)
{
	return &j->seg[position / j->segment_bytes % (uint64_t)j->segments];
}

static struct header *header_at(struct journal *j, uint64_t position)
{
	return (struct header *)(void *)(segment_of(j, position)->map + position % j->segment_bytes);
}

static uint64_t segment_start(const struct journal *j, uint64_t position)
{
	return position - position % j->segment_bytes;
}

static uint64_t rounded(uint64_t length)
{
	return (length + ALIGN - 1) / ALIGN * ALIGN;
}

/* The record at a position, when there is a whole one. */
static const struct header *record_at(struct journal *j, uint64_t position)
{
	uint64_t room = j->segment_bytes - position % j->segment_bytes;
	const struct header *h = header_at(j, position);
	uint32_t length;

	if (room < sizeof *h)
		return NULL;
	length = atomic_load_explicit(&header_at(j, position)->length, memory_order_acquire);
	if (length < sizeof *h || length > room || h->position != position)
		return NULL;
	if (sizeof *h + h->topic_len + h->payload_len != length ||
	    (h->kind != KIND_MESSAGE && h->kind != KIND_SKIP))
		return NULL;
	return record_crc(h, length) == h->crc ? h : NULL;
}

/* Where the record behind this one begins. */
static uint64_t after(const struct journal *j, const struct header *h)
{
	uint64_t next = h->position + rounded(h->length);

	if (h->kind == KIND_SKIP || j->segment_bytes - next % j->segment_bytes < sizeof *h)
		next = segment_start(j, h->position) + j->segment_bytes;
	return next;
}

/* ---- opening ---- */

static enum err file_fail(struct error *e, const char *what, const char *path)
{
	char text[128];

	return fail(e, ERR_CONFIG, "journal: %s %s: %s", what, path, strerror_r(errno, text, sizeof text));
}

static enum err map_segment(struct journal *j, struct error *e, const char *dir, int i)
{
	struct segment *s = &j->seg[i];
	const char *path = arena_printf(e->arena, "%s/segment-%02d", dir, i);
	struct stat st;
	int rc;

	s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->fd < 0 || fstat(s->fd, &st) != 0)
		return file_fail(e, "cannot open", path);
	if (st.st_size != 0 && (uint64_t)st.st_size != j->segment_bytes)
		return fail(e, ERR_CONFIG, "journal: %s has a wrong size", path);
	/* The blocks are taken now: a store into a mapping cannot fail politely when the disk is full. */
	rc = st.st_size == 0 ? posix_fallocate(s->fd, 0, (off_t)j->segment_bytes) : 0;
	if (rc != 0) {
		errno = rc;
		return file_fail(e, "no room for", path);
	}
	s->map = mmap(NULL, (size_t)j->segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->map == MAP_FAILED) {
		s->map = NULL;
		return file_fail(e, "cannot map", path);
	}
	return OK;
}

/* Zeroes from an offset to the end of the segment. */
static void zero_from(const struct journal *j, struct segment *s, uint64_t offset)
{
	static const unsigned char zeros[65536];
	off_t at = (off_t)offset, end = (off_t)j->segment_bytes;

#ifdef FALLOC_FL_ZERO_RANGE
	if (fallocate(s->fd, FALLOC_FL_ZERO_RANGE, at, end - at) == 0)
		return;
#endif
	while (at < end) {
		size_t n = (size_t)i64_min(end - at, (int64_t)sizeof zeros);
		ssize_t done = pwrite(s->fd, zeros, n, at);

		ensure(done > 0 || errno == EINTR);
		at += i64_max(done, 0);
	}
}

static enum err read_id(struct journal *j, struct error *e, const char *dir)
{
	const char *path = arena_printf(e->arena, "%s/id", dir),
		   *tmp = arena_printf(e->arena, "%s/id.new", dir);
	unsigned char random[ID_TEXT_LEN / 2], check[ID_TEXT_LEN / 2];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd >= 0) {
		n = read(fd, j->id, ID_TEXT_LEN);
		(void)close(fd);
		if (n != ID_TEXT_LEN || !hex_decode(j->id, ID_TEXT_LEN, check, sizeof check))
			return fail(e, ERR_CONFIG, "journal: %s is damaged", path);
		return OK;
	}
	if (errno != ENOENT)
		return file_fail(e, "cannot open", path);
	crypto_random(random, sizeof random);
	hex_encode(random, sizeof random, j->id);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return file_fail(e, "cannot make", tmp);
	n = write(fd, j->id, ID_TEXT_LEN);
	if (n != ID_TEXT_LEN || fsync(fd) != 0) {
		(void)close(fd);
		return file_fail(e, "cannot write", tmp);
	}
	(void)close(fd);
	return rename(tmp, path) == 0 ? OK : file_fail(e, "cannot make", path);
}

/* First position of a segment's records; false when it has none. */
static bool segment_round(struct journal *j, int i, uint64_t *ret)
{
	const struct header *h = (const struct header *)(const void *)j->seg[i].map;
	uint64_t at;

	ensure(h != NULL);
	at = h->position;
	if (at % j->segment_bytes != 0 || at / j->segment_bytes % (uint64_t)j->segments != (uint64_t)i ||
	    !record_at(j, at))
		return false;
	*ret = at;
	return true;
}

/* Finds where the records begin and end; makes the end a clean one. */
static void find_ends(struct journal *j)
{
	bool used[SEGMENTS_MAX] = { false };
	uint64_t round[SEGMENTS_MAX], end = 0, oldest;
	bool any = false;

	for (int i = 0; i < j->segments; i++) {
		used[i] = segment_round(j, i, &round[i]);
		if (used[i] && (!any || round[i] > end))
			end = round[i];
		any = any || used[i];
	}
	oldest = end;
	while (any && oldest >= j->segment_bytes) {
		uint64_t before = oldest - j->segment_bytes;
		int i = (int)(before / j->segment_bytes % (uint64_t)j->segments);

		if (!used[i] || round[i] != before)
			break;
		oldest = before;
	}
	for (const struct header *h = record_at(j, end); h; h = record_at(j, end)) {
		bool crosses = after(j, h) % j->segment_bytes == 0;

		end = after(j, h);
		if (crosses)
			break; /* there is no record at the next segment's start, or it would be the newest */
	}
	zero_from(j, segment_of(j, end), end % j->segment_bytes);
	atomic_store(&segment_of(j, end)->round_end, segment_start(j, end) + j->segment_bytes);
	atomic_store(&j->written, end);
	atomic_store(&j->applied, oldest);
	j->synced = end;
}

/* ---- the sync thread ---- */

/* Makes the segment that begins at `start` writable, once what it holds is applied; `now`: do not keep that
 * for its 10 minutes. */
static void prepare(struct journal *j, uint64_t start, bool now)
{
	struct segment *s = segment_of(j, start);
	uint64_t ring = j->segment_bytes * (uint64_t)j->segments;
	uint64_t old_end = start < ring ? 0 : start - ring + j->segment_bytes;

	if (atomic_load(&s->round_end) == start + j->segment_bytes || atomic_load(&j->applied) < old_end)
		return;
	if (s->applied_boot_ms == 0)
		s->applied_boot_ms = clock_boot_ms();
	if (!now && old_end != 0 && clock_boot_ms() < s->applied_boot_ms + KEEP_MS)
		return;
	zero_from(j, s, 0);
	s->applied_boot_ms = 0;
	atomic_store(&s->round_end, start + j->segment_bytes);
}

/* The segment behind the one being written: at once if the writer is past the middle. */
static void prepare_next(struct journal *j)
{
	uint64_t written = atomic_load(&j->written), start = segment_start(j, written);

	prepare(j, start, true); /* a record that filled the last segment to its end may have moved on */
	prepare(j, start + j->segment_bytes, written - start > j->segment_bytes / 2);
}

/* False when there was nothing to sync. */
static bool sync_written(struct journal *j)
{
	uint64_t written = atomic_load(&j->written), ring = j->segment_bytes * (uint64_t)(j->segments - 1),
		 from;
	int64_t start = clock_boot_us();

	if (written == j->synced)
		return false;
	from = segment_start(j, j->synced);
	if (written > from + ring)
		from = segment_start(j, written - ring); /* it jumped ahead: journal_set_applied */
	for (uint64_t at = from; at <= written; at += j->segment_bytes) {
		struct segment *s = segment_of(j, at);
		uint64_t behind =
			at == segment_start(j, written) ? written % j->segment_bytes : j->segment_bytes;

		if (fdatasync(s->fd) != 0)
			log_limited(EV_JOURNAL_SYNC, LINT("errno", errno));
		/* What is on disk need not stay in our memory. */
		behind -= behind % ((uint64_t)1024 * 1024);
		if (behind > 0)
			(void)madvise(s->map, (size_t)behind, MADV_DONTNEED);
	}
	j->synced = written;
	metric_observe_us(M_JOURNAL_SYNC, NULL, clock_boot_us() - start);
	return true;
}

/* Between two syncs. Rests where nothing was written since the last one; who writes while it rests wakes it. */
static bool sync_wait(struct journal *j, bool wrote)
{
	bool rest, more;

	atomic_store(&j->resting, !wrote);
	rest = !wrote && atomic_load(&j->written) == j->synced;
	more = waker_wait(&j->waker, rest ? REST_MS : SYNC_EVERY_MS);
	atomic_store(&j->resting, false);
	return more;
}

static void sync_wake(struct journal *j)
{
	if (atomic_load(&j->resting) && atomic_exchange(&j->resting, false))
		waker_wake(&j->waker);
}

static void *sync_main(void *arg)
{
	struct journal *j = arg;
	bool wrote;

	do {
		wrote = sync_written(j);
		prepare_next(j);
	} while (sync_wait(j, wrote));
	(void)sync_written(j);
	return NULL;
}

static void journal_free(struct journal *j)
{
	for (int i = 0; i < j->segments; i++) {
		if (j->seg[i].map)
			(void)munmap(j->seg[i].map, (size_t)j->segment_bytes);
		if (j->seg[i].fd >= 0)
			(void)close(j->seg[i].fd);
	}
	if (j->lock_fd >= 0)
		(void)close(j->lock_fd);
	free(j);
}

static enum err open_files(struct journal *j, const char *dir, struct error *e)
{
	const char *path;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return file_fail(e, "cannot make", dir);
	path = arena_printf(e->arena, "%s/lock", dir);
	j->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->lock_fd < 0 || flock(j->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return file_fail(e, "another process has", path);
	TRY(read_id(j, e, dir));
	for (int i = 0; i < j->segments; i++)
		TRY(map_segment(j, e, dir, i));
	return OK;
}

enum err journal_open(const char *dir, int segments, uint64_t segment_bytes, struct error *e,
		      struct journal **ret)
{
	struct journal *j = calloc(1, sizeof *j);
	enum err err;

	ensure(j != NULL && segments >= 2 && segments <= SEGMENTS_MAX && segment_bytes % 4096 == 0);
	crc_init();
	j->segment_bytes = segment_bytes;
	j->segments = segments;
	j->lock_fd = -1;
	for (int i = 0; i < segments; i++)
		j->seg[i].fd = -1;
	err = open_files(j, dir, e);
	if (err != OK) {
		journal_free(j);
		return err;
	}
	find_ends(j);
	prepare_next(j);
	waker_start(&j->waker, sync_main, j);
	*ret = j;
	return OK;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	waker_stop(&j->waker);
	journal_free(j);
}

const char *journal_id(const struct journal *j)
{
	return j->id;
}

/* ---- writing ---- */

static void put(struct journal *j, uint64_t at, int kind, const char *topic, size_t topic_len,
		const void *payload, size_t payload_len, utc_ms received_ms)
{
	struct header *h = header_at(j, at);
	unsigned char *body = (unsigned char *)(h + 1);
	uint32_t length = (uint32_t)(sizeof *h + topic_len + payload_len);

	h->position = at;
	h->received_ms = received_ms;
	h->payload_len = (uint32_t)payload_len;
	h->topic_len = (uint16_t)topic_len;
	h->kind = (uint16_t)kind;
	if (topic_len)
		memcpy(body, topic, topic_len);
	if (payload_len)
		memcpy(body + topic_len, payload, payload_len);
	h->crc = record_crc(h, length);
	atomic_store_explicit(&h->length, length, memory_order_release);
}

static bool append(struct journal *j, const char *topic, size_t topic_len, const void *payload, size_t payload_len,
		   utc_ms received_ms)
{
	uint64_t at = atomic_load(&j->written), length = sizeof(struct header) + topic_len + payload_len;
	uint64_t room = j->segment_bytes - at % j->segment_bytes;
	uint64_t next;

	if (topic_len > JOURNAL_TOPIC_MAX || payload_len > JOURNAL_PAYLOAD_MAX || length > j->segment_bytes)
		return false;
	if (length > room) {
		next = at + room;
		if (atomic_load(&segment_of(j, next)->round_end) != next + j->segment_bytes)
			return false;
		put(j, at, KIND_SKIP, NULL, 0, NULL, 0, received_ms);
		at = next;
	} else if (atomic_load(&segment_of(j, at)->round_end) != segment_start(j, at) + j->segment_bytes) {
		return false;
	}
	put(j, at, KIND_MESSAGE, topic, topic_len, payload, payload_len, received_ms);
	atomic_store(&j->written, after(j, header_at(j, at)));
	return true;
}

/* Where there was no room, the sync thread may have some to prepare by now. */
bool journal_append(struct journal *j, const char *topic, size_t topic_len, const void *payload,
		    size_t payload_len, utc_ms received_ms)
{
	bool done = append(j, topic, topic_len, payload, payload_len, received_ms);

	sync_wake(j);
	return done;
}

/* ---- reading ---- */

void journal_set_applied(struct journal *j, uint64_t position)
{
	uint64_t written = atomic_load(&j->written);

	if (position > written) {
		/* Only before ingest starts: the database is ahead of a journal that lost its tail. */
		uint64_t start = segment_start(j, position + j->segment_bytes - 1);
		struct segment *s = segment_of(j, start);

		zero_from(j, s, 0);
		atomic_store(&s->round_end, start + j->segment_bytes);
		atomic_store(&j->written, start);
		position = start;
	}
	if (position > atomic_load(&j->applied))
		atomic_store(&j->applied, position);
}

uint64_t journal_applied(const struct journal *j)
{
	return atomic_load(&j->applied);
}

bool journal_pending(const struct journal *j, uint64_t from)
{
	return from < atomic_load(&j->written);
}

size_t journal_read(struct journal *j, struct arena *a, uint64_t from, size_t max, struct journal_record *out)
{
	size_t n = 0, bytes = 0;

	while (n < max && bytes < READ_BYTES_MAX && journal_pending(j, from)) {
		const struct header *h = record_at(j, from);
		const char *body = (const char *)(h + 1);

		if (!h) { /* a page that a power failure took from the middle: the next segment is whole again
			   */
			log_limited(EV_JOURNAL_DAMAGED, LINT("position", from));
			from = segment_start(j, from) + j->segment_bytes;
			continue;
		}
		from = after(j, h);
		if (h->kind == KIND_SKIP)
			continue;
		bytes += h->length;
		out[n++] = (struct journal_record){ .position = h->position,
						    .next = from,
						    .received_ms = h->received_ms,
						    .topic = arena_strndup(a, body, h->topic_len),
						    .topic_len = h->topic_len,
						    .payload = arena_strndup(a, body + h->topic_len,
									     h->payload_len),
						    .payload_len = h->payload_len };
	}
	return n;
}

int journal_fill(const struct journal *j)
{
	uint64_t used = atomic_load(&j->written) - atomic_load(&j->applied);

	return (int)(used * 100 / (j->segment_bytes * (uint64_t)j->segments));
}
