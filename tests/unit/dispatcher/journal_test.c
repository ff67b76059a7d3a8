/* SPDX-License-Identifier: Apache-2.0 */
/* The journal: order, wrapping, torn records, what survives kill -9 of its writer. */
#include "dispatcher/journal.h"

#include "engine/base/clock.h"
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEGMENT ((uint64_t)65536)

static struct arena arena;
static struct error error;
static char dir[64];

static void setup(void)
{
	arena_init(&arena);
	error_init(&error, &arena);
	(void)snprintf(dir, sizeof dir, "/tmp/otad-journal-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
}

static void cleanup(void)
{
	static const char *const names[] = { "id",	   "lock",	 "segment-00",
					     "segment-01", "segment-02", "segment-03" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlink(arena_printf(&arena, "%s/%s", dir, names[i]));
	CHECK(rmdir(dir) == 0);
	arena_free(&arena);
}

static struct journal *opened(int segments)
{
	struct journal *j = NULL;

	CHECK_INT(journal_open(dir, segments, SEGMENT, &error, &j), OK);
	return j;
}

static bool add(struct journal *j, int n)
{
	char text[64];
	int len = snprintf(text, sizeof text, "payload %d", n);

	return journal_append(j, "/a/b", 4, text, (size_t)len, 1000 + n);
}

/* Numbers from first on, all of them, from `from` on; returns the position behind. */
static uint64_t expect(struct journal *j, uint64_t from, int first, int count)
{
	static struct journal_record r[100];

	while (count > 0) {
		size_t n = journal_read(j, &arena, from, (size_t)i64_min(count, 100), r);

		CHECK(n > 0);
		for (size_t i = 0; i < n; i++, first++, count--) {
			CHECK_STR(r[i].topic, "/a/b");
			CHECK_STR(r[i].payload, arena_printf(&arena, "payload %d", first));
			CHECK_INT(r[i].received_ms, 1000 + first);
			from = r[i].next;
		}
	}
	return from;
}

static void test_order(void)
{
	struct journal *j;
	uint64_t at;
	char id[40];

	setup();
	j = opened(2);
	CHECK_INT(strlen(journal_id(j)), 32);
	CHECK(journal_open(dir, 2, SEGMENT, &error, &(struct journal *){ NULL }) ==
	      ERR_CONFIG); /* one at a time */
	(void)snprintf(id, sizeof id, "%s", journal_id(j));
	CHECK(!journal_pending(j, 0));
	for (int i = 0; i < 10; i++)
		CHECK(add(j, i));
	at = expect(j, 0, 0, 10);
	CHECK(!journal_pending(j, at));
	journal_close(j);
	j = opened(2);
	CHECK_STR(journal_id(j), id);
	CHECK_INT(expect(j, journal_applied(j), 0, 10), at);
	CHECK(add(j, 10));
	expect(j, at, 10, 1);
	journal_set_applied(j, at);
	CHECK_INT(journal_applied(j), at);
	journal_close(j);
	cleanup();
}

static bool add_patiently(struct journal *j, int n)
{
	for (int64_t until = clock_boot_ms() + 5000; clock_boot_ms() < until; (void)usleep(1000))
		if (add(j, n))
			return true;
	return false;
}

/* Several rounds through the ring; a record is refused while the ring is full of unapplied ones. */
static void test_ring(void)
{
	struct journal *j;
	uint64_t at = 0;
	int n = 0, seen = 0;

	setup();
	j = opened(3);
	while (add(j, n) || (journal_fill(j) < 90 && add_patiently(j, n)))
		n++;
	CHECK(journal_fill(j) >= 90);
	(void)usleep(20000);
	CHECK(!add(j, n));
	for (int round = 0; round < 6; round++) {
		int part = (n - seen) / 2;

		at = expect(j, at, seen, part);
		seen += part;
		journal_set_applied(j, at);
		for (int i = 0; i < part / 2; i++, n++)
			CHECK(add_patiently(j, n));
	}
	journal_close(j);
	j = opened(3);
	journal_set_applied(j, at);
	at = expect(j, at, seen, n - seen);
	CHECK(!journal_pending(j, at));
	journal_close(j);
	cleanup();
}

/* Overwrites bytes of a file at an offset. */
static void damage(const char *name, off_t at, const void *bytes, size_t len)
{
	int fd = open(arena_printf(&arena, "%s/%s", dir, name), O_WRONLY);

	CHECK(fd >= 0 && pwrite(fd, bytes, len, at) == (ssize_t)len);
	(void)close(fd);
}

static void test_torn(void)
{
	struct journal_record r[8];
	struct journal *j;
	uint64_t third;

	setup();
	j = opened(2);
	for (int i = 0; i < 5; i++)
		CHECK(add(j, i));
	CHECK_INT(journal_read(j, &arena, 0, 8, r), 5);
	third = r[3].position;
	journal_close(j);
	damage("segment-00", (off_t)third + 36, "X", 1); /* inside the topic of record 3 */
	j = opened(2);
	CHECK_INT(journal_read(j, &arena, 0, 8, r), 3);
	CHECK(add(j, 77)); /* goes where the bad one was; the whole one behind it does not come back */
	CHECK_INT(journal_read(j, &arena, 0, 8, r), 4);
	CHECK_INT(r[3].position, third);
	CHECK_STR(r[3].payload, "payload 77");
	journal_close(j);
	cleanup();
}

/* A record that is whole but belongs to an earlier round is not taken for a new one. */
static void test_stale_position(void)
{
	struct journal *j;
	uint64_t position = SEGMENT * 2;

	setup();
	j = opened(2);
	CHECK(add(j, 0));
	journal_close(j);
	damage("segment-00", 8, &position, sizeof position);
	j = opened(2);
	CHECK(!journal_pending(j, journal_applied(j)));
	journal_close(j);
	cleanup();
}

static void test_database_ahead(void)
{
	struct journal *j;

	setup();
	j = opened(3);
	CHECK(add(j, 0));
	journal_set_applied(j, SEGMENT * 7 + 100);
	CHECK_INT(journal_applied(j), SEGMENT * 8);
	CHECK(!journal_pending(j, journal_applied(j)));
	CHECK(add(j, 5));
	expect(j, SEGMENT * 8, 5, 1);
	journal_close(j);
	j = opened(3);
	expect(j, SEGMENT * 8, 5, 1);
	journal_close(j);
	cleanup();
}

static void test_limits(void)
{
	struct journal *j;
	static char big[300000];

	setup();
	j = opened(2);
	CHECK(!journal_append(j, "/t", 2, big, sizeof big, 1));
	CHECK(!journal_append(j, big, JOURNAL_TOPIC_MAX + 1, "x", 1, 1));
	CHECK(!journal_pending(j, 0));
	CHECK(journal_append(j, "/t", 2, NULL, 0, 1));
	journal_close(j);
	cleanup();
}

/* A child appends and says through a pipe what it has appended; kill -9; everything said is there. */
static void test_kill(void)
{
	setup();
	for (int round = 0; round < 5; round++) {
		int fds[2], last = -1, said;
		struct journal *j;
		pid_t pid;

		CHECK(pipe(fds) == 0);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			j = opened(4);
			for (int i = 0; i < 100000 && add(j, i); i++)
				if (write(fds[1], &i, sizeof i) != sizeof i)
					_exit(1);
			(void)pause();
			_exit(0);
		}
		(void)close(fds[1]);
		for (int i = 0; i < 300 + round * 117 && read(fds[0], &said, sizeof said) == sizeof said; i++)
			last = said;
		CHECK(kill(pid, SIGKILL) == 0);
		while (read(fds[0], &said, sizeof said) == sizeof said)
			last = said;
		CHECK(waitpid(pid, NULL, 0) == pid);
		(void)close(fds[0]);
		j = opened(4);
		CHECK(last > 0);
		expect(j, journal_applied(j), 0, last + 1);
		journal_close(j);
		cleanup();
		setup();
	}
	cleanup();
}

TESTS("dispatcher/journal", { "order", test_order }, { "ring", test_ring }, { "torn", test_torn },
      { "stale_position", test_stale_position }, { "database_ahead", test_database_ahead },
      { "limits", test_limits }, { "kill", test_kill })
