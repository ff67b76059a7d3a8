/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otasim/say.h"

#include <math.h>
#include <string.h>

const char *say_number(struct arena *a, int64_t n)
{
	const char *digits = arena_printf(a, "%lld", (long long)n);
	struct buf *b = buf_owned(a, 64);

	for (size_t left = strlen(digits); left > 0; left--, digits++) {
		buf_addc(b, *digits);
		if (left > 1 && left % 3 == 1 && *digits != '-')
			buf_addc(b, ',');
	}
	return buf_str(b);
}

const char *say_double(struct arena *a, double v)
{
	return fabs(v) < 1000 ? arena_printf(a, "%.4g", v) : say_number(a, llround(v));
}

const char *say_seconds(struct arena *a, int64_t ms)
{
	int64_t s = ms / MS_PER_SECOND;

	if (s < 60)
		return arena_printf(a, "%lld.%lld s", (long long)s, (long long)(ms % MS_PER_SECOND / 100));
	if (s < 3600)
		return arena_printf(a, "%lld min %02lld s", (long long)(s / 60), (long long)(s % 60));
	return arena_printf(a, "%lld h %02lld min %02lld s", (long long)(s / 3600), (long long)(s / 60 % 60),
			    (long long)(s % 60));
}

const char *say_us(struct arena *a, int64_t us)
{
	double ms = (double)us / 1000;

	if (us < 0)
		return "-";
	if (ms >= 100)
		return arena_printf(a, "%s ms", say_number(a, llround(ms)));
	return arena_printf(a, ms < 10 ? "%.2f ms" : "%.1f ms", ms);
}

const char *say_percent(struct arena *a, int64_t part, int64_t whole)
{
	return whole > 0 ? arena_printf(a, "%.4g %%", 100 * (double)part / (double)whole) : "0 %";
}
