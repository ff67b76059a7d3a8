/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/json.h"
#include "harness.h"

#include <string.h>

static struct arena arena;

static const struct json *parse(const char *text, bool lenient)
{
	return json_parse(&arena, text, strlen(text), lenient);
}

static void writes_compact_in_order(void)
{
	struct json_out *j;
	struct buf b;

	arena_init(&arena);
	buf_init(&b, 1000);
	j = json_new(&arena, &b);
	json_object(j);
	json_put_string(j, "z", "a\"\\\n\x01\xe4\xb8\xad/");
	json_put_int(j, "a", INT64_MIN);
	json_put_bool(j, "t", true);
	json_key(j, "list");
	json_array(j);
	json_string(j, "");
	json_int(j, 0);
	json_bool(j, false);
	json_object(j);
	json_object_end(j);
	json_array_end(j);
	json_object_end(j);
	CHECK_STR(buf_str(&b),
		  "{\"z\":\"a\\\"\\\\\\n\\u0001\xe4\xb8\xad/\",\"a\":-9223372036854775808,\"t\":true,"
		  "\"list\":[\"\",0,false,{}]}");
	arena_free(&arena);
	buf_free(&b);
}

static void reads_paths(void)
{
	const struct json *v;
	int64_t n = 0;

	arena_init(&arena);
	v = parse(" {\"id\":\"1\",\"params\":{\"step\":\"50\",\"list\":[1,\"b\",true,null]}} ", false);
	CHECK(json_is_object(v));
	CHECK_STR(json_text(json_get(v, "id")), "1");
	CHECK(json_int_lenient(json_get(json_get(v, "params"), "step"), &n) && n == 50);
	CHECK(json_get(json_get(v, "nothing"), "step") == NULL);
	CHECK(json_text(NULL) == NULL && !json_is_object(NULL) && json_length(NULL) == 0 &&
	      !json_int_lenient(NULL, &n));
	v = json_get(json_get(v, "params"), "list");
	CHECK_INT(json_length(v), 4);
	CHECK_STR(json_scalar(&arena, json_at(v, 0)), "1");
	CHECK_STR(json_scalar(&arena, json_at(v, 1)), "b");
	CHECK_STR(json_scalar(&arena, json_at(v, 2)), "true");
	CHECK(json_scalar(&arena, json_at(v, 3)) == NULL);
	CHECK(json_at(v, 4) == NULL);
	CHECK(json_get(v, "step") == NULL);
	arena_free(&arena);
}

static void lenient_skips_commas_before_brackets(void)
{
	static const struct {
		const char *text;
		bool strict, lenient;
	} rows[] = {
		{ "{\"a\":1}", true, true },
		{ "{\"a\":1,}", false, true },
		{ "{\"a\":1 , \r\n\t}", false, true },
		{ "[1,2,]", false, true },
		{ "{\"params\":{\"step\":\"1\",\"desc\":\"x\",},}", false, true },
		{ "{\"a\":\",}\"}", true, true },
		{ "{\"a\":\"\\\",}\"}", true, true },
		{ "{\"a\":\"\\\\\",}", false, true },
		{ "[,]", false, true },
		{ "[1,,]", false, false },
		{ "[1,,2]", false, false },
		{ "{\"a\":1", false, false },
		{ "{\"a\":1,", false, false },
		{ "{\"a\" 1}", false, false },
		{ "{a:1}", false, false },
		{ "{}{}", false, false },
		{ "{\"a\":\"\\", false, false },
		{ "", false, false },
		{ "   ", false, false },
		{ "]", false, false },
		{ "{\"a\":\"\xff\"}", false, false },
	};

	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if ((parse(rows[i].text, false) != NULL) != rows[i].strict)
			test_fail(__FILE__, __LINE__, "strict: %s", rows[i].text);
		if ((parse(rows[i].text, true) != NULL) != rows[i].lenient)
			test_fail(__FILE__, __LINE__, "lenient: %s", rows[i].text);
	}
	CHECK_STR(json_text(json_get(parse("{\"a\":\"x,}\",}", true), "a")), "x,}");
	CHECK(json_parse(&arena, "1\0002", 3, true) == NULL);
	CHECK(json_parse(&arena, "[1]\0\0", 5, true) != NULL); /* sent with its terminator */
	CHECK(json_parse(&arena, "[1]\0", 4, false) == NULL);
	CHECK(json_parse(&arena, "\xEF\xBB\xBF[1]", 6, true) != NULL);
	CHECK(json_parse(&arena, "\0\0", 2, true) == NULL);
	CHECK(json_parse(&arena, "[1]garbage", 3, true) != NULL); /* only len bytes are read */
	arena_free(&arena);
}

