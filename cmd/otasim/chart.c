/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otasim/chart.h"

#include "cmd/otasim/say.h"

#include <math.h>
#include <stdlib.h>

#define WIDTH 940.0
#define HEIGHT 270.0
#define LEFT 62.0
#define RIGHT 14.0
#define TOP 18.0
#define BOTTOM 26.0
#define PLOT_W (WIDTH - LEFT - RIGHT)
#define PLOT_H (HEIGHT - TOP - BOTTOM)
#define POINTS_MAX 700 /* more would lie on the same pixels */
#define ZONES_MAX 120

/* What is drawn: the chart's numbers, thinned out to at most POINTS_MAX moments. */
struct plot {
	const struct chart *c;
	size_t n;
	double x[POINTS_MAX];
	double y[CHART_SERIES_MAX][POINTS_MAX];
	double x_max, y_max, y_step;
	struct arena words;
};

void html_add(struct buf *out, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '&':
			buf_adds(out, "&amp;");
			break;
		case '<':
			buf_adds(out, "&lt;");
			break;
		case '>':
			buf_adds(out, "&gt;");
			break;
		case '"':
			buf_adds(out, "&quot;");
			break;
		default:
			buf_addc(out, *text);
		}
}

/* ---- numbers ---- */

/* Of some moments, the one to show: the largest, so that no peak is lost; of areas, which add up, the last.
 */
static double pick(const double *y, size_t n, bool last)
{
	double v = y[n - 1];

	for (size_t i = 0; !last && i < n; i++)
		if (isnan(v) || y[i] > v)
			v = y[i];
	return v;
}

static void thin_out(struct plot *p)
{
	const struct chart *c = p->c;
	size_t each = (c->n + POINTS_MAX - 1) / POINTS_MAX;

	for (size_t from = 0; from < c->n; from += each, p->n++) {
		size_t n = from + each <= c->n ? each : c->n - from;

		p->x[p->n] = c->x_s[from + n - 1];
		for (size_t s = 0; s < c->n_series; s++)
			p->y[s][p->n] = pick(c->series[s].y + from, n, c->stacked);
	}
}

static double height_at(const struct plot *p, size_t i)
{
	double sum = 0, most = 0;

	for (size_t s = 0; s < p->c->n_series; s++)
		if (!isnan(p->y[s][i])) {
			sum += p->y[s][i];
			most = fmax(most, p->y[s][i]);
		}
	return p->c->stacked ? sum : most;
}

/* 1, 2 or 5 times a power of ten: some five steps up to the largest value. */
static void scale(struct plot *p)
{
	double most = 0, power;

	for (size_t i = 0; i < p->n; i++)
		most = fmax(most, height_at(p, i));
	most = fmax(most, 1e-3) * 1.03;
	power = pow(10, floor(log10(most / 5)));
	p->y_step = power * (most / 5 <= power	     ? 1
			     : most / 5 <= 2 * power ? 2
			     : most / 5 <= 5 * power ? 5
						     : 10);
	p->y_max = ceil(most / p->y_step) * p->y_step;
	p->x_max = fmax(p->n > 0 ? p->x[p->n - 1] : 0, 1);
}

static double x_of(const struct plot *p, double s)
{
	return LEFT + PLOT_W * fmin(s, p->x_max) / p->x_max;
}

static double y_of(const struct plot *p, double v)
{
	return TOP + PLOT_H * (1 - v / p->y_max);
}

/* ---- words ---- */

