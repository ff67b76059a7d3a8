/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix of device §7: every topic for its owner, for another device, and with wildcards in every level.
 */
#include "engine/device_acl.h"

#include "harness.h"

#include <stdio.h>
#include <string.h>

#define PK "a1Pk"
#define DN "dev.1:@-_"

/* P and D stand for the names in /P/D. */
static const struct {
	const char *topic;
	bool pub, sub, direct;
} rows[] = {
	{ "/ota/device/inform/P/D", true, false, false },
	{ "/ota/device/progress/P/D", true, false, false },
	{ "/ota/device/progress/P/D/", true, false, false },
	{ "/ota/device/request/P/D", true, true, true },
	{ "/ota/device/upgrade/P/D", false, true, true },
	{ "/sys/P/D/thing/ota/firmware/get", true, false, false },
	{ "/sys/P/D/thing/ota/firmware/get_reply", false, true, true },
	{ "/sys/P/D/thing/file/download", true, false, false },
	{ "/sys/P/D/thing/file/download_reply", false, true, true },
	{ "/sys/P/D/thing/config/get", true, false, false },
	{ "/sys/P/D/thing/config/get_reply", false, true, true },
	{ "/sys/P/D/thing/config/push", false, true, true },
	{ "/sys/P/D/thing/config/push_reply", true, true, false },
	{ "/sys/P/D/thing/event/property/post", true, true, false },
	{ "/sys/P/D/thing/event/property/post_reply", true, true, false },
	{ "/sys/P/D/rrpc/response/17", true, false, false },
	{ "/sys/P/D/rrpc/request/17", false, true, false },
	{ "/shadow/update/P/D", true, false, false },
	{ "/shadow/get/P/D", false, true, false },
	{ "/ext/ntp/P/D/request", true, false, false },
	{ "/ext/ntp/P/D/response", false, true, false },
	{ "/ext/session/P/D/combine/login", true, false, false },
	{ "/ext/session/P/D/combine/login_reply", false, true, false },
	{ "/ext/rrpc/17/P/D/user/get", true, true, false },
	{ "/ext/rrpc/17//P/D/user/get", true, true, false },
	{ "/P/D/user/update", true, true, false },
};

static char *topic_of(const char *pattern, const char *pk, const char *dn, char out[256])
{
	size_t n = 0;

	for (const char *s = pattern; *s; s++) {
		bool name =
			(*s == 'P' || *s == 'D') && (s == pattern || s[-1] == '/') && (s[1] == '/' || !s[1]);

		n += (size_t)(name ? snprintf(out + n, 256 - n, "%s", *s == 'P' ? pk : dn)
				   : snprintf(out + n, 256 - n, "%c", *s));
	}
	return out;
}

static void expect(const char *topic, bool pub, bool sub)
{
	if (device_may_publish(PK, DN, topic) != pub || device_may_subscribe(PK, DN, topic) != sub)
		test_fail(__FILE__, __LINE__, "%s: want publish %d, subscribe %d", topic, pub, sub);
}

static void test_matrix(void)
{
	static const char *const others[][2] = { { PK, "dev.2" }, { "a1Other", DN }, { PK, DN "x" },
						 { PK, "dev" },	  { "a1pk", DN },    { PK, "+" },
						 { "+", DN },	  { "+", "+" },	     { PK, "#" },
						 { PK, "" },	  { "", DN } };
	char topic[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		expect(topic_of(rows[i].topic, PK, DN, topic), rows[i].pub, rows[i].sub);
		for (size_t k = 0; k < ARRAY_LEN(others); k++)
			expect(topic_of(rows[i].topic, others[k][0], others[k][1], topic), false, false);
	}
}

static void test_wildcards(void)
{
	static const char *const good[] = {
		"/sys/P/D/thing/event/+/post_reply",
		"/sys/P/D/thing/service/#",
		"/sys/P/D/thing/service/+",
		"/sys/P/D/rrpc/request/+",
		"/ext/session/P/D/combine/+",
		"/ext/rrpc/+/P/D/user/#",
		"/P/D/user/#",
		"/P/D/user/+/x",
	};
	static const char *const bad[] = {
		"#",
		"+",
		"/#",
		"/+",
		"+/#",
		"/+/+/#",
		"/ota/#",
		"/ota/device/#",
		"/ota/device/+/P/D",
		"/ota/device/upgrade/#",
		"/ota/device/upgrade/P/#",
		"/ota/device/upgrade/P/+",
		"/ota/device/upgrade/+/D",
		"/sys/#",
		"/sys/P/#",
		"/sys/P/+/thing/#",
		"/sys/+/D/thing/#",
		"/sys/P/D/#",
		"/sys/P/D/+",
		"/+/D/user/#",
		"/P/+/user/#",
		"/P/#",
		"/+/+/user/x",
		"/ext/#",
		"/ext/rrpc/#",
		"/ext/rrpc/+/#",
		"/ext/rrpc/+/+/D/user/x",
		"/ext/rrpc/+/P/+/user/x",
		"/shadow/get/P/+",
		"/broadcast/+/x",
		"/broadcast/#",
	};
	char topic[256];

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		expect(topic_of(good[i], PK, DN, topic), false, true);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect(topic_of(bad[i], PK, DN, topic), false, false);
	expect("/broadcast/" PK "/+", false, true);
}

static void test_never(void)
{
	static const char *const never[] = {
		"",
		"/",
		"$SYS/#",
		"$SYS/broker/uptime",
		"$share/g/ota/device/upgrade/P/D",
		"$share/g//ota/device/upgrade/P/D",
		"$CONTROL/otad/v1",
		"$CONTROL/dynamic-security/v1",
		"/otad/broker",
		"/ext/register",
		"/ext/regnwl",
		"ota/device/inform/P/D",
		"/ota/device/inform/P/D/",
		"/ota/device/inform/P/D/x",
		"//ota/device/inform/P/D",
		"/ota/device/upgrade/P/D/",
		"/ota/device/progress/P/D//",
		"/OTA/device/inform/P/D",
		"/ota/device/inform/P",
		"/sys/P/D/thing",
		"/sys/P/D/thing/",
		"/P/D/user",
		"/P/D/user/",
		"/P/D/other/x",
		"/broadcast/a1Other/x",
	};
	char topic[256];

	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		expect(topic_of(never[i], PK, DN, topic), false, false);
}

static void test_downlinks(void)
{
	struct acl_name pk, dn;
	char topic[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		topic_of(rows[i].topic, PK, DN, topic);
		if (device_downlink(topic, &pk, &dn) != rows[i].direct)
			test_fail(__FILE__, __LINE__, "%s: direct should be %d", topic, rows[i].direct);
		if (!rows[i].direct)
			continue;
		CHECK_INT(pk.len, strlen(PK));
		CHECK_INT(dn.len, strlen(DN));
		CHECK(memcmp(pk.at, PK, pk.len) == 0 && memcmp(dn.at, DN, dn.len) == 0);
	}
	CHECK(!device_downlink("/ota/device/upgrade/" PK, &pk, &dn));
	CHECK(!device_downlink("/ota/device/upgrade//" DN, &pk, &dn));
	CHECK(!device_downlink("/ota/device/upgrade/" PK "/" DN "/x", &pk, &dn));
	CHECK(!device_downlink("/otad/broker", &pk, &dn));
}

TESTS("engine/device_acl", { "matrix", test_matrix }, { "wildcards", test_wildcards },
      { "never", test_never }, { "downlinks", test_downlinks })
