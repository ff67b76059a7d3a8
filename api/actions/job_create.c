/* SPDX-License-Identifier: Apache-2.0 */
/* CreateOTAVerifyJob, CreateOTAStaticUpgradeJob and CreateOTADynamicUpgradeJob: parameters, errors and
 * answers. The checks are in job_check.c; the tasks are made afterwards, in the background
 * (docs/architecture.md, "Making tasks"). */
#include "api/actions/job_in.h"
#include "api/actions/show.h"

struct created {
	const char *job_id, *utc_create;
};

/* clang-format off */
static const struct field tag_fields[] = {
	STR(struct tag_in, key,   "Key",   "Key of a batch tag: 1 to 30 letters, digits and full stops.", .flags = LATE),
	STR(struct tag_in, value, "Value", "Its value: 1 to 128 characters (limits_profile current: 1,024).", .flags = LATE),
	FIELD_END
};

/* Rows that calls share. */
#define PACKAGE_FIELDS \
	STR (struct job_in, firmware_id, "FirmwareId", "The package.", .flags = REQUIRED), \
	STR (struct job_in, product_key, "ProductKey", "Its product.", .flags = REQUIRED)
#define TIMEOUT_FIELD \
	INT (struct job_in, timeout_min, "TimeoutInMinutes", \
	     "Time limit of a task in minutes, from its first progress report. Absent: none.", \
	     .flags = LATE, .min = 1, .max = 1440, .err = ERR_TIMEOUT)
#define DELIVERY_FIELDS \
	BOOL(struct job_in, need_push, "NeedPush", "Push to the devices (default), or only answer their requests.", \
	     .flags = OPTIONAL), \
	BOOL(struct job_in, need_confirm, "NeedConfirm", "Tasks wait for ConfirmOTATask. Default: false.", \
	     .flags = OPTIONAL), \
	STR (struct job_in, download_protocol, "DownloadProtocol", \
	     "HTTPS (default) or MQTT (packages of one file of at most 16 MB).", \
	     .flags = LATE, .one_of = "HTTPS MQTT", .err = ERR_FORMAT), \
	OBJS(struct job_in, tags, "Tag", "Batch tags, delivered with the notification; at most 10, keys differ.", \
	     .flags = LATE, .of = tag_fields, .of_size = sizeof(struct tag_in))
#define UPGRADE_FIELDS \
	INT (struct job_in, retry_interval, "RetryInterval", "Minutes until an automatic retry. Absent: no retry.", \
	     .flags = LATE, .one_of = "0 10 30 60 1440", .err = ERR_RETRY_INTERVAL), \
	INT (struct job_in, retry_count, "RetryCount", "Automatic retries; goes together with RetryInterval.", \
	     .flags = LATE, .one_of = "1 2 5", .err = ERR_RETRY_COUNT), \
	TIMEOUT_FIELD, \
	INT (struct job_in, max_per_minute, "MaximumPerMinute", \
	     "Pushes a minute: 0 to 1,000, default 1,000 (limits_profile current: 10 to 10,000, default 10,000). " \
	     "0: to nobody, devices have to ask.", .flags = LATE), \
	INT (struct job_in, overwrite_mode, "OverwriteMode", \
	     "1 (default): a device keeps its unfinished task; 2: the new task replaces one that is not in progress.", \
	     .flags = LATE, .one_of = "1 2", .err = ERR_OVERWRITE_MODE), \
	BOOL(struct job_in, multi_module, "MultiModuleMode", \
	     "A device may update several modules at once; not with OverwriteMode 2. Default: false.", \
	     .flags = OPTIONAL)

static const struct field verify_in[] = {
	PACKAGE_FIELDS,
	STRS(struct job_in, names, "TargetDeviceName", "1 to 10 test devices of the product, without repetition.",
	     .flags = REQUIRED | LATE, .max_items = 10, .alias = "TargetDeviceNames"),
	TIMEOUT_FIELD,
	DELIVERY_FIELDS,
	FIELD_END
};

