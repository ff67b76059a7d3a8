/* SPDX-License-Identifier: Apache-2.0 */
#include "api/multipart.h"

#include "engine/base/buf.h"
#include "harness.h"

#include <string.h>

static struct arena arena;
static struct buf got; /* name=content| per part */
static int stop_at;    /* events until a handler says stop; 0: never */

static bool go_on(void)
{
	return stop_at == 0 || --stop_at > 0;
}

static bool on_part(void *ctx, const char *name)
{
	(void)ctx;
	buf_adds(&got, name);
	buf_addc(&got, '=');
	return go_on();
}

static bool on_data(void *ctx, const char *data, size_t len)
{
	(void)ctx;
	CHECK(len > 0);
	buf_add(&got, data, len);
	return go_on();
}

static bool on_end(void *ctx)
{
	(void)ctx;
	buf_addc(&got, '|');
	return go_on();
}

static const struct multipart_handler handler = { on_part, on_data, on_end };

static struct multipart *begin(const char *boundary)
{
	arena_free(&arena);
	buf_free(&got);
	buf_init(&got, 100000);
	return multipart_new(&arena, boundary, &handler, NULL);
}

static enum multipart_state feed_all(const char *text)
{
	return multipart_feed(begin("B"), text, strlen(text));
}

#define PART(name, content) "--B\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" content "\r\n"

/* The vendor's Java sample, with content that looks like boundaries. */
static const char sample[] = "--B\r\nContent-Disposition: form-data; name=\"key\"\r\nContent-Type: "
			     "text/plain; charset=ISO-8859-1\r\n"
			     "Content-Transfer-Encoding: 8bit\r\n\r\nota/1.bin\r\n"
			     "--B\r\ncontent-disposition:form-data;name=policy\r\n\r\n\r\n"
			     "--B \t\r\nContent-Disposition: form-data; name=\"file\"\r\nContent-Type: "
			     "application/octet-stream\r\n"
			     "Content-Transfer-Encoding: binary\r\n\r\n"
			     "\r\r\n\r\n-\r\n--\r\n--A\r\r\n--b\n--B\r\n--\r\n"
			     "--B--\r\nepilogue --B\r\n";
static const char wanted[] = "key=ota/1.bin|policy=|file=\r\r\n\r\n-\r\n--\r\n--A\r\r\n--b\n--B\r\n--|";

static void every_split(void)
{
	size_t len = sizeof sample - 1;

	for (size_t i = 0; i <= len; i++)
		for (size_t j = i; j <= len; j++) {
			struct multipart *m = begin("B");

			(void)multipart_feed(m, sample, i);
			(void)multipart_feed(m, sample + i, j - i);
			CHECK_INT(multipart_feed(m, sample + j, len - j), MULTIPART_DONE);
			CHECK_STR(buf_str(&got), wanted);
		}
}

static void byte_by_byte(void)
{
	struct multipart *m = begin("B");
	enum multipart_state s = MULTIPART_MORE;

	for (size_t i = 0; i < sizeof sample - 1; i++)
		s = multipart_feed(m, sample + i, 1);
	CHECK_INT(s, MULTIPART_DONE);
	CHECK_STR(buf_str(&got), wanted);
}

/* Cut anywhere before the closing boundary: never done. */
static void truncated(void)
{
	size_t done = strlen(sample) - strlen("\r\nepilogue --B\r\n");

	for (size_t i = 0; i < done; i++)
		CHECK_INT(multipart_feed(begin("B"), sample, i), MULTIPART_MORE);
	CHECK_INT(multipart_feed(begin("B"), sample, done), MULTIPART_DONE);
}

static void binary_content(void)
{
	char body[1024] = PART("a", "1") "--B\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
	size_t head = strlen(body), prefix = strlen("a=1|file=");
	struct multipart *m = begin("B");

	for (size_t i = 0; i < 256; i++)
		body[head + i] = (char)i;
	memcpy(body + head + 256, "\r\n--B--", 7);
	CHECK_INT(multipart_feed(m, body, head + 263), MULTIPART_DONE);
	CHECK_INT(got.len, prefix + 256 + 1);
	CHECK(memcmp(got.data + prefix, body + head, 256) == 0);
}

static void preamble_is_skipped(void)
{
	CHECK_INT(feed_all("hello\r\nx--B\r\n" PART("a", "1") "--B--"), MULTIPART_DONE);
	CHECK_STR(buf_str(&got), "a=1|");
	CHECK_INT(feed_all("\r\n" PART("a", "1") "--B--"), MULTIPART_DONE);
	CHECK_STR(buf_str(&got), "a=1|");
}