static void depth_is_limited(void)
{
	char text[200];

	arena_init(&arena);
	for (int depth = 1; depth <= 60; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		CHECK_INT(json_parse(&arena, text, (size_t)depth * 2, true) != NULL, depth <= 32);
	}
	arena_free(&arena);
}

/* A NUL would cut a text short behind everybody's back, so a text that has one is no text of ours. */
static void nul_in_a_string_is_refused(void)
{
	static const struct {
		const char *text, *a; /* NULL: refused */
	} rows[] = {
		{ "{\"a\":\"1.0\\u0000x\"}", NULL },
		{ "{\"a\":\"\\u0000\"}", NULL },
		{ "{\"\\u0000a\":\"1\",\"a\":\"2\"}", NULL },
		{ "{\"a\":\"1\",\"b\":[{\"c\":\"\\u0000\"}]}", NULL },
		{ "{\"a\":\"\\\\\\u0000\"}", NULL },
		{ "{\"a\":\"\\\\u0000\"}", "\\u0000" },
		{ "{\"a\":\"u0000\\u0001\"}", "u0000\x01" },
		{ "{\"a\":\"\\u00000\"}", NULL },
	};

	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int lenient = 0; lenient < 2; lenient++) {
			const struct json *v = parse(rows[i].text, lenient);

			if (!rows[i].a)
				CHECK(v == NULL);
			else
				CHECK_STR(json_text(json_get(v, "a")), rows[i].a);
		}
	arena_free(&arena);
}

/* Steps come as "50", 50, " 50 ", 50.0; anything that is no number is none. */
static void integers_are_read_leniently(void)
{
	static const struct {
		const char *text;
		bool good;
		int64_t n;
	} rows[] = {
		{ "[50]", true, 50 },	   { "[\"50\"]", true, 50 },   { "[\" 50 \"]", true, 50 },
		{ "[50.0]", true, 50 },	   { "[\"50.7\"]", true, 50 }, { "[-1]", true, -1 },
		{ "[\"-1\"]", true, -1 },  { "[\"+1\"]", true, 1 },    { "[\"\"]", false, 0 },
		{ "[\" \"]", false, 0 },   { "[\"5 0\"]", false, 0 },  { "[\"50%\"]", false, 0 },
		{ "[\"50.\"]", false, 0 }, { "[\"50.x\"]", false, 0 }, { "[\"--5\"]", false, 0 },
		{ "[\"+-5\"]", false, 0 }, { "[1e2]", false, 0 },      { "[true]", false, 0 },
		{ "[null]", false, 0 },	   { "[[5]]", false, 0 },      { "[99999999999999999999]", false, 0 },
	};

	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t n = 0;
		bool good = json_int_lenient(json_at(parse(rows[i].text, false), 0), &n);

		if (good != rows[i].good || n != rows[i].n)
			test_fail(__FILE__, __LINE__, "%s: %d %lld", rows[i].text, good, (long long)n);
	}
	arena_free(&arena);
}

static void says_where_text_is_wrong(void)
{
	static const struct {
		const char *text;
		size_t line;
		const char *why; /* a part of it */
	} rows[] = {
		{ "{\"a\": 1}", 0, "" },
		{ "// said\n{\"a\": /* in \"between */ 1}\n", 0, "" },
		{ "{\n\t\"a\": 1,\n\t\"b\": tru\n}", 3, "invalid string in json text" },
		{ "{\n\t\"a\": 1\n\t\"b\": 2\n}", 3, "',' or '}'" },
		{ "{\"a\": 1,\n}\n", 2, "object key" },
		{ "{\"a\": 1\n\n", 3, "premature EOF" },
		{ "", 1, "premature EOF" },
		{ "{}\n{}", 2, "trailing garbage" },
	};

	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *why = "";
		size_t line = json_wrong_line(&arena, rows[i].text, strlen(rows[i].text), &why);

		if (line != rows[i].line || !strstr(why, rows[i].why))
			test_fail(__FILE__, __LINE__, "%s: line %zu: %s", rows[i].text, line, why);
		if (line == 0)
			CHECK(parse(rows[i].text, false) != NULL);
	}
	arena_free(&arena);
}

TESTS("base/json", { "writes_compact_in_order", writes_compact_in_order }, { "reads_paths", reads_paths },
      { "lenient_skips_commas_before_brackets", lenient_skips_commas_before_brackets },
      { "nul_in_a_string_is_refused", nul_in_a_string_is_refused },
      { "depth_is_limited", depth_is_limited }, { "says_where_text_is_wrong", says_where_text_is_wrong },
      { "integers_are_read_leniently", integers_are_read_leniently })
