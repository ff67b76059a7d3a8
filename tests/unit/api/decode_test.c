/* SPDX-License-Identifier: Apache-2.0 */
#include "api/field.h"
#include "harness.h"

#include <string.h>

struct tag {
	const char *key, *value;
};
struct in {
	const char *id, *mode;
	struct str_list versions;
	struct obj_list tags;
	struct opt_int timeout, when;
	struct opt_bool push;
};

static const struct field tag_fields[] = {
	STR(struct tag, key, "Key", "Key.", .flags = REQUIRED, .max_chars = 30, .chars = "."),
	STR(struct tag, value, "Value", "Value.", .flags = REQUIRED, .max_chars = 4),
	FIELD_END
};
static const struct field fields[] = {
	STR(struct in, id, "FirmwareId", "Id.", .flags = REQUIRED),
	STR(struct in, mode, "Mode", "Mode.", .one_of = "ALL GRAY", .err = ERR_TARGET_SELECTION),
	STRS(struct in, versions, "SrcVersion", "Versions.", .max_items = 3, .max_chars = 5, .chars = ".-_",
	     .err = ERR_SRC_VERSION_FORMAT, .alias = "SrcVersions"),
	OBJS(struct in, tags, "Tag", "Tags.", .of = tag_fields, .of_size = sizeof(struct tag), .max_items = 2),
	INT(struct in, timeout, "TimeoutInMinutes", "Minutes.", .min = 1, .max = 1440, .err = ERR_TIMEOUT, .flags = LATE),
	LONG(struct in, when, "ScheduleTime", "Time."),
	BOOL(struct in, push, "NeedPush", "Push."),
	FIELD_END
};

static struct arena arena;
static struct error error;
static struct in in;

/* "name=value" texts, ended by NULL. */
static enum err decode(const char *const *pairs)
{
	struct param params[16];
	size_t n = 0;

	arena_init(&arena);
	error_init(&error, &arena);
	memset(&in, 0, sizeof in);
	for (; pairs[n]; n++) {
		size_t len = strcspn(pairs[n], "=");

		params[n].name = arena_strndup(&arena, pairs[n], len);
		params[n].value = arena_strdup(&arena, pairs[n] + len + 1);
	}
	return fields_decode(fields, params, n, &in, &error);
}
#define DECODE(...) decode((const char *const[]){ __VA_ARGS__, NULL })

static void test_scalars(void)
{
	CHECK_INT(DECODE("FirmwareId=f", "TimeoutInMinutes=9999", "ScheduleTime=1795385783791", "NeedPush=True", "X=1"), OK);
	CHECK_STR(in.id, "f");
	CHECK(in.timeout.set && in.timeout.v == 9999);
	CHECK(in.when.set && in.when.v == 1795385783791);
	CHECK(in.push.set && in.push.v);
	CHECK(!in.mode && in.versions.n == 0 && in.tags.n == 0);
	CHECK_INT(field_check(fields, &in, "TimeoutInMinutes", &error), ERR_TIMEOUT);
	arena_free(&arena);
	CHECK_INT(DECODE("firmwareId=f", "needPush=false", "Mode="), OK);
	CHECK_STR(in.id, "f");
	CHECK(in.push.set && !in.push.v && !in.mode);
	arena_free(&arena);
	/* The exact name beats the one with the small letter. */
	CHECK_INT(DECODE("firmwareId=small", "FirmwareId=exact"), OK);
	CHECK_STR(in.id, "exact");
	arena_free(&arena);
}

static void refused(enum err got, enum err want, const char *code, const char *text)
{
	CHECK_INT(got, want);
	CHECK_STR(error_code(&error), code);
	if (text)
		CHECK_STR(error_text(&error), text);
	arena_free(&arena);
}

static void test_refusals(void)
{
	refused(DECODE("Mode=ALL"), ERR_MISSING_PARAM, "MissingFirmwareId", "FirmwareId is mandatory for this action.");
	refused(DECODE("FirmwareId="), ERR_MISSING_PARAM, "MissingFirmwareId", NULL);
	/* Presence comes before conversion. */
	refused(DECODE("TimeoutInMinutes=abc"), ERR_MISSING_PARAM, "MissingFirmwareId", NULL);
	refused(DECODE("FirmwareId=f", "TimeoutInMinutes=abc"), ERR_INVALID_PARAM, "InvalidTimeoutInMinutes",
		"Specified parameter TimeoutInMinutes is not valid.");
	refused(DECODE("FirmwareId=f", "TimeoutInMinutes=2147483648"), ERR_INVALID_PARAM, "InvalidTimeoutInMinutes", NULL);
	refused(DECODE("FirmwareId=f", "TimeoutInMinutes= 1"), ERR_INVALID_PARAM, "InvalidTimeoutInMinutes", NULL);
	refused(DECODE("FirmwareId=f", "ScheduleTime=9223372036854775808"), ERR_INVALID_PARAM, "InvalidScheduleTime", NULL);
	refused(DECODE("FirmwareId=f", "NeedPush=yes"), ERR_INVALID_PARAM, "InvalidNeedPush", NULL);
	refused(DECODE("FirmwareId=f", "Mode=AL"), ERR_TARGET_SELECTION, "iot.firmware.InvalidTargetSelection", NULL);
}

