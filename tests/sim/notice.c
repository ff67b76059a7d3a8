/* SPDX-License-Identifier: Apache-2.0 */
/* The notifications (api §A.3): one for each task that succeeded or failed, but not by a conflict, one for each version
 * that is new, one for each change of a job's status. The simulation takes them out of the table, as the notifier does. */
#include "tests/sim/model_priv.h"

#include <string.h>

void must_be_told(struct world *w, const struct model_task *t, enum event_why why, utc_ms at)
{
	if (!w->model || why == WHY_CONFLICT || (t->state != TASK_SUCCEEDED && t->state != TASK_FAILED))
		return;
	LIST_ADD(&w->model->told, ((struct told){ .kind = NOTICE_TASK,
						  .task = t,
						  .state = t->state,
						  .text = t->state == TASK_SUCCEEDED ? "success" : t->desc,
						  .at = at }));
}

void told_version(struct world *w, const struct device *d, int module, const char *version, utc_ms at)
{
	LIST_ADD(&w->model->told,
		 ((struct told){ .kind = NOTICE_VERSION, .device = d, .module = module, .text = version, .at = at }));
}

static const char *describe(struct world *w, const struct told *o)
{
	if (o->kind == NOTICE_TASK)
		return arena_printf(&w->arena, "%s %s \"%s\"", name_of(w, o->task), task_state_name(o->state), o->text);
	return arena_printf(&w->arena, "version %s of %s's %s", o->text, o->device->name, sim_modules[o->module]);
}

/* A row of the table as what should be in the list. */
static struct told read_notice(struct world *w, const struct rows *r, int i, enum notice_kind kind)
{
	struct told o = { .kind = kind, .at = row_int(r, i, 1), .text = row_text(r, i, 7) };

	if (kind == NOTICE_TASK) {
		o.task = world_job(w, row_int(r, i, 2))->tasks[row_int(r, i, 3) - 1];
		o.state = (enum task_state)row_int(r, i, 4);
		return o;
	}
	for (size_t k = 0; k < w->n_devices; k++)
		if (w->devices[k].row == row_int(r, i, 5))
			o.device = &w->devices[k];
	o.module = strcmp(row_text(r, i, 6), sim_modules[0]) != 0;
	return o;
}

/* The first in the list about the same task or module has to be this one. */
static void strike_out(struct world *w, const struct told *o)
{
	struct model *m = w->model;

	for (size_t i = 0; i < m->told.n; i++) {
		struct told *want = &m->told.items[i];

		if (want->kind != o->kind || want->task != o->task || want->device != o->device || want->module != o->module)
			continue;
		if (want->state != o->state || strcmp(want->text, o->text) != 0 || (want->at >= 0 && want->at != o->at))
			break;
		memmove(want, want + 1, (--m->told.n - i) * sizeof *want);
		return;
	}
	broken(w, "notified without a reason: %s", describe(w, o));
}

/* Each is another status than the one before. */
static void job_told(struct world *w, int64_t job_id, enum job_status status)
{
	struct sim_job *j = world_job(w, job_id);

	if (j->told == status)
		broken(w, "job %d is notified as %s twice", job_index(w, j), job_status_name(status));
	j->told = status;
}

void check_notices(struct world *w, const struct seen *s)
{
	struct rows *r = look_for(w, LOOK_NOTICES, "");

	for (int i = 0; i < rows_count(r); i++) {
		enum notice_kind kind = (enum notice_kind)row_int(r, i, 0);
		struct told o;

		if (kind == NOTICE_JOB) {
			job_told(w, row_int(r, i, 2), (enum job_status)row_int(r, i, 4));
			continue;
		}
		o = read_notice(w, r, i, kind);
		strike_out(w, &o);
	}
	if (w->model->told.n > 0)
		broken(w, "not notified: %s", describe(w, &w->model->told.items[0]));
	for (size_t i = 0; i < s->n_jobs; i++) {
		struct sim_job *j = s->jobs[i].j;
		enum job_status shown = j->kind == JOB_DYNAMIC && s->jobs[i].strategy_ended ? JOB_CANCELED : s->jobs[i].status;

		if (j->told != shown)
			broken(w, "job %d is %s, and was last notified as %s", job_index(w, j), job_status_name(shown),
			       j->told == JOB_NONE ? "nothing" : job_status_name(j->told));
	}
}
