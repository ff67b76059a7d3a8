/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/task.h"
#include "harness.h"

#include <string.h>

static const struct job_rules plain = { .id = 1, .kind = JOB_STATIC, .module = "default", .src_version = "",
					.dest_version = "2.0.0", .need_push = true, .retry_interval_min = -1 };

static struct job_rules with_retry(int interval, int count)
{
	struct job_rules r = plain;

	r.retry_interval_min = interval;
	r.retry_count = count;
	return r;
}

static struct task task_in(enum task_state s)
{
	return (struct task){ .job_id = 1, .seq = 1, .device_id = 7, .state = s, .src_version = "1.0.0", .task_desc = "",
			      .push_conn = s == TASK_QUEUED || s == TASK_CONFIRM ? 0 : 5,
			      .pushes = s == TASK_QUEUED || s == TASK_CONFIRM ? 0 : 1,
			      .push_ms = s == TASK_QUEUED || s == TASK_CONFIRM ? 0 : 1000 };
}

static struct task_outcome push(struct task *t, const struct job_rules *r, utc_ms at, int64_t conn)
{
	struct task_event e = { .kind = TASK_EV_PUSH, .at = at, .conn = conn };

	return task_step(t, r, &e);
}

static struct task_outcome progress(struct task *t, const struct job_rules *r, utc_ms at, int step, const char *desc)
{
	struct task_event e = { .kind = TASK_EV_PROGRESS, .at = at, .step = step, .desc = desc, .reconnected_ms = -1000000 };

	return task_step(t, r, &e);
}

static struct task_outcome version(struct task *t, const struct job_rules *r, utc_ms at, const char *v)
{
	struct task_event e = { .kind = TASK_EV_VERSION, .at = at, .version = v };

	return task_step(t, r, &e);
}

static struct task_outcome timer(struct task *t, const struct job_rules *r, utc_ms at, enum timer_kind k)
{
	struct task_event e = { .kind = TASK_EV_TIMER, .at = at, .timer = k };

	return task_step(t, r, &e);
}

/* Every state x every event: what is not a move changes nothing at all; terminal stays terminal. */
static void every_state_and_event(void)
{
	static const struct task_event events[] = {
		{ .kind = TASK_EV_PUSH, .at = 2000, .conn = 6 },
		{ .kind = TASK_EV_UNPUSH, .at = 2000 },
		{ .kind = TASK_EV_PULL, .at = 2000, .conn = 5 },
		{ .kind = TASK_EV_PROGRESS, .at = 2000, .step = 0, .desc = "" },
		{ .kind = TASK_EV_PROGRESS, .at = 2000, .step = 100, .desc = "" },
		{ .kind = TASK_EV_PROGRESS, .at = 2000, .step = -2, .desc = "no space" },
		{ .kind = TASK_EV_VERSION, .at = 2000, .version = "2.0.0" },
		{ .kind = TASK_EV_VERSION, .at = 2000, .version = "1.0.0" },
		{ .kind = TASK_EV_VERSION, .at = 2000, .version = "9.9.9" },
		{ .kind = TASK_EV_TIMER, .at = 2000, .timer = TIMER_TIMEOUT },
		{ .kind = TASK_EV_TIMER, .at = 2000, .timer = TIMER_RETRY },
		{ .kind = TASK_EV_TIMER, .at = 2000, .timer = TIMER_VERDICT },
		{ .kind = TASK_EV_CANCEL, .at = 2000, .desc = "canceled", .why = WHY_CANCEL },
		{ .kind = TASK_EV_CONFIRM, .at = 2000 },
		{ .kind = TASK_EV_REUPGRADE, .at = 2000, .version = "1.0.0" },
		{ .kind = TASK_EV_REUPGRADE, .at = 2000, .version = "1.0.0", .confirm = true },
		{ .kind = TASK_EV_LOSE, .at = 2000, .desc = "held" },
	};
	/* the state afterwards, by state CONFIRM .. CANCELED; C Q N P S F X */
	static const char *const want[ARRAY_LEN(events)] = {
		"CNNPSFX", "CQQPSFX", "CNNPSFX", "CPPPSFX", "CPPPSFX", "CQFFSFX", "SSSSSFX",
		"CQNPSFX", "CQNPSFX", "CQNPSFX", "CQNPSFX", "CQNPSFX", "XXXXSFX",
		"QQNPSFX", "CQNPSQQ", "CQNPSCC", "FFNPSFX",
	};
	static const char letters[] = "-CQNPSFX";

	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		for (int s = TASK_CONFIRM; s <= TASK_CANCELED; s++) {
			struct task t = task_in((enum task_state)s), before = t;
			struct task_outcome o = task_step(&t, &plain, &events[i]);

			if (letters[t.state] != want[i][s - 1])
				test_fail(__FILE__, __LINE__, "event %zu in state %s gives %s", i,
					  task_state_name((enum task_state)s), task_state_name(t.state));
			CHECK(o.changed || memcmp(&t, &before, sizeof t) == 0);
			CHECK_INT(o.ended, task_state_unfinished((enum task_state)s) && !task_state_unfinished(t.state));
		}
}

