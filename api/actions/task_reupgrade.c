/* SPDX-License-Identifier: Apache-2.0 */
/* ReupgradeOTATask (api §6.4): FAILED and CANCELED tasks of an upgrade job run again, under their ids. Each is judged
 * as a new task would be: by the package, by the device's version now, and by the device's other tasks. */
#include "api/actions/show.h"
#include "api/actions/task_move.h"
#include "engine/conflict.h"
#include "storage/job_end.h"
#include "storage/product.h"
#include "storage/task.h"

struct reupgrade_in {
	const char *job_id;
	struct str_list task_ids;
};

/* clang-format off */
static const struct field reupgrade_in[] = {
	STR (struct reupgrade_in, job_id, "JobId", "The job: a static or dynamic one.", .flags = REQUIRED),
	STRS(struct reupgrade_in, task_ids, "TaskId", "1 to 10 tasks of the job that are FAILED or CANCELED.",
	     .flags = REQUIRED, .max_items = TASK_IDS_MAX),
	FIELD_END
};

static const enum err reupgrade_fails[] = {
	ERR_LIST_TOO_LONG, ERR_JOB_ID, ERR_TASK_ID, ERR_FIRMWARE_NOT_FOUND, ERR_REUPGRADE_NOT_VERIFIED, ERR_TASK_STATUS,
	ERR_DEVICE_NOT_FOUND, ERR_DEVICE_AT_DEST, ERR_DEVICE_NO_VERSION, ERR_SRC_VERSION_MISMATCH, OK
};
/* clang-format on */

/* What one call has in hand. */
struct rerun {
	struct call *c;
	struct job_view v;
	struct job_rules rules; /* as far as task_rerun_check reads them */
	size_t n;
	const struct task_key *keys;
	int64_t *seqs, *devices; /* of the keys */
	const char *const *versions;
	const struct task_rival *rivals;
	size_t n_rivals;
	struct task_moves m;
	int64_t *running; /* seqs of those that run again */
	size_t n_running;
};

static enum err check_job(struct rerun *r, const struct reupgrade_in *in)
{
	struct call *c = r->c;
	struct job_firmware fw;

	TRY(job_find(c, in->job_id, &r->v));
	if (r->v.job.kind == JOB_VERIFY)
		return fail(c->error, ERR_JOB_ID, "A verification cannot be run again: create a new one.");
	TRY(task_keys(c, &in->task_ids, &r->keys, &r->n));
	for (size_t i = 0; i < r->n; i++)
		if (r->keys[i].job_id != r->v.job.id)
			return task_refuse(c, ERR_TASK_ID, &r->keys[i], "is not one of the job.");
	TRY(store_job_firmware(c->db, c->account_id, r->v.job.firmware_id, false, &fw));
	if (fw.status != FIRMWARE_NO_VERIFICATION && fw.status != FIRMWARE_VERIFIED)
		return fail_param(c->error, ERR_REUPGRADE_NOT_VERIFIED, NULL);
	if (r->v.job.finish_ms != 0 && c->now >= r->v.job.finish_ms)
		return fail(c->error, ERR_TASK_STATUS, "The job's ScheduleFinishTime has passed.");
	r->rules = (struct job_rules){ .differential = fw.differential,
				       .src_version = fw.src_version,
				       .dest_version = fw.dest_version };
	return OK;
}

/* Product, then all jobs concerned; the tasks and those in their way. */
static enum err read_tasks(struct rerun *r)
{
	const struct job *j = &r->v.job;
	struct task_key *keys;

	r->seqs = ARENA_ARRAY(r->c->arena, r->n, int64_t);
	r->running = ARENA_ARRAY(r->c->arena, r->n, int64_t);
	for (size_t i = 0; i < r->n; i++)
		r->seqs[i] = r->keys[i].seq;
	TRY(store_product_lock_tasks(r->c->db, j->product_id));
	TRY(store_task_rivals(r->c->db, j->id, r->seqs, r->n, j->multi_module, r->v.module, &r->rivals, &r->n_rivals));
	keys = ARENA_ARRAY(r->c->arena, r->n + r->n_rivals, struct task_key);
	for (size_t i = 0; i < r->n; i++)
		keys[i] = r->keys[i];
	for (size_t i = 0; i < r->n_rivals; i++)
		keys[r->n + i] = r->rivals[i].key;
	return store_moves_read(r->c->db, r->c->now, keys, r->n + r->n_rivals, &r->m);
}

