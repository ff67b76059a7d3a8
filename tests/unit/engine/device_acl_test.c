/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix of device §7: every topic of tests/device_acl.def for its owner and for other names. */
#include "engine/device_acl.h"

#include "harness.h"

#include <stdio.h>
#include <string.h>

#define PK "a1Pk"
#define DN "dev.1:@-_"

static const struct {
	const char *topic;
	bool pub, sub, direct;
} rows[] = {
#define TOPIC(topic, publish, subscribe, direct) { (topic), (publish), (subscribe), (direct) },
#include "tests/device_acl.def"
};

/* The topic with its /P/ and /D/ replaced. */
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

static bool names_owner(const char *topic)
{
	char text[256];

	return strcmp(topic_of(topic, "", "", text), topic) != 0;
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
		for (size_t k = 0; k < ARRAY_LEN(others) && names_owner(rows[i].topic); k++)
			expect(topic_of(rows[i].topic, others[k][0], others[k][1], topic), false, false);
	}
	expect("", false, false);
}

static void test_broadcast(void)
{
	expect("/broadcast/" PK "/+", false, true);
	expect("/broadcast/" PK "/x", false, true);
	expect("/broadcast/" PK "/#", false, false);
	expect("/broadcast/a1Other/x", false, false);
	expect("/broadcast/a1Other/+", false, false);
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

/* What service accounts may subscribe to, and of which product ("" none, "*" any); NULL: it is refused. */
static void test_notice_filters(void)
{
	static const struct {
		const char *filter, *pk;
	} t[] = {
		{ "/a1/dev/ota/upgrade", "a1" },
		{ "/a1/+/ota/upgrade", "a1" },
		{ "/+/+/ota/upgrade", "*" },
		{ "/+/dev/ota/version/post", "*" },
		{ "/a1/+/ota/version/post", "a1" },
		{ "/a1/+/+/ota/job/status", "a1" },
		{ "/+/fw/job/ota/job/status", "*" },
		{ "$share/g//+/+/ota/upgrade", "*" },
		{ "$share/g//a1/+/ota/upgrade", "a1" },
		{ "$share/g/a1/+/ota/upgrade", NULL },
		{ "$share//a1/+/ota/upgrade", NULL },
		{ "$share/+//a1/+/ota/upgrade", NULL },
		{ "$share/g", NULL },
		{ "$share/g/", NULL },
		{ "", NULL },
		{ "#", NULL },
		{ "/#", NULL },
		{ "/a1/#", NULL },
		{ "/a1/dev/#", NULL },
		{ "/a1/dev/ota/#", NULL },
		{ "/a1/dev/ota/+", NULL },
		{ "/a1/dev/ota/upgrade/", NULL },
		{ "/a1/dev/ota/upgrade/x", NULL },
		{ "/a1/dev/+/upgrade", NULL },
		{ "/#/dev/ota/upgrade", NULL },
		{ "/a1/#/ota/upgrade", NULL },
		{ "//dev/ota/upgrade", NULL },
		{ "/a1//ota/upgrade", NULL },
		{ "a1/dev/ota/upgrade", NULL },
		{ "/a1/dev/user/get", NULL },
		{ "/otad/broker", NULL },
		{ "/ota/device/upgrade/+/+", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct acl_name pk = { NULL, 0 };
		bool may = notice_may_subscribe(t[i].filter, &pk);
		const char *want = t[i].pk;

		if (may != (want != NULL))
			test_fail(__FILE__, __LINE__, "%s: %d", t[i].filter, may);
		if (may && (strcmp(want, "*") == 0 ? pk.at != NULL
						   : pk.len != strlen(want) || memcmp(pk.at, want, pk.len) != 0))
			test_fail(__FILE__, __LINE__, "%s: of another product", t[i].filter);
	}
}

static void test_notice_topics(void)
{
	struct acl_name pk;

	CHECK(notice_topic("/a1/dev.1/ota/upgrade", &pk) && pk.len == 2 && memcmp(pk.at, "a1", 2) == 0);
	CHECK(notice_topic("/a1/dev/ota/version/post", &pk));
	CHECK(notice_topic("/a1/fw/job/ota/job/status", &pk));
	CHECK(!notice_topic("/a1/+/ota/upgrade", &pk));
	CHECK(!notice_topic("/a1/dev/ota/upgrade/x", &pk));
	CHECK(!notice_topic("/a1/dev/user/get", &pk));
	CHECK(!notice_topic("/ota/device/upgrade/a1/dev", &pk));
	/* devices have no part in it */
	expect("/" PK "/" DN "/ota/upgrade", false, false);
	expect("/" PK "/" DN "/ota/version/post", false, false);
	expect("/" PK "/fw/job/ota/job/status", false, false);
}

TESTS("engine/device_acl", { "matrix", test_matrix }, { "broadcast", test_broadcast },
      { "downlinks", test_downlinks }, { "notice_filters", test_notice_filters },
      { "notice_topics", test_notice_topics })
