/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people read them. Pure. */
#ifndef OTASIM_SAY_H
#define OTASIM_SAY_H

#include "engine/base/buf.h"

/* 12,345 */
const char *say_number(struct arena *a, int64_t n);
/* Four digits, or a whole number: 0.125, 12.5, 12,345 */
const char *say_double(struct arena *a, double v);
/* 5.3 s, 1 min 07 s, 2 h 00 min 41 s */
const char *say_seconds(struct arena *a, int64_t ms);
/* 0.52 ms, 12.3 ms, 1,234 ms; "-" for less than 0 */
const char *say_us(struct arena *a, int64_t us);
/* 12.34 % */
const char *say_percent(struct arena *a, int64_t part, int64_t whole);

#endif
