/* SPDX-License-Identifier: Apache-2.0 */
#include "api/store_request.h"

#include "harness.h"

#include <stdlib.h>
#include <string.h>

static struct arena arena;

static void tear_down(void)
{
	arena_free(&arena);
}

static int parse(const char *text, struct store_request *rq)
{
	static bool once;

	if (!once)
		(void)atexit(tear_down);
	once = true;
	return store_request_parse(&arena, text, strlen(text), rq);
}

static void heads(void)
{
	struct store_request rq;

	CHECK_INT(parse("GET /fw.bin?auth_key=1-2-3 HTTP/1.1\r\nHost: 127.0.0.1:18080\r\nrange:  bytes=0- \r\n"
			"Content-Length: 0\r\n\r\n", &rq), 0);
	CHECK_INT(rq.method, METHOD_GET);
	CHECK_STR(rq.path, "/fw.bin");
	CHECK_STR(rq.query, "auth_key=1-2-3");
	CHECK_STR(rq.range, "bytes=0-");
	CHECK_INT(rq.content_length, 0);
	CHECK(rq.keep_alive && !rq.chunked && !rq.expect_continue && !rq.content_type);
	CHECK_INT(parse("POST http://a:1/x HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n"
			"Connection: x, Close\r\n\r\n", &rq), 0);
	CHECK_INT(rq.method, METHOD_POST);
	CHECK_STR(rq.path, "/x");
	CHECK_STR(rq.query, "");
	CHECK_INT(rq.content_length, -1);
	CHECK(!rq.keep_alive && rq.chunked && rq.expect_continue);
	CHECK_INT(parse("HEAD / HTTP/1.0\r\n\r\n", &rq), 0);
	CHECK(!rq.keep_alive);
	CHECK_INT(parse("HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &rq), 0);
	CHECK(rq.keep_alive);
	CHECK_INT(parse("PATCH / HTTP/1.1\r\n\r\n", &rq), 0);
	CHECK_INT(rq.method, METHOD_OTHER);
}

static void heads_refused(void)
{
	static const struct {
		const char *text;
		int status;
	} bad[] = {
		{ "\r\n", 400 },
		{ "GET /\r\n\r\n", 400 },
		{ "GET / HTTP/1.1", 400 },
		{ "GET / HTTP/1.1\n\n", 400 },
		{ "GET  / HTTP/1.1\r\n\r\n", 400 },
		{ "GET /a b HTTP/1.1\r\n\r\n", 400 },
		{ "GET a HTTP/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/2.0\r\n\r\n", 505 },
		{ "GET / HTTP/1.1\r\nA\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA : 1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA: 1\r\n b\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA: \x01\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
		{ "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nExpect: cake\r\n\r\n", 417 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400 },
	};
	struct store_request rq;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(parse(bad[i].text, &rq), bad[i].status);
	CHECK_INT(store_request_parse(&arena, "GET /\0 HTTP/1.1\r\n\r\n", 19, &rq), 400);
}

static void ranges(void)
{
	static const struct {
		const char *text;
		enum store_range kind;
		int64_t first, len;
	} cases[] = {
		{ "bytes=0-", RANGE_PART, 0, 100 },   { "bytes=99-", RANGE_PART, 99, 1 },
		{ "bytes=5-9", RANGE_PART, 5, 5 },    { "bytes=5-1000", RANGE_PART, 5, 95 },
		{ "bytes=-1", RANGE_PART, 99, 1 },    { "bytes=-1000", RANGE_PART, 0, 100 },
		{ "bytes=100-", RANGE_OUTSIDE, 0, 0 }, { "bytes=-0", RANGE_OUTSIDE, 0, 0 },
		{ "bytes=9-5", RANGE_WHOLE, 0, 0 },   { "bytes=a-", RANGE_WHOLE, 0, 0 },
		{ "bytes=--5", RANGE_WHOLE, 0, 0 },   { "bytes=", RANGE_WHOLE, 0, 0 },
		{ "bytes=1-2,3-4", RANGE_WHOLE, 0, 0 }, { "rows=1-2", RANGE_WHOLE, 0, 0 },
		{ NULL, RANGE_WHOLE, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t first = 0, len = 0;

		CHECK_INT(store_range_parse(cases[i].text, 100, &first, &len), cases[i].kind);
		if (cases[i].kind == RANGE_PART) {
			CHECK_INT(first, cases[i].first);
			CHECK_INT(len, cases[i].len);
		}
	}
}

/* Feeds text in pieces of `step`; the content goes to out. Returns where the body stands. */
static enum body_place body_feed(const char *text, size_t step, bool chunked, char *out, size_t *ret_used)
{
	struct store_request rq = { .chunked = chunked, .content_length = chunked ? -1 : 5 };
	struct store_body b;
	size_t used = 0, n = 0, len = strlen(text);

	store_body_init(&b, &rq);
	while (used < len && b.place != BODY_END && b.place != BODY_BAD) {
		const char *data;
		size_t got, now = len - used < step ? len - used : step;

		used += store_body_take(&b, text + used, now, &data, &got);
		memcpy(out + n, data, got);
		n += got;
	}
	out[n] = '\0';
	*ret_used = used;
	return b.place;
}

static void bodies(void)
{
	static const char chunks[] = "5;a=b\r\nhello\r\n00B \r\n, wonderful\r\n3\r\nyou\r\n0\r\nT: 1\r\n\r\n";
	char out[100], text[200] = "";
	size_t used;

	strncat(text, chunks, sizeof text - 1);
	strncat(text, "GET", 4);
	for (size_t step = 1; step < sizeof chunks + 4; step++) {
		CHECK_INT(body_feed(text, step, true, out, &used), BODY_END);
		CHECK_STR(out, "hello, wonderfulyou");
		CHECK_INT(used, sizeof chunks - 1);
		CHECK_INT(body_feed("helloGET", step, false, out, &used), BODY_END);
		CHECK_STR(out, "hello");
		CHECK_INT(used, 5);
	}
}

static void bodies_refused(void)
{
	static const char *const bad[] = { "\r\n", "x\r\n", ";\r\n", "1\n", "1\r\nab\r\n", "1\r\na\n", "1\rx",
					   "1234567890abcdef\r\n", "-1\r\n", "1;\n" };
	char out[100];
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(body_feed(bad[i], 100, true, out, &used), BODY_BAD);
}

TESTS("api/store_request", { "heads", heads }, { "heads_refused", heads_refused }, { "ranges", ranges },
      { "bodies", bodies }, { "bodies_refused", bodies_refused })
