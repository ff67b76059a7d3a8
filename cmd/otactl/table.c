/* SPDX-License-Identifier: Apache-2.0 */
/* Columns on standard output. */
#include "cmd/otactl/ctl.h"
#include "engine/base/parse.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 16

struct cell {
	struct cell *next;
	const char *text;
};

struct table {
	struct arena *arena;
	int columns, at;
	size_t width[COLUMNS_MAX];
	struct cell *first, **end;
};

struct table *table_new(struct ctl *c, int columns)
{
	struct table *t = ARENA_NEW(c->arena, struct table);

	ensure(columns > 0 && columns <= COLUMNS_MAX);
	t->arena = c->arena;
	t->columns = columns;
	t->end = &t->first;
	return t;
}

void table_cell(struct table *t, const char *text)
{
	struct cell *cell = ARENA_NEW(t->arena, struct cell);
	size_t width;

	cell->text = text && *text ? text : "-";
	width = utf8_count(cell->text);
	if (width > t->width[t->at])
		t->width[t->at] = width;
	t->at = (t->at + 1) % t->columns;
	*t->end = cell;
	t->end = &cell->next;
}

struct table *table_headed(struct ctl *c, const char *headings)
{
	const char *word[COLUMNS_MAX];
	struct table *t;
	int n = 0;

	for (const char *s = headings; *s; s += strspn(s, " ")) {
		size_t len = strcspn(s, " ");

		ensure(n < COLUMNS_MAX);
		word[n++] = arena_strndup(c->arena, s, len);
		s += len;
	}
	t = table_new(c, n);
	for (int i = 0; i < n; i++)
		table_cell(t, word[i]);
	return t;
}

void table_int(struct table *t, int64_t n)
{
	table_cell(t, arena_printf(t->arena, "%lld", (long long)n));
}

void table_time(struct table *t, utc_ms when)
{
	char text[UTC_TEXT_LEN];

	format_utc_ms(when, text);
	table_cell(t, when ? arena_strdup(t->arena, text) : NULL);
}

void table_print(const struct table *t)
{
	int column = 0;

	for (const struct cell *cell = t->first; cell; cell = cell->next) {
		bool last = column == t->columns - 1;
		size_t pad = last ? 0 : t->width[column] - utf8_count(cell->text) + 2;

		(void)printf("%s%*s%s", cell->text, (int)pad, "", last ? "\n" : "");
		column = (column + 1) % t->columns;
	}
}