static void clock_starts_at_the_first_report_and_fires_once(void)
{
	struct job_rules r = with_retry(0, 2);
	struct task t = task_in(TASK_NOTIFIED);
	struct task_outcome o;

	t.timeout_min = 1;
	o = progress(&t, &r, 10000, 0, "");
	CHECK_INT(o.arm_timeout_ms, 70000);
	o = progress(&t, &r, 40000, 60, "");
	CHECK_INT(o.arm_timeout_ms, 0);
	push(&t, &r, 50000, 6); /* a re-push does not restart it */
	CHECK_INT(t.timeout_ms, 70000);
	CHECK(!timer(&t, &r, 69999, TIMER_TIMEOUT).changed);
	o = timer(&t, &r, 70000, TIMER_TIMEOUT);
	CHECK(o.ended && o.why == WHY_TIMEOUT);
	CHECK_STR(t.task_desc, "timeout");
	CHECK_INT(t.retries, 0);
	CHECK(!progress(&t, &r, 70001, -1, "late").changed);
}

static void retries_count_once_per_push(void)
{
	struct job_rules r = with_retry(10, 2);
	struct task t = task_in(TASK_NOTIFIED);

	t.timeout_min = 5;
	progress(&t, &r, 2000, 5, "");
	CHECK_INT(progress(&t, &r, 3000, -1, "one").why, WHY_RETRY);
	CHECK_INT(t.retry_ms, 3000 + 600000);
	CHECK_INT(t.state, TASK_IN_PROGRESS);
	CHECK_INT(t.timeout_ms, 0);
	CHECK(!progress(&t, &r, 3500, -1, "one").changed);
	CHECK(!progress(&t, &r, 3600, 50, "").changed);
	CHECK(!task_pullable(&t, 4000));
	CHECK_INT(task_due_at(&t, &r, 99, 4000, NEVER), 603000);
	push(&t, &r, 603000, 99);
	CHECK_INT(t.retry_ms, 0);
	CHECK(!progress(&t, &r, 602000, -1, "of the attempt before").changed);
	CHECK_INT(progress(&t, &r, 604000, 1, "").arm_timeout_ms, 904000);
	CHECK_INT(progress(&t, &r, 605000, -4, "two").why, WHY_RETRY);
	push(&t, &r, 1300000, 99);
	CHECK_INT(progress(&t, &r, 1300001, -4, "three").why, WHY_FAILURE);
	CHECK_INT(t.state, TASK_FAILED);
	CHECK_STR(t.task_desc, "three");
	CHECK_INT(t.retries, 2);
}

static void redelivered_failure_is_not_counted_twice(void)
{
	struct job_rules r = with_retry(0, 5);
	struct task t = task_in(TASK_NOTIFIED);
	struct task_event e = { .kind = TASK_EV_PROGRESS, .at = 3000, .step = -1, .desc = "x" };

	CHECK_INT(task_step(&t, &r, &e).why, WHY_RETRY);
	push(&t, &r, 4000, 5);
	e.at = 5000;
	e.reconnected_ms = 4500; /* the broker connection came back, everything arrives again */
	CHECK(!task_step(&t, &r, &e).changed);
	e.at = 4500 + REDELIVERY_MS;
	CHECK_INT(task_step(&t, &r, &e).why, WHY_RETRY);
}

