/* SPDX-License-Identifier: Apache-2.0 */
/* What a run has shown: verdicts in words (verdict.c), the data behind them (data.c), pictures (chart.c), the
 * page of all of it (page.c). Called by result_write, after the loop. */
#ifndef OTASIM_RESULT_H
#define OTASIM_RESULT_H

#include "cmd/otasim/load.h"
#include "cmd/otasim/say.h"

#define VERDICTS_MAX 40

/* DOUBT: the run itself was not what the scenario asked for, so that nothing follows from it. */
enum verdict_kind { VERDICT_GOOD, VERDICT_DOUBT, VERDICT_BAD, VERDICT_NOTE };

struct verdict {
	enum verdict_kind kind;
	const char *title, *text; /* plain text */
};

struct verdicts {
	struct arena *arena;
	struct verdict v[VERDICTS_MAX];
	size_t n;
};

const char *verdict_word(enum verdict_kind k); /* "good", "doubtful", "bad", "note" */
/* ret is to be empty, but for its arena. */
void verdicts_find(struct load *l, struct verdicts *ret);
/* The worst of them, notes aside. */
enum verdict_kind verdicts_worst(const struct verdicts *v);

/* Everything that was measured, as JSON. */
void data_print(const struct load *l, const struct verdicts *v, struct arena *a, struct buf *out);
/* The page. */
void page_print(const struct load *l, const struct verdicts *v, struct arena *a, struct buf *out);

/* Names and meanings of failures, as in a scenario. */
const char *failure_key(enum failure f);
const char *failure_text(enum failure f);

/* How the rate of a campaign was used between its first push and its last, percent * 1000; -1: not to be
 * said. */
int64_t campaign_used_milli(const struct campaign *c);

#endif