static void time_add(struct buf *b, double s)
{
	long t = lround(s);

	if (t < 3600)
		buf_addf(b, "%ld:%02ld", t / 60, t % 60);
	else
		buf_addf(b, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
}

static void value_add(struct plot *p, struct buf *b, double v)
{
	buf_adds(b, say_double(&p->words, v));
}

/* "pushes: highest 998 at 3:12, last 5." */
static void series_describe(struct buf *b, struct plot *p, size_t s)
{
	size_t best = p->n, last = p->n;

	for (size_t i = 0; i < p->n; i++) {
		if (isnan(p->y[s][i]))
			continue;
		last = i;
		if (best == p->n || p->y[s][i] > p->y[s][best])
			best = i;
	}
	html_add(b, p->c->series[s].name);
	if (best == p->n) {
		buf_adds(b, ": nothing. ");
		return;
	}
	buf_adds(b, ": highest ");
	value_add(p, b, p->y[s][best]);
	buf_adds(b, p->c->unit);
	buf_adds(b, " at ");
	time_add(b, p->x[best]);
	buf_adds(b, ", last ");
	value_add(p, b, p->y[s][last]);
	buf_adds(b, p->c->unit);
	buf_adds(b, ". ");
}

/* ---- drawing ---- */

static void grid_draw(struct buf *b, struct plot *p)
{
	static const double steps[] = { 1,   2,	  5,   10,   15,   30,	 60,	120,
					300, 600, 900, 1800, 3600, 7200, 14400, 43200 };
	double step = 86400;

	for (size_t i = ARRAY_LEN(steps); i > 0; i--)
		if (p->x_max / steps[i - 1] <= 12)
			step = steps[i - 1];
	for (double v = 0; v <= p->y_max + p->y_step / 2; v += p->y_step) {
		buf_addf(b, "<line class=\"%s\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/>",
			 v > 0 ? "grid" : "axis", LEFT, WIDTH - RIGHT, y_of(p, v), y_of(p, v));
		buf_addf(b, "<text x=\"%g\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 7, y_of(p, v) + 4);
		value_add(p, b, v);
		buf_adds(b, "</text>");
	}
	for (double s = 0; s <= p->x_max; s += step) {
		buf_addf(b, "<text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">", x_of(p, s), HEIGHT - 8);
		time_add(b, s);
		buf_adds(b, "</text>");
	}
}

static void marks_draw(struct buf *b, const struct plot *p)
{
	for (size_t i = 0; i < p->c->n_marks; i++) {
		const struct chart_mark *m = &p->c->marks[i];
		double x = x_of(p, m->from_s);
		bool right = x > WIDTH - 160;

		if (m->from_s > p->x_max)
			continue;
		if (m->to_s > m->from_s)
			buf_addf(b, "<rect class=\"cut\" x=\"%.1f\" y=\"%g\" width=\"%.1f\" height=\"%g\"/>",
				 x, TOP, x_of(p, m->to_s) - x, PLOT_H);
		else
			buf_addf(b, "<line class=\"at\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%g\" y2=\"%g\"/>", x, x,
				 TOP, TOP + PLOT_H);
		buf_addf(b, "<text x=\"%.1f\" y=\"%g\"%s>", x + (right ? -2 : 2), TOP - 6,
			 right ? " text-anchor=\"end\"" : "");
		html_add(b, m->label);
		buf_adds(b, "</text>");
	}
}

static void line_draw(struct buf *b, const struct plot *p, size_t s)
{
	const struct chart_series *c = &p->c->series[s];
	bool pen = false;

	buf_addf(b, "<path class=\"l s%d%s\" d=\"", c->color, c->dashed ? " d" : "");
	for (size_t i = 0; i < p->n; i++) {
		bool there = !isnan(p->y[s][i]);

		if (there) /* a lone point is a dot */
			buf_addf(b, "%c%.1f %.1f%s", pen ? 'L' : 'M', x_of(p, p->x[i]), y_of(p, p->y[s][i]),
				 !pen && (i + 1 == p->n || isnan(p->y[s][i + 1])) ? "h1" : "");
		pen = there;
	}
	buf_adds(b, "\"/>");
}

/* From the sum of those below to that plus its own. */
static void area_draw(struct buf *b, const struct plot *p, size_t s, double *base)
{
	bool any = false;

	for (size_t i = 0; i < p->n; i++)
		any |= p->y[s][i] > 0;
	if (!any)
		return;
	buf_addf(b, "<path class=\"a s%d\" d=\"", p->c->series[s].color);
	for (size_t i = p->n; i > 0; i--)
		buf_addf(b, "%c%.1f %.1f", i == p->n ? 'M' : 'L', x_of(p, p->x[i - 1]), y_of(p, base[i - 1]));
	for (size_t i = 0; i < p->n; i++) {
		base[i] += isnan(p->y[s][i]) ? 0 : p->y[s][i];
		buf_addf(b, "L%.1f %.1f", x_of(p, p->x[i]), y_of(p, base[i]));
	}
	buf_adds(b, "Z\"/>");
}

/* What shows when one points at it: all values of that moment. */
static void zones_draw(struct buf *b, struct plot *p)
{
	size_t each = (p->n + ZONES_MAX - 1) / ZONES_MAX;

	for (size_t i = 0; i < p->n; i += each) {
		size_t at = i + each / 2 < p->n ? i + each / 2 : p->n - 1;
		double from = i == 0 ? 0 : p->x[i - 1], to = i + each < p->n ? p->x[i + each - 1] : p->x_max;

		buf_addf(b, "<rect class=\"z\" x=\"%.1f\" y=\"%g\" width=\"%.1f\" height=\"%g\"><title>",
			 x_of(p, from), TOP, fmax(x_of(p, to) - x_of(p, from), 1), PLOT_H);
		time_add(b, p->x[at]);
		for (size_t s = 0; s < p->c->n_series; s++)
			if (!isnan(p->y[s][at]) && !(p->c->stacked && p->y[s][at] == 0)) {
				buf_addc(b, '\n');
				html_add(b, p->c->series[s].name);
				buf_addc(b, ' ');
				value_add(p, b, p->y[s][at]);
				buf_adds(b, p->c->unit);
			}
		buf_adds(b, "</title></rect>");
	}
}

static void legend_print(struct buf *b, const struct chart *c)
{
	buf_adds(b, "<ul class=\"legend\">");
	for (size_t s = 0; s < c->n_series; s++) {
		buf_addf(b, "<li><svg viewBox=\"0 0 22 12\" aria-hidden=\"true\">");
		if (c->stacked)
			buf_addf(b, "<rect class=\"a s%d\" width=\"22\" height=\"12\"/>", c->series[s].color);
		else
			buf_addf(b, "<path class=\"l s%d%s\" d=\"M0 6H22\"/>", c->series[s].color,
				 c->series[s].dashed ? " d" : "");
		buf_adds(b, "</svg>");
		html_add(b, c->series[s].name);
		buf_adds(b, "</li>");
	}
	buf_adds(b, "</ul>\n");
}

void chart_print(struct buf *b, const struct chart *c)
{
	struct plot *p = calloc(1, sizeof *p);
	double *base = calloc(POINTS_MAX, sizeof *base);

	ensure(p && base);
	p->c = c;
	arena_init(&p->words);
	thin_out(p);
	scale(p);
	buf_addf(b, "<figure id=\"%s\"><figcaption><h3>", c->id);
	html_add(b, c->title);
	buf_adds(b, "</h3><p class=\"cap\">");
	html_add(b, c->what);
	buf_adds(b, "</p></figcaption>");
	legend_print(b, c);
	buf_addf(b,
		 "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-labelledby=\"%s-t %s-d\"><title id=\"%s-t\">",
		 WIDTH, HEIGHT, c->id, c->id, c->id);
	html_add(b, c->title);
	buf_addf(b, "</title><desc id=\"%s-d\">", c->id);
	for (size_t s = 0; s < c->n_series; s++)
		series_describe(b, p, s);
	buf_adds(b, "</desc>");
	for (size_t s = 0; c->stacked && s < c->n_series; s++)
		area_draw(b, p, s, base);
	grid_draw(b, p);
	marks_draw(b, p);
	for (size_t s = 0; !c->stacked && s < c->n_series; s++)
		line_draw(b, p, s);
	zones_draw(b, p);
	buf_adds(b, "</svg></figure>\n");
	arena_free(&p->words);
	free(p);
	free(base);
}
