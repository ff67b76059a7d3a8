/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/groupquery.h"

#include "engine/base/buf.h"
#include "engine/base/parse.h"

#include <string.h>
#include <strings.h>

#define SHORT_TAG "tags."

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_VALUE, TOKEN_EQUALS, TOKEN_OTHER };

struct token {
	enum token_kind kind;
	const char *at; /* without quotes */
	size_t len;
};

struct parser {
	const char *rest;
	struct token now;
	struct error *e;
	struct group_query *q;
	size_t terms;
	bool tag_open; /* the last tag has a name and waits for its value */
};

/* What one field takes. */
struct field_rule {
	const char *name;
	bool may_like;
	enum err (*add)(struct parser *p, const char *key, const char *value, bool like);
};

/* ---- tokens ---- */

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '.' || c == '-';
}

static enum err next(struct parser *p)
{
	const char *s = p->rest + strspn(p->rest, " \t\r\n");
	struct token t = { .kind = TOKEN_OTHER, .at = s, .len = 1 };

	if (*s == '\0') {
		t.kind = TOKEN_END;
		t.len = 0;
	} else if (*s == '=') {
		t.kind = TOKEN_EQUALS;
	} else if (*s == '"' || *s == '\'') {
		const char *end = strchr(s + 1, *s);

		if (!end)
			return fail(p->e, ERR_QUERY, "The expression has a value without a closing quote.");
		t = (struct token){ .kind = TOKEN_VALUE, .at = s + 1, .len = (size_t)(end - s - 1) };
		p->rest = end + 1;
		p->now = t;
		return OK;
	} else if (word_char(*s)) {
		t.kind = TOKEN_WORD;
		while (word_char(s[t.len]))
			t.len++;
	}
	p->rest = s + t.len;
	p->now = t;
	return OK;
}

static bool is_word(const struct token *t, const char *word)
{
	return t->kind == TOKEN_WORD && strlen(word) == t->len && strncasecmp(t->at, word, t->len) == 0;
}

static enum err refuse(struct parser *p, enum err err, const char *wanted)
{
	if (p->now.kind == TOKEN_END)
		return fail(p->e, err, "The expression ends where %s is wanted.", wanted);
	return fail(p->e, err, "The expression has \"%.*s\" where %s is wanted.", (int)p->now.len, p->now.at,
		    wanted);
}

/* ---- terms ---- */

/* A value as a pattern of LIKE. */
static const char *pattern_of(struct arena *a, const char *value, size_t len, bool open_end)
{
	struct buf *b = buf_owned(a, 2 * len + 2);

	for (size_t i = 0; i < len; i++) {
		if (value[i] == '%' || value[i] == '_' || value[i] == '\\')
			buf_add(b, "\\", 1);
		buf_add(b, &value[i], 1);
	}
	if (open_end)
		buf_add(b, "%", 1);
	return buf_str(b);
}

static enum err value_pattern(struct parser *p, const char *value, bool like, const char **ret)
{
	size_t len = strlen(value);
	const char *percent = like ? strchr(value, '%') : NULL;

	if (percent && percent[1] != '\0')
		return fail(p->e, ERR_QUERY_SYNTAX,
			    "The expression has a %% in \"%s\" that is not at the end.", value);
	*ret = pattern_of(p->e->arena, value, len - (percent != NULL), percent != NULL);
	return OK;
}

static enum err add_product_key(struct parser *p, const char *key UNUSED, const char *value, bool like)
{
	return value_pattern(p, value, like, &p->q->product_keys[p->q->n_product_keys++]);
}

static enum err add_name(struct parser *p, const char *key UNUSED, const char *value, bool like)
{
	return value_pattern(p, value, like, &p->q->names[p->q->n_names++]);
}

static enum err add_status(struct parser *p, const char *key UNUSED, const char *value, bool like)
{
	static const char *const statuses[] = { "ONLINE", "OFFLINE", "UNACTIVE", "DISABLE" };

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (strcmp(value, statuses[i]) == 0)
			return value_pattern(p, value, like, &p->q->statuses[p->q->n_statuses++]);
	return fail(
		p->e, ERR_QUERY,
		"The expression asks for the status \"%s\"; there are ONLINE, OFFLINE, UNACTIVE and DISABLE.",
		value);
}

