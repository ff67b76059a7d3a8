/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures: nothing that was measured is lost by drawing it. */
#include "cmd/otasim/chart.h"

#include "harness.h"

#include <math.h>
#include <string.h>

#define N 5000

static double x[N], y[N], z[N];

static struct chart chart_of(size_t n)
{
	struct chart c = { .id = "c", .title = "A < B", .what = "x & y", .unit = " ms", .n = n, .x_s = x };

	c.series[c.n_series++] = (struct chart_series){ "first", 1, false, y };
	return c;
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

/* The path of the first line that is drawn. */
static const char *first_path(const struct buf *b)
{
	static char path[100000];
	const char *at = strstr(strstr(buf_str(b), "</desc>"), "<path class=\"l s1\" d=\"");
	size_t len;

	CHECK(at != NULL);
	at += strlen("<path class=\"l s1\" d=\"");
	len = strcspn(at, "\"");
	CHECK(len < sizeof path);
	memcpy(path, at, len);
	path[len] = '\0';
	return path;
}

static void gaps_stay_gaps(void)
{
	struct chart c = chart_of(6);
	struct buf b;

	for (size_t i = 0; i < 6; i++) {
		x[i] = (double)i;
		y[i] = i == 2 || i == 4 ? (double)NAN : 10;
	}
	buf_init(&b, 1000000);
	chart_print(&b, &c);
	CHECK_INT(count(first_path(&b), "M"), 3); /* 0 and 1, 3 alone, 5 alone */
	CHECK_INT(count(first_path(&b), "h1"), 2);
	CHECK(strstr(buf_str(&b), "A &lt; B") && strstr(buf_str(&b), "x &amp; y"));
	buf_free(&b);
}

/* Of thousands of points one is high: it is drawn, and said. */
static void no_peak_is_lost(void)
{
	struct chart c = chart_of(N);
	struct buf b;

	for (size_t i = 0; i < N; i++) {
		x[i] = (double)i;
		y[i] = i == 3001 ? 1234 : 1;
	}
	buf_init(&b, 1000000);
	chart_print(&b, &c);
	CHECK(strstr(buf_str(&b), "first: highest 1,234 ms at 50:0") != NULL);
	CHECK(strstr(buf_str(&b), ", last 1 ms. ") != NULL);
	CHECK(count(first_path(&b), "L") < 800);
	buf_free(&b);
}

/* The area of the second lies on the first, and nothing at all is drawn of what is 0 all the time. */
static void areas_add_up(void)
{
	struct chart c = chart_of(3);
	struct buf b;

	for (size_t i = 0; i < 3; i++) {
		x[i] = (double)i;
		y[i] = 30;
		z[i] = 70;
	}
	c.stacked = true;
	c.series[c.n_series++] = (struct chart_series){ "second", 2, false, z };
	c.series[c.n_series++] = (struct chart_series){ "third", 3, false, (double[]){ 0, 0, 0 } };
	buf_init(&b, 1000000);
	chart_print(&b, &c);
	CHECK_INT(count(buf_str(&b), "<path class=\"a s"), 2);
	CHECK(strstr(buf_str(&b), ">150</text>") != NULL); /* the scale holds the sum */
	CHECK(strstr(buf_str(&b), "0:01\nfirst 30 ms\nsecond 70 ms</title>") != NULL);
	buf_free(&b);
}

static void nothing_measured_is_no_trouble(void)
{
	struct chart c = chart_of(0);
	struct buf b;

	buf_init(&b, 1000000);
	chart_print(&b, &c);
	CHECK(strstr(buf_str(&b), "first: nothing. ") != NULL);
	CHECK(!strstr(buf_str(&b), "nan"));
	buf_free(&b);
}

TESTS("otasim/chart", { "gaps_stay_gaps", gaps_stay_gaps }, { "no_peak_is_lost", no_peak_is_lost },
      { "areas_add_up", areas_add_up }, { "nothing_measured_is_no_trouble", nothing_measured_is_no_trouble })
