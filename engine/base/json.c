/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/json.h"

#include "engine/base/parse.h"

#include <string.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>
#include <yajl/yajl_tree.h>

#define DEPTH_MAX 32

struct json_out {
	yajl_gen gen;
};

static void gen_release(void *p)
{
	yajl_gen_free(p);
}

static void gen_print(void *ctx, const char *s, size_t len)
{
	buf_add(ctx, s, len);
}

struct json_out *json_new(struct arena *a, struct buf *to)
{
	struct json_out *j = ARENA_NEW(a, struct json_out);

	j->gen = yajl_gen_alloc(NULL);
	ensure(j->gen != NULL);
	(void)arena_own(a, j->gen, gen_release);
	ensure(yajl_gen_config(j->gen, yajl_gen_print_callback, gen_print, (void *)to));
	return j;
}

struct json_out *json_new_pretty(struct arena *a, struct buf *to)
{
	struct json_out *j = json_new(a, to);

	ensure(yajl_gen_config(j->gen, yajl_gen_beautify, 1));
	ensure(yajl_gen_config(j->gen, yajl_gen_indent_string, " "));
	return j;
}

/* A wrong order of calls is a bug of ours, never of the input. */
static void good(yajl_gen_status s)
{
	ensure(s == yajl_gen_status_ok || s == yajl_gen_generation_complete);
}

void json_object(struct json_out *j)
{
	good(yajl_gen_map_open(j->gen));
}

void json_object_end(struct json_out *j)
{
	good(yajl_gen_map_close(j->gen));
}

void json_array(struct json_out *j)
{
	good(yajl_gen_array_open(j->gen));
}

void json_array_end(struct json_out *j)
{
	good(yajl_gen_array_close(j->gen));
}

void json_key(struct json_out *j, const char *key)
{
	json_string(j, key);
}

void json_string(struct json_out *j, const char *s)
{
	good(yajl_gen_string(j->gen, (const unsigned char *)s, strlen(s)));
}

void json_int(struct json_out *j, int64_t n)
{
	good(yajl_gen_integer(j->gen, n));
}

void json_bool(struct json_out *j, bool v)
{
	good(yajl_gen_bool(j->gen, v));
}

void json_put_object(struct json_out *j, const char *key)
{
	json_key(j, key);
	json_object(j);
}

void json_put_array(struct json_out *j, const char *key)
{
	json_key(j, key);
	json_array(j);
}

void json_put_string(struct json_out *j, const char *key, const char *s)
{
	json_key(j, key);
	json_string(j, s);
}

void json_put_int(struct json_out *j, const char *key, int64_t n)
{
	json_key(j, key);
	json_int(j, n);
}

void json_put_bool(struct json_out *j, const char *key, bool v)
{
	json_key(j, key);
	json_bool(j, v);
}

/* struct json is yajl's node under our name; it is never defined. */
static yajl_val node(const struct json *v)
{
	return (yajl_val)(uintptr_t)v;
}

static const struct json *wrap(yajl_val v)
{
	return (const struct json *)v;
}

static void tree_release(void *p)
{
	yajl_tree_free(p);
}

/* Copies text without commas that stand before a closing bracket; false when it nests too deep, or when a string
 * has a NUL, which would cut it short. */
static bool prepare(const char *text, size_t len, bool lenient, char *out)
{
	int depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\' && i + 1 < len) {
				if (len - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
					return false;
				*out++ = c;
				c = text[++i];
			} else if (c == '"') {
				in_string = false;
			}
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > DEPTH_MAX)
				return false;
		} else if (c == '}' || c == ']') {
			depth--;
		} else if (c == ',' && lenient) {
			size_t next = i + 1;

			while (next < len && strchr(" \t\r\n", text[next]))
				next++;
			if (next < len && (text[next] == '}' || text[next] == ']'))
				continue;
		}
		*out++ = c;
	}
	*out = '\0';
	return true;
}

