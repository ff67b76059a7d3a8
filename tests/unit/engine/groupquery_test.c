/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions of dynamic groups: what is understood, and what is refused with which code. */
#include "engine/groupquery.h"

#include "engine/base/buf.h"
#include "harness.h"

#include <string.h>

static struct arena arena;

static void add_list(struct buf *b, const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(b, "%s%s~%s", b->len ? " " : "", name, list[i]);
}

/* The terms by field ("name~meter% tag~site~p%"), or the error's name. */
static const char *parsed(const char *text)
{
	struct buf *b = buf_owned(&arena, 4096);
	struct group_query q;
	struct error e;
	enum err err;

	error_init(&e, &arena);
	err = group_query_parse(text, &q, &e);
	if (err != OK) {
		CHECK_INT(e.err, err);
		CHECK(error_text(&e)[0] != '\0');
		return err_info(err)->name;
	}
	CHECK_INT(e.err, OK);
	add_list(b, "pk", q.product_keys, q.n_product_keys);
	add_list(b, "name", q.names, q.n_names);
	add_list(b, "status", q.statuses, q.n_statuses);
	for (size_t i = 0; i < q.n_tags; i++)
		buf_addf(b, "%stag~%s~%s", b->len ? " " : "", q.tag_keys[i], q.tag_values[i]);
	return buf_str(b);
}

static const char *repeat(const char *term, int n)
{
	struct buf *b = buf_owned(&arena, 65536);

	for (int i = 0; i < n; i++)
		buf_addf(b, "%s%s", i ? " and " : "", term);
	return buf_str(b);
}

static void good(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "product_key = \"a1Xk3Pq7RtZ\" and name LIKE \"meter%\"", "pk~a1Xk3Pq7RtZ name~meter%" },
		{ "name='x'", "name~x" },
		{ "  name\t=\n\"x\"  ", "name~x" },
		{ "name like \"x%\" AND name Like 'xy%'", "name~x% name~xy%" },
		{ "name LIKE \"whole\"", "name~whole" },
		{ "name LIKE \"%\"", "name~%" },
		{ "name = \"\"", "name~" },
		/* what SQL would take for a wildcard means itself */
		{ "name = \"a_b%c\\\"", "name~a\\_b\\%c\\\\" },
		{ "name LIKE \"a_b%\"", "name~a\\_b%" },
		{ "name = \"it's\"", "name~it's" },
		{ "status = \"ONLINE\"", "status~ONLINE" },
		{ "status = \"DISABLE\" and status = 'UNACTIVE' and status = 'OFFLINE'",
		  "status~DISABLE status~UNACTIVE status~OFFLINE" },
		{ "tag.tag_name = \"site\" and tag.tag_value = \"p 7\"", "tag~site~p 7" },
		{ "tag.tag_name = \"site\"", "tag~site~%" },
		{ "tag.tag_name = 'a' and tag.tag_name = 'b' and tag.tag_value LIKE 'x%'",
		  "tag~a~% tag~b~x%" },
		{ "tag.tag_name = 'a' and name = 'n' and tag.tag_value = 'x'", "name~n tag~a~x" },
		{ "tags.site = \"p7\" and tags.a.b-c LIKE \"x%\"", "tag~site~p7 tag~a.b-c~x%" },
		{ "name = \"and\" and name = \"水表\"", "name~and name~水表" },
	};

	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_STR(parsed(rows[i].text), rows[i].want);
	arena_free(&arena);
}

static void bad(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "ERR_QUERY" },
		{ "   ", "ERR_QUERY" },
		{ "name", "ERR_QUERY" },
		{ "name =", "ERR_QUERY" },
		{ "name \"x\"", "ERR_QUERY" },
		{ "name = x", "ERR_QUERY" },
		{ "name = = \"x\"", "ERR_QUERY" },
		{ "name = \"x", "ERR_QUERY" },
		{ "name = \"x' and name = 'y'", "ERR_QUERY" },
		{ "\"name\" = \"x\"", "ERR_QUERY" },
		{ "name = \"x\" and", "ERR_QUERY" },
		{ "name = \"x\" \"y\"", "ERR_QUERY" },
		{ "status = \"online\"", "ERR_QUERY" },
		{ "tag.tag_value = \"x\"", "ERR_QUERY" },
		{ "tags.a = 'x' and tag.tag_value = 'y'", "ERR_QUERY" },
		{ "tag.tag_name = 'a' and tag.tag_value = 'y' and tag.tag_value = 'z'", "ERR_QUERY" },
		{ "Name = \"x\"", "ERR_QUERY_FIELD" },
		{ "nickname = \"x\"", "ERR_QUERY_FIELD" },
		{ "tags. = \"x\"", "ERR_QUERY_FIELD" },
		{ "and = \"x\"", "ERR_QUERY_FIELD" },
		{ "status LIKE \"ON%\"", "ERR_QUERY_OPERATOR" },
		{ "tag.tag_name LIKE \"a%\"", "ERR_QUERY_OPERATOR" },
		{ "name != \"x\"", "ERR_QUERY_SYNTAX" },
		{ "name < \"x\"", "ERR_QUERY_SYNTAX" },
		{ "name in (\"x\")", "ERR_QUERY_SYNTAX" },
		{ "(name = \"x\")", "ERR_QUERY_SYNTAX" },
		{ "name = \"x\" or name = \"y\"", "ERR_QUERY_SYNTAX" },
		{ "name = \"x\" order by name", "ERR_QUERY_SYNTAX" },
		{ "name = \"x\";", "ERR_QUERY_SYNTAX" },
		{ "name LIKE \"%x\"", "ERR_QUERY_SYNTAX" },
		{ "name LIKE \"x%%\"", "ERR_QUERY_SYNTAX" },
	};

	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_STR(parsed(rows[i].text), rows[i].want);
	arena_free(&arena);
}

static void limits(void)
{
	arena_init(&arena);
	CHECK(strstr(parsed(repeat("name = 'x'", 10)), "ERR") == NULL);
	CHECK_STR(parsed(repeat("name = 'x'", 11)), "ERR_QUERY_TERMS");
	CHECK(strstr(parsed(repeat("tags.a = 'x'", 10)), "ERR") == NULL);
	CHECK_STR(parsed(arena_printf(&arena, "name = \"%0*d\"", 400 - 9, 1)),
		  arena_printf(&arena, "name~%0*d", 391, 1));
	CHECK_STR(parsed(arena_printf(&arena, "name = \"%0*d\"", 401 - 9, 1)), "ERR_QUERY");
	arena_free(&arena);
}

TESTS("engine/groupquery", { "good", good }, { "bad", bad }, { "limits", limits })
