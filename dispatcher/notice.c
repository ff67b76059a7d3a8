/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/notice.h"

#include "engine/base/json.h"
#include "engine/ids.h"
#include "engine/task.h"

#define NOTICE_MAX 65536 /* a device's words, cut to some hundred bytes, may be escaped sixfold */

const char *notice_kind_name(enum notice_kind kind)
{
	static const char *const names[] = {
		[NOTICE_TASK] = "task", [NOTICE_VERSION] = "version", [NOTICE_JOB] = "job"
	};

	ensure(kind >= NOTICE_TASK && (size_t)kind < ARRAY_LEN(names));
	return names[kind];
}

static void put_id(struct json_out *j, const char *key, enum id_kind kind, int64_t a, int64_t b)
{
	char id[ID_LEN + 1];

	id_format(kind, a, b, id);
	json_put_string(j, key, id);
}

static void put_device(struct json_out *j, const struct notice *n)
{
	put_id(j, "iotId", ID_DEVICE, n->device_id, 0);
	json_put_string(j, "productKey", n->product_key);
	json_put_string(j, "deviceName", n->device_name);
}

static void put_task(struct json_out *j, const struct notice *n)
{
	put_device(j, n);
	json_put_string(j, "status", task_state_name((enum task_state)n->status));
	json_put_int(j, "messageCreateTime", n->at_ms);
	json_put_string(j, "srcVersion", n->src_version ? n->src_version : "");
	json_put_string(j, "destVersion", n->dest_version);
	json_put_string(j, "desc", n->detail);
	put_id(j, "jobId", ID_JOB, n->job_id, 0);
	put_id(j, "taskId", ID_TASK, n->job_id, n->seq);
}

static void put_version(struct json_out *j, const struct notice *n)
{
	put_device(j, n);
	json_put_string(j, "moduleName", n->module);
	json_put_string(j, "moduleVersion", n->detail);
	json_put_int(j, "messageCreateTime", n->at_ms);
}

static void put_job(struct json_out *j, const struct notice *n)
{
	json_put_string(j, "productKey", n->product_key);
	json_put_string(j, "moduleName", n->module);
	put_id(j, "packageId", ID_FIRMWARE, n->firmware_id, 0);
	put_id(j, "jobId", ID_JOB, n->job_id, 0);
	json_put_string(j, "status", job_status_name((enum job_status)n->status));
	json_put_int(j, "messageCreateTime", n->at_ms);
}

static const char *topic_of(struct arena *a, const struct notice *n)
{
	char firmware[ID_LEN + 1], job[ID_LEN + 1];

	if (n->kind == NOTICE_TASK)
		return arena_printf(a, "/%s/%s/ota/upgrade", n->product_key, n->device_name);
	if (n->kind == NOTICE_VERSION)
		return arena_printf(a, "/%s/%s/ota/version/post", n->product_key, n->device_name);
	id_format(ID_FIRMWARE, n->firmware_id, 0, firmware);
	id_format(ID_JOB, n->job_id, 0, job);
	return arena_printf(a, "/%s/%s/%s/ota/job/status", n->product_key, firmware, job);
}

bool notice_message(struct arena *a, const struct notice *n, struct mqtt_message *ret)
{
	static void (*const put[])(struct json_out * j, const struct notice *n) = {
		[NOTICE_TASK] = put_task, [NOTICE_VERSION] = put_version, [NOTICE_JOB] = put_job
	};
	struct buf *b = buf_owned(a, NOTICE_MAX);
	struct json_out *j = json_new(a, b);

	if (!n->product_key || (n->kind != NOTICE_JOB && !n->device_name))
		return false;
	json_object(j);
	put[n->kind](j, n);
	json_object_end(j);
	ensure(!b->overflow);
	*ret = (struct mqtt_message){ .topic = topic_of(a, n), .payload = b->data, .len = b->len };
	return true;
}