static const struct field static_in[] = {
	PACKAGE_FIELDS,
	STR (struct job_in, target_selection, "TargetSelection",
	     "Which devices: ALL, SPECIFIC (named), GRAY (a percentage) or GROUP.",
	     .flags = REQUIRED | LATE, .one_of = "ALL SPECIFIC GRAY GROUP", .err = ERR_TARGET_SELECTION),
	STRS(struct job_in, names, "TargetDeviceName",
	     "SPECIFIC: the devices, without repetition, at most 200 (configurable); or use DnListFileUrl.",
	     .flags = LATE, .alias = "TargetDeviceNames"),
	STR (struct job_in, list_url, "DnListFileUrl",
	     "SPECIFIC: FileUrl of GenerateDeviceNameListURL; or use TargetDeviceName.", .flags = OPTIONAL),
	STRS(struct job_in, src_versions, "SrcVersion",
	     "ALL, GRAY: only devices of these versions; at most 10, without repetition.", .flags = LATE),
	STR (struct job_in, gray_percent, "GrayPercent",
	     "GRAY: percentage of the candidates, at most 3 decimals; rounded down, at least one device.", .flags = LATE),
	STR (struct job_in, group_id, "GroupId", "GROUP: the device group.", .flags = LATE),
	STR (struct job_in, group_type, "GroupType", "GROUP: LINK_PLATFORM.", .flags = LATE),
	LONG(struct job_in, schedule_ms, "ScheduleTime",
	     "Start in milliseconds since 1970 UTC, 5 minutes to 7 days from now. Absent: now.", .flags = LATE),
	LONG(struct job_in, finish_ms, "ScheduleFinishTime",
	     "Forced end in milliseconds since 1970 UTC, 1 hour to 30 days after the start. Absent: never.", .flags = LATE),
	UPGRADE_FIELDS,
	DELIVERY_FIELDS,
	FIELD_END
};

static const struct field dynamic_in[] = {
	PACKAGE_FIELDS,
	STR (struct job_in, target_selection, "TargetSelection", "ALL, as without it; nothing else can be dynamic.",
	     .flags = OPTIONAL),
	STRS(struct job_in, src_versions, "SrcVersion",
	     "Devices of these versions; at most 10, without repetition. Needed unless there is a group.", .flags = LATE),
	STR (struct job_in, group_id, "GroupId", "The members of this dynamic group; instead of SrcVersion.", .flags = LATE),
	STR (struct job_in, group_type, "GroupType", "With GroupId: LINK_PLATFORM_DYNAMIC.", .flags = LATE),
	INT (struct job_in, dynamic_mode, "DynamicMode",
	     "1 (default): devices that match now and all that match later; 2: only devices that report a version later.",
	     .flags = LATE, .one_of = "1 2", .err = ERR_DYNAMIC_MODE),
	UPGRADE_FIELDS,
	DELIVERY_FIELDS,
	FIELD_END
};

