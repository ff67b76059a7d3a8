/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/parse.h"
#include "harness.h"

#include <string.h>

static void integers(void)
{
	static const struct {
		const char *text;
		bool good;
		int64_t value;
	} rows[] = {
		{ "0", true, 0 },
		{ "-0", true, 0 },
		{ "007", true, 7 },
		{ "-1", true, -1 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 },
		{ "99999999999999999999", false, 0 },
		{ "", false, 0 },
		{ "-", false, 0 },
		{ "--1", false, 0 },
		{ "+1", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "1.0", false, 0 },
		{ "0x10", false, 0 },
		{ "1e3", false, 0 },
	};
	int64_t v;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		v = 4711;
		CHECK_INT(parse_i64(rows[i].text, INT64_MIN, INT64_MAX, &v), rows[i].good);
		CHECK_INT(v, rows[i].good ? rows[i].value : 4711);
	}
	CHECK(parse_i64("5", 5, 5, &v) && !parse_i64("4", 5, 5, &v) && !parse_i64("6", 5, 5, &v));
	CHECK(parse_i64n("123x", 3, 0, 1000, &v) && v == 123);
	CHECK(!parse_i64n("123", 0, 0, 1000, &v));
}

static void booleans(void)
{
	bool v = false;

	CHECK(parse_bool("true", &v) && v);
	CHECK(parse_bool("True", &v) && v);
	CHECK(parse_bool("FALSE", &v) && !v);
	CHECK(!parse_bool("", &v) && !parse_bool("1", &v) && !parse_bool("yes", &v) && !parse_bool("true ", &v));
}

