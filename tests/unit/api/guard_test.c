/* SPDX-License-Identifier: Apache-2.0 */
/* The byte rules at the door: what evhttp takes by itself and a proxy may read differently. */
#include "api/guard.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

static const struct guard_limits limits = { .line_bytes = 1000, .header_bytes = 500, .body_bytes = 100 };

#define GET "GET /?a=1 HTTP/1.1\r\nHost: h\r\n"
#define POST "POST / HTTP/1.1\r\nHost: h\r\n"

struct guard_case {
	const char *name, *head;
	enum err want;
};
static const struct guard_case cases[] = {
	{ "plain", GET "\r\n", OK },
	{ "length", POST "Content-Length: 4\r\n\r\nabcd", OK },
	{ "blanks around the value", POST "Content-Length:\t 4 \r\n\r\n", OK },
	{ "chunked", POST "Transfer-Encoding: chunked\r\n\r\n", OK },
	{ "Chunked", POST "transfer-encoding: ChunkEd\r\n\r\n", OK },
	{ "HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", OK },
	{ "not whole", POST "Content-Length: 4\r\n", OK },
	{ "two lengths", POST "Content-Length: 4\r\nContent-Length: 4\r\n\r\n", ERR_BAD_REQUEST },
	{ "two different lengths", POST "Content-Length: 4\r\nContent-Length: 30\r\n\r\n", ERR_BAD_REQUEST },
	{ "length with plus", POST "Content-Length: +4\r\n\r\n", ERR_BAD_REQUEST },
	{ "length with minus", POST "Content-Length: -1\r\n\r\n", ERR_BAD_REQUEST },
	{ "length in hex", POST "Content-Length: 0x4\r\n\r\n", ERR_BAD_REQUEST },
	{ "list of lengths", POST "Content-Length: 4, 4\r\n\r\n", ERR_BAD_REQUEST },
	{ "length with a blank inside", POST "Content-Length: 4 4\r\n\r\n", ERR_BAD_REQUEST },
	{ "empty length", POST "Content-Length:\r\n\r\n", ERR_BAD_REQUEST },
	{ "length and chunked", POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_BAD_REQUEST },
	{ "chunked and length", POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", ERR_BAD_REQUEST },
	{ "gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", ERR_BAD_REQUEST },
	{ "chunked, identity", POST "Transfer-Encoding: chunked, identity\r\n\r\n", ERR_BAD_REQUEST },
	{ "identity", POST "Transfer-Encoding: identity\r\n\r\n", ERR_BAD_REQUEST },
	{ "vertical tab before chunked", POST "Transfer-Encoding: \vchunked\r\n\r\n", ERR_BAD_REQUEST },
	{ "two encodings", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_BAD_REQUEST },
	{ "chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_BAD_REQUEST },
	{ "blank before the colon", POST "Content-Length : 4\r\n\r\n", ERR_BAD_REQUEST },
	{ "tab before the colon", POST "Content-Length\t: 4\r\n\r\n", ERR_BAD_REQUEST },
	{ "folded header", POST "X: a\r\n b\r\n\r\n", ERR_BAD_REQUEST },
	{ "folded by a tab", POST "X: a\r\n\tContent-Length: 4\r\n\r\n", ERR_BAD_REQUEST },
	{ "blank before a name", "POST / HTTP/1.1\r\n Host: h\r\n\r\n", ERR_BAD_REQUEST },
	{ "bare LF in headers", POST "X: a\nContent-Length: 4\r\n\r\n", ERR_BAD_REQUEST },
	{ "bare LF after the line", "GET / HTTP/1.1\nHost: h\r\n\r\n", ERR_BAD_REQUEST },
	{ "bare LF at the end", POST "\n", ERR_BAD_REQUEST },
	{ "bare CR", POST "X: a\rY: b\r\n\r\n", ERR_BAD_REQUEST },
	{ "no colon", POST "nonsense\r\n\r\n", ERR_BAD_REQUEST },
	{ "no name", POST ": 4\r\n\r\n", ERR_BAD_REQUEST },
	{ "two hosts", GET "Host: g\r\n\r\n", ERR_BAD_REQUEST },
	{ "no host", "GET / HTTP/1.1\r\n\r\n", ERR_BAD_REQUEST },
	{ "control character", POST "X: a\x01\r\n\r\n", ERR_BAD_REQUEST },
	{ "HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", ERR_BAD_REQUEST },
	{ "HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", ERR_BAD_REQUEST },
	{ "HTTP/1.10", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", ERR_BAD_REQUEST },
	{ "HTTP/0.9", "GET /\r\n\r\n", ERR_BAD_REQUEST },
	{ "two blanks", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", ERR_BAD_REQUEST },
	{ "blank in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", ERR_BAD_REQUEST },
	{ "high byte in the target", "GET /\xe4 HTTP/1.1\r\nHost: h\r\n\r\n", ERR_BAD_REQUEST },
	{ "absolute target", "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", ERR_BAD_REQUEST },
	{ "authority-like target", "GET //h HTTP/1.1\r\nHost: h\r\n\r\n", ERR_BAD_REQUEST },
	{ "PUT", "PUT / HTTP/1.1\r\nHost: h\r\n\r\n", ERR_METHOD },
	{ "small letters", "get / HTTP/1.1\r\nHost: h\r\n\r\n", ERR_METHOD },
	{ "a bad length is worse than the method", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n",
	  ERR_BAD_REQUEST },
	{ "body too large", POST "Content-Length: 101\r\n\r\n", ERR_BODY_TOO_LARGE },
	{ "body far too large", POST "Content-Length: 99999999999999999999999999\r\n\r\n", ERR_BODY_TOO_LARGE },
	{ "other expectation", POST "Expect: 200-ok\r\n\r\n", ERR_BAD_REQUEST },
};

/* A copy without a byte to spare, so that a look beyond it is found. */
static enum err vet(const char *head, size_t len, struct guard_head *ret)
{
	char *exact = malloc(len ? len : 1);
	enum err e;

	memcpy(exact, head, len);
	e = guard_head(exact, len, &limits, ret);
	free(exact);
	return e;
}

static void test_heads(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct guard_head h;
		enum err got = vet(cases[i].head, strlen(cases[i].head), &h);

		if (got != cases[i].want)
			test_fail(__FILE__, __LINE__, "%s: %s", cases[i].name, err_info(got)->name);
	}
}

/* However a head is cut into pieces, a prefix is never taken for a whole one, and never refused if the whole is
 * good. */
static void test_prefixes(void)
{
	static const char head[] = POST "Content-Length: 4\r\nExpect: 100-continue\r\nX: y\r\n\r\nbody";
	size_t len = sizeof head - 1 - 4;
	struct guard_head h;

	for (size_t n = 0; n < len; n++) {
		CHECK_INT(vet(head, n, &h), OK);
		CHECK_INT(h.len, 0);
	}
	CHECK_INT(vet(head, len + 4, &h), OK);
	CHECK_INT(h.len, len);
	CHECK_INT(h.content_length, 4);
	CHECK(h.expect_continue && !h.chunked);
}

static void test_nul(void)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: h\0\r\n\r\n";
	struct guard_head h;

	CHECK_INT(vet(head, sizeof head - 1, &h), ERR_BAD_REQUEST);
}

static void test_limits(void)
{
	static char head[4000];
	struct guard_head h;

	memset(head, 'a', sizeof head);
	CHECK_INT(vet(head, 1000, &h), OK);
	CHECK_INT(vet(head, 1002, &h), ERR_BAD_REQUEST);
	memcpy(head, "GET /", 5);
	memcpy(head + 1000 - 9, " HTTP/1.1\r\nHost: ", 17);
	CHECK_INT(vet(head, 1008 + 400, &h), OK);
	CHECK_INT(vet(head, 1008 + 500, &h), ERR_BAD_REQUEST);
	memcpy(head + 1000 + 400, "\r\n\r\n", 4);
	CHECK_INT(vet(head, 1404, &h), OK);
	CHECK_INT(h.len, 1404);
}

static void test_chunks(void)
{
	static const struct {
		const char *text;
		enum err want;
		size_t line;
		int64_t size;
	} chunks[] = {
		{ "5\r\nhello", OK, 3, 5 },       { "0\r\n\r\n", OK, 3, 0 },     { "fF\r\n", OK, 4, 255 },
		{ "0000000a\r\n", OK, 10, 10 },   { "5", OK, 0, 0 },             { "5\r", OK, 0, 0 },
		{ "", OK, 0, 0 },                 { "5;a=b\r\n", ERR_BAD_REQUEST, 0, 0 },
		{ "5\n", ERR_BAD_REQUEST, 0, 0 }, { "\r\n", ERR_BAD_REQUEST, 0, 0 },
		{ "+5\r\n", ERR_BAD_REQUEST, 0, 0 }, { "-1\r\n", ERR_BAD_REQUEST, 0, 0 },
		{ "0x5\r\n", ERR_BAD_REQUEST, 0, 0 }, { " 5\r\n", ERR_BAD_REQUEST, 0, 0 },
		{ "5 \r\n", ERR_BAD_REQUEST, 0, 0 }, { "123456789\r\n", ERR_BAD_REQUEST, 0, 0 },
		{ "5\rx", ERR_BAD_REQUEST, 0, 0 },
	};

	for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
		size_t line = 99;
		int64_t size = 0;

		CHECK_INT(guard_chunk(chunks[i].text, strlen(chunks[i].text), &line, &size), chunks[i].want);
		CHECK_INT(line, chunks[i].line);
		CHECK_INT(size, chunks[i].size);
	}
}

static void test_format_of_refusals(void)
{
	CHECK(guard_wants_xml("GET /?Action=X&Format=XML", 25));
	CHECK(guard_wants_xml("GET /?Action=X ", 15));
	CHECK(!guard_wants_xml("GET /?Action=X&Format=json", 26));
	CHECK(!guard_wants_xml("GET / HTTP/1.1\r\nAuthorization: ACS3-HMAC", 40));
	CHECK(!guard_wants_xml("nonsense", 8));
}

TESTS("api/guard", { "heads", test_heads }, { "prefixes", test_prefixes }, { "NUL", test_nul },
      { "limits", test_limits }, { "chunks", test_chunks }, { "format of refusals", test_format_of_refusals })
