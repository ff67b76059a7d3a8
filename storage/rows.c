/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/crypto.h"
#include "storage/db_priv.h"

#include <stdlib.h>
#include <string.h>

static void result_release(void *r)
{
	PQclear(r);
}

struct rows *rows_new(struct arena *a, PGresult *result)
{
	return rows_shared(a, result, result, result_release);
}

struct rows *rows_shared(struct arena *a, PGresult *result, void *of, void (*release)(void *of))
{
	struct rows *r = ARENA_NEW(a, struct rows);

	r->arena = a;
	r->result = result;
	(void)arena_own(a, of, release);
	return r;
}

enum err db_one(struct db *db, enum stmt s, const struct args *a, struct rows **ret)
{
	struct rows *r = NULL;

	TRY(db_run(db, s, a, &r));
	if (rows_count(r) == 0)
		return ERR_NOT_FOUND;
	ensure(rows_count(r) == 1);
	if (ret)
		*ret = r;
	return OK;
}

enum err db_one_or(struct db *db, enum stmt s, const struct args *a, enum err none, struct rows **ret)
{
	enum err e = db_one(db, s, a, ret);

	return e == ERR_NOT_FOUND ? fail_param(db_error(db), none, NULL) : e;
}

enum err db_page(struct db *db, enum stmt count, enum stmt page, struct args *a, int64_t from, int64_t n,
		 struct rows **ret, int64_t *ret_total)
{
	struct rows *r;

	TRY(db_one(db, count, a, &r));
	*ret_total = row_int(r, 0, 0);
	arg_int(a, from);
	arg_int(a, n);
	return db_run(db, page, a, ret);
}

int rows_count(const struct rows *r)
{
	return PQntuples(r->result);
}

bool row_null(const struct rows *r, int i, int col)
{
	ensure(i >= 0 && i < PQntuples(r->result) && col >= 0 && col < PQnfields(r->result));
	return PQgetisnull(r->result, i, col) != 0;
}

int64_t row_int_or(const struct rows *r, int i, int col, int64_t null)
{
	return row_null(r, i, col) ? null : strtoll(PQgetvalue(r->result, i, col), NULL, 10);
}

int64_t row_int(const struct rows *r, int i, int col)
{
	return row_int_or(r, i, col, 0);
}

bool row_bool(const struct rows *r, int i, int col)
{
	return !row_null(r, i, col) && PQgetvalue(r->result, i, col)[0] == 't';
}

const char *row_text(const struct rows *r, int i, int col)
{
	return row_null(r, i, col) ? NULL : PQgetvalue(r->result, i, col);
}

const unsigned char *row_bytes(const struct rows *r, int i, int col, size_t *ret_len)
{
	const char *text = row_text(r, i, col); /* \x and hex digits */
	unsigned char *out;

	*ret_len = 0;
	if (!text)
		return NULL;
	*ret_len = (strlen(text) - 2) / 2;
	out = arena_alloc(r->arena, *ret_len + 1);
	ensure(hex_decode(text + 2, 2 * *ret_len, out, *ret_len));
	return out;
}

/* One element of an array's text form, unquoted; *s stands behind it afterwards. */
static char *array_element(struct arena *a, const char **s)
{
	bool quoted = **s == '"';
	const char *end = *s + quoted;
	char *out, *p;

	while (*end && (quoted ? *end != '"' : *end != ',' && *end != '}'))
		end += *end == '\\' && end[1] ? 2 : 1;
	out = p = arena_alloc(a, (size_t)(end - *s) + 1);
	for (const char *q = *s + quoted; q < end; q++) {
		if (*q == '\\')
			q++;
		*p++ = *q;
	}
	*s = end + quoted;
	if (!quoted && strcmp(out, "NULL") == 0)
		out[0] = '\0';
	return out;
}

const char *const *row_texts(const struct rows *r, int i, int col, size_t *ret_n)
{
	const char *s = row_text(r, i, col);
	const char **out;
	size_t n = 0, cap = 1;

	*ret_n = 0;
	if (!s || strcmp(s, "{}") == 0)
		return NULL;
	for (const char *p = s; *p; p++)
		cap += *p == ',';
	out = ARENA_ARRAY(r->arena, cap, const char *);
	for (s++; *s && *s != '}';) {
		out[n++] = array_element(r->arena, &s);
		if (*s == ',')
			s++;
	}
	*ret_n = n;
	return out;
}

const int64_t *row_ints(const struct rows *r, int i, int col, size_t *ret_n)
{
	const char *s = row_text(r, i, col);
	int64_t *out;
	size_t n = 0, cap = 1;

	*ret_n = 0;
	if (!s || strcmp(s, "{}") == 0)
		return NULL;
	for (const char *p = s; *p; p++)
		cap += *p == ',';
	out = ARENA_ARRAY(r->arena, cap, int64_t);
	for (s++; *s && *s != '}';) {
		char *end;

		out[n++] = strtoll(s, &end, 10);
		s = *end == ',' ? end + 1 : end;
	}
	*ret_n = n;
	return out;
}
