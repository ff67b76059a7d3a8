/* SPDX-License-Identifier: Apache-2.0 */
/* Device list files as people and spreadsheets write them. */
#include "engine/base/buf.h"
#include "engine/devicelist.h"
#include "harness.h"

#include <string.h>

static struct arena arena;

/* The names joined by '|', or what was wrong. */
static const char *parsed_n(const char *text, size_t len, size_t max)
{
	const char *const *names = NULL;
	struct buf *b = buf_owned(&arena, 4096);
	size_t n = 0;

	switch (devicelist_parse(&arena, text, len, max, &names, &n)) {
	case DEVICELIST_MALFORMED:
		return "malformed";
	case DEVICELIST_TOO_MANY:
		return "too many";
	case DEVICELIST_OK:
		break;
	}
	for (size_t i = 0; i < n; i++)
		buf_addf(b, "%s%s", i ? "|" : "", names[i]);
	return buf_str(b);
}

static const char *parsed(const char *text)
{
	return parsed_n(text, strlen(text), 4);
}

static void separators(void)
{
	arena_init(&arena);
	CHECK_STR(parsed("a1\nb2\nc3\n"), "a1|b2|c3");
	CHECK_STR(parsed("a1\r\nb2\r\nc3"), "a1|b2|c3");
	CHECK_STR(parsed("a1,b2,c3"), "a1|b2|c3");
	CHECK_STR(parsed("a1, b2\n\tc3 ,\n\n,d4"), "a1|b2|c3|d4");
	CHECK_STR(parsed(""), "");
	CHECK_STR(parsed(" \n,\r\n"), "");
	arena_free(&arena);
}

static void header_and_mark(void)
{
	arena_init(&arena);
	CHECK_STR(parsed("\xef\xbb\xbf"
			 "a1\nb2"),
		  "a1|b2");
	CHECK_STR(parsed("DeviceName\na1"), "a1");
	CHECK_STR(parsed("\xef\xbb\xbf"
			 "DeviceName\r\na1\r\n"),
		  "a1");
	CHECK_STR(parsed("a1\nDeviceName"), "a1|DeviceName"); /* only a first line is a header */
	CHECK_STR(parsed("devicename\na1"), "devicename|a1");
	arena_free(&arena);
}

static void folding_and_limit(void)
{
	arena_init(&arena);
	CHECK_STR(parsed("a1\na1\nb2\na1"), "a1|b2");
	CHECK_STR(parsed("a1\nb2\nc3\nd4\na1\nb2"), "a1|b2|c3|d4"); /* repetitions do not count */
	CHECK_STR(parsed("a1\nb2\nc3\nd4\ne5"), "too many");
	CHECK_STR(parsed_n("a1\nA1", 5, 2), "a1|A1");
	arena_free(&arena);
}

static void malformed(void)
{
	arena_init(&arena);
	CHECK_STR(parsed_n("a1\0b2", 5, 4), "malformed");
	CHECK_STR(parsed("a1\n\xff\xfe"), "malformed");
	arena_free(&arena);
}

static void duplicates(void)
{
	const char *const twice[] = { "a", "b", "c", "b" }, *const once[] = { "a", "b", "c", "B" };

	arena_init(&arena);
	CHECK_STR(devicelist_duplicate(&arena, twice, 4), "b");
	CHECK(devicelist_duplicate(&arena, once, 4) == NULL);
	CHECK(devicelist_duplicate(&arena, once, 0) == NULL);
	arena_free(&arena);
}

TESTS("engine/devicelist", { "separators", separators }, { "header_and_mark", header_and_mark },
      { "folding_and_limit", folding_and_limit }, { "malformed", malformed }, { "duplicates", duplicates })
