/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters into structs, along the field tables (api §2.1, §2.2). Called by the worker for every call. */
#include "api/field.h"
#include "engine/base/parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* One value of a list: `rest` is what follows "Name.N." in the name, NULL for plain lists. */
struct entry {
	int64_t n;
	const char *rest, *value;
};

/* Where the table stands: "" at the top, "Tag.3." inside an element; goes before the names in errors. */
static enum err refuse(struct error *e, enum err err, const char *at, const char *name)
{
	return fail_param(e, err, arena_printf(e->arena, "%s%s", at, name));
}

/* api §1.2: exactly, or with the first letter in upper case. len: of the row's name. */
static bool name_is(const char *got, const char *name, size_t len, bool exact)
{
	if (exact)
		return strncmp(got, name, len) == 0;
	return (char)toupper((unsigned char)got[0]) == name[0] && got[0] != name[0] && len > 0 &&
	       strncmp(got + 1, name + 1, len - 1) == 0;
}

static const char *find_named(const char *name, const struct param *params, size_t n)
{
	size_t len = strlen(name);

	for (int exact = 1; exact >= 0; exact--)
		for (size_t i = 0; i < n; i++)
			if (name_is(params[i].name, name, len, exact) && params[i].name[len] == '\0' &&
			    params[i].value[0] != '\0')
				return params[i].value;
	return NULL;
}

static const char *find_value(const struct field *f, const struct param *params, size_t n)
{
	const char *value = find_named(f->name, params, n);

	return value || !f->alias ? value : find_named(f->alias, params, n);
}

/* ---- lists -------------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->n < y->n ? -1 : x->n > y->n;
}

/* "3" or "3.Key" behind "Name."; false when it is not a number from 1, or the wrong kind of list. */
static bool entry_parse(const struct field *f, const char *text, struct entry *ret)
{
	size_t digits = strspn(text, "0123456789");

	if (text[0] == '0' || !parse_i64n(text, digits, 1, INT32_MAX, &ret->n))
		return false;
	if (f->kind == FIELD_STRS) {
		ret->rest = NULL;
		return text[digits] == '\0';
	}
	ret->rest = text + digits + 1;
	return text[digits] == '.' && ret->rest[0] != '\0';
}

/* What stands behind the list's name or its alias in a parameter's name; NULL: it is of another row. */
static const char *behind_name(const struct field *f, const char *got)
{
	const char *const names[] = { f->name, f->alias };

	for (size_t i = 0; i < ARRAY_LEN(names) && names[i]; i++) {
		size_t len = strlen(names[i]);

		if ((name_is(got, names[i], len, true) || name_is(got, names[i], len, false)) &&
		    (got[len] == '.' || got[len] == '\0'))
			return got + len;
	}
	return NULL;
}

/* All values of a list, in the order of their numbers; an empty value counts as absent. */
static enum err entries_collect(const struct field *f, const char *at, const struct param *params, size_t n,
				struct error *e, struct entry **ret, size_t *ret_n)
{
	struct entry *all = NULL;
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		const char *rest = behind_name(f, params[i].name);

		if (!rest)
			continue;
		/* SrcVersion=1 instead of SrcVersion.1=1: ignoring it would widen a job */
		if (*rest == '\0' && params[i].value[0] != '\0')
			return refuse(e, ERR_INVALID_PARAM, at, f->name);
		if (*rest == '\0')
			continue;
		if (!all)
			all = ARENA_ARRAY(e->arena, n, struct entry);
		if (!entry_parse(f, rest + 1, &all[count]))
			return refuse(e, ERR_INVALID_PARAM, at, params[i].name);
		all[count].value = params[i].value;
		if (params[i].value[0] != '\0')
			count++;
	}
	if (count > 1)
		qsort(all, count, sizeof *all, by_number);
	*ret = all;
	*ret_n = count;
	return OK;
}

static enum err decode_strs(const struct field *f, const char *at, const struct param *params, size_t n,
			    void *to, struct error *e)
{
	struct str_list *list = to;
	struct entry *all;
	const char **v;
	size_t count;

	TRY(entries_collect(f, at, params, n, e, &all, &count));
	if (count == 0)
		return OK;
	v = ARENA_ARRAY(e->arena, count, const char *);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && all[i].n == all[i - 1].n)
			return refuse(e, ERR_INVALID_PARAM, at, f->name);
		v[i] = all[i].value;
	}
	*list = (struct str_list){ .n = count, .v = v };
	return OK;
}

static enum err table_decode(const struct field *table, const char *at, const struct param *params, size_t n,
			     void *to, struct error *e);

static enum err decode_objs(const struct field *f, const char *at, const struct param *params, size_t n,
			    void *to, struct error *e)
{
	struct obj_list *list = to;
	struct param *sub;
	struct entry *all;
	size_t count, groups = 0, start = 0;
	unsigned char *v;

	ensure(f->of && f->of_size > 0);
	TRY(entries_collect(f, at, params, n, e, &all, &count));
	if (count == 0)
		return OK;
	for (size_t i = 0; i < count; i++)
		groups += i == 0 || all[i].n != all[i - 1].n;
	if (f->max_items > 0 && groups > (size_t)f->max_items && !(f->flags & LATE))
		return refuse(e, ERR_LIST_TOO_LONG, at, f->name);
	v = arena_array(e->arena, groups, f->of_size);
	sub = ARENA_ARRAY(e->arena, count, struct param);
	for (size_t g = 0; g < groups; g++) {
		size_t end = start;
		const char *below =
			arena_printf(e->arena, "%s%s.%lld.", at, f->name, (long long)all[start].n);

		for (; end < count && all[end].n == all[start].n; end++)
			sub[end] = (struct param){ .name = all[end].rest, .value = all[end].value };
		TRY(table_decode(f->of, below, sub + start, end - start, v + g * f->of_size, e));
		start = end;
	}
	*list = (struct obj_list){ .n = groups, .v = v };
	return OK;
}

