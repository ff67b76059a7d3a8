/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/parse.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool parse_i64n(const char *s, size_t len, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = len > 0 && s[0] == '-';
	uint64_t v = 0, limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
	int64_t out;

	if (negative) {
		s++;
		len--;
	}
	if (len == 0 || len > 19)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	if (v > limit)
		return false;
	out = negative ? (int64_t)(0 - v) : (int64_t)v;
	if (out < min || out > max)
		return false;
	*ret = out;
	return true;
}

bool parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	return parse_i64n(s, strlen(s), min, max, ret);
}

bool parse_bool(const char *s, bool *ret)
{
	bool yes = strcasecmp(s, "true") == 0;

	if (!yes && strcasecmp(s, "false") != 0)
		return false;
	*ret = yes;
	return true;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar, by counting from 0000-03-01 so that the
 * leap day is the last of its year. */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

struct civil {
	int year, month, day, hour, minute, second, ms;
};

static struct civil civil_of(utc_ms t)
{
	int64_t days = t / MS_PER_DAY, ms = t % MS_PER_DAY, z, era, doe, yoe, doy, mp;
	struct civil c;

	if (ms < 0) {
		ms += MS_PER_DAY;
		days--;
	}
	z = days + 719468;
	era = z / 146097;
	doe = z - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c.year = (int)(yoe + era * 400 + (c.month <= 2));
	c.hour = (int)(ms / MS_PER_HOUR);
	c.minute = (int)(ms / MS_PER_MINUTE % 60);
	c.second = (int)(ms / 1000 % 60);
	c.ms = (int)(ms % 1000);
	return c;
}

bool parse_utc_seconds(const char *s, utc_ms *ret)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
	static const int month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t y = 0, mo = 0, d = 0, h = 0, mi = 0, sec = 0;
	bool leap;

	if (strlen(s) != sizeof shape - 1)
		return false;
	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != shape[i])
			return false;
	if (!parse_i64n(s, 4, 1970, 9999, &y) || !parse_i64n(s + 5, 2, 1, 12, &mo) ||
	    !parse_i64n(s + 8, 2, 1, month_days[mo - 1], &d) || !parse_i64n(s + 11, 2, 0, 23, &h) ||
	    !parse_i64n(s + 14, 2, 0, 59, &mi) || !parse_i64n(s + 17, 2, 0, 60, &sec))
		return false;
	leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	if (mo == 2 && d == 29 && !leap)
		return false;
	*ret = (((days_from_civil(y, mo, d) * 24 + h) * 60 + mi) * 60 + sec) * 1000;
	return true;
}

bool parse_percent(const char *s, int64_t *ret_milli)
{
	const char *dot = strchr(s, '.');
	size_t whole_len = dot ? (size_t)(dot - s) : strlen(s), frac_len = dot ? strlen(dot + 1) : 0;
	int64_t whole = 0, frac = 0;

	if (whole_len > 9 || s[0] == '-' || !parse_i64n(s, whole_len, 0, 999999999, &whole))
		return false;
	if (dot && (frac_len < 1 || frac_len > 3 || dot[1] == '-' || !parse_i64n(dot + 1, frac_len, 0, 999, &frac)))
		return false;
	for (size_t i = frac_len; i < 3; i++)
		frac *= 10;
	*ret_milli = whole * 1000 + frac;
	return true;
}

/* The last n digits. Every answer and every line of the log has times: printf would be most of their cost. */
static void put_digits(char *to, int n, int v)
{
	while (n-- > 0) {
		to[n] = (char)('0' + v % 10);
		v /= 10;
	}
}

void format_utc_ms(utc_ms t, char out[UTC_TEXT_LEN])
{
	struct civil c = civil_of(t);

	memcpy(out, "0000-00-00T00:00:00.000Z", UTC_TEXT_LEN);
	put_digits(out, 4, c.year);
	put_digits(out + 5, 2, c.month);
	put_digits(out + 8, 2, c.day);
	put_digits(out + 11, 2, c.hour);
	put_digits(out + 14, 2, c.minute);
	put_digits(out + 17, 2, c.second);
	put_digits(out + 20, 3, c.ms);
}

void format_gmt_dashed(utc_ms t, char out[GMT_TEXT_LEN])
{
	static const char days[7][4] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" }; /* from 1970-01-01 on */
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct civil c = civil_of(t);
	int64_t day = t / MS_PER_DAY - (t % MS_PER_DAY < 0);
	char text[96];

	(void)snprintf(text, sizeof text, "%s, %02d-%s-%04d %02d:%02d:%02d GMT", days[(day % 7 + 7) % 7], c.day,
		       months[c.month - 1], c.year, c.hour, c.minute, c.second);
	memcpy(out, text, GMT_TEXT_LEN - 1);
	out[GMT_TEXT_LEN - 1] = '\0';
}

void format_utc_minute(utc_ms t, char out[UTC_TEXT_LEN])
{
	format_utc_ms(t, out);
	memcpy(out + sizeof "2020-10-13T09:46" - 1, "Z", 2);
}

void format_gmt_local(utc_ms t, char out[20])
{
	struct civil c = civil_of(t + 8 * MS_PER_HOUR);
	char text[96];

	(void)snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d:%02d", c.year, c.month, c.day, c.hour, c.minute,
		       c.second);
	memcpy(out, text, 19);
	out[19] = '\0';
}

/* Length of the valid sequence at s and its code point; 0 when it is not valid. */
static size_t utf8_decode(const unsigned char *s, size_t len, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;

	if (n == 0 || n > len)
		return 0;
	if (n == 1) {
		*cp = s[0];
		return 1;
	}
	*cp = s[0] & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		*cp = *cp << 6 | (s[i] & 0x3f);
	}
	if (*cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return n;
}

bool utf8_valid(const char *s, size_t len)
{
	uint32_t cp;

	while (len) {
		size_t n = utf8_decode((const unsigned char *)s, len, &cp);

		if (n == 0)
			return false;
		s += n;
		len -= n;
	}
	return true;
}

void utf8_mend(char *s)
{
	uint32_t cp;

	for (size_t n; *s; s += n ? n : 1) {
		n = utf8_decode((const unsigned char *)s, strlen(s), &cp);
		if (n == 0)
			*s = '?';
	}
}

uint32_t utf8_next(const char **s)
{
	uint32_t cp = 0;
	size_t n;

	if (!**s)
		return 0;
	n = utf8_decode((const unsigned char *)*s, strlen(*s), &cp);
	ensure(n > 0);
	*s += n;
	return cp;
}

size_t utf8_count(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

bool text_of(const char *s, const char *more)
{
	if (!*s)
		return false;
	for (; *s; s++) {
		bool alnum = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');

		if (!alnum && !strchr(more, *s))
			return false;
	}
	return true;
}
