/* SPDX-License-Identifier: Apache-2.0 */
/* A picture of numbers over time, as SVG in a <figure>: no script, readable by eyes, by screen readers (a
 * description in words) and by pointing at it (the values of every moment). Pure. */
#ifndef OTASIM_CHART_H
#define OTASIM_CHART_H

#include "engine/base/buf.h"

#define CHART_SERIES_MAX 16
#define CHART_MARKS_MAX 40

struct chart_series {
	const char *name;
	int color;   /* 1 to 8, classes s1 to s8 of page.css */
	bool dashed; /* a limit, or what was wanted */
	double *y;   /* a value for each moment; NAN: none */
};

/* Something that happened: a period, or a moment when both are the same. */
struct chart_mark {
	double from_s, to_s;
	const char *label;
};

struct chart {
	const char *id, *title;
	const char *what; /* how it is measured, a sentence */
	const char *unit; /* "" or what follows a number */
	bool stacked;	  /* areas on top of each other, else lines */
	size_t n;	  /* moments */
	const double *x_s;
	size_t n_series;
	struct chart_series series[CHART_SERIES_MAX];
	size_t n_marks;
	struct chart_mark marks[CHART_MARKS_MAX];
};

void chart_print(struct buf *out, const struct chart *c);
/* Text as HTML shows it. */
void html_add(struct buf *out, const char *text);

#endif
