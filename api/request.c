/* SPDX-License-Identifier: Apache-2.0 */
#include "api/request.h"

#include "engine/base/crypto.h"
#include "engine/base/parse.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* 100,000 names in one call is the hard maximum (rules §1). */
#define PARAMS_MAX 120000

const char *request_header(const struct request *rq, const char *name)
{
	for (size_t i = 0; i < rq->n_headers; i++)
		if (strcasecmp(rq->headers[i].name, name) == 0)
			return rq->headers[i].value;
	return NULL;
}

static bool body_is_form(const struct request *rq)
{
	static const char form[] = "application/x-www-form-urlencoded";
	const char *type = request_header(rq, "Content-Type");
	size_t len = sizeof form - 1;

	return type && strncasecmp(type, form, len) == 0 && (type[len] == '\0' || strchr("; \t", type[len]));
}

const char *param_value(const struct params *p, const char *name)
{
	/* Names that differ do so in their first letter, mostly. */
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].name[0] == name[0] && strcmp(p->v[i].name, name) == 0)
			return p->v[i].value[0] ? p->v[i].value : NULL;
	return NULL;
}

/* %XY and + (api §1.4); NULL when it is not well formed. */
static const char *decode(struct arena *a, const char *s, size_t len)
{
	char *out = arena_alloc(a, len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			if (len - i < 3 || !hex_decode(s + i + 1, 2, &c, 1))
				return NULL;
			i += 2;
		}
		if (c == '\0')
			return NULL;
		out[n++] = (char)c;
	}
	return utf8_valid(out, n) ? out : NULL;
}

static enum err parse_pairs(struct request *rq, struct error *e, const char *s, size_t len, struct param *v,
			    size_t *n)
{
	const char *end = s + len;

	while (s < end) {
		const char *amp = memchr(s, '&', (size_t)(end - s));
		const char *stop = amp ? amp : end;
		const char *eq = memchr(s, '=', (size_t)(stop - s));
		const char *name_end = eq ? eq : stop;
		const char *value = eq ? eq + 1 : stop;

		if (stop > s) {
			v[*n].name = decode(&rq->arena, s, (size_t)(name_end - s));
			v[*n].value = decode(&rq->arena, value, (size_t)(stop - value));
			if (!v[*n].name || !v[*n].value || !v[*n].name[0])
				return fail_param(e, ERR_BAD_REQUEST, NULL);
			(*n)++;
		}
		s = stop + 1;
	}
	return OK;
}

static size_t pairs_at_most(const char *s, size_t len)
{
	size_t n = 1;

	for (size_t i = 0; i < len; i++)
		n += s[i] == '&';
	return n;
}

static int by_name(const void *a, const void *b)
{
	const struct param *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static enum err refuse_duplicates(struct request *rq, struct error *e, const struct params *p)
{
	const struct param **sorted = ARENA_ARRAY(&rq->arena, p->n, const struct param *);

	for (size_t i = 0; i < p->n; i++)
		sorted[i] = &p->v[i];
	if (p->n > 1)
		qsort(sorted, p->n, sizeof(*sorted), by_name);
	for (size_t i = 1; i < p->n; i++)
		if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
			return fail_param(e, ERR_DUPLICATE_PARAM, sorted[i]->name);
	return OK;
}

enum err request_params(struct request *rq, struct error *e, struct params *ret)
{
	bool form = rq->body_len > 0 && body_is_form(rq);
	size_t query_len = strlen(rq->query);
	size_t most = pairs_at_most(rq->query, query_len) + (form ? pairs_at_most(rq->body, rq->body_len) : 0);
	struct param *v;

	*ret = (struct params){ .n = 0 };
	if (most > PARAMS_MAX)
		return fail_param(e, ERR_BAD_REQUEST, NULL);
	v = ARENA_ARRAY(&rq->arena, most, struct param);
	ret->v = v;
	TRY(parse_pairs(rq, e, rq->query, query_len, v, &ret->n));
	ret->n_query = ret->n;
	if (form)
		TRY(parse_pairs(rq, e, rq->body, rq->body_len, v, &ret->n));
	return refuse_duplicates(rq, e, ret);
}