static void third_version_is_judged_by_the_last_report(void)
{
	struct task t = task_in(TASK_IN_PROGRESS);

	CHECK_INT(version(&t, &plain, 10000, "1.7").arm_verdict_ms, 15000);
	CHECK(version(&t, &plain, 10200, "1.0.0").changed); /* the real one: forgotten */
	CHECK(!timer(&t, &plain, 15000, TIMER_VERDICT).changed);
	CHECK_INT(t.state, TASK_IN_PROGRESS);
	version(&t, &plain, 20000, "3");
	CHECK_INT(version(&t, &plain, 21000, "4").arm_verdict_ms, 0);
	CHECK_INT(timer(&t, &plain, 25000, TIMER_VERDICT).why, WHY_FAILURE);
	CHECK_STR(t.task_desc, "report version is not conform");
}

static void placeholder_moves_nothing(void)
{
	struct task t = task_in(TASK_IN_PROGRESS), waiting = task_in(TASK_NOTIFIED);
	struct job_rules to_it = plain;

	CHECK(!version(&t, &plain, 10000, VERSION_PLACEHOLDER).changed);
	CHECK_INT(version(&t, &plain, 10100, "1.7").arm_verdict_ms, 15100);
	CHECK(!version(&t, &plain, 10200, VERSION_PLACEHOLDER).changed); /* not the last word on the version */
	CHECK(version(&t, &plain, 10300, "2.0.0").ended);
	CHECK_INT(t.state, TASK_SUCCEEDED);
	CHECK_INT(t.progress, 100);
	CHECK_INT(t.verdict_ms, 0);
	CHECK(!version(&waiting, &plain, 10000, VERSION_PLACEHOLDER).changed);
	to_it.dest_version = VERSION_PLACEHOLDER;
	CHECK(version(&waiting, &to_it, 10000, VERSION_PLACEHOLDER).ended);
}

static void unknown_source_is_adopted(void)
{
	static const char *const unknown[] = { NULL, VERSION_PLACEHOLDER };

	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		struct task t = task_in(TASK_IN_PROGRESS);

		t.src_version = unknown[i];
		version(&t, &plain, 10000, "0.9");
		timer(&t, &plain, 15000, TIMER_VERDICT);
		CHECK_INT(t.state, TASK_IN_PROGRESS);
		CHECK_STR(t.src_version, "0.9");
	}
}

static void waiting_tasks_follow_the_version(void)
{
	struct task t = task_in(TASK_QUEUED);
	struct job_rules diff = plain;

	version(&t, &plain, 10000, "1.5");
	CHECK_STR(t.src_version, "1.5");
	CHECK_INT(t.state, TASK_QUEUED);
	diff.differential = true;
	diff.src_version = "1.0.0";
	t = task_in(TASK_NOTIFIED);
	version(&t, &diff, 10000, "1.5");
	CHECK_INT(timer(&t, &diff, 15000, TIMER_VERDICT).why, WHY_FAILURE);
}

static void due_once_per_connection(void)
{
	struct task t = task_in(TASK_QUEUED);

	CHECK_INT(task_due_at(&t, &plain, 5, 10000, NEVER), 11000);
	push(&t, &plain, 11000, 5);
	CHECK(task_due_at(&t, &plain, 5, 10000, NEVER) == NEVER);
	CHECK_INT(task_due_at(&t, &plain, 6, 20000, NEVER), 21000);
	push(&t, &plain, 21000, 6); /* the first repetition at once, then 60 s apart, doubling */
	CHECK_INT(task_due_at(&t, &plain, 7, 22000, NEVER), 81000);
	push(&t, &plain, 81000, 7);
	CHECK_INT(task_due_at(&t, &plain, 8, 82000, NEVER), 81000 + 120000);
	progress(&t, &plain, 90000, 3, "");
	CHECK_INT(task_due_at(&t, &plain, 8, 100000, NEVER), 105000);
	t = task_in(TASK_CONFIRM);
	CHECK(task_due_at(&t, &plain, 5, 0, NEVER) == NEVER);
}

static void without_need_push_only_pulls(void)
{
	struct job_rules r = plain;
	struct task t = task_in(TASK_QUEUED);
	struct task_event pull = { .kind = TASK_EV_PULL, .at = 2000, .conn = 5 };

	r.need_push = false;
	CHECK(task_due_at(&t, &r, 5, 0, NEVER) == NEVER);
	CHECK(task_pullable(&t, 1));
	CHECK_INT(task_step(&t, &r, &pull).why, WHY_PULL);
	CHECK_INT(t.state, TASK_NOTIFIED);
}

