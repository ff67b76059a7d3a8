/* SPDX-License-Identifier: Apache-2.0 */
/* See topics.h. A pattern's two "+" levels are ProductKey and DeviceName, in this order. */
#include "dispatcher/topics.h"

#include "engine/brokerlink.h"

#include <string.h>

#define NAME_MAX_BYTES 64
#define GET "/sys/+/+/thing/ota/firmware/get"
#define DOWNLOAD "/sys/+/+/thing/file/download"

/* clang-format off */
static const struct {
	const char *name, *pattern, *filter;
} uplinks[UPLINK_COUNT] = {
	[UPLINK_NONE]     = { "unknown",  NULL, NULL },
	[UPLINK_INFORM]   = { "inform",   "/ota/device/inform/+/+",   "/ota/device/inform/#" },
	[UPLINK_PROGRESS] = { "progress", "/ota/device/progress/+/+", "/ota/device/progress/#" },
	[UPLINK_REQUEST]  = { "request",  "/ota/device/request/+/+",  "/ota/device/request/#" },
	[UPLINK_GET]      = { "get",      GET,                        GET },
	[UPLINK_DOWNLOAD] = { "download", DOWNLOAD,                   DOWNLOAD },
	[UPLINK_BROKER]   = { "broker",   LINK_FROM_BROKER,           LINK_FROM_BROKER },
	[UPLINK_REGISTER] = { "register", LINK_REGISTRATIONS,         LINK_REGISTRATIONS },
};

static const char *const downlinks[DOWNLINK_COUNT] = {
	[DOWNLINK_PUSH]           = "/ota/device/upgrade/+/+",
	[DOWNLINK_REQUEST]        = "/ota/device/request/+/+",
	[DOWNLINK_GET_REPLY]      = "/sys/+/+/thing/ota/firmware/get_reply",
	[DOWNLINK_DOWNLOAD_REPLY] = "/sys/+/+/thing/file/download_reply",
};
/* clang-format on */

const char *uplink_name(enum uplink kind)
{
	return uplinks[kind].name;
}

const char *uplink_filter(enum uplink kind)
{
	return uplinks[kind].filter;
}

/* Matches topic against pattern; the spans of the two "+" go to at/len. */
static bool match(const char *pattern, const char *topic, size_t len, const char *at[2], size_t at_len[2])
{
	const char *t = topic, *end = topic + len;
	int n = 0;

	for (const char *p = pattern; *p; p++) {
		if (*p == '+') {
			const char *slash = memchr(t, '/', (size_t)(end - t));
			const char *stop = slash ? slash : end;

			if (n == 2)
				return false;
			at[n] = t;
			at_len[n] = (size_t)(stop - t);
			if (at_len[n] == 0 || at_len[n] > NAME_MAX_BYTES)
				return false;
			n++;
			t = stop;
		} else if (t == end || *t++ != *p) {
			return false;
		}
	}
	return t == end || (t + 1 == end && *t == '/');
}

struct uplink_topic uplink_parse(struct arena *a, const char *topic, size_t len)
{
	struct uplink_topic r = { .kind = UPLINK_NONE };
	const char *at[2] = { NULL, NULL };
	size_t at_len[2] = { 0, 0 };

	for (int k = UPLINK_NONE + 1; k < UPLINK_COUNT; k++) {
		if (!match(uplinks[k].pattern, topic, len, at, at_len))
			continue;
		r.kind = (enum uplink)k;
		if (k == UPLINK_BROKER || k == UPLINK_REGISTER)
			return r;
		r.product_key = arena_strndup(a, at[0], at_len[0]);
		r.device_name = arena_strndup(a, at[1], at_len[1]);
		return r;
	}
	return r;
}

const char *downlink_topic(struct arena *a, enum downlink kind, const char *product_key,
			   const char *device_name)
{
	struct buf *b = buf_owned(a, 512);
	bool first = true;

	for (const char *p = downlinks[kind]; *p; p++) {
		if (*p != '+') {
			buf_addc(b, *p);
			continue;
		}
		buf_adds(b, first ? product_key : device_name);
		first = false;
	}
	ensure(!b->overflow);
	return buf_str(b);
}
