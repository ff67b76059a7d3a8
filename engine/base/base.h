/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes, sizes and assertions that every file may use. */
#ifndef BASE_H
#define BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define UNUSED __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Milliseconds since 1970-01-01T00:00:00Z. All stored times are this. */
typedef int64_t utc_ms;

#define MS_PER_SECOND 1000LL
#define MS_PER_MINUTE 60000LL
#define MS_PER_HOUR 3600000LL
#define MS_PER_DAY 86400000LL

/* A bug is not an error: logs file, line and condition and aborts, in every build. */
#define ensure(cond) ((cond) ? (void)0 : ensure_failed(__FILE__, __LINE__, #cond))
NORETURN void ensure_failed(const char *file, int line, const char *what);

/* Evaluates to the larger or smaller of two int64_t. */
static inline int64_t i64_min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}
static inline int64_t i64_max(int64_t a, int64_t b)
{
	return a > b ? a : b;
}
/* A stored time that lies more than a minute ahead of now, which nobody is behind by, is of before the clock was set back:
 * long past. SQL has the same (migrations/0009_clock_set_back.sql). */
static inline utc_ms ms_past(utc_ms at, utc_ms now)
{
	return at > now + MS_PER_MINUTE ? 1 : at;
}

#endif