static void unsent_push_leaves_no_trace(void)
{
	struct task t = task_in(TASK_QUEUED);
	struct task_event un = { .kind = TASK_EV_UNPUSH, .at = 12000 };

	push(&t, &plain, 11000, 5);
	CHECK_INT(task_step(&t, &plain, &un).why, WHY_UNPUSHED);
	CHECK_INT(t.state, TASK_QUEUED);
	CHECK_INT(t.pushes, 0);
	CHECK_INT(task_due_at(&t, &plain, 5, 10000, NEVER), 11000);
}

static void unsent_push_of_a_retry_is_still_due(void)
{
	struct job_rules r = with_retry(10, 1);
	struct task t = task_in(TASK_NOTIFIED);
	struct task_event un = { .kind = TASK_EV_UNPUSH, .at = 700000, .push_ms = 1000, .retry_ms = 603000 };

	progress(&t, &r, 3000, -2, "x");
	CHECK_INT(t.retry_ms, 603000);
	push(&t, &r, 690000, 5);
	(void)task_step(&t, &r, &un);
	CHECK_INT(t.retry_ms, 603000);
	CHECK_INT(t.push_ms, 1000);
	CHECK(!progress(&t, &r, 700001, -2, "x again").changed); /* of the try that has failed */
	CHECK_INT(t.state, TASK_NOTIFIED);
	CHECK_INT(task_due_at(&t, &r, 5, 0, NEVER), 603000);
}

static void unsent_push_is_known_after_the_device_has_failed_again(void)
{
	struct job_rules r = with_retry(10, 2);
	struct task t = task_in(TASK_NOTIFIED);
	struct task_event un = { .kind = TASK_EV_UNPUSH, .at = 700000, .push_ms = 1000, .retry_ms = 603000 };

	progress(&t, &r, 3000, -2, "x");
	push(&t, &r, 690000, 5);
	progress(&t, &r, 695000, -2, "y");
	CHECK_INT(t.retry_ms, 1295000);
	(void)task_step(&t, &r, &un);
	CHECK_INT(t.retry_ms, 1295000);
}

static void run_again_is_a_new_life(void)
{
	struct job_rules r = with_retry(0, 1);
	struct task t = task_in(TASK_NOTIFIED);
	struct task_event e = { .kind = TASK_EV_REUPGRADE, .at = 5000, .version = "1.5.0" };
	struct task_outcome o;

	t.timeout_min = 1;
	progress(&t, &r, 2000, 40, "");
	progress(&t, &r, 3000, -1, "one");
	push(&t, &r, 3100, 5);
	CHECK_INT(progress(&t, &r, 3500, -1, "two").why, WHY_FAILURE);
	o = task_step(&t, &r, &e);
	CHECK(o.why == WHY_REUPGRADE && !o.ended && o.from == TASK_FAILED && t.state == TASK_QUEUED);
	CHECK(t.progress == 0 && t.retries == 0 && t.pushes == 0 && t.push_conn == 0 && t.push_ms == 0);
	CHECK(t.timeout_ms == 0 && t.retry_ms == 0 && t.verdict_ms == 0 && !t.pending_version && !t.fail_desc);
	CHECK_STR(t.task_desc, "");
	CHECK_STR(t.src_version, "1.5.0");
	CHECK_INT(t.timeout_min, 1);
	CHECK_INT(t.modified_ms, 5000);
	/* what the device said before belongs to the old life */
	CHECK(!progress(&t, &r, 4999, 90, "").changed);
	push(&t, &r, 6000, 5);
	CHECK(!progress(&t, &r, 4999, -1, "two").changed);
	/* and what it says now to the new one, with all its retries */
	CHECK_INT(progress(&t, &r, 6500, 1, "").arm_timeout_ms, 66500);
	CHECK_INT(progress(&t, &r, 7000, -1, "two").why, WHY_RETRY);
}

