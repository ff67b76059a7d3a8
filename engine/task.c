/* SPDX-License-Identifier: Apache-2.0 */
/* The moves of a task. The table says which event may do what in which state; the functions below it do it. */
#include "engine/task.h"

#include "engine/text.h"

#include <string.h>

#define GRACE_MS 1000             /* after a connect: some SDKs subscribe first (device §4.2) */
#define GRACE_IN_PROGRESS_MS 5000 /* it may be about to report success */
#define REPUSH_MIN_MS 60000
#define REPUSH_MAX_MS 1800000

static const struct {
	const char *name;
	bool unfinished;
} states[TASK_STATE_COUNT] = {
#define TASK_STATE(id, number, name, unfinished) [id] = { name, unfinished },
#include "engine/states.def"
};

static const char *const whys[] = {
#define EVENT_WHY(id, number, name) [id] = name,
#include "engine/states.def"
};

const char *task_state_name(enum task_state s)
{
	ensure(s > TASK_NONE && s < TASK_STATE_COUNT);
	return states[s].name;
}

enum task_state task_state_parse(const char *name)
{
	for (int s = TASK_NONE + 1; s < TASK_STATE_COUNT; s++)
		if (strcmp(states[s].name, name) == 0)
			return (enum task_state)s;
	return TASK_NONE;
}

bool task_state_unfinished(enum task_state s)
{
	ensure(s > TASK_NONE && s < TASK_STATE_COUNT);
	return states[s].unfinished;
}

const char *event_why_name(enum event_why w)
{
	ensure(w > WHY_NONE && (size_t)w < ARRAY_LEN(whys));
	return whys[w];
}

static void move(struct task *t, struct task_outcome *o, enum task_state to, enum event_why why, const char *detail)
{
	o->changed = true;
	o->why = why;
	o->detail = detail;
	t->state = to;
	if (task_state_unfinished(o->from) && !task_state_unfinished(to)) {
		o->ended = true;
		t->timeout_ms = t->retry_ms = t->verdict_ms = 0;
		t->pending_version = NULL;
	}
}

/* Counts a failure of the current push: a retry is armed, or the task ends. */
static void task_fail(struct task *t, const struct job_rules *r, const struct task_event *e, const char *desc,
		      bool may_retry, struct task_outcome *o)
{
	t->fail_ms = e->at;
	t->fail_desc = desc;
	if (!may_retry || r->retry_interval_min < 0 || t->retries >= r->retry_count) {
		t->task_desc = desc;
		move(t, o, TASK_FAILED, WHY_FAILURE, desc);
		return;
	}
	t->retries++;
	t->retry_ms = e->at + r->retry_interval_min * MS_PER_MINUTE;
	t->timeout_ms = t->verdict_ms = 0; /* the clock stands still; it starts anew after the retry's push */
	t->pending_version = NULL;
	o->arm_retry_ms = t->retry_ms;
	move(t, o, t->state, WHY_RETRY, desc);
}

void task_set_back(struct task *t, utc_ms now)
{
	t->fail_ms = ms_past(t->fail_ms, now);
	t->push_ms = ms_past(t->push_ms, now);
}

/* A report that was received before the push of a retry, or before the task was run again, belongs to the attempt
 * before it. */
static bool of_attempt_before(const struct task *t, const struct task_event *e)
{
	return t->retry_ms != 0 || e->at < t->fail_ms || (t->retries > 0 && e->at < t->push_ms);
}

static void on_push(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o)
{
	bool again = e->kind == TASK_EV_PUSH && t->state != TASK_QUEUED && t->retry_ms == 0;

	(void)r;
	t->repushes = again ? t->repushes + 1 : 0;
	t->pushes++;
	t->push_conn = e->conn;
	t->push_ms = e->at;
	t->retry_ms = 0;
	move(t, o, t->state == TASK_QUEUED ? TASK_NOTIFIED : t->state, e->kind == TASK_EV_PUSH ? WHY_PUSH : WHY_PULL, NULL);
}

/* Undone as far as anybody can see: due again on the same connection, at once. The device may have reported since. */
static void on_unpush(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o)
{
	(void)r;
	t->push_conn = 0;
	t->push_ms = e->push_ms;
	if (!t->retry_ms) /* else it has failed since */
		t->retry_ms = e->retry_ms; /* a retry that was not pushed is still pending, and due */
	if (t->pushes > 0)
		t->pushes--;
	if (t->repushes > 0)
		t->repushes--;
	move(t, o, t->state == TASK_NOTIFIED && t->pushes == 0 ? TASK_QUEUED : t->state, WHY_UNPUSHED, NULL);
}

