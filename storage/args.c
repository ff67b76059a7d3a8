/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/db_priv.h"

#include <string.h>

#define ARRAY_BYTES_MAX ((size_t)512 * 1024 * 1024)

void args_init(struct args *a, struct db *db)
{
	a->arena = db_arena(db);
	a->n = 0;
}

static void add_arg(struct args *a, const char *value, size_t len, bool binary)
{
	ensure(a->n < DB_ARGS_MAX && len < INT32_MAX);
	a->array[a->n].kind = ARG_SINGLE;
	a->value[a->n] = value;
	a->length[a->n] = (int)len;
	a->binary[a->n] = binary;
	a->n++;
}

void arg_null(struct args *a)
{
	add_arg(a, NULL, 0, false);
}

void arg_int(struct args *a, int64_t v)
{
	add_arg(a, arena_printf(a->arena, "%lld", (long long)v), 0, false);
}

void arg_int_or_null(struct args *a, int64_t v, int64_t null)
{
	if (v == null)
		arg_null(a);
	else
		arg_int(a, v);
}

void arg_bool(struct args *a, bool v)
{
	add_arg(a, v ? "t" : "f", 0, false);
}

void arg_text(struct args *a, const char *v)
{
	add_arg(a, v, 0, false);
}

void arg_bytes(struct args *a, const void *v, size_t len)
{
	add_arg(a, v, len, true);
}

static void add_array(struct args *a, struct arg_array array)
{
	add_arg(a, "", 0, true);
	a->array[a->n - 1] = array;
}

void arg_ints(struct args *a, const int64_t *v, size_t n)
{
	add_array(a, (struct arg_array){ .kind = ARG_INTS, .ints = v, .n = n });
}

void arg_texts(struct args *a, const char *const *v, size_t n)
{
	add_array(a, (struct arg_array){ .kind = ARG_TEXTS, .texts = v, .n = n });
}

void arg_byteas(struct args *a, const void *const *v, const size_t *len, size_t n)
{
	add_array(a, (struct arg_array){ .kind = ARG_BYTEAS, .bytes = v, .sizes = len, .n = n });
}

/* ---- arrays: PostgreSQL's binary form, in the element type that the statement declares ---- */

struct element {
	const char *type;
	uint32_t oid;
	size_t width; /* 0: as long as it is */
};

/* Of parameter i, from a declaration like "bigint text[] int[]". */
static const struct element *element_of(const char *declared, int i)
{
	static const struct element elements[] = { { "bigint[]", 20, 8 },  { "int[]", 23, 4 },  { "smallint[]", 21, 2 },
						   { "text[]", 25, 0 },	   { "bytea[]", 17, 0 }, { "bool[]", 16, 1 } };
	size_t len;

	while (i-- > 0)
		declared += strcspn(declared, " ") + 1;
	len = strcspn(declared, " ");
	for (size_t e = 0; e < ARRAY_LEN(elements); e++)
		if (strlen(elements[e].type) == len && memcmp(elements[e].type, declared, len) == 0)
			return &elements[e];
	ensure(!"an array for a parameter that is none");
	return NULL;
}

static unsigned char *put_big_endian(unsigned char *p, uint64_t v, size_t width)
{
	for (size_t i = 0; i < width; i++)
		p[i] = (unsigned char)(v >> 8 * (width - 1 - i));
	return p + width;
}

/* Element i of an array: its bytes, or NULL for null. A number stands in `scratch`. */
static const void *element_bytes(const struct arg_array *v, const struct element *e, size_t i, unsigned char scratch[8],
				 size_t *ret_len)
{
	*ret_len = e->width;
	if (v->kind == ARG_INTS) {
		(void)put_big_endian(scratch, (uint64_t)v->ints[i], e->width);
		return scratch;
	}
	if (v->kind == ARG_BYTEAS) {
		*ret_len = v->sizes[i];
		return v->bytes[i];
	}
	if (v->texts[i] && e->width == 1) {
		scratch[0] = v->texts[i][0] == 't';
		return scratch;
	}
	*ret_len = v->texts[i] ? strlen(v->texts[i]) : 0;
	return v->texts[i];
}

static bool array_fits(const struct arg_array *v, const struct element *e)
{
	int64_t limit;

	if (v->kind != ARG_INTS || e->width == 8)
		return true;
	limit = ((int64_t)1 << (8 * e->width - 1)) - 1;
	for (size_t i = 0; i < v->n; i++)
		if (v->ints[i] > limit || v->ints[i] < -limit - 1)
			return false;
	return true;
}

static const char *array_encode(struct arena *a, const struct arg_array *v, const struct element *e, int *ret_len)
{
	unsigned char scratch[8], *out, *p;
	size_t size = 20, len;

	for (size_t k = 0; k < v->n; k++) {
		(void)element_bytes(v, e, k, scratch, &len);
		size += 4 + len;
	}
	ensure(size <= ARRAY_BYTES_MAX);
	out = p = arena_alloc(a, size);
	p = put_big_endian(p, v->n > 0, 4); /* dimensions; then: may have nulls, type, length, first index */
	p = put_big_endian(p, 1, 4);
	p = put_big_endian(p, e->oid, 4);
	if (v->n > 0) {
		p = put_big_endian(p, v->n, 4);
		p = put_big_endian(p, 1, 4);
	}
	for (size_t k = 0; k < v->n; k++) {
		const void *bytes = element_bytes(v, e, k, scratch, &len);

		p = put_big_endian(p, bytes ? len : UINT32_MAX, 4);
		if (bytes && len)
			memcpy(p, bytes, len);
		p += bytes ? len : 0;
	}
	*ret_len = (int)(p - out);
	return (const char *)out;
}

enum err args_encode(const struct args *a, const struct stmt_def *d, struct error *e, const char *value[DB_ARGS_MAX],
		     int length[DB_ARGS_MAX])
{
	for (int i = 0; i < a->n; i++) {
		const struct arg_array *v = &a->array[i];
		const struct element *element;

		value[i] = a->value[i];
		length[i] = a->length[i];
		if (v->kind == ARG_SINGLE)
			continue;
		element = element_of(d->in, i);
		if (!array_fits(v, element))
			return fail(e, ERR_DB, "%s: a number of parameter %d is out of range", d->name, i + 1);
		value[i] = array_encode(a->arena, v, element, &length[i]);
	}
	return OK;
}
