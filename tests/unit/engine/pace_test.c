/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pace.h"
#include "harness.h"

#include <stdlib.h>

#define SECOND 1000000LL

/* Drives a job of endless demand: ticks every tick_us, each push enters the broker and is acknowledged
 * after delay_us, except between freeze_from and freeze_to, when nothing is acknowledged. Returns the pushes
 * of the worst 60-second window, as the broker sees them; *ret_sent is the number of all. */
struct drive {
	int64_t per_minute, tick_us, delay_us, freeze_from, freeze_to, end;
};

static int64_t drive(const struct drive *d, int64_t *ret_sent)
{
	static int64_t sent[400000], due[400000];
	size_t n = 0, acked = 0, tail = 0;
	int64_t worst = 0, last = 0;
	struct pace p;

	pace_init(&p);
	for (int64_t now = d->tick_us; now < d->end; now += d->tick_us) {
		bool frozen = now >= d->freeze_from && now < d->freeze_to;
		int64_t k;

		for (; !frozen && acked < n && due[acked] <= now; acked++)
			pace_ack(&p, 1, now);
		k = pace_claim(&p, d->per_minute, now, last, 1000000);
		for (; k > 0; k--) {
			ensure(n < ARRAY_LEN(sent));
			/* a frozen broker takes everything in when it wakes */
			sent[n] = frozen ? d->freeze_to : now + d->delay_us / 2;
			due[n++] = frozen ? d->freeze_to + d->delay_us : now + d->delay_us;
		}
		last = now;
	}
	pace_free(&p);
	for (size_t i = 0; i < n; i++) {
		while (sent[i] - sent[tail] >= 60 * SECOND)
			tail++;
		worst = i64_max(worst, (int64_t)(i - tail + 1));
	}
	*ret_sent = (int64_t)n;
	return worst;
}

static const int64_t rates[] = { 1, 10, 60, 1000, 10000 };

static void never_above_and_at_least_98_percent(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		struct drive d = { rates[i], 50000, 3000, 0, 0, 600 * SECOND };
		int64_t sent, worst = drive(&d, &sent);

		CHECK(worst <= rates[i]);
		CHECK(sent * 100 >= rates[i] * 10 * 98);
	}
}

static void frozen_broker_is_not_flooded(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		struct drive d = { rates[i], 50000, 3000, 90 * SECOND, 200 * SECOND, 600 * SECOND };
		int64_t sent;

		CHECK(drive(&d, &sent) <= rates[i]);
	}
}

static void uneven_ticks(void)
{
	static const int64_t ticks[] = { 7000, 100000, 900000, 5000000 };

	for (size_t i = 0; i < ARRAY_LEN(rates); i++)
		for (size_t j = 0; j < ARRAY_LEN(ticks); j++) {
			struct drive d = { rates[i], ticks[j], 40000, 0, 0, 400 * SECOND };
			int64_t sent;

			CHECK(drive(&d, &sent) <= rates[i]);
		}
}

static void idle_time_is_not_made_up(void)
{
	struct pace p;

	pace_init(&p);
	CHECK_INT(pace_claim(&p, 600, 100 * SECOND, 100 * SECOND - 50000, 1000), 1);
	/* five minutes nobody wanted anything, but the ticks went on */
	CHECK_INT(pace_claim(&p, 600, 400 * SECOND, 400 * SECOND - 50000, 1000), 1);
	CHECK_INT(pace_claim(&p, 600, 401 * SECOND, 400 * SECOND, 1000), 10); /* 9.9 a second */
	pace_free(&p);
}

static void a_higher_rate_is_in_force_at_once(void)
{
	struct pace p;

	pace_init(&p);
	CHECK_INT(pace_claim(&p, 1, 100 * SECOND, 100 * SECOND, 1), 1);
	CHECK_INT(pace_claim(&p, 60, 101 * SECOND, 100 * SECOND, 1), 0);
	CHECK_INT(pace_claim(&p, 60, 103 * SECOND, 102 * SECOND, 5), 1); /* and not after the minute of the first */
	pace_free(&p);
}

static void zero_means_nobody(void)
{
	struct pace p;

	pace_init(&p);
	CHECK_INT(pace_claim(&p, 0, 100 * SECOND, 0, 10), 0);
	pace_free(&p);
}

static void gate_counts_what_is_unknown(void)
{
	struct pace p;

	pace_init(&p);
	CHECK_INT(pace_claim(&p, 2, 100 * SECOND, 100 * SECOND, 5), 1);
	CHECK_INT(pace_claim(&p, 2, 140 * SECOND, 100 * SECOND, 5), 1);
	CHECK_INT(pace_claim(&p, 2, 500 * SECOND, 400 * SECOND, 5), 0); /* two unacknowledged */
	pace_unclaim(&p, 1);
	CHECK_INT(pace_claim(&p, 2, 540 * SECOND, 500 * SECOND, 5), 1);
	pace_ack(&p, 2, 541 * SECOND);
	CHECK_INT(pace_claim(&p, 2, 600 * SECOND, 590 * SECOND, 5), 0);
	CHECK_INT(pace_claim(&p, 2, 602 * SECOND, 600 * SECOND, 5), 1);
	pace_free(&p);
}

/* Also when the acknowledgement came just behind a hundredth of a second, by which they are kept. */
static void acknowledgements_count_for_a_whole_minute(void)
{
	static const int64_t behind[] = { 0, 1, 4999, 9999 };

	for (size_t i = 0; i < ARRAY_LEN(behind); i++) {
		int64_t acked = 100 * SECOND + behind[i];
		struct pace p;

		pace_init(&p);
		CHECK_INT(pace_claim(&p, 1, 10 * SECOND, 10 * SECOND, 1), 1);
		pace_ack(&p, 1, acked);
		CHECK_INT(pace_claim(&p, 1, acked + 60 * SECOND - 1, acked, 1), 0);
		CHECK_INT(pace_claim(&p, 1, acked + 61 * SECOND, acked, 1), 1);
		pace_free(&p);
	}
}

static void idle_when_it_counts_nothing(void)
{
	struct pace p;

	pace_init(&p);
	CHECK(pace_idle(&p, 0));
	CHECK_INT(pace_claim(&p, 2, 100 * SECOND, 100 * SECOND, 1), 1);
	CHECK(!pace_idle(&p, 900 * SECOND)); /* a frozen broker may take it in at any time */
	pace_ack(&p, 1, 901 * SECOND);
	CHECK(!pace_idle(&p, 961 * SECOND));
	CHECK(pace_idle(&p, 961 * SECOND + 1));
	CHECK_INT(pace_claim(&p, 2, 970 * SECOND, 970 * SECOND, 1), 1);
	pace_unclaim(&p, 1);
	CHECK(pace_idle(&p, 970 * SECOND));
	pace_free(&p);
}

TESTS("engine/pace", { "idle_when_it_counts_nothing", idle_when_it_counts_nothing },
      { "acknowledgements_count_for_a_whole_minute", acknowledgements_count_for_a_whole_minute },
       { "never_above_and_at_least_98_percent", never_above_and_at_least_98_percent },
      { "frozen_broker_is_not_flooded", frozen_broker_is_not_flooded }, { "uneven_ticks", uneven_ticks },
      { "idle_time_is_not_made_up", idle_time_is_not_made_up }, { "a_higher_rate_is_in_force_at_once", a_higher_rate_is_in_force_at_once },
      { "zero_means_nobody", zero_means_nobody },
      { "gate_counts_what_is_unknown", gate_counts_what_is_unknown })
