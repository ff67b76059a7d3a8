/* SPDX-License-Identifier: Apache-2.0 */
/* Notifications as they go out (api §A.3). */
#include "dispatcher/notice.h"
#include "engine/ids.h"
#include "engine/task.h"
#include "harness.h"

#include <string.h>

static void message(const struct notice *n, const char *topic, const char *payload)
{
	struct mqtt_message m;
	struct arena a;

	arena_init(&a);
	CHECK(notice_message(&a, n, &m));
	CHECK_STR(m.topic, topic);
	CHECK_STR(arena_strndup(&a, m.payload, m.len), payload);
	arena_free(&a);
}

static const char *id(struct arena *a, enum id_kind kind, int64_t key, int64_t seq)
{
	char *text = arena_alloc(a, ID_LEN + 1);

	id_format(kind, key, seq, text);
	return text;
}

static void every_kind(void)
{
	struct notice n = { .kind = NOTICE_TASK,
			    .at_ms = 1571323748000,
			    .product_key = "a1",
			    .module = "default",
			    .device_id = 7,
			    .device_name = "dev.1",
			    .detail = "no \"space\"\x01",
			    .job_id = 8,
			    .firmware_id = 9,
			    .seq = 3,
			    .status = TASK_FAILED,
			    .dest_version = "2.0" };
	struct arena a;

	arena_init(&a);
	message(&n, "/a1/dev.1/ota/upgrade",
		arena_printf(
			&a,
			"{\"iotId\":\"%s\",\"productKey\":\"a1\",\"deviceName\":\"dev.1\",\"status\":"
			"\"FAILED\","
			"\"messageCreateTime\":1571323748000,\"srcVersion\":\"\",\"destVersion\":\"2.0\","
			"\"desc\":\"no \\\"space\\\"\\u0001\",\"jobId\":\"%s\",\"taskId\":\"%s\"}",
			id(&a, ID_DEVICE, 7, 0), id(&a, ID_JOB, 8, 0), id(&a, ID_TASK, 8, 3)));
	n = (struct notice){ .kind = NOTICE_VERSION,
			     .at_ms = 5,
			     .product_key = "a1",
			     .module = "MCU",
			     .device_id = 7,
			     .device_name = "dev.1",
			     .detail = "1.1" };
	message(&n, "/a1/dev.1/ota/version/post",
		arena_printf(&a,
			     "{\"iotId\":\"%s\",\"productKey\":\"a1\",\"deviceName\":\"dev.1\","
			     "\"moduleName\":\"MCU\","
			     "\"moduleVersion\":\"1.1\",\"messageCreateTime\":5}",
			     id(&a, ID_DEVICE, 7, 0)));
	n = (struct notice){ .kind = NOTICE_JOB,
			     .at_ms = 5,
			     .product_key = "a1",
			     .module = "default",
			     .job_id = 8,
			     .firmware_id = 9,
			     .status = JOB_PLANNED };
	message(&n,
		arena_printf(&a, "/a1/%s/%s/ota/job/status", id(&a, ID_FIRMWARE, 9, 0), id(&a, ID_JOB, 8, 0)),
		arena_printf(&a,
			     "{\"productKey\":\"a1\",\"moduleName\":\"default\",\"packageId\":\"%s\","
			     "\"jobId\":\"%s\","
			     "\"status\":\"PLANNED\",\"messageCreateTime\":5}",
			     id(&a, ID_FIRMWARE, 9, 0), id(&a, ID_JOB, 8, 0)));
	arena_free(&a);
}

static void longest_words_fit(void)
{
	static char desc[1025], version[257];
	struct notice n = { .kind = NOTICE_TASK,
			    .product_key = "a1",
			    .device_name = "d",
			    .status = TASK_FAILED,
			    .dest_version = version,
			    .src_version = version,
			    .detail = desc };
	struct mqtt_message m;
	struct arena a;

	memset(desc, 1, sizeof desc - 1); /* each becomes six */
	memset(version, 1, sizeof version - 1);
	arena_init(&a);
	CHECK(notice_message(&a, &n, &m));
	CHECK(m.len > 6 * 1024);
	arena_free(&a);
}

static void nothing_left_to_tell(void)
{
	struct notice n = { .kind = NOTICE_JOB };
	struct mqtt_message m;
	struct arena a;

	arena_init(&a);
	CHECK(!notice_message(&a, &n, &m));
	n = (struct notice){
		.kind = NOTICE_VERSION, .product_key = "a1", .detail = "1", .module = "default"
	};
	CHECK(!notice_message(&a, &n, &m));
	arena_free(&a);
}

TESTS("dispatcher/notice", { "every_kind", every_kind }, { "longest_words_fit", longest_words_fit },
      { "nothing_left_to_tell", nothing_left_to_tell })