static void who_may_run_again(void)
{
	static const struct {
		enum task_state state;
		bool differential;
		const char *version;
		enum err want;
	} rows[] = {
		{ TASK_CONFIRM, false, "1.0.0", ERR_TASK_STATUS },
		{ TASK_QUEUED, false, "1.0.0", ERR_TASK_STATUS },
		{ TASK_NOTIFIED, false, "1.0.0", ERR_TASK_STATUS },
		{ TASK_IN_PROGRESS, false, "1.0.0", ERR_TASK_STATUS },
		{ TASK_SUCCEEDED, false, "2.0.0", ERR_TASK_STATUS },
		{ TASK_FAILED, false, "1.0.0", OK },
		{ TASK_FAILED, false, "1.7.0", OK },
		{ TASK_FAILED, false, NULL, OK },
		{ TASK_FAILED, false, "2.0.0", ERR_DEVICE_AT_DEST },
		{ TASK_CANCELED, false, "1.0.0", OK },
		{ TASK_CANCELED, true, "1.0.0", OK },
		{ TASK_CANCELED, true, "2.0.0", ERR_DEVICE_AT_DEST },
		{ TASK_CANCELED, true, "1.7.0", ERR_SRC_VERSION_MISMATCH },
		{ TASK_CANCELED, true, NULL, ERR_DEVICE_NO_VERSION },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct task t = task_in(rows[i].state);
		struct job_rules r = plain;

		r.differential = rows[i].differential;
		r.src_version = r.differential ? "1.0.0" : "";
		if (task_rerun_check(&t, &r, rows[i].version) != rows[i].want)
			test_fail(__FILE__, __LINE__, "row %zu", i);
	}
}

static void what_lies_ahead_was_before_the_clock_was_set_back(void)
{
	struct job_rules r = { .need_push = true, .dest_version = "2", .module = "default", .src_version = "" };
	struct task t = { .state = TASK_NOTIFIED, .push_conn = 5, .push_ms = 9000000, .repushes = 3 };

	CHECK_INT(task_due_at(&t, &r, 6, 8000000, 9000000), 9240000);
	CHECK_INT(task_due_at(&t, &r, 6, 8000000, 8999999), 8001000);
	CHECK(task_due_at(&t, &r, 6, 8000000, 7999999) <= 7999999);
	t.state = TASK_QUEUED;
	CHECK_INT(task_due_at(&t, &r, 6, 8000000, 8000000), 8001000);
	CHECK(task_due_at(&t, &r, 6, 8000000, 7999999) <= 7999999);
	t = (struct task){ .state = TASK_NOTIFIED, .fail_ms = 9000000, .push_ms = 9000000 };
	task_set_back(&t, 8940000);
	CHECK(!progress(&t, &r, 8950000, 10, "").changed);
	task_set_back(&t, 8939999);
	CHECK(t.fail_ms > 0 && t.push_ms > 0 && t.fail_ms < 8000000 && t.push_ms < 8000000);
	CHECK(progress(&t, &r, 8940000, 10, "").changed);
}

TESTS("engine/task",
      { "what_lies_ahead_was_before_the_clock_was_set_back", what_lies_ahead_was_before_the_clock_was_set_back },
      { "every_state_and_event", every_state_and_event },
      { "clock_starts_at_the_first_report_and_fires_once", clock_starts_at_the_first_report_and_fires_once },
      { "retries_count_once_per_push", retries_count_once_per_push },
      { "redelivered_failure_is_not_counted_twice", redelivered_failure_is_not_counted_twice },
      { "third_version_is_judged_by_the_last_report", third_version_is_judged_by_the_last_report },
      { "placeholder_moves_nothing", placeholder_moves_nothing },
      { "unknown_source_is_adopted", unknown_source_is_adopted },
      { "waiting_tasks_follow_the_version", waiting_tasks_follow_the_version },
      { "due_once_per_connection", due_once_per_connection },
      { "without_need_push_only_pulls", without_need_push_only_pulls },
      { "unsent_push_leaves_no_trace", unsent_push_leaves_no_trace },
      { "unsent_push_of_a_retry_is_still_due", unsent_push_of_a_retry_is_still_due },
      { "unsent_push_is_known_after_the_device_has_failed_again", unsent_push_is_known_after_the_device_has_failed_again }, 
      { "run_again_is_a_new_life", run_again_is_a_new_life }, { "who_may_run_again", who_may_run_again })