static const struct field created_fields[] = {
	STR(struct created, job_id,     "JobId",     "The new job.", .flags = OPTIONAL),
	STR(struct created, utc_create, "UtcCreate", "When it was created.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field create_out[] = {
	OBJ(struct data_out, data, "Data", "The job.", .of = created_fields),
	FIELD_END
};

static const enum err verify_fails[] = {
	ERR_FIRMWARE_NOT_FOUND, ERR_PRODUCT_NOT_FOUND, ERR_FIRMWARE_PRODUCT, ERR_VERIFY_RUNNING, ERR_VERIFY,
	ERR_LIST_TOO_LONG, ERR_FORMAT, ERR_DEVICE_NOT_FOUND, ERR_DEVICE_NO_VERSION, ERR_SRC_VERSION_MISMATCH,
	ERR_DEVICE_AT_DEST, ERR_TIMEOUT, ERR_TAG_DUPLICATED, ERR_NO_DEVICE, OK
};
static const enum err static_fails[] = {
	ERR_FIRMWARE_NOT_FOUND, ERR_PRODUCT_NOT_FOUND, ERR_FIRMWARE_PRODUCT, ERR_FIRMWARE_NOT_VERIFIED,
	ERR_TARGET_SELECTION, ERR_TARGETS_NULL, ERR_TARGETS_NOT_ALLOWED, ERR_LIST_TOO_LONG, ERR_FORMAT,
	ERR_DEVICE_NOT_FOUND, ERR_SRC_VERSIONS_NOT_ALLOWED, ERR_SRC_VERSIONS_COUNT, ERR_SRC_VERSION_FORMAT,
	ERR_SRC_DEST_EQUAL, ERR_SRC_VERSION_ONE, ERR_JOB_SRC_VERSION, ERR_DEVICE_NO_VERSION, ERR_SRC_VERSION_MISMATCH,
	ERR_GRAY_NULL, ERR_GRAY_FORMAT, ERR_GRAY_RANGE, ERR_GROUP_NULL, ERR_GROUP_NOT_FOUND, ERR_SCHEDULE_PAST,
	ERR_SCHEDULE_SOON, ERR_SCHEDULE_LATE, ERR_FINISH_BEFORE, ERR_FINISH_EARLY, ERR_FINISH_LATE,
	ERR_RETRY_INTERVAL, ERR_RETRY_COUNT, ERR_TIMEOUT, ERR_MAX_PER_MINUTE, ERR_OVERWRITE_MODE, ERR_TAG_DUPLICATED,
	ERR_NO_DEVICE, OK
};
static const enum err dynamic_fails[] = {
	ERR_FIRMWARE_NOT_FOUND, ERR_PRODUCT_NOT_FOUND, ERR_FIRMWARE_PRODUCT, ERR_FIRMWARE_NOT_VERIFIED,
	ERR_TARGET_SELECTION, ERR_DYNAMIC_GRAY, ERR_DYNAMIC_SPECIFIC, ERR_SRC_VERSIONS_NULL,
	ERR_SRC_VERSIONS_NOT_ALLOWED, ERR_SRC_VERSIONS_COUNT, ERR_SRC_VERSION_FORMAT, ERR_FORMAT, ERR_SRC_DEST_EQUAL,
	ERR_SRC_VERSION_ONE, ERR_JOB_SRC_VERSION, ERR_GROUP_NULL, ERR_GROUP_NOT_FOUND, ERR_RETRY_INTERVAL,
	ERR_RETRY_COUNT, ERR_TIMEOUT, ERR_MAX_PER_MINUTE, ERR_OVERWRITE_MODE, ERR_DYNAMIC_MODE, ERR_TAG_DUPLICATED,
	ERR_DYNAMIC_RUNNING, OK
};
/* clang-format on */

static enum err wake(struct call *c, void *arg)
{
	(void)arg;
	c->env->wake_maker(c->env->wake_ctx);
	c->env->wake_engine(c->env->wake_ctx);
	return OK;
}

static enum err create(struct call *c, const struct job_in *in, enum job_kind kind, struct data_out *out)
{
	struct created *data = ARENA_NEW(c->arena, struct created);
	struct job job;

	TRY(job_check(c, in, kind, &job));
	TRY(store_job_create(c->db, &job));
	data->job_id = show_id(c->arena, ID_JOB, job.id, 0);
	data->utc_create = show_utc(c->arena, job.created_ms);
	out->data = data;
	c->audit_target = data->job_id;
	c->after_commit = wake;
	return OK;
}

static enum err verify_run(struct call *c, const void *in, void *out)
{
	return create(c, in, JOB_VERIFY, out);
}

static enum err static_run(struct call *c, const void *in, void *out)
{
	return create(c, in, JOB_STATIC, out);
}

static enum err dynamic_run(struct call *c, const void *in, void *out)
{
	return create(c, in, JOB_DYNAMIC, out);
}

const struct action action_CreateOTAVerifyJob = {
	.name = "CreateOTAVerifyJob",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Starts the verification of a package on a few test devices.",
	.in = verify_in,
	.out = create_out,
	.in_size = sizeof(struct job_in),
	.out_size = sizeof(struct data_out),
	.run = verify_run,
	.fails = verify_fails,
};

const struct action action_CreateOTAStaticUpgradeJob = {
	.name = "CreateOTAStaticUpgradeJob",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 20,
	.methods = "GET POST",
	.doc = "Creates a static upgrade job: the devices that qualify now are updated.",
	.in = static_in,
	.out = create_out,
	.in_size = sizeof(struct job_in),
	.out_size = sizeof(struct data_out),
	.run = static_run,
	.fails = static_fails,
};

const struct action action_CreateOTADynamicUpgradeJob = {
	.name = "CreateOTADynamicUpgradeJob",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 20,
	.methods = "GET POST",
	.doc = "Creates a dynamic upgrade job: devices that qualify now or later are updated, until its "
	       "strategy is "
	       "canceled.",
	.in = dynamic_in,
	.out = create_out,
	.in_size = sizeof(struct job_in),
	.out_size = sizeof(struct data_out),
	.run = dynamic_run,
	.fails = dynamic_fails,
};