/* All or none. */
static enum err check_tasks(struct rerun *r)
{
	r->devices = ARENA_ARRAY(r->c->arena, r->n, int64_t);
	for (size_t i = 0; i < r->n; i++) {
		const struct task_move *t = moves_find(&r->m, r->keys[i].job_id, r->keys[i].seq);

		if (!t)
			return task_refuse(r->c, ERR_TASK_ID, &r->keys[i], "does not exist.");
		r->devices[i] = t->t.device_id;
	}
	TRY(store_task_versions(r->c->db, r->devices, r->n, r->v.module, &r->versions));
	for (size_t i = 0; i < r->n; i++) {
		const struct task_move *t = moves_find(&r->m, r->keys[i].job_id, r->keys[i].seq);
		enum err e = task_rerun_check(&t->t, &r->rules, r->versions[i]);

		if (e == ERR_TASK_STATUS)
			return task_refuse(r->c, e, &r->keys[i], "is neither FAILED nor CANCELED.");
		if (!t->device_name)
			return task_refuse(r->c, ERR_DEVICE_NOT_FOUND, &r->keys[i], "was of a device that was deleted.");
		if (e != OK)
			return task_refuse(r->c, e, &r->keys[i],
					   e == ERR_DEVICE_AT_DEST ? "is of a device that has the destination version already."
								   : "is of a device that has not the package's source version.");
	}
	return OK;
}

/* The unfinished tasks in the way of this one; *ret_own: one of them is of the same job, which never gives way: it was
 * run again by this very call, or a dynamic job has given the device a newer one. */
static size_t rivals_of(struct rerun *r, size_t i, struct task_move **ret, struct conflict_task *ret_others, bool *ret_own)
{
	size_t n = 0;

	*ret_own = false;
	for (size_t k = 0; k < i; k++)
		for (size_t x = 0; x < r->n_running; x++)
			*ret_own |= r->devices[k] == r->devices[i] && r->seqs[k] == r->running[x];
	for (size_t k = 0; k < r->n_rivals; k++) {
		const struct task_rival *rival = &r->rivals[k];
		struct task_move *t = moves_find(&r->m, rival->key.job_id, rival->key.seq);

		if (rival->device_id != r->devices[i] || !t || !task_state_unfinished(t->t.state))
			continue;
		*ret_own |= rival->key.job_id == r->v.job.id;
		ret_others[n] = (struct conflict_task){ .state = t->t.state, .key = rival->module };
		ret[n++] = t;
	}
	return n;
}

/* The conflict rule of a new task (api §10.8): it runs, or it has lost again. */
static void run_again(struct rerun *r, size_t i)
{
	const struct job *j = &r->v.job;
	struct arena *a = r->c->arena;
	struct task_move **rivals = ARENA_ARRAY(a, r->n_rivals + 1, struct task_move *);
	struct conflict_task *others = ARENA_ARRAY(a, r->n_rivals + 1, struct conflict_task);
	struct task_move *mine = moves_find(&r->m, j->id, r->keys[i].seq);
	struct task_event again = { .kind = TASK_EV_REUPGRADE, .at = r->c->now, .version = r->versions[i],
				    .confirm = j->need_confirm },
			  lost = { .kind = TASK_EV_LOSE, .at = r->c->now },
			  over = { .kind = TASK_EV_CANCEL, .at = r->c->now, .why = WHY_OVERWRITTEN };
	bool own;
	size_t n = rivals_of(r, i, rivals, others, &own);
	enum conflict_verdict verdict =
		conflict_decide(j->multi_module, (int)j->overwrite_mode, r->v.module, others, n);

	moves_step(&r->m, mine, &again);
	if (own || verdict == CONFLICT_LOSES) {
		lost.desc = arena_printf(a, TASK_REASON_HELD,
					 show_id(a, ID_JOB, own ? j->id : rivals[n - 1]->t.job_id, 0));
		moves_step(&r->m, mine, &lost);
		return;
	}
	over.desc = arena_printf(a, TASK_REASON_OVERWRITTEN, show_id(a, ID_JOB, j->id, 0));
	for (size_t k = 0; k < n; k++)
		moves_step(&r->m, rivals[k], &over);
	r->running[r->n_running++] = r->keys[i].seq;
}

static enum err reupgrade_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct reupgrade_in *in = in_;
	struct rerun r = { .c = c };
	const struct job *j = &r.v.job;

	TRY(check_job(&r, in));
	TRY(read_tasks(&r));
	TRY(check_tasks(&r));
	for (size_t i = 0; i < r.n; i++)
		run_again(&r, i);
	TRY(store_moves_write(&r.m));
	TRY(store_task_hold(c->db, j->id, r.running, r.n_running, j->multi_module ? r.v.module : WHOLE_DEVICE));
	if (r.n_running > 0)
		TRY(store_job_reopen(c->db, j->id, c->now));
	c->audit_target = in->job_id;
	task_wake(c);
	return store_job_settle(c->db, r.m.jobs, r.m.n_jobs, c->now);
}

const struct action action_ReupgradeOTATask = {
	.name = "ReupgradeOTATask",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 20,
	.methods = "POST",
	.doc = "Runs failed or canceled tasks of a job again, under the same ids: all of them or none. One whose device is "
	       "held by another task fails again.",
	.in = reupgrade_in,
	.in_size = sizeof(struct reupgrade_in),
	.run = reupgrade_run,
	.fails = reupgrade_fails,
};
