/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests: a file ends with TESTS("engine/ids", { "name", fn }, ...); every test runs in a process of its
 * own, output is TAP. `unit_engine [filter]` runs the tests whose "suite.name" contains the filter. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_case {
	const char *name;
	void (*fn)(void);
};
struct test_suite {
	const char *name;
	const struct test_case *cases;
	size_t n;
	struct test_suite *next;
};
void test_register(struct test_suite *s);
/* Says what was wrong and ends the test as failed. */
__attribute__((noreturn, format(printf, 3, 4))) void test_fail(const char *file, int line, const char *fmt, ...);

#define CHECK(cond) ((cond) ? (void)0 : test_fail(__FILE__, __LINE__, "%s", #cond))
void check_int(const char *file, int line, const char *what, int64_t got, int64_t want);
void check_str(const char *file, int line, const char *what, const char *got, const char *want);
#define CHECK_INT(got, want) check_int(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))
#define CHECK_STR(got, want) check_str(__FILE__, __LINE__, #got, (got), (want))

#define TESTS(suite, ...) \
	static const struct test_case cases_[] = { __VA_ARGS__ }; \
	static struct test_suite suite_ = { (suite), cases_, sizeof cases_ / sizeof cases_[0], NULL }; \
	__attribute__((constructor)) static void register_(void) \
	{ \
		test_register(&suite_); \
	}

#endif