static void names(void)
{
	CHECK_INT(feed_all("--B\r\nX-Other: 1\r\nContent-Disposition: form-data; filename=\"name=x; y\"; "
			   "name=\"a\\\"b\"\r\n\r\n1\r\n--B--"),
		  MULTIPART_DONE);
	CHECK_STR(buf_str(&got), "a\"b=1|");
	CHECK_INT(feed_all("--B\r\nCONTENT-DISPOSITION: FORM-DATA; NAME=a\r\n\r\n1\r\n--B--"),
		  MULTIPART_DONE);
	CHECK_STR(buf_str(&got), "a=1|");
}

static void malformed(void)
{
	static const char *const bad[] = {
		"--B\r\n\r\n1\r\n--B--",						/* no disposition */
		"--B\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n1\r\n--B--", /* not a form */
		"--B\r\nContent-Disposition: form-data; filename=\"a\"\r\n\r\n1\r\n--B--", /* no name */
		"--B\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: "
		"base64\r\n\r\n1\r\n--B--",
		"--Bx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--",
		"--B-x",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(feed_all(bad[i]), MULTIPART_BAD);
}

static void limits(void)
{
	struct multipart *m = begin("B");
	enum multipart_state s = MULTIPART_MORE;

	s = multipart_feed(m, "--B\r\nX: ", 8);
	for (int i = 0; i < MULTIPART_HEAD_MAX && s == MULTIPART_MORE; i++)
		s = multipart_feed(m, "y", 1);
	CHECK_INT(s, MULTIPART_BAD);
	m = begin("B");
	for (int i = 0; i < MULTIPART_PARTS_MAX; i++)
		CHECK_INT(multipart_feed(m, PART("a", "1"), strlen(PART("a", "1"))), MULTIPART_MORE);
	CHECK_INT(multipart_feed(m, PART("a", "1"), strlen(PART("a", "1"))), MULTIPART_BAD);
}

static void handlers_stop(void)
{
	for (int at = 1; at <= 3; at++) {
		stop_at = at;
		CHECK_INT(feed_all(PART("a", "1") PART("b", "2") "--B--"), MULTIPART_STOPPED);
		CHECK_STR(buf_str(&got), at == 1 ? "a=" : at == 2 ? "a=1" : "a=1|");
		stop_at = 0;
	}
}

static void boundaries(void)
{
	char text[200] = "multipart/form-data; boundary=";
	size_t len = strlen(text);

	CHECK_STR(multipart_boundary(&arena, "multipart/form-data; boundary=----acc12"), "----acc12");
	CHECK_STR(multipart_boundary(&arena, "Multipart/Form-Data ; charset=utf-8; Boundary=\"a b;c\""),
		  "a b;c");
	CHECK(multipart_boundary(&arena, NULL) == NULL);
	CHECK(multipart_boundary(&arena, "multipart/form-data") == NULL);
	CHECK(multipart_boundary(&arena, "multipart/form-data; boundary=") == NULL);
	CHECK(multipart_boundary(&arena, "multipart/form-datax; boundary=a") == NULL);
	CHECK(multipart_boundary(&arena, "multipart/mixed; boundary=a") == NULL);
	CHECK(multipart_boundary(&arena, "application/x-www-form-urlencoded") == NULL);
	CHECK(multipart_boundary(&arena, "multipart/form-data; boundary=\"a \"") == NULL);
	memset(text + len, 'b', 70);
	CHECK(multipart_boundary(&arena, text) != NULL);
	text[len + 70] = 'b';
	CHECK(multipart_boundary(&arena, text) == NULL);
	arena_free(&arena);
}

/* The last test of a child leaves nothing behind for LeakSanitizer. */
static void done(void (*fn)(void))
{
	fn();
	arena_free(&arena);
	buf_free(&got);
}
#define CASE(fn)                    \
	static void fn##_case(void) \
	{                           \
		done(fn);           \
	}
CASE(every_split)
CASE(byte_by_byte)
CASE(truncated)
CASE(binary_content)
CASE(preamble_is_skipped)
CASE(names)
CASE(malformed)
CASE(limits)
CASE(handlers_stop)
CASE(boundaries)

TESTS("api/multipart", { "every_split", every_split_case }, { "byte_by_byte", byte_by_byte_case },
      { "truncated", truncated_case }, { "binary_content", binary_content_case },
      { "preamble_is_skipped", preamble_is_skipped_case }, { "names", names_case },
      { "malformed", malformed_case }, { "limits", limits_case }, { "handlers_stop", handlers_stop_case },
      { "boundaries", boundaries_case })
