/* SPDX-License-Identifier: Apache-2.0 */
/* QueryOTAJob, ListOTAJobByFirmware, ListOTAJobByDevice. */
#include "api/actions/page.h"
#include "api/actions/show.h"
#include "storage/device.h"
#include "storage/firmware.h"
#include "storage/job.h"

struct query_in {
	const char *job_id;
};
struct list_in {
	const char *firmware_id;
	struct page_in page;
};

struct device_in {
	const char *firmware_id, *product_key, *device_name;
	struct page_in page;
};

struct tag_out {
	const char *key, *value;
};
/* Of all answers; the lists show part of it. */
struct job_out {
	const char *job_id, *status, *type, *name, *firmware_id, *product_key, *dest_version, *selection_type,
		*selection;
	struct str_list src_versions;
	const char *gray_percent, *group_id, *group_name;
	struct opt_int dynamic_mode, max_per_minute, overwrite_mode, retry_interval, retry_count, timeout_min;
	struct opt_bool need_push, need_confirm, multi_module;
	const char *download_protocol;
	struct obj_list tags; /* of struct tag_out */
	const char *utc_create, *utc_modified, *utc_start, *utc_end, *utc_schedule, *utc_finish;
};
struct list_out {
	struct page_out page;
	struct obj_list data; /* of struct job_out */
};

/* clang-format off */
static const struct field query_in[] = {
	STR(struct query_in, job_id, "JobId", "The job.", .flags = REQUIRED),
	FIELD_END
};
static const struct field list_in[] = {
	STR(struct list_in, firmware_id, "FirmwareId", "The package.", .flags = REQUIRED),
	PAGE_IN_REQUIRED(struct list_in, page, 200, "200"),
	FIELD_END
};

static const struct field device_in[] = {
	STR(struct device_in, firmware_id, "FirmwareId", "The package.", .flags = REQUIRED),
	STR(struct device_in, product_key, "ProductKey", "Its product.", .flags = REQUIRED),
	STR(struct device_in, device_name, "DeviceName", "A device of the product.", .flags = REQUIRED),
	PAGE_IN_REQUIRED(struct device_in, page, 100, "100"),
	FIELD_END
};

static const struct field tag_out[] = {
	STR(struct tag_out, key,   "Key",   "Key.",   .flags = OPTIONAL),
	STR(struct tag_out, value, "Value", "Value.", .flags = OPTIONAL),
	FIELD_END
};
/* Rows that all answers have. */
#define JOB_STATUS_FIELDS \
	STR (struct job_out, job_id, "JobId", "The job.", .flags = OPTIONAL), \
	STR (struct job_out, status, "JobStatus", "PLANNED, IN_PROGRESS, COMPLETED or CANCELED.", .flags = OPTIONAL), \
	STR (struct job_out, type, "JobType", "VERIFY_FIRMWARE or UPGRADE_FIRMWARE.", .flags = OPTIONAL), \
	STR (struct job_out, firmware_id, "FirmwareId", "The package.", .flags = OPTIONAL), \
	STR (struct job_out, product_key, "ProductKey", "Its product.", .flags = OPTIONAL), \
	STR (struct job_out, selection_type, "SelectionType", "STATIC or DYNAMIC.", .flags = OPTIONAL), \
	STR (struct job_out, selection, "TargetSelection", "ALL, SPECIFIC, GRAY or GROUP.", .flags = OPTIONAL), \
	OBJS(struct job_out, tags, "Tags", "Batch tags.", .item = "OtaTagDTO", .of = tag_out, \
	     .of_size = sizeof(struct tag_out))
#define JOB_TIME_FIELDS \
	STR (struct job_out, utc_create, "UtcCreate", "When the job was created.", .flags = OPTIONAL), \
	STR (struct job_out, utc_modified, "UtcModified", "Last change.", .flags = OPTIONAL), \
	STR (struct job_out, utc_start, "UtcStartTime", "When it began.", .flags = OPTIONAL), \
	STR (struct job_out, utc_end, "UtcEndTime", "When it ended.", .flags = OPTIONAL)

