/* SPDX-License-Identifier: Apache-2.0 */
/* ListOTATaskByJob and ListOTAUnfinishedTaskByDevice. */
#include "storage/task.h"

#include "api/actions/device_in.h"
#include "api/actions/page.h"
#include "api/actions/show.h"
#include "storage/job.h"

#define ROWS_MAX 100000 /* CurrentPage * PageSize (api §6.1) */

struct list_in {
	const char *job_id, *status;
	struct page_in page;
	struct str_list names;
};
struct task_out {
	const char *task_id, *status, *desc, *progress, *timeout, *src_version, *dest_version, *job_id,
		*firmware_id;
	const char *product_key, *product_name, *device_name, *iot_id, *utc_create, *utc_modified;
};
struct list_out {
	struct page_out page;
	struct obj_list data; /* of struct task_out */
};

struct unfinished_in {
	struct device_address at;
	const char *module, *status;
	struct str_list states;
};
struct unfinished_task {
	const char *task_id, *status, *job_id, *firmware_id, *module, *product_key, *product_name, *device_name, *iot_id,
		*src_version, *dest_version, *utc_create, *utc_modified;
};
struct unfinished_out {
	struct obj_list data; /* of struct unfinished_task */
};

/* clang-format off */
static const struct field list_in[] = {
	STR (struct list_in, job_id, "JobId", "The job.", .flags = REQUIRED),
	STR (struct list_in, status, "TaskStatus", "Only tasks of this status.",
	     .one_of = "CONFIRM QUEUED NOTIFIED IN_PROGRESS SUCCEEDED FAILED CANCELED", .err = ERR_TASK_STATUS),
	INT (struct list_in, page.page, "CurrentPage", "Page, from 1; CurrentPage x PageSize is at most 100,000. Default: 1.",
	     .flags = LATE, .min = 1, .max = ROWS_MAX, .err = ERR_PAGE_PARAMS),
	INT (struct list_in, page.size, "PageSize", "Tasks on a page, 1 to 100. Default: 10.",
	     .flags = LATE, .min = 1, .max = 100, .err = ERR_PAGE_PARAMS),
	STRS(struct list_in, names, "DeviceNames", "Only tasks of these devices, at most 50; then there are no pages.",
	     .max_items = 50),
	FIELD_END
};
static const struct field task_out[] = {
	STR(struct task_out, task_id,      "TaskId",      "The task.", .flags = OPTIONAL),
	STR(struct task_out, status,       "TaskStatus",  "CONFIRM, QUEUED, NOTIFIED, IN_PROGRESS, SUCCEEDED, FAILED or CANCELED.", .flags = OPTIONAL),
	STR(struct task_out, desc,         "TaskDesc",    "Why it failed or was canceled; empty otherwise.", .flags = OPTIONAL),
	STR(struct task_out, progress,     "Progress",    "Percent, \"0.00\" to \"100.00\".", .flags = OPTIONAL),
	STR(struct task_out, timeout,      "Timeout",     "Its time limit in minutes; empty: none.", .flags = OPTIONAL),
	STR(struct task_out, src_version,  "SrcVersion",  "Version before the update; empty: never reported.", .flags = OPTIONAL),
	STR(struct task_out, dest_version, "DestVersion", "Version that the package brings.", .flags = OPTIONAL),
	STR(struct task_out, job_id,       "JobId",       "The job.", .flags = OPTIONAL),
	STR(struct task_out, firmware_id,  "FirmwareId",  "The package.", .flags = OPTIONAL),
	STR(struct task_out, product_key,  "ProductKey",  "The product.", .flags = OPTIONAL),
	STR(struct task_out, product_name, "ProductName", "Its name.", .flags = OPTIONAL),
	STR(struct task_out, device_name,  "DeviceName",  "The device.", .flags = OPTIONAL),
	STR(struct task_out, iot_id,       "IotId",       "Its id.", .flags = OPTIONAL),
	STR(struct task_out, utc_create,   "UtcCreate",   "When the task was created.", .flags = OPTIONAL),
	STR(struct task_out, utc_modified, "UtcModified", "Last change.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field list_out[] = {
	PAGE_OUT_FIELDS(struct list_out, page, "CurrentPage"),
	OBJS(struct list_out, data,  "Data",        "Tasks in order of creation.", .item = "SimpleOTATaskInfo",
	     .of = task_out, .of_size = sizeof(struct task_out)),
	FIELD_END
};

#define UNFINISHED "CONFIRM QUEUED NOTIFIED IN_PROGRESS"
static const struct field unfinished_in[] = {
	DEVICE_ADDRESS_FIELDS(struct unfinished_in, at),
	STR (struct unfinished_in, module, "ModuleName", "Only tasks of this module; default: the whole device.", .flags = OPTIONAL),
	STR (struct unfinished_in, status, "TaskStatus", "Only tasks of this status.", .one_of = UNFINISHED, .err = ERR_TASK_STATUS),
	STRS(struct unfinished_in, states, "TaskStatusList", "Only tasks of one of these; wins over TaskStatus.",
	     .one_of = UNFINISHED, .err = ERR_TASK_STATUS),
	FIELD_END
};
static const struct field unfinished_task[] = {
	STR(struct unfinished_task, task_id,      "TaskId",      "The task.", .flags = OPTIONAL),
	STR(struct unfinished_task, status,       "TaskStatus",  "CONFIRM, QUEUED, NOTIFIED or IN_PROGRESS.", .flags = OPTIONAL),
	STR(struct unfinished_task, job_id,       "JobId",       "Its job.", .flags = OPTIONAL),
	STR(struct unfinished_task, firmware_id,  "FirmwareId",  "The package.", .flags = OPTIONAL),
	STR(struct unfinished_task, module,       "ModuleName",  "Module of the package.", .flags = OPTIONAL),
	STR(struct unfinished_task, product_key,  "ProductKey",  "The product.", .flags = OPTIONAL),
	STR(struct unfinished_task, product_name, "ProductName", "Its name.", .flags = OPTIONAL),
	STR(struct unfinished_task, device_name,  "DeviceName",  "The device.", .flags = OPTIONAL),
	STR(struct unfinished_task, iot_id,       "IotId",       "Its id.", .flags = OPTIONAL),
	STR(struct unfinished_task, src_version,  "SrcVersion",  "Version before the update; empty: never reported.", .flags = OPTIONAL),
	STR(struct unfinished_task, dest_version, "DestVersion", "Version that the package brings.", .flags = OPTIONAL),
	STR(struct unfinished_task, utc_create,   "UtcCreate",   "When the task was created.", .flags = OPTIONAL),
	STR(struct unfinished_task, utc_modified, "UtcModified", "Last change.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field unfinished_out[] = {
	OBJS(struct unfinished_out, data, "Data", "Tasks, newest first.", .item = "SimpleOTATaskInfo", .of = unfinished_task,
	     .of_size = sizeof(struct unfinished_task)),
	FIELD_END
};

static const enum err unfinished_fails[] = { ERR_TASK_STATUS, DEVICE_ADDRESS_FAILS, OK };
static const enum err list_fails[] = { ERR_JOB_ID, ERR_TASK_STATUS, ERR_PAGE_PARAMS, ERR_LIST_TOO_LONG, OK };
/* clang-format on */

static struct task_out show_task(struct arena *a, const struct job_view *v, const struct task_row *t)
{
	return (struct task_out){
		.task_id = show_id(a, ID_TASK, v->job.id, t->seq),
		.status = task_state_name(t->state),
		.desc = t->desc,
		.progress = arena_printf(a, "%d.00", t->progress),
		.timeout = t->timeout_min ? arena_printf(a, "%d", t->timeout_min) : "",
		.src_version = t->src_version,
		.dest_version = v->dest_version,
		.job_id = show_id(a, ID_JOB, v->job.id, 0),
		.firmware_id = show_id(a, ID_FIRMWARE, v->job.firmware_id, 0),
		.product_key = v->product_key,
		.product_name = v->product_name,
		.device_name = t->device_name,
		.iot_id = show_id(a, ID_DEVICE, t->device_id, 0),
		.utc_create = show_utc(a, t->created_ms),
		.utc_modified = show_utc(a, t->modified_ms),
	};
}

static struct obj_list show_tasks(struct arena *a, const struct job_view *v, const struct task_row *tasks,
				  size_t n)
{
	struct task_out *shown = ARENA_ARRAY(a, n, struct task_out);

	for (size_t i = 0; i < n; i++)
		shown[i] = show_task(a, v, &tasks[i]);
	return (struct obj_list){ .n = n, .v = shown };
}

/* All tasks of the named devices make one page. */
static enum err list_named(struct call *c, const struct list_in *in, const struct job_view *v,
			   enum task_state state, struct list_out *out)
{
	const struct task_row *tasks;
	size_t n;

	TRY(store_task_of_names(c->db, v->job.id, state, v->job.product_id, in->names.v, in->names.n, &tasks,
				&n));
	*out = (struct list_out){
		.page = { .page = show_int(1),
			  .size = show_int((int64_t)in->names.n),
			  .pages = show_int(n > 0),
			  .total = show_int((int64_t)n) },
		.data = show_tasks(c->arena, v, tasks, n),
	};
	return OK;
}

static enum err list_page(struct call *c, const struct list_in *in, const struct job_view *v,
			  enum task_state state, struct list_out *out)
{
	const struct task_row *tasks = NULL;
	int64_t total;
	size_t n;

	TRY(field_check(list_in, in, "CurrentPage", c->error));
	TRY(field_check(list_in, in, "PageSize", c->error));
	if (page_from(&in->page) + page_size(&in->page) > ROWS_MAX)
		return fail_param(c->error, ERR_PAGE_PARAMS, NULL);
	TRY(store_task_page(c->db, v->job.id, state, page_from(&in->page), page_size(&in->page), &tasks, &n, &total));
	*out = (struct list_out){
		.page = page_show(&in->page, total),
		.data = show_tasks(c->arena, v, tasks, n),
	};
	return OK;
}

static enum err list_run(struct call *c, const void *in_, void *out)
{
	const struct list_in *in = in_;
	enum task_state state = in->status ? task_state_parse(in->status) : TASK_NONE;
	struct job_view v;

	TRY(job_find(c, in->job_id, &v));
	return in->names.n > 0 ? list_named(c, in, &v, state, out) : list_page(c, in, &v, state, out);
}

static int state_mask(const struct unfinished_in *in)
{
	int mask = 0;

	for (size_t i = 0; i < in->states.n; i++)
		mask |= TASK_BIT(task_state_parse(in->states.v[i]));
	if (in->states.n == 0)
		mask = in->status ? TASK_BIT(task_state_parse(in->status)) : TASK_MASK_UNFINISHED;
	return mask;
}

static struct unfinished_task show_unfinished(struct arena *a, const struct device_ref *d,
					      const struct task_unfinished *t)
{
	return (struct unfinished_task){
		.task_id = show_id(a, ID_TASK, t->job_id, t->seq),
		.status = task_state_name(t->state),
		.job_id = show_id(a, ID_JOB, t->job_id, 0),
		.firmware_id = show_id(a, ID_FIRMWARE, t->firmware_id, 0),
		.module = t->module,
		.product_key = d->product_key,
		.product_name = t->product_name,
		.device_name = d->name,
		.iot_id = show_id(a, ID_DEVICE, d->id, 0),
		.src_version = t->src_version,
		.dest_version = t->dest_version,
		.utc_create = show_utc(a, t->created_ms),
		.utc_modified = show_utc(a, t->modified_ms),
	};
}

static enum err unfinished_run(struct call *c, const void *in_, void *out_)
{
	const struct unfinished_in *in = in_;
	struct unfinished_out *out = out_;
	const struct task_unfinished *tasks;
	struct unfinished_task *shown;
	struct device_ref d;
	size_t n;

	TRY(device_find(c, &in->at, &d));
	TRY(store_task_unfinished(c->db, d.id, in->module, state_mask(in), &tasks, &n));
	shown = ARENA_ARRAY(c->arena, n, struct unfinished_task);
	for (size_t i = 0; i < n; i++)
		shown[i] = show_unfinished(c->arena, &d, &tasks[i]);
	out->data = (struct obj_list){ .n = n, .v = shown };
	return OK;
}

const struct action action_ListOTATaskByJob = {
	.name = "ListOTATaskByJob",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Lists the tasks of a job.",
	.in = list_in,
	.out = list_out,
	.in_size = sizeof(struct list_in),
	.out_size = sizeof(struct list_out),
	.run = list_run,
	.fails = list_fails,
};

const struct action action_ListOTAUnfinishedTaskByDevice = {
	.name = "ListOTAUnfinishedTaskByDevice",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Lists the unfinished tasks of a device, of all its modules.",
	.in = unfinished_in,
	.out = unfinished_out,
	.in_size = sizeof(struct unfinished_in),
	.out_size = sizeof(struct unfinished_out),
	.run = unfinished_run,
	.fails = unfinished_fails,
};