static const char *step_text(int step)
{
	static const char *const texts[] = { "upgrade failed", "download failed", "verification failed", "flashing failed" };

	return texts[-step - 1];
}

static void on_failure(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o)
{
	const char *desc = e->desc[0] ? e->desc : step_text(e->step);

	if (t->state == TASK_QUEUED || of_attempt_before(t, e))
		return;
	if (t->fail_ms != 0 && text_same(desc, t->fail_desc) && e->at < e->reconnected_ms + REDELIVERY_MS)
		return; /* the broker's repetition of one that was counted */
	task_fail(t, r, e, desc, true, o);
}

static void on_progress(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o)
{
	bool first = t->state != TASK_IN_PROGRESS;

	if (e->step < 0) {
		on_failure(t, r, e, o);
		return;
	}
	if (of_attempt_before(t, e))
		return;
	if (t->timeout_min > 0 && t->timeout_ms == 0) {
		t->timeout_ms = e->at + t->timeout_min * MS_PER_MINUTE;
		o->arm_timeout_ms = t->timeout_ms;
	}
	t->progress = e->step;
	t->repushes = 0;
	move(t, o, TASK_IN_PROGRESS, first ? WHY_PROGRESS : WHY_NONE, first ? e->desc : NULL);
}

static void on_version(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o)
{
	if (strcmp(e->version, r->dest_version) == 0) {
		t->progress = 100;
		t->task_desc = "";
		move(t, o, TASK_SUCCEEDED, WHY_SUCCESS, NULL);
		return;
	}
	if (text_same(e->version, VERSION_PLACEHOLDER))
		return;
	if (text_same(e->version, t->src_version)) {
		if (t->verdict_ms) { /* the last report of the window decides */
			t->verdict_ms = 0;
			t->pending_version = NULL;
			o->changed = true;
		}
		return;
	}
	if (t->state != TASK_IN_PROGRESS && !r->differential) {
		t->src_version = e->version;
		o->changed = true;
		return;
	}
	if (of_attempt_before(t, e))
		return;
	t->pending_version = e->version;
	if (t->verdict_ms == 0) {
		t->verdict_ms = e->at + VERDICT_DELAY_MS;
		o->arm_verdict_ms = t->verdict_ms;
	}
	o->changed = true;
}

static void on_verdict(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o)
{
	const char *version = t->pending_version;

	t->verdict_ms = 0;
	t->pending_version = NULL;
	o->changed = true;
	if (!version)
		return;
	if (!t->src_version || text_same(t->src_version, VERSION_PLACEHOLDER)) { /* never reported before: this is what it had (api §10.7) */
		t->src_version = version;
		return;
	}
	/* A difference package cannot be applied to the version it has now: no retry helps. */
	task_fail(t, r, e, "report version is not conform", t->state == TASK_IN_PROGRESS, o);
}

static void on_timer(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o)
{
	switch (e->timer) {
	case TIMER_TIMEOUT:
		if (t->state != TASK_IN_PROGRESS || t->timeout_ms == 0 || e->at < t->timeout_ms)
			return;
		t->task_desc = "timeout";
		move(t, o, TASK_FAILED, WHY_TIMEOUT, NULL);
		return;
	case TIMER_VERDICT:
		if (t->verdict_ms != 0 && e->at >= t->verdict_ms)
			on_verdict(t, r, e, o);
		return;
	case TIMER_RETRY: /* makes the task due: task_due_at */
	case TIMER_JOB_START:
	case TIMER_JOB_FINISH:
		return;
	}
}

static void on_cancel(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o)
{
	(void)r;
	t->task_desc = e->desc;
	move(t, o, TASK_CANCELED, e->why, e->desc);
}

static void on_confirm(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o)
{
	(void)r;
	(void)e;
	move(t, o, TASK_QUEUED, WHY_CONFIRM, NULL);
}