static const struct field job_out[] = {
	JOB_STATUS_FIELDS,
	STR (struct job_out, name,           "Name",             "Name of the package.", .flags = OPTIONAL),
	STR (struct job_out, dest_version,   "DestVersion",      "Version that the package brings.", .flags = OPTIONAL),
	STRS(struct job_out, src_versions,   "SrcVersions",      "Source versions asked for.", .item = "SrcVersion"),
	STR (struct job_out, gray_percent,   "GrayPercent",      "As it was given; GRAY only.", .flags = OPTIONAL),
	STR (struct job_out, group_id,       "GroupId",          "GROUP only.", .flags = OPTIONAL),
	STR (struct job_out, group_name,     "GroupName",        "GROUP only.", .flags = OPTIONAL),
	INT (struct job_out, dynamic_mode,   "DynamicMode",      "Dynamic jobs only.", .flags = OPTIONAL),
	INT (struct job_out, max_per_minute, "MaximumPerMinute", "Pushes a minute in force.", .flags = OPTIONAL),
	INT (struct job_out, overwrite_mode, "OverwriteMode",    "1 or 2.", .flags = OPTIONAL),
	INT (struct job_out, retry_interval, "RetryInterval",    "Minutes; with automatic retries only.", .flags = OPTIONAL),
	INT (struct job_out, retry_count,    "RetryCount",       "With automatic retries only.", .flags = OPTIONAL),
	INT (struct job_out, timeout_min,    "TimeoutInMinutes", "With a time limit only.", .flags = OPTIONAL),
	BOOL(struct job_out, need_push,      "NeedPush",         "Tasks are pushed.", .flags = OPTIONAL),
	BOOL(struct job_out, need_confirm,   "NeedConfirm",      "Tasks wait for ConfirmOTATask.", .flags = OPTIONAL),
	STR (struct job_out, download_protocol, "DownloadProtocol", "HTTPS or MQTT.", .flags = OPTIONAL),
	BOOL(struct job_out, multi_module,   "MultiModuleMode",  "A device may update several modules at once.",
	     .flags = OPTIONAL),
	JOB_TIME_FIELDS,
	STR (struct job_out, utc_schedule,   "UtcScheduleTime",  "Planned start.", .flags = OPTIONAL),
	STR (struct job_out, utc_finish,     "UtcScheduleFinishTime", "Planned end.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field query_out[] = {
	OBJ(struct data_out, data, "Data", "The job.", .of = job_out),
	FIELD_END
};
static const struct field listed_out[] = { JOB_STATUS_FIELDS, JOB_TIME_FIELDS, FIELD_END };
static const struct field list_out[] = {
	PAGE_OUT_FIELDS(struct list_out, page, "CurrentPage"),
	OBJS(struct list_out, data,  "Data",        "Jobs of the package, newest first.", .item = "SimpleOTAJobInfo",
	     .of = listed_out, .of_size = sizeof(struct job_out)),
	FIELD_END
};

static const enum err query_fails[] = { ERR_JOB_ID, OK };
static const enum err list_fails[] = { ERR_FIRMWARE_NOT_FOUND, ERR_PAGE_PARAMS, OK };
static const enum err device_fails[] = {
	ERR_PAGE_PARAMS, ERR_FIRMWARE_NOT_FOUND, ERR_PRODUCT_NOT_FOUND, ERR_FIRMWARE_PRODUCT, ERR_DEVICE_NOT_FOUND, OK
};
/* clang-format on */

static struct obj_list show_tags(struct arena *a, const struct job *j)
{
	struct tag_out *tags = ARENA_ARRAY(a, j->n_tags, struct tag_out);

	for (size_t i = 0; i < j->n_tags; i++)
		tags[i] = (struct tag_out){ .key = j->tag_keys[i], .value = j->tag_values[i] };
	return (struct obj_list){ .n = j->n_tags, .v = tags };
}

static struct job_out show_job(struct arena *a, const struct job_view *v)
{
	const struct job *j = &v->job;

	return (struct job_out){
		.job_id = show_id(a, ID_JOB, j->id, 0),
		.status = job_status_name(v->status),
		.type = j->kind == JOB_VERIFY ? "VERIFY_FIRMWARE" : "UPGRADE_FIRMWARE",
		.name = v->firmware_name,
		.firmware_id = show_id(a, ID_FIRMWARE, j->firmware_id, 0),
		.product_key = v->product_key,
		.dest_version = v->dest_version,
		.selection_type = j->kind == JOB_DYNAMIC ? "DYNAMIC" : "STATIC",
		.selection = j->selection,
		.src_versions = { .n = j->n_src_versions, .v = j->src_versions },
		.gray_percent = j->gray_text,
		.group_id = v->group_id,
		.group_name = v->group_name,
		.dynamic_mode = show_int_unless(j->dynamic_mode, JOB_UNSET),
		.max_per_minute = show_int(v->max_per_minute),
		.overwrite_mode = show_int(j->overwrite_mode),
		.retry_interval = show_int_unless(j->retry_interval_min, JOB_UNSET),
		.retry_count = show_int_unless(j->retry_count, JOB_UNSET),
		.timeout_min = show_int_unless(j->timeout_min, JOB_UNSET),
		.need_push = show_bool(j->need_push),
		.need_confirm = show_bool(j->need_confirm),
		.multi_module = show_bool(j->multi_module),
		.download_protocol = j->download_mqtt ? "MQTT" : "HTTPS",
		.tags = show_tags(a, j),
		.utc_create = show_utc(a, j->created_ms),
		.utc_modified = show_utc(a, j->modified_ms),
		.utc_start = show_utc(a, v->started_ms),
		.utc_end = show_utc(a, v->ended_ms),
		.utc_schedule = show_utc(a, j->schedule_ms),
		.utc_finish = show_utc(a, j->finish_ms),
	};
}

static enum err query_run(struct call *c, const void *in_, void *out_)
{
	const struct query_in *in = in_;
	struct data_out *out = out_;
	struct job_out *data = ARENA_NEW(c->arena, struct job_out);
	struct job_view v;

	TRY(job_find(c, in->job_id, &v));
	*data = show_job(c->arena, &v);
	out->data = data;
	return OK;
}

static struct list_out show_jobs(struct arena *a, const struct page_in *page, const struct job_view *jobs, size_t n,
				 int64_t total)
{
	struct job_out *shown = ARENA_ARRAY(a, n, struct job_out);

	for (size_t i = 0; i < n; i++)
		shown[i] = show_job(a, &jobs[i]);
	return (struct list_out){
		.page = page_show(page, total),
		.data = { .n = n, .v = shown },
	};
}

static enum err list_run(struct call *c, const void *in_, void *out_)
{
	const struct list_in *in = in_;
	struct list_out *out = out_;
	const struct job_view *jobs;
	int64_t id, product_id, total;
	size_t n;

	TRY(firmware_find(c, in->firmware_id, &id, &product_id));
	TRY(store_job_page(c->db, id, page_from(&in->page), page_size(&in->page), &jobs, &n, &total));
	*out = show_jobs(c->arena, &in->page, jobs, n, total);
	return OK;
}

static enum err device_run(struct call *c, const void *in_, void *out_)
{
	const struct device_in *in = in_;
	struct list_out *out = out_;
	const struct job_view *jobs;
	struct device_ref d;
	int64_t id, product_id, total;
	size_t n;

	TRY(firmware_find_of(c, in->firmware_id, in->product_key, &id, &product_id));
	TRY(store_device_find(c->db, c->account_id, NULL, in->product_key, in->device_name, &d));
	TRY(store_job_page_of_device(c->db, id, d.id, page_from(&in->page), page_size(&in->page), &jobs, &n, &total));
	*out = show_jobs(c->arena, &in->page, jobs, n, total);
	return OK;
}

const struct action action_QueryOTAJob = {
	.name = "QueryOTAJob",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Shows the settings and the status of a job.",
	.in = query_in,
	.out = query_out,
	.in_size = sizeof(struct query_in),
	.out_size = sizeof(struct data_out),
	.run = query_run,
	.fails = query_fails,
};

const struct action action_ListOTAJobByFirmware = {
	.name = "ListOTAJobByFirmware",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Lists the jobs of a package, also of a deleted one.",
	.in = list_in,
	.out = list_out,
	.in_size = sizeof(struct list_in),
	.out_size = sizeof(struct list_out),
	.run = list_run,
	.fails = list_fails,
};

const struct action action_ListOTAJobByDevice = {
	.name = "ListOTAJobByDevice",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Lists the jobs of a package that contain a device.",
	.in = device_in,
	.out = list_out,
	.in_size = sizeof(struct device_in),
	.out_size = sizeof(struct list_out),
	.run = device_run,
	.fails = device_fails,
};