/* ---- scalars ------------------------------------------------------------------------------------------ */

static enum err decode_scalar(const struct field *f, const char *at, const char *value, void *to,
			      struct error *e)
{
	struct opt_int *number = to;
	struct opt_bool *flag = to;

	if (f->kind == FIELD_STR) {
		*(const char **)to = value;
		return OK;
	}
	if (f->kind == FIELD_BOOL) {
		flag->set = parse_bool(value, &flag->v);
		return flag->set ? OK : refuse(e, ERR_INVALID_PARAM, at, f->name);
	}
	number->set = f->kind == FIELD_INT ? parse_i64(value, INT32_MIN, INT32_MAX, &number->v)
					   : parse_i64(value, INT64_MIN, INT64_MAX, &number->v);
	return number->set ? OK : refuse(e, ERR_INVALID_PARAM, at, f->name);
}

/* ---- limits ------------------------------------------------------------------------------------------- */

/* Is value one of the words of the list? */
static bool word_of(const char *list, const char *value)
{
	size_t len = strlen(value);

	while (*list) {
		size_t word = strcspn(list, " ");

		if (word == len && len > 0 && strncmp(list, value, len) == 0)
			return true;
		list += word + strspn(list + word, " ");
	}
	return false;
}

static bool text_good(const struct field *f, const char *s)
{
	int64_t chars = (int64_t)utf8_count(s);

	return chars >= f->min_chars && (f->max_chars == 0 || chars <= f->max_chars) &&
	       (!f->chars || text_of(s, f->chars)) && (!f->one_of || word_of(f->one_of, s));
}

static bool number_good(const struct field *f, int64_t v, struct arena *a)
{
	if ((f->min != 0 || f->max != 0) && (v < f->min || v > f->max))
		return false;
	return !f->one_of || word_of(f->one_of, arena_printf(a, "%lld", (long long)v));
}

static enum err row_check(const struct field *f, const char *at, const void *member, struct error *e)
{
	enum err err = f->err == OK ? ERR_INVALID_PARAM : f->err;
	const struct opt_int *number = member;
	const struct str_list *texts = member;
	const struct obj_list *objs = member;
	const char *text;

	switch (f->kind) {
	case FIELD_STR:
		text = *(const char *const *)member;
		return !text || text_good(f, text) ? OK : refuse(e, err, at, f->name);
	case FIELD_INT:
	case FIELD_LONG:
		return !number->set || number_good(f, number->v, e->arena) ? OK : refuse(e, err, at, f->name);
	case FIELD_STRS:
		if (f->max_items > 0 && texts->n > (size_t)f->max_items)
			return refuse(e, ERR_LIST_TOO_LONG, at, f->name);
		for (size_t i = 0; i < texts->n; i++)
			if (!text_good(f, texts->v[i]))
				return refuse(e, err, at, f->name);
		return OK;
	case FIELD_OBJS:
		return f->max_items > 0 && objs->n > (size_t)f->max_items
			       ? refuse(e, ERR_LIST_TOO_LONG, at, f->name)
			       : OK;
	case FIELD_BOOL:
	case FIELD_OBJ:
		return OK;
	}
	ensure(!"unknown field kind");
	return OK;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static bool is_absent(const struct field *f, const void *member)
{
	switch (f->kind) {
	case FIELD_STR:
		return *(const char *const *)member == NULL;
	case FIELD_INT:
	case FIELD_LONG:
		return !((const struct opt_int *)member)->set;
	case FIELD_BOOL:
		return !((const struct opt_bool *)member)->set;
	case FIELD_STRS:
		return ((const struct str_list *)member)->n == 0;
	case FIELD_OBJS:
		return ((const struct obj_list *)member)->n == 0;
	case FIELD_OBJ:
		return true;
	}
	return true;
}

static enum err row_decode(const struct field *f, const char *at, const struct param *params, size_t n,
			   void *to, struct error *e)
{
	const char *value;

	ensure(f->kind != FIELD_OBJ);
	if (f->kind == FIELD_STRS)
		return decode_strs(f, at, params, n, to, e);
	if (f->kind == FIELD_OBJS)
		return decode_objs(f, at, params, n, to, e);
	value = find_value(f, params, n);
	return value ? decode_scalar(f, at, value, to, e) : OK;
}

static enum err table_decode(const struct field *table, const char *at, const struct param *params, size_t n,
			     void *to, struct error *e)
{
	/* Presence before conversion before limits (api §1.10), each in table order. */
	for (const struct field *f = table; f->name; f++) {
		void *member = (unsigned char *)to + f->offset;
		struct error quiet;
		enum err err;

		if (!(f->flags & REQUIRED))
			continue;
		error_init(&quiet, e->arena);
		err = row_decode(f, at, params, n, member, &quiet);
		if (err == OK && is_absent(f, member))
			return refuse(e, ERR_MISSING_PARAM, at, f->name);
	}
	for (const struct field *f = table; f->name; f++) {
		void *member = (unsigned char *)to + f->offset;

		TRY(row_decode(f, at, params, n, member, e));
		if (!(f->flags & LATE))
			TRY(row_check(f, at, member, e));
	}
	return OK;
}

enum err fields_decode(const struct field *table, const struct param *params, size_t n, void *to,
		       struct error *e)
{
	return table_decode(table, "", params, n, to, e);
}

enum err field_check(const struct field *table, const void *in, const char *name, struct error *e)
{
	const struct field *f = table;

	while (f->name && strcmp(f->name, name) != 0)
		f++;
	ensure(f->name);
	return row_check(f, "", (const unsigned char *)in + f->offset, e);
}
