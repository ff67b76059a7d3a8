/* SPDX-License-Identifier: Apache-2.0 */
/* Text to values, every call with a range; replaces strtol and friends. Nothing here allocates. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include "engine/base/base.h"

/* Decimal digits with an optional leading minus, nothing else around; false (and *ret untouched) when
 * malformed or outside min..max. */
bool parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
bool parse_i64n(const char *s, size_t len, int64_t min, int64_t max, int64_t *ret);
/* true, false, in any case (api.md §2.2: the Python SDK sends True). */
bool parse_bool(const char *s, bool *ret);
/* YYYY-MM-DDThh:mm:ssZ, a real date, UTC. */
bool parse_utc_seconds(const char *s, utc_ms *ret);
/* A percentage as text, "33.33": at most 3 decimals, no sign, no exponent. *ret_milli is percent * 1000. */
bool parse_percent(const char *s, int64_t *ret_milli);

#define UTC_TEXT_LEN 25
/* 2019-11-04T06:22:19.566Z (api.md §2.5). */
void format_utc_ms(utc_ms t, char out[UTC_TEXT_LEN]);
/* 2020-10-13T09:46Z, as the times of modules have it (api.md §2.5). */
void format_utc_minute(utc_ms t, char out[UTC_TEXT_LEN]);
#define LOCAL_TEXT_LEN 20
/* 2018-08-06 10:47:50, China local time, as the Gmt fields have it (api.md §2.5). */
void format_gmt_local(utc_ms t, char out[LOCAL_TEXT_LEN]);
#define GMT_TEXT_LEN 30
/* Wed, 20-Feb-2019 02:16:09 GMT, as QueryDevice has it (api.md §2.5). */
void format_gmt_dashed(utc_ms t, char out[GMT_TEXT_LEN]);

/* Valid UTF-8 (no surrogates, no overlong forms)? */
bool utf8_valid(const char *s, size_t len);
/* Makes it valid: what belongs to no character becomes a question mark. For texts that a length has cut. */
void utf8_mend(char *s);
/* Code points of a valid UTF-8 string. */
size_t utf8_count(const char *s);
/* Next code point of a valid UTF-8 string, advancing *s; 0 at the end. */
uint32_t utf8_next(const char **s);
/* Every character one of a-z A-Z 0-9 or of `more`; false for the empty string. */
bool text_of(const char *s, const char *more);

#endif
