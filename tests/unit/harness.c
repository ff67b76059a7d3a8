/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct test_suite *suites;

void test_register(struct test_suite *s)
{
	s->next = suites;
	suites = s;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	(void)fflush(stdout);
	_exit(1);
}

void check_int(const char *file, int line, const char *what, int64_t got, int64_t want)
{
	if (got != want)
		test_fail(file, line, "%s is %lld, wanted %lld", what, (long long)got, (long long)want);
}

void check_str(const char *file, int line, const char *what, const char *got, const char *want)
{
	if (!got || !want ? got != want : strcmp(got, want) != 0)
		test_fail(file, line, "%s is \"%s\", wanted \"%s\"", what, got ? got : "(null)", want ? want : "(null)");
}

/* In a child, so that one crash fails one test; exit() there lets LeakSanitizer look. */
static bool run(const struct test_case *t)
{
	int status = 0;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		t->fn();
		exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int main(int argc, char **argv)
{
	int passed = 0, failed = 0;

	for (const struct test_suite *s = suites; s; s = s->next)
		for (size_t i = 0; i < s->n; i++) {
			char name[256];
			bool good;

			(void)snprintf(name, sizeof name, "%s.%s", s->name, s->cases[i].name);
			if (argc > 1 && !strstr(name, argv[1]))
				continue;
			good = run(&s->cases[i]);
			passed += good;
			failed += !good;
			printf("%s %d - %s\n", good ? "ok" : "not ok", passed + failed, name);
		}
	printf("1..%d\n%d passed, %d failed\n", passed + failed, passed, failed);
	return failed != 0 || passed == 0;
}