static enum err add_tag_name(struct parser *p, const char *key UNUSED, const char *value, bool like UNUSED)
{
	p->q->tag_keys[p->q->n_tags] = value;
	p->q->tag_values[p->q->n_tags++] = "%";
	p->tag_open = true;
	return OK;
}

static enum err add_tag_value(struct parser *p, const char *key UNUSED, const char *value, bool like)
{
	if (!p->tag_open)
		return fail(p->e, ERR_QUERY,
			    "The expression has a tag.tag_value without a tag.tag_name before it.");
	p->tag_open = false;
	return value_pattern(p, value, like, &p->q->tag_values[p->q->n_tags - 1]);
}

static enum err add_tag(struct parser *p, const char *key, const char *value, bool like)
{
	p->q->tag_keys[p->q->n_tags] = key;
	p->tag_open = false;
	return value_pattern(p, value, like, &p->q->tag_values[p->q->n_tags++]);
}

static const struct field_rule fields[] = {
	{ "product_key", true, add_product_key }, { "name", true, add_name },
	{ "status", false, add_status },	  { "tag.tag_name", false, add_tag_name },
	{ "tag.tag_value", true, add_tag_value },
};
static const struct field_rule short_tag = { SHORT_TAG, true, add_tag };

static const struct field_rule *field_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return strncmp(name, SHORT_TAG, sizeof SHORT_TAG - 1) == 0 && name[sizeof SHORT_TAG - 1] ? &short_tag
												 : NULL;
}

static enum err take_operator(struct parser *p, bool *ret_like)
{
	*ret_like = is_word(&p->now, "like");
	if (p->now.kind == TOKEN_EQUALS || *ret_like)
		return next(p);
	return refuse(p,
		      p->now.kind == TOKEN_END || p->now.kind == TOKEN_VALUE ? ERR_QUERY : ERR_QUERY_SYNTAX,
		      "= or LIKE");
}

static enum err take_term(struct parser *p)
{
	const struct field_rule *f;
	const char *name, *value;
	bool like;

	if (++p->terms > GROUP_QUERY_TERMS_MAX)
		return fail_param(p->e, ERR_QUERY_TERMS, NULL);
	if (p->now.kind != TOKEN_WORD)
		return refuse(p, p->now.kind == TOKEN_OTHER ? ERR_QUERY_SYNTAX : ERR_QUERY, "a field");
	name = arena_strndup(p->e->arena, p->now.at, p->now.len);
	f = field_of(name);
	if (!f)
		return fail(p->e, ERR_QUERY_FIELD,
			    "The expression asks for \"%s\"; there are product_key, name, status, "
			    "tag.tag_name and tag.tag_value.",
			    name);
	TRY(next(p));
	TRY(take_operator(p, &like));
	if (like && !f->may_like)
		return fail(p->e, ERR_QUERY_OPERATOR, "The expression has LIKE with %s, which takes = only.",
			    name);
	if (p->now.kind != TOKEN_VALUE)
		return refuse(p, ERR_QUERY, "a quoted value");
	value = arena_strndup(p->e->arena, p->now.at, p->now.len);
	TRY(f->add(p, name + (f == &short_tag ? sizeof SHORT_TAG - 1 : 0), value, like));
	return next(p);
}

enum err group_query_parse(const char *text, struct group_query *ret, struct error *e)
{
	struct group_query q = { 0 };
	struct parser p = { .rest = text, .e = e, .q = &q };

	if (utf8_count(text) > GROUP_QUERY_CHARS_MAX)
		return fail(e, ERR_QUERY, "The expression is longer than %d characters.",
			    GROUP_QUERY_CHARS_MAX);
	TRY(next(&p));
	TRY(take_term(&p));
	while (is_word(&p.now, "and")) {
		TRY(next(&p));
		TRY(take_term(&p));
	}
	if (p.now.kind != TOKEN_END)
		return refuse(&p, p.now.kind == TOKEN_VALUE ? ERR_QUERY : ERR_QUERY_SYNTAX, "and");
	*ret = q;
	return OK;
}
