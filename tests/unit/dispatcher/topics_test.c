/* SPDX-License-Identifier: Apache-2.0 */
/* Topics both ways, and the lenient reading of reports. */
#include "dispatcher/report.h"
#include "dispatcher/topics.h"

#include "harness.h"

#include <string.h>

static struct uplink_topic parsed(struct arena *a, const char *topic)
{
	return uplink_parse(a, topic, strlen(topic));
}

static void test_uplinks(void)
{
	/* clang-format off */
	static const struct { const char *topic; enum uplink kind; const char *pk, *dn; } cases[] = {
		{ "/ota/device/inform/pk1/dev-1",            UPLINK_INFORM,   "pk1", "dev-1" },
		{ "/ota/device/inform/pk1/dev-1/",           UPLINK_INFORM,   "pk1", "dev-1" },
		{ "/ota/device/progress/pk1/d@1:x",          UPLINK_PROGRESS, "pk1", "d@1:x" },
		{ "/ota/device/progress/pk1/dev/",           UPLINK_PROGRESS, "pk1", "dev" },
		{ "/ota/device/request/pk1/dev",             UPLINK_REQUEST,  "pk1", "dev" },
		{ "/sys/pk1/dev/thing/ota/firmware/get",     UPLINK_GET,      "pk1", "dev" },
		{ "/sys/pk1/dev/thing/file/download",        UPLINK_DOWNLOAD, "pk1", "dev" },
		{ "/otad/broker",                            UPLINK_BROKER,   NULL, NULL },
		{ "/otad/register",                          UPLINK_REGISTER, NULL, NULL },
		{ "/ota/device/inform/pk1",                  UPLINK_NONE, NULL, NULL },
		{ "/ota/device/inform/pk1/",                 UPLINK_NONE, NULL, NULL },
		{ "/ota/device/inform//dev",                 UPLINK_NONE, NULL, NULL },
		{ "/ota/device/inform/pk1/dev/more",         UPLINK_NONE, NULL, NULL },
		{ "/ota/device/inform/pk1/dev//",            UPLINK_NONE, NULL, NULL },
		{ "/ota/device/upgrade/pk1/dev",             UPLINK_NONE, NULL, NULL },
		{ "/sys/pk1/dev/thing/ota/firmware/get_reply", UPLINK_NONE, NULL, NULL },
		{ "",                                        UPLINK_NONE, NULL, NULL },
	};
	/* clang-format on */
	struct arena a;

	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct uplink_topic t = parsed(&a, cases[i].topic);

		CHECK_INT(t.kind, cases[i].kind);
		CHECK_STR(t.product_key, cases[i].pk);
		CHECK_STR(t.device_name, cases[i].dn);
	}
	for (int k = UPLINK_INFORM; k < UPLINK_COUNT; k++)
		CHECK(uplink_filter((enum uplink)k) && *uplink_name((enum uplink)k));
	arena_free(&a);
}

static void test_downlinks(void)
{
	struct arena a;

	arena_init(&a);
	CHECK_STR(downlink_topic(&a, DOWNLINK_PUSH, "pk", "dn"), "/ota/device/upgrade/pk/dn");
	CHECK_STR(downlink_topic(&a, DOWNLINK_REQUEST, "pk", "dn"), "/ota/device/request/pk/dn");
	CHECK_STR(downlink_topic(&a, DOWNLINK_GET_REPLY, "pk", "dn"),
		  "/sys/pk/dn/thing/ota/firmware/get_reply");
	CHECK_STR(downlink_topic(&a, DOWNLINK_DOWNLOAD_REPLY, "pk", "dn"),
		  "/sys/pk/dn/thing/file/download_reply");
	arena_free(&a);
}

static enum nonsense read_report(struct arena *a, const char *topic, const char *text, struct report *r)
{
	struct uplink_topic t = parsed(a, topic);

	return report_parse(a, &t, text, strlen(text), r);
}

#define INFORM "/ota/device/inform/pk/dn"
#define PROGRESS "/ota/device/progress/pk/dn"
#define REQUEST "/ota/device/request/pk/dn"

