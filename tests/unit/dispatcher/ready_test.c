/* SPDX-License-Identifier: Apache-2.0 */
/* The ready queues take turns and keep their order; the heap gives back in order of time. */
#include "dispatcher/ready.h"

#include "harness.h"

static struct ready_entry entry(int seq, bool first)
{
	return (struct ready_entry){ .seq = seq, .first = first, .device_id = seq * 10 };
}

static void test_turns(void)
{
	static const int want[] = { 1, 101, 2, 102, 3, 4, 5 };
	struct ready_entry out[10];
	struct ready r = { .overflow = false };

	for (int i = 1; i <= 5; i++)
		ready_put(&r, entry(i, true));
	ready_put(&r, entry(101, false));
	ready_put(&r, entry(102, false));
	CHECK_INT(ready_depth(&r), 7);
	CHECK_INT(ready_take(&r, 10, out), 7);
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		CHECK_INT(out[i].seq, want[i]);
	CHECK_INT(ready_take(&r, 10, out), 0);
	ready_free(&r);
}

static void test_put_back(void)
{
	struct ready_entry out[4];
	struct ready r = { .overflow = false };

	for (int i = 1; i <= 100; i++)
		ready_put(&r, entry(i, true));
	CHECK_INT(ready_take(&r, 3, out), 3);
	for (size_t i = 3; i-- > 0;)
		ready_put_back(&r, out[i]);
	for (int i = 1; i <= 100; i++) {
		CHECK_INT(ready_take(&r, 1, out), 1);
		CHECK_INT(out[0].seq, i);
		CHECK_INT(out[0].device_id, i * 10);
	}
	ready_free(&r);
}

static void test_overflow(void)
{
	struct ready r = { .overflow = false };

	for (size_t i = 0; i < READY_MAX; i++)
		ready_put(&r, entry((int)i, true));
	CHECK(!r.overflow);
	ready_put(&r, entry(1, false));
	CHECK(r.overflow);
	CHECK_INT(ready_depth(&r), READY_MAX);
	ready_free(&r);
}

static void test_later(void)
{
	struct later l = { .count = 0 };
	struct later_entry e;
	int64_t last = 0;
	unsigned x = 7;

	for (int i = 0; i < 1000; i++) {
		x = x * 1103515245u + 12345u;
		later_put(&l, (struct later_entry){ .due_ms = x % 5000 + 1, .entry = entry(i, true) });
	}
	while (later_take(&l, 2500, &e)) {
		CHECK(e.due_ms >= last && e.due_ms <= 2500);
		last = e.due_ms;
	}
	CHECK(l.count > 0 && l.items[0].due_ms > 2500);
	while (later_take(&l, 5000, &e)) {
		CHECK(e.due_ms >= last);
		last = e.due_ms;
	}
	CHECK_INT(l.count, 0);
	later_free(&l);
}

static void test_forget(void)
{
	struct later l = { .count = 0 };
	struct later_entry e;
	int64_t last = 0;
	unsigned x = 7;
	size_t n = 0;

	later_forget(&l, 1);
	for (int i = 0; i < 1000; i++) {
		x = x * 1103515245u + 12345u;
		later_put(&l, (struct later_entry){ .due_ms = x % 5000 + 1, .job_id = i % 3, .entry = entry(i, true) });
	}
	later_forget(&l, 1);
	later_forget(&l, 7);
	for (; later_take(&l, 5000, &e); n++) {
		CHECK(e.job_id != 1 && e.due_ms >= last);
		last = e.due_ms;
	}
	CHECK_INT(n, 667);
	later_free(&l);
}

TESTS("dispatcher/ready", { "turns", test_turns }, { "put_back", test_put_back },
      { "overflow", test_overflow }, { "later", test_later }, { "forget", test_forget })