static void test_lists(void)
{
	CHECK_INT(DECODE("FirmwareId=f", "SrcVersion.10=c", "SrcVersion.2=b", "SrcVersion.1=a", "SrcVersion.3="), OK);
	CHECK_INT(in.versions.n, 3);
	CHECK_STR(in.versions.v[0], "a");
	CHECK_STR(in.versions.v[1], "b");
	CHECK_STR(in.versions.v[2], "c");
	arena_free(&arena);
	CHECK_INT(DECODE("FirmwareId=f", "SrcVersions.1=a"), OK);
	CHECK_INT(in.versions.n, 1);
	arena_free(&arena);
	/* Without an index it is neither a list of one nor a parameter to be ignored; an empty one is absent. */
	refused(DECODE("FirmwareId=f", "SrcVersion=a"), ERR_INVALID_PARAM, "InvalidSrcVersion", NULL);
	refused(DECODE("FirmwareId=f", "srcVersion=a"), ERR_INVALID_PARAM, "InvalidSrcVersion", NULL);
	refused(DECODE("FirmwareId=f", "SrcVersions=a"), ERR_INVALID_PARAM, "InvalidSrcVersion", NULL);
	refused(DECODE("FirmwareId=f", "SrcVersion.1=a", "SrcVersion=a"), ERR_INVALID_PARAM, "InvalidSrcVersion", NULL);
	CHECK_INT(DECODE("FirmwareId=f", "SrcVersion=", "SrcVersionX=a"), OK);
	CHECK_INT(in.versions.n, 0);
	arena_free(&arena);
	refused(DECODE("FirmwareId=f", "SrcVersion.0=a"), ERR_INVALID_PARAM, "InvalidSrcVersion.0", NULL);
	refused(DECODE("FirmwareId=f", "SrcVersion.x=a"), ERR_INVALID_PARAM, "InvalidSrcVersion.x", NULL);
	refused(DECODE("FirmwareId=f", "SrcVersion.01=a"), ERR_INVALID_PARAM, "InvalidSrcVersion.01", NULL);
	refused(DECODE("FirmwareId=f", "SrcVersion.-1=a"), ERR_INVALID_PARAM, "InvalidSrcVersion.-1", NULL);
	refused(DECODE("FirmwareId=f", "SrcVersion.1=a", "srcVersion.1=b"), ERR_INVALID_PARAM, "InvalidSrcVersion", NULL);
	refused(DECODE("FirmwareId=f", "SrcVersion.1=a", "SrcVersion.2=a", "SrcVersion.3=a", "SrcVersion.4=a"),
		ERR_LIST_TOO_LONG, "iot.firmware.ParameterSizeExceedMax", NULL);
	refused(DECODE("FirmwareId=f", "SrcVersion.1=123456"), ERR_SRC_VERSION_FORMAT,
		"iot.firmware.IncorrectFormattedSrcVersion", NULL);
}

static void test_groups(void)
{
	const struct tag *tags;

	CHECK_INT(DECODE("FirmwareId=f", "Tag.7.Key=b", "Tag.2.Value=\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad",
			 "Tag.2.Key=a", "Tag.7.Value=2"), OK);
	CHECK_INT(in.tags.n, 2);
	tags = in.tags.v;
	CHECK_STR(tags[0].key, "a");
	CHECK_STR(tags[0].value, "\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad");
	CHECK_STR(tags[1].key, "b");
	CHECK_STR(tags[1].value, "2");
	arena_free(&arena);
	refused(DECODE("FirmwareId=f", "Tag.1.Key=a"), ERR_MISSING_PARAM, "MissingTag.1.Value", NULL);
	refused(DECODE("FirmwareId=f", "Tag=a"), ERR_INVALID_PARAM, "InvalidTag", NULL);
	refused(DECODE("FirmwareId=f", "Tag.1=a"), ERR_INVALID_PARAM, "InvalidTag.1", NULL);
	refused(DECODE("FirmwareId=f", "Tag.3.Key=a", "Tag.3.Value=12345"), ERR_INVALID_PARAM, "InvalidTag.3.Value", NULL);
	refused(DECODE("FirmwareId=f", "Tag.1.Key=a", "Tag.1.Value=1", "Tag.2.Key=a", "Tag.2.Value=1", "Tag.3.Key=a",
		       "Tag.3.Value=1"), ERR_LIST_TOO_LONG, "iot.firmware.ParameterSizeExceedMax", NULL);
}

TESTS("api/decode", { "scalars", test_scalars }, { "refusals", test_refusals }, { "lists", test_lists },
      { "groups", test_groups })