static void test_reports(void)
{
	struct arena a;
	struct report r;

	arena_init(&a);
	CHECK_INT(read_report(&a, INFORM, "{\"id\":1, \"params\":{\"version\":\"1.0.0\",\"module\":\"MCU\"}}",
			      &r),
		  SENSE);
	CHECK_STR(r.version, "1.0.0");
	CHECK_STR(r.module, "MCU");
	CHECK_STR(r.id, "1");
	CHECK_INT(read_report(&a, INFORM, "{\"params\":{\"version\":2,\"module\":\"\"},}", &r), SENSE);
	CHECK_STR(r.version, "2");
	CHECK_STR(r.module, "default");
	CHECK_STR(r.id, "");
	CHECK_INT(read_report(&a, REQUEST, "{\"id\":\"0\",\"params\":{\"version\":\"1.0.0\"}}", &r), SENSE);
	CHECK_INT(read_report(&a, REQUEST, "{\"id\":\"0\",\"params\":{}}", &r), SENSE);
	CHECK(r.version == NULL);
	CHECK_INT(read_report(&a, "/sys/pk/dn/thing/ota/firmware/get", "{\"id\":2, \"params\":{}}", &r),
		  SENSE);
	CHECK_STR(r.id, "2");
	CHECK_INT(
		read_report(
			&a, "/sys/pk/dn/thing/file/download",
			"{\"id\":\"1\",\"version\":\"1.0\",\"params\":{\"fileToken\":\"default\","
			"\"fileInfo\":"
			"{\"streamId\":1397345,\"fileId\":1,},\"fileBlock\":{\"size\":5120,\"offset\":10}}}",
			&r),
		SENSE);
	CHECK_INT(r.stream_id, 1397345);
	CHECK_INT(r.block_offset, 10);
	arena_free(&a);
}

static void test_steps(void)
{
	/* clang-format off */
	static const struct { const char *step; enum nonsense sense; int value; } cases[] = {
		{ "\"0\"", SENSE, 0 },        { "0", SENSE, 0 },          { "100", SENSE, 100 },
		{ "\" 66 \"", SENSE, 66 },    { "9.9", SENSE, 9 },        { "\"-2\"", SENSE, -2 },
		{ "-4", SENSE, -4 },          { "-5", NONSENSE_STEP, 0 }, { "101", NONSENSE_STEP, 0 },
		{ "\"abc\"", NONSENSE_STEP, 0 }, { "\"\"", NONSENSE_STEP, 0 }, { "null", NONSENSE_STEP, 0 },
		{ "{}", NONSENSE_STEP, 0 },   { "99999999999999999999", NONSENSE_STEP, 0 },
	};
	/* clang-format on */
	struct arena a;
	struct report r;

	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *text =
			arena_printf(&a, "{\"id\":0,\"params\":{\"step\":%s,\"desc\":\"d\"}}", cases[i].step);

		CHECK_INT(read_report(&a, PROGRESS, text, &r), cases[i].sense);
		if (cases[i].sense == SENSE) {
			CHECK_INT(r.step, cases[i].value);
			CHECK_STR(r.desc, "d");
		}
	}
	arena_free(&a);
}

static void test_nonsense(void)
{
	/* clang-format off */
	static const struct { const char *topic, *text; enum nonsense want; } cases[] = {
		{ INFORM,   "",                                     NONSENSE_JSON },
		{ INFORM,   "{",                                    NONSENSE_JSON },
		{ INFORM,   "[1]",                                  NONSENSE_JSON },
		{ INFORM,   "{\"params\":{\"version\":\"\xff\"}}",  NONSENSE_JSON },
		{ INFORM,   "{}",                                   NONSENSE_PARAMS },
		{ INFORM,   "{\"params\":[]}",                      NONSENSE_PARAMS },
		{ INFORM,   "{\"params\":{}}",                      NONSENSE_VERSION },
		{ INFORM,   "{\"params\":{\"version\":\"\"}}",      NONSENSE_VERSION },
		{ INFORM,   "{\"params\":{\"version\":\"  \"}}",    NONSENSE_VERSION },
		{ PROGRESS, "{\"params\":{}}",                      NONSENSE_STEP },
		{ REQUEST,  "{\"code\":\"1000\",\"data\":{},\"id\":1}", NONSENSE_OWN },
		{ "/x/y",   "{\"params\":{}}",                      NONSENSE_TOPIC },
	};
	/* clang-format on */
	static char huge[REPORT_BYTES_MAX + 2];
	struct uplink_topic t;
	struct arena a;
	struct report r;

	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_INT(read_report(&a, cases[i].topic, cases[i].text, &r), cases[i].want);
	t = parsed(&a, INFORM);
	CHECK_INT(report_parse(&a, &t, huge, sizeof huge, &r), NONSENSE_SIZE);
	for (int n = 0; n < NONSENSE_COUNT; n++)
		CHECK(*nonsense_name((enum nonsense)n));
	arena_free(&a);
}

TESTS("dispatcher/topics", { "uplinks", test_uplinks }, { "downlinks", test_downlinks },
      { "reports", test_reports }, { "steps", test_steps }, { "nonsense", test_nonsense })
