/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one task (model.h). Written from rules §5 and api §10.4 to 10.12, not from engine/task.c. */
#include "tests/sim/model.h"

#include "engine/base/clock.h"

#include <string.h>

#define MINUTE 60000
#define VERDICT_MS 5000
#define REDELIVERY_WINDOW_MS 10000
#define PLACEHOLDER "app-1.0.0-20180101.1000" /* says nothing of the device */

bool unfinished(const struct model_task *t)
{
	return t->state == TASK_CONFIRM || t->state == TASK_QUEUED || t->state == TASK_NOTIFIED ||
	       t->state == TASK_IN_PROGRESS;
}

int64_t model_doubts(const struct world *w)
{
	return w->tally.faults[FAULT_CUT][PLACE_NONE] + w->tally.crashes;
}

const struct sim_job *job_of(const struct world *w, const struct model_task *t)
{
	return &w->jobs[t->job];
}

static bool is(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

void rule_end(struct world *w, struct model_task *t, enum task_state to, const char *desc, enum event_why why, utc_ms at)
{
	enum task_state from = t->state;

	t->state = to;
	t->desc = desc;
	t->deadline = t->retry_at = t->verdict_at = 0;
	t->verdict_on = NULL;
	t->ended_us = sim_now_us();
	must_be_told(w, t, why, at);
	if (!t->owed)
		must_be_logged(w, t, why, from, at);
}

/* A failure that counts: another try, or the end. */
static void fails(struct world *w, struct model_task *t, const char *text, bool may_retry, utc_ms at)
{
	const struct sim_job *j = job_of(w, t);

	t->failed_at = at;
	t->failed = text;
	if (!may_retry || j->retry_interval_min < 0 || t->retries == j->retry_count) {
		rule_end(w, t, TASK_FAILED, text, WHY_FAILURE, at);
		return;
	}
	t->retries++;
	t->retry_at = at + j->retry_interval_min * MINUTE;
	t->deadline = 0; /* stands still until the retry's first report */
	t->verdict_at = 0;
	t->verdict_on = NULL;
	must_be_logged(w, t, WHY_RETRY, t->state, at);
}

/* A time that lies ahead is of before the clock was set back, and long past. */
static bool before(utc_ms at, utc_ms that)
{
	return at < that && !model_ahead(that);
}

/* Reports between a failure and the push of its retry belong to the try that has failed; those from before the task
 * was run again to its former life. */
static bool of_the_failed_try(const struct model_task *t, utc_ms at)
{
	return t->retry_at != 0 || before(at, t->failed_at) || (t->retries > 0 && before(at, t->pushed_at));
}

void rule_version(struct world *w, struct model_task *t, const char *version, utc_ms at)
{
	const struct package *p = job_of(w, t)->package;

	if (!unfinished(t))
		return;
	if (is(version, p->dest)) {
		t->progress = 100;
		rule_end(w, t, TASK_SUCCEEDED, "", WHY_SUCCESS, at);
	} else if (is(version, PLACEHOLDER)) {
		return;
	} else if (is(version, t->src)) {
		t->verdict_at = 0; /* within the 5 seconds the last report decides */
		t->verdict_on = NULL;
	} else if (t->state != TASK_IN_PROGRESS && !p->differential) {
		t->src = version;
	} else if (!of_the_failed_try(t, at)) {
		t->verdict_on = version;
		if (t->verdict_at == 0)
			t->verdict_at = at + VERDICT_MS;
	}
}

void rule_step(struct world *w, struct model_task *t, int step, const char *text, utc_ms at, utc_ms reconnected)
{
	static const char *const texts[] = { "upgrade failed", "download failed", "verification failed",
					     "flashing failed" };
	const struct sim_job *j = job_of(w, t);
	enum task_state from = t->state;

	if (!unfinished(t) || t->state == TASK_CONFIRM || of_the_failed_try(t, at))
		return;
	if (step < 0) {
		const char *why = text[0] ? text : texts[-step - 1];

		if (t->state == TASK_QUEUED)
			return;
		if (t->failed_at && is(why, t->failed) && at < reconnected + REDELIVERY_WINDOW_MS)
			return; /* the broker says it again */
		fails(w, t, why, true, at);
		return;
	}
	if (j->timeout_min && !t->deadline)
		t->deadline = at + j->timeout_min * MINUTE;
	t->state = TASK_IN_PROGRESS;
	t->progress = step;
	t->ready_ms = i64_max(t->ready_ms, rule_again_at(t)); /* it works: no hurry to push it once more */
	t->again = 0;
	if (from != TASK_IN_PROGRESS)
		must_be_logged(w, t, WHY_PROGRESS, from, at);
}

utc_ms rule_again_at(const struct model_task *t)
{
	int64_t pause = MINUTE;

	for (int i = 1; i < t->again && pause < 30 * MINUTE; i++)
		pause *= 2;
	return t->again == 0 ? 0 : t->pushed_at + i64_min(pause, 30 * MINUTE);
}

void rule_push(struct world *w, struct model_task *t, utc_ms at, int64_t conn, bool pull)
{
	enum task_state from = t->state;

	t->before_at = t->pushed_at;
	t->before_retry_at = t->retry_at;
	t->again = pull || from == TASK_QUEUED || t->retry_at ? 0 : t->again + 1;
	t->pushes++;
	t->pushed_at = at;
	t->pushed_conn = conn;
	t->retry_at = 0;
	t->doubts = model_doubts(w);
	t->reached = pull;
	t->claimed_us = sim_now_us();
	t->claims += !pull;
	t->pulls += pull;
	if (from == TASK_QUEUED)
		t->state = TASK_NOTIFIED;
	must_be_logged(w, t, pull ? WHY_PULL : WHY_PUSH, from, at);
}

/* The last push never went out: as if it had not been, but for what the device has said since. */
void rule_unpush(struct world *w, struct model_task *t, utc_ms at)
{
	enum task_state from = t->state;

	t->pushes--;
	t->claims--;
	t->pushed_at = t->before_at;
	t->pushed_conn = 0;
	if (!t->retry_at)
		t->retry_at = t->before_retry_at;
	if (t->again > 0)
		t->again--;
	if (t->state == TASK_NOTIFIED && t->pushes == 0)
		t->state = TASK_QUEUED;
	must_be_logged(w, t, WHY_UNPUSHED, from, at);
}

void rule_confirm(struct world *w, struct model_task *t, utc_ms at)
{
	enum task_state from = t->state;

	t->state = TASK_QUEUED;
	t->ready_ms = clock_now();
	must_be_logged(w, t, WHY_CONFIRM, from, at);
}

void rule_again(struct world *w, struct model_task *t, const char *version, utc_ms at)
{
	enum task_state from = t->state;

	t->state = job_of(w, t)->need_confirm ? TASK_CONFIRM : TASK_QUEUED;
	t->desc = "";
	t->src = version;
	t->progress = t->retries = t->pushes = t->again = 0;
	t->pushed_at = t->before_at = t->before_retry_at = 0;
	t->pushed_conn = 0;
	t->failed_at = at;
	t->failed = NULL;
	t->ended_us = 0;
	t->ready_ms = clock_now();
	must_be_logged(w, t, WHY_REUPGRADE, from, -1);
}

static void verdict(struct world *w, struct model_task *t)
{
	const char *version = t->verdict_on;
	utc_ms at = t->verdict_at;

	t->verdict_at = 0;
	t->verdict_on = NULL;
	if (!t->src || is(t->src, PLACEHOLDER))
		t->src = version; /* it had never said what it had */
	else
		fails(w, t, "report version is not conform", t->state == TASK_IN_PROGRESS, at);
}

bool rule_timer(struct world *w, struct model_task *t, utc_ms before)
{
	bool verdict_first = t->verdict_at && (!t->deadline || t->verdict_at < t->deadline);

	if (!unfinished(t))
		return false;
	if (verdict_first && t->verdict_at < before) {
		verdict(w, t);
		return true;
	}
	if (t->deadline && t->deadline < before) {
		rule_end(w, t, TASK_FAILED, "timeout", WHY_TIMEOUT, t->deadline);
		return true;
	}
	return false;
}
