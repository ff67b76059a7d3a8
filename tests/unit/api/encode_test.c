/* SPDX-License-Identifier: Apache-2.0 */
/* Answers byte for byte, in both formats. */
#include "api/encode.h"
#include "harness.h"

#include <string.h>

struct tag {
	const char *key, *value;
};
struct data {
	const char *job_id, *empty, *absent;
	struct opt_int count, none;
	struct opt_bool on;
	struct str_list versions;
	struct obj_list tags, files, omitted;
};
struct out {
	const void *data;
	struct opt_int total;
};
static const struct field tag_fields[] = {
	STR(struct tag, key, "Key", "Key."), STR(struct tag, value, "Value", "Value."), FIELD_END
};
static const struct field data_fields[] = {
	STR(struct data, job_id, "JobId", "Id."),
	STR(struct data, empty, "TaskDesc", "Text."),
	STR(struct data, absent, "Absent", "Text."),
	INT(struct data, count, "Count", "Number."),
	INT(struct data, none, "None", "Number."),
	BOOL(struct data, on, "NeedPush", "Flag."),
	STRS(struct data, versions, "SrcVersions", "Versions.", .item = "SrcVersion"),
	OBJS(struct data, tags, "Tags", "Tags.", .item = "OtaTagDTO", .of = tag_fields, .of_size = sizeof(struct tag)),
	OBJS(struct data, files, "MultiFiles", "Files.", .of = tag_fields, .of_size = sizeof(struct tag)),
	OBJS(struct data, omitted, "Omitted", "Nothing.", .of = tag_fields, .of_size = sizeof(struct tag),
	     .flags = OMIT_EMPTY),
	FIELD_END
};
static const struct field out_fields[] = {
	OBJ(struct out, data, "Data", "Job.", .of = data_fields), INT(struct out, total, "Total", "Rows."), FIELD_END
};
static const struct action action = { .name = "QueryOTAJob", .out = out_fields };

static struct out sample(struct data *d)
{
	static const char *const versions[] = { "1.0.0", "1.0.1" };
	static const struct tag tags[] = { { "site", "a<b>&\"'\r\x01" } };
	static const struct tag files[] = { { "f1", NULL }, { "f2", "" } };

	*d = (struct data){ .job_id = "J", .empty = "", .count = { true, -1 }, .on = { true, false },
			    .versions = { 2, versions }, .tags = { 1, tags }, .files = { 2, files } };
	return (struct out){ .data = d, .total = { true, 1 } };
}

static void check_success(enum format f, const char *want)
{
	struct arena a;
	struct data d;
	struct out out = sample(&d);
	struct buf *to;

	arena_init(&a);
	to = buf_owned(&a, REPLY_MAX);
	encode_success(&a, to, f, &action, "ID", &out);
	CHECK_STR(buf_str(to), want);
	arena_free(&a);
}

static void test_json(void)
{
	check_success(FORMAT_JSON,
		"{\"RequestId\":\"ID\",\"Success\":true,\"Data\":{\"JobId\":\"J\",\"TaskDesc\":\"\",\"Count\":-1,"
		"\"NeedPush\":false,\"SrcVersions\":{\"SrcVersion\":[\"1.0.0\",\"1.0.1\"]},\"Tags\":{\"OtaTagDTO\":["
		"{\"Key\":\"site\",\"Value\":\"a<b>&\\\"'\\r\\u0001\"}]},\"MultiFiles\":[{\"Key\":\"f1\"},"
		"{\"Key\":\"f2\",\"Value\":\"\"}]},\"Total\":1}");
}

static void test_xml(void)
{
	check_success(FORMAT_XML,
		"<?xml version='1.0' encoding='UTF-8'?><QueryOTAJobResponse><RequestId>ID</RequestId>"
		"<Success>true</Success><Data><JobId>J</JobId><TaskDesc></TaskDesc><Count>-1</Count>"
		"<NeedPush>false</NeedPush><SrcVersions><SrcVersion>1.0.0</SrcVersion><SrcVersion>1.0.1</SrcVersion>"
		"</SrcVersions><Tags><OtaTagDTO><Key>site</Key><Value>a&lt;b&gt;&amp;&quot;&apos;&#13;\xef\xbf\xbd"
		"</Value></OtaTagDTO></Tags><MultiFiles><Key>f1</Key></MultiFiles><MultiFiles><Key>f2</Key>"
		"<Value></Value></MultiFiles></Data><Total>1</Total></QueryOTAJobResponse>");
}

static void check_error(enum format f, enum err err, const char *param, const char *want)
{
	struct arena a;
	struct error e;
	struct buf *to;

	arena_init(&a);
	error_init(&e, &a);
	(void)fail_param(&e, err, param);
	to = buf_owned(&a, REPLY_MAX);
	encode_error(&a, to, f, &action, NULL, "ID", "h:1", &e);
	CHECK_STR(buf_str(to), want);
	arena_free(&a);
}

static void test_errors(void)
{
	check_error(FORMAT_JSON, ERR_MISSING_PARAM, "FirmwareId",
		"{\"RequestId\":\"ID\",\"HostId\":\"h:1\",\"Success\":false,\"Code\":\"MissingFirmwareId\","
		"\"ErrorMessage\":\"FirmwareId is mandatory for this action.\","
		"\"Message\":\"FirmwareId is mandatory for this action.\"}");
	check_error(FORMAT_XML, ERR_THROTTLED, NULL,
		"<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>ID</RequestId><HostId>h:1</HostId>"
		"<Success>false</Success><Code>Throttling.User</Code>"
		"<ErrorMessage>Request was denied due to user flow control.</ErrorMessage>"
		"<Message>Request was denied due to user flow control.</Message></Error>");
	check_error(FORMAT_XML, ERR_FIRMWARE_NOT_FOUND, NULL,
		"<?xml version='1.0' encoding='UTF-8'?><QueryOTAJobResponse><RequestId>ID</RequestId>"
		"<HostId>h:1</HostId><Success>false</Success><Code>iot.firmware.FirmwareNotFound</Code>"
		"<ErrorMessage>The package does not exist.</ErrorMessage><Message>The package does not exist.</Message>"
		"</QueryOTAJobResponse>");
}

/* What went wrong inside is not told outside. */
static void test_inner_errors_are_hidden(void)
{
	struct arena a;
	struct error e;
	struct buf *to;

	arena_init(&a);
	for (enum err err = OK + 1; err < ERR_COUNT; err++) {
		enum err shown = err_shown(err);

		CHECK(err_info(shown)->http_status == err_info(err)->http_status);
		if (shown != ERR_INTERNAL && shown != ERR_UNAVAILABLE)
			continue;
		error_init(&e, &a);
		(void)fail(&e, err, "select secret from access_key");
		to = buf_owned(&a, REPLY_MAX);
		encode_error(&a, to, FORMAT_JSON, NULL, NULL, "ID", "h", &e);
		CHECK(!strstr(buf_str(to), "select"));
		CHECK(strstr(buf_str(to), err_info(shown)->text));
	}
	CHECK_INT(err_shown(ERR_DB), ERR_INTERNAL);
	CHECK_INT(err_shown(ERR_DB_CONNECTION), ERR_UNAVAILABLE);
	arena_free(&a);
}

TESTS("api/encode", { "json", test_json }, { "xml", test_xml }, { "errors", test_errors },
      { "inner errors are hidden", test_inner_errors_are_hidden })
