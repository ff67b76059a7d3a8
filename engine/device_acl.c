/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/device_acl.h"

#include <string.h>

enum { PUB = 1, SUB = 2, NO_PUB = 4, NO_SUB = 8, DIRECT = 16 };

/* Levels of a pattern: @P and @D are the device's own names, + is any one level, *x one that ends with x, # is one or
 * more levels at the end. A refusal stands before the row that would allow. */
static const struct {
	const char *pattern;
	int flags;
} rules[] = {
	{ "/ota/device/upgrade/@P/@D", NO_PUB | SUB | DIRECT },
	{ "/ota/device/inform/@P/@D", PUB },
	{ "/ota/device/progress/@P/@D", PUB },
	{ "/ota/device/progress/@P/@D/", PUB },
	{ "/ota/device/request/@P/@D", PUB | SUB | DIRECT },
	{ "/sys/@P/@D/thing/ota/firmware/get", PUB | NO_SUB },
	{ "/sys/@P/@D/thing/ota/firmware/get_reply", NO_PUB | SUB | DIRECT },
	{ "/sys/@P/@D/thing/file/download", PUB | NO_SUB },
	{ "/sys/@P/@D/thing/file/download_reply", NO_PUB | SUB | DIRECT },
	{ "/sys/@P/@D/thing/config/get", PUB | NO_SUB },
	{ "/sys/@P/@D/thing/config/get_reply", NO_PUB | SUB | DIRECT },
	{ "/sys/@P/@D/thing/config/push", NO_PUB | SUB | DIRECT },
	/* A device answers services and what a gateway is told; all other answers, and services, are for it. */
	{ "/sys/@P/@D/thing/service/*_reply", PUB },
	{ "/sys/@P/@D/thing/service/+/*_reply", PUB },
	{ "/sys/@P/@D/thing/service/#", NO_PUB | SUB },
	{ "/sys/@P/@D/thing/event/+/*_reply", NO_PUB | SUB },
	{ "/sys/@P/@D/thing/event/+/+/*_reply", NO_PUB | SUB },
	{ "/sys/@P/@D/thing/deviceinfo/*_reply", NO_PUB | SUB },
	{ "/sys/@P/@D/thing/topo/change_reply", PUB },
	{ "/sys/@P/@D/thing/topo/*_reply", NO_PUB | SUB },
	{ "/sys/@P/@D/thing/#", PUB | SUB },
	{ "/sys/@P/@D/rrpc/response/+", PUB },
	{ "/sys/@P/@D/rrpc/request/+", SUB },
	{ "/shadow/update/@P/@D", PUB },
	{ "/shadow/get/@P/@D", SUB },
	{ "/ext/ntp/@P/@D/request", PUB },
	{ "/ext/ntp/@P/@D/response", SUB },
	{ "/ext/session/@P/@D/combine/login", PUB | NO_SUB },
	{ "/ext/session/@P/@D/combine/logout", PUB | NO_SUB },
	{ "/ext/session/@P/@D/combine/+", SUB },
	/* The original topic follows the message's id, with or without its first slash. */
	{ "/ext/rrpc/+/sys/@P/@D/#", PUB | SUB },
	{ "/ext/rrpc/+//sys/@P/@D/#", PUB | SUB },
	{ "/ext/rrpc/+/@P/@D/#", PUB | SUB },
	{ "/ext/rrpc/+//@P/@D/#", PUB | SUB },
	{ "/@P/@D/user/#", PUB | SUB },
	{ "/broadcast/@P/+", SUB },
};

/* Notifications; nobody but otad publishes them. */
static const char *const notices[] = {
	"/@P/+/ota/upgrade",
	"/@P/+/ota/version/post",
	"/@P/+/+/ota/job/status",
};

static size_t level(const char *s)
{
	return strcspn(s, "/");
}

static bool wild(const char *s, size_t len)
{
	return len == 1 && (*s == '+' || *s == '#');
}

struct match {
	struct acl_name pk, dn; /* at NULL: takes whatever stands there */
};

/* Does one level of the topic fit one level of the pattern? */
static bool level_fits(const char *p, size_t pn, const char *t, size_t tn, struct match *m)
{
	struct acl_name *name = NULL;

	if (pn == 2 && p[0] == '@')
		name = p[1] == 'P' ? &m->pk : &m->dn;
	if (*p == '*')
		return tn >= pn - 1 && memcmp(t + tn - (pn - 1), p + 1, pn - 1) == 0;
	if (!name)
		return (pn == 1 && *p == '+' && tn > 0 && !(tn == 1 && *t == '#')) ||
		       (pn == tn && memcmp(p, t, pn) == 0);
	if (tn == 0 || wild(t, tn))
		return false;
	if (!name->at) {
		*name = (struct acl_name){ t, tn };
		return true;
	}
	return name->len == tn && memcmp(name->at, t, tn) == 0;
}

static bool fits(const char *p, const char *t, struct match *m)
{
	for (;;) {
		size_t pn = level(p), tn = level(t);

		if (pn == 1 && *p == '#')
			return *t != '\0';
		if (!level_fits(p, pn, t, tn, m))
			return false;
		p += pn;
		t += tn;
		if (!*p || !*t)
			return !*p && !*t;
		p++;
		t++;
	}
}

static bool allowed(const char *pk, const char *dn, const char *topic, int yes, int no)
{
	struct match own = { { pk, strlen(pk) }, { dn, strlen(dn) } };

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct match m = own;

		if ((rules[i].flags & (yes | no)) && fits(rules[i].pattern, topic, &m))
			return !(rules[i].flags & no);
	}
	return false;
}

bool device_may_publish(const char *pk, const char *dn, const char *topic)
{
	return !strpbrk(topic, "+#") && allowed(pk, dn, topic, PUB, NO_PUB);
}

bool device_may_subscribe(const char *pk, const char *dn, const char *filter)
{
	return allowed(pk, dn, filter, SUB, NO_SUB);
}

bool device_downlink(const char *topic, struct acl_name *ret_pk, struct acl_name *ret_dn)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct match m = { { NULL, 0 }, { NULL, 0 } };

		if ((rules[i].flags & DIRECT) && fits(rules[i].pattern, topic, &m)) {
			*ret_pk = m.pk;
			*ret_dn = m.dn;
			return true;
		}
	}
	return false;
}

bool notice_topic(const char *topic, struct acl_name *ret_pk)
{
	for (size_t i = 0; i < ARRAY_LEN(notices) && !strpbrk(topic, "+#"); i++) {
		struct match m = { { NULL, 0 }, { NULL, 0 } };

		if (fits(notices[i], topic, &m)) {
			*ret_pk = m.pk;
			return true;
		}
	}
	return false;
}

bool notice_may_subscribe(const char *filter, struct acl_name *ret_pk)
{
	static const char share[] = "$share/";
	const char *f = filter;

	if (strncmp(f, share, sizeof share - 1) == 0) {
		f += sizeof share - 1;
		if (level(f) == 0 || wild(f, level(f)))
			return false;
		f += level(f);
		f += *f == '/'; /* the filter behind the group's name begins with a slash of its own */
	}
	for (size_t i = 0; i < ARRAY_LEN(notices); i++) {
		struct match m = { { NULL, 0 }, { NULL, 0 } };
		bool any = strncmp(f, "/+/", 3) == 0;

		if (any && fits(notices[i] + strlen("/@P"), f + strlen("/+"), &m)) {
			*ret_pk = (struct acl_name){ NULL, 0 };
			return true;
		}
		if (!any && fits(notices[i], f, &m)) {
			*ret_pk = m.pk;
			return true;
		}
	}
	return false;
}