/* A new life: nothing of the old one counts, and the device is judged by the version that it has now (api §6.4). */
static void on_reupgrade(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o)
{
	(void)r;
	t->progress = t->retries = t->pushes = t->repushes = 0;
	t->push_conn = 0;
	t->push_ms = 0;
	t->fail_ms = e->at;
	t->fail_desc = NULL;
	t->src_version = e->version;
	t->task_desc = "";
	move(t, o, e->confirm ? TASK_CONFIRM : TASK_QUEUED, WHY_REUPGRADE, NULL);
}

static void on_lose(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o)
{
	(void)r;
	t->task_desc = e->desc;
	move(t, o, TASK_FAILED, WHY_CONFLICT, e->desc);
}

#define Q TASK_BIT(TASK_QUEUED)
#define RUNNING (TASK_BIT(TASK_NOTIFIED) | TASK_BIT(TASK_IN_PROGRESS))
#define OVER (TASK_BIT(TASK_FAILED) | TASK_BIT(TASK_CANCELED)) /* and may be run again */

/* Every legal move: the states in which an event means something, and who carries it out. */
static const struct {
	unsigned in; /* TASK_BIT of the states */
	void (*act)(struct task *t, const struct job_rules *r, const struct task_event *e, struct task_outcome *o);
} moves[] = {
	[TASK_EV_PUSH] = { Q | RUNNING, on_push },
	[TASK_EV_UNPUSH] = { RUNNING, on_unpush },
	[TASK_EV_PULL] = { Q | RUNNING, on_push },
	[TASK_EV_PROGRESS] = { Q | RUNNING, on_progress },
	[TASK_EV_VERSION] = { TASK_MASK_UNFINISHED, on_version },
	[TASK_EV_TIMER] = { TASK_MASK_UNFINISHED, on_timer },
	[TASK_EV_CANCEL] = { TASK_MASK_UNFINISHED, on_cancel },
	[TASK_EV_CONFIRM] = { TASK_BIT(TASK_CONFIRM), on_confirm },
	[TASK_EV_REUPGRADE] = { OVER, on_reupgrade },
	[TASK_EV_LOSE] = { TASK_BIT(TASK_CONFIRM) | Q, on_lose },
};

struct task_outcome task_step(struct task *t, const struct job_rules *r, const struct task_event *e)
{
	struct task_outcome o = { .from = t->state };

	ensure((size_t)e->kind < ARRAY_LEN(moves));
	if (moves[e->kind].in & (unsigned)TASK_BIT(t->state))
		moves[e->kind].act(t, r, e, &o);
	if (o.changed)
		t->modified_ms = i64_max(t->modified_ms, e->at);
	return o;
}

enum err task_rerun_check(const struct task *t, const struct job_rules *r, const char *version)
{
	if (!(OVER & TASK_BIT(t->state)))
		return ERR_TASK_STATUS;
	if (text_same(version, r->dest_version))
		return ERR_DEVICE_AT_DEST;
	if (!r->differential || text_same(version, r->src_version))
		return OK;
	return version ? ERR_SRC_VERSION_MISMATCH : ERR_DEVICE_NO_VERSION;
}

utc_ms task_due_at(const struct task *t, const struct job_rules *r, int64_t conn, utc_ms conn_ms, utc_ms now)
{
	int64_t pause = REPUSH_MIN_MS;
	utc_ms at;

	if (conn_ms > now)
		conn_ms = 0;
	if (!r->need_push || !(TASK_BIT(t->state) & (Q | RUNNING)))
		return NEVER;
	if (t->retry_ms != 0)
		return i64_max(t->retry_ms, conn_ms + GRACE_MS);
	if (t->state == TASK_QUEUED)
		return conn_ms + GRACE_MS;
	if (t->push_conn == conn)
		return NEVER;
	at = conn_ms + (t->state == TASK_IN_PROGRESS ? GRACE_IN_PROGRESS_MS : GRACE_MS);
	if (t->repushes == 0 || t->push_ms > now)
		return at;
	for (int i = 1; i < t->repushes && pause < REPUSH_MAX_MS; i++)
		pause *= 2;
	return i64_max(at, t->push_ms + i64_min(pause, REPUSH_MAX_MS));
}

bool task_pullable(const struct task *t, utc_ms now)
{
	return (TASK_BIT(t->state) & (Q | RUNNING)) && t->retry_ms <= now;
}

bool task_first_push(const struct task *t)
{
	return t->state == TASK_QUEUED;
}