const struct json *json_parse(struct arena *a, const char *text, size_t len, bool lenient)
{
	char *copy = arena_alloc(a, len + 1);
	yajl_val v;

	if (lenient) {
		if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
			text += 3;
			len -= 3;
		}
		while (len > 0 && text[len - 1] == '\0')
			len--;
	}
	if (memchr(text, '\0', len) || !prepare(text, len, lenient, copy))
		return NULL;
	v = yajl_tree_parse(copy, NULL, 0);
	(void)arena_own(a, v, tree_release);
	return wrap(v);
}

size_t json_wrong_line(struct arena *a, const char *text, size_t len, const char **ret_why)
{
	yajl_handle h = yajl_alloc(NULL, NULL, NULL);
	const unsigned char *bytes = (const unsigned char *)text;
	yajl_status status;
	size_t line = 0, used;
	unsigned char *why;

	ensure(h != NULL && yajl_config(h, yajl_allow_comments, 1));
	status = yajl_parse(h, bytes, len);
	used = yajl_get_bytes_consumed(h);
	if (status == yajl_status_ok)
		status = yajl_complete_parse(h);
	if (status != yajl_status_ok) {
		line = 1;
		for (size_t i = 0; i < used && i < len; i++)
			line += text[i] == '\n';
		why = yajl_get_error(h, 0, bytes, len);
		*ret_why = arena_strndup(a, (const char *)why, strcspn((const char *)why, "\n"));
		yajl_free_error(h, why);
	}
	yajl_free(h);
	return line;
}

const struct json *json_get(const struct json *v, const char *key)
{
	yajl_val n = node(v);

	if (!YAJL_IS_OBJECT(n))
		return NULL;
	for (size_t i = 0; i < n->u.object.len; i++)
		if (strcmp(n->u.object.keys[i], key) == 0)
			return wrap(n->u.object.values[i]);
	return NULL;
}

const char *json_text(const struct json *v)
{
	return YAJL_IS_STRING(node(v)) ? YAJL_GET_STRING(node(v)) : NULL;
}

bool json_int_lenient(const struct json *v, int64_t *ret)
{
	const char *s = YAJL_IS_NUMBER(node(v)) ? YAJL_GET_NUMBER(node(v)) : json_text(v);
	size_t len;
	const char *dot;

	if (!s)
		return false;
	s += strspn(s, " \t\r\n");
	len = strcspn(s, " \t\r\n");
	if (s[len + strspn(s + len, " \t\r\n")] != '\0')
		return false;
	dot = memchr(s, '.', len);
	if (dot) {
		size_t frac = len - (size_t)(dot - s) - 1;

		if (frac == 0 || strspn(dot + 1, "0123456789") < frac)
			return false;
		len = (size_t)(dot - s);
	}
	if (len > 1 && s[0] == '+' && s[1] != '-') {
		s++;
		len--;
	}
	return parse_i64n(s, len, INT64_MIN, INT64_MAX, ret);
}

bool json_is_object(const struct json *v)
{
	return YAJL_IS_OBJECT(node(v));
}

bool json_is_array(const struct json *v)
{
	return YAJL_IS_ARRAY(node(v));
}

const char *json_scalar(struct arena *a, const struct json *v)
{
	yajl_val n = node(v);

	if (YAJL_IS_STRING(n))
		return arena_strdup(a, YAJL_GET_STRING(n));
	if (YAJL_IS_NUMBER(n))
		return arena_strdup(a, YAJL_GET_NUMBER(n));
	if (YAJL_IS_TRUE(n))
		return "true";
	if (YAJL_IS_FALSE(n))
		return "false";
	return NULL;
}

size_t json_length(const struct json *v)
{
	return YAJL_IS_ARRAY(node(v)) ? node(v)->u.array.len : 0;
}

const struct json *json_at(const struct json *v, size_t i)
{
	return i < json_length(v) ? wrap(node(v)->u.array.values[i]) : NULL;
}

size_t json_members(const struct json *v)
{
	return YAJL_IS_OBJECT(node(v)) ? node(v)->u.object.len : 0;
}

const char *json_member(const struct json *v, size_t i, const struct json **ret_value)
{
	ensure(i < json_members(v));
	*ret_value = wrap(node(v)->u.object.values[i]);
	return node(v)->u.object.keys[i];
}