static void times(void)
{
	static const struct {
		const char *text;
		utc_ms t; /* -1: malformed */
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2000-02-29T12:00:00Z", 951825600000 },
		{ "2019-11-04T06:22:19Z", 1572848539000 },
		{ "2038-01-19T03:14:08Z", 2147483648000 },
		{ "9999-12-31T23:59:59Z", 253402300799000 },
		{ "2100-02-29T00:00:00Z", -1 },
		{ "2019-02-29T00:00:00Z", -1 },
		{ "2019-04-31T00:00:00Z", -1 },
		{ "2019-13-01T00:00:00Z", -1 },
		{ "2019-00-01T00:00:00Z", -1 },
		{ "2019-01-00T00:00:00Z", -1 },
		{ "2019-01-01T24:00:00Z", -1 },
		{ "2019-01-01T00:60:00Z", -1 },
		{ "2019-01-01T00:00:61Z", -1 },
		{ "2019-01-01 00:00:00Z", -1 },
		{ "2019-01-01T00:00:00", -1 },
		{ "2019-01-01T00:00:00.000Z", -1 },
		{ "2019-01-01T00:00:00+08:00", -1 },
		{ "2019-1-01T00:00:00ZZ", -1 },
		{ "-019-01-01T00:00:00Z", -1 },
		{ "1969-12-31T23:59:59Z", -1 },
		{ "", -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char back[UTC_TEXT_LEN];
		utc_ms t = -1;

		CHECK_INT(parse_utc_seconds(rows[i].text, &t), rows[i].t >= 0);
		CHECK_INT(t, rows[i].t);
		if (t < 0)
			continue;
		format_utc_ms(t, back);
		CHECK(strncmp(back, rows[i].text, 19) == 0);
		CHECK_STR(back + 19, ".000Z");
	}
}

static void time_texts(void)
{
	char utc[UTC_TEXT_LEN], local[20], gmt[GMT_TEXT_LEN];

	format_utc_ms(1572848539566, utc);
	CHECK_STR(utc, "2019-11-04T06:22:19.566Z");
	format_utc_minute(1572848539566, utc);
	CHECK_STR(utc, "2019-11-04T06:22Z");
	format_gmt_local(1533523670000, local);
	CHECK_STR(local, "2018-08-06 10:47:50");
	format_utc_ms(-1, utc);
	CHECK_STR(utc, "1969-12-31T23:59:59.999Z");
	format_gmt_local(1577815200000, local); /* 18:00 UTC is the next day, and year, there */
	CHECK_STR(local, "2020-01-01 02:00:00");
	format_gmt_dashed(1550628969000, gmt);
	CHECK_STR(gmt, "Wed, 20-Feb-2019 02:16:09 GMT");
	format_gmt_dashed(0, gmt);
	CHECK_STR(gmt, "Thu, 01-Jan-1970 00:00:00 GMT");
	format_gmt_dashed(-1, gmt);
	CHECK_STR(gmt, "Wed, 31-Dec-1969 23:59:59 GMT");
	format_gmt_dashed(1772352000000, gmt);
	CHECK_STR(gmt, "Sun, 01-Mar-2026 08:00:00 GMT");
	for (utc_ms day = 0; day < 60000; day += 13) { /* every date comes back */
		char text[UTC_TEXT_LEN];
		utc_ms t = 0;

		format_utc_ms(day * MS_PER_DAY, text);
		text[19] = 'Z';
		text[20] = '\0';
		CHECK(parse_utc_seconds(text, &t));
		CHECK_INT(t, day * MS_PER_DAY);
	}
}

static void percents(void)
{
	static const struct {
		const char *text;
		int64_t milli; /* -1: malformed */
	} rows[] = {
		{ "33.33", 33330 }, { "100", 100000 }, { "0.001", 1 },	 { "10.5", 10500 }, { "0", 0 },	   { "1.000", 1000 },
		{ "", -1 },	    { ".5", -1 },      { "5.", -1 },	 { "1.0001", -1 },  { "-1", -1 },  { "1.-5", -1 },
		{ "1e2", -1 },	    { " 1", -1 },      { "1.2.3", -1 },	 { "+1", -1 },	    { "-0", -1 },  { "1234567890", -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t milli = -1;

		CHECK_INT(parse_percent(rows[i].text, &milli), rows[i].milli >= 0);
		CHECK_INT(milli, rows[i].milli);
	}
}

static void utf8(void)
{
	static const struct {
		const char *text;
		int64_t count; /* -1: not valid */
	} rows[] = {
		{ "", 0 },
		{ "abc", 3 },
		{ "\xc3\xa9", 1 },
		{ "\xe4\xb8\xad\xe6\x96\x87", 2 },
		{ "\xf0\x9f\x98\x80", 1 },
		{ "\xf4\x8f\xbf\xbf", 1 },
		{ "\xc0\xaf", -1 },		/* overlong */
		{ "\xe0\x80\xaf", -1 },		/* overlong */
		{ "\xf0\x80\x80\xaf", -1 },	/* overlong */
		{ "\xed\xa0\x80", -1 },		/* surrogate */
		{ "\xf4\x90\x80\x80", -1 },	/* above U+10FFFF */
		{ "\xff", -1 },
		{ "\x80", -1 },
		{ "\xe4\xb8", -1 },		/* cut off */
		{ "a\xc3", -1 },
		{ "\xc3(", -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *s = rows[i].text;
		int64_t n = 0;

		CHECK_INT(utf8_valid(s, strlen(s)), rows[i].count >= 0);
		if (rows[i].count < 0)
			continue;
		CHECK_INT(utf8_count(s), rows[i].count);
		while (utf8_next(&s))
			n++;
		CHECK_INT(n, rows[i].count);
	}
	{
		const char *s = "\xe4\xb8\xad";

		CHECK_INT(utf8_next(&s), 0x4e2d);
	}
	{
		char cut[] = "a\xe4\xb8 \xff\xe4\xb8\xad\xe4\xb8";

		utf8_mend(cut);
		CHECK_STR(cut, "a?? ?\xe4\xb8\xad??");
	}
}

static void character_sets(void)
{
	CHECK(text_of("aZ09-_", "-_"));
	CHECK(!text_of("", "-_"));
	CHECK(!text_of("a b", "-_"));
	CHECK(!text_of("\xc3\xa9", ""));
	CHECK(!text_of("a\n", ""));
}

TESTS("base/parse", { "integers", integers }, { "booleans", booleans }, { "times", times }, { "time_texts", time_texts },
      { "percents", percents }, { "utf8", utf8 }, { "character_sets", character_sets })
