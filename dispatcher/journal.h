/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of what devices and broker said, in memory-mapped files: written in Paho's callback before the
 * broker gets its acknowledgement, applied by the tick. Nothing acknowledged is lost by kill -9; a second
 * thread calls fdatasync every 5 ms, so losing power loses at most that much.
 *
 * A fixed number of segments of 64 MiB forms a ring. Positions are bytes of the endless stream: byte p lies
 * in segment (p / 64 MiB) modulo their number. A record never crosses a segment. The journal has a random id;
 * PostgreSQL keeps the applied position by it. Applied segments are kept for 10 minutes, unless the room is
 * needed: a standby that takes over may be a little behind. */
#ifndef DISPATCHER_JOURNAL_H
#define DISPATCHER_JOURNAL_H

#include "engine/base/err.h"

#define JOURNAL_SEGMENT_BYTES ((uint64_t)64 * 1024 * 1024)
/* Longest topic and payload; longer messages are refused by journal_append. */
#define JOURNAL_TOPIC_MAX ((size_t)1024)
#define JOURNAL_PAYLOAD_MAX ((size_t)256 * 1024)

struct journal;

struct journal_record {
	uint64_t position;
	uint64_t next; /* where the following record begins */
	utc_ms received_ms;
	const char *topic; /* in the arena, NUL-terminated */
	size_t topic_len;
	const char *payload; /* in the arena, NUL-terminated */
	size_t payload_len;
};

/* Opens or makes the journal in dir (made if need be), finds its end, clears what is behind it and starts the
 * sync thread. segment_bytes is JOURNAL_SEGMENT_BYTES but for tests (a multiple of the page size). */
enum err journal_open(const char *dir, int segments, uint64_t segment_bytes, struct error *e,
		      struct journal **ret) MUST_USE;
/* Stops the thread, syncs, unmaps. */
void journal_close(struct journal *j);
/* 32 hex digits. */
const char *journal_id(const struct journal *j);

/* Paho's thread; waits for nothing but a short lock. false: no room, or the message is too long; it is lost. */
bool journal_append(struct journal *j, const char *topic, size_t topic_len, const void *payload,
		    size_t payload_len, utc_ms received_ms) MUST_USE;

/* The following are the tick's. */
/* From now on everything before `position` counts as applied. At the start with the position that the
 * database knows: behind the journal's own end (the machine lost power) the journal goes on from there. */
void journal_set_applied(struct journal *j, uint64_t position);
uint64_t journal_applied(const struct journal *j);
/* Up to max records from `from` on (a position that journal_read gave, or journal_applied). */
size_t journal_read(struct journal *j, struct arena *a, uint64_t from, size_t max,
		    struct journal_record *out);
/* Anything to read from `from` on? */
bool journal_pending(const struct journal *j, uint64_t from);

/* Unapplied part in percent of the room. Any thread. */
int journal_fill(const struct journal *j);

#endif
