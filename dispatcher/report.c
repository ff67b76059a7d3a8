/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "dispatcher/report.h"

#include "engine/base/json.h"

#include <string.h>

#define VERSION_BYTES_MAX 256
#define MODULE_BYTES_MAX 64
#define DESC_BYTES_MAX 1024
#define BLOCK_BYTES_DEFAULT 5120

static const char *const names[NONSENSE_COUNT] = {
	[SENSE] = "none",
	[NONSENSE_TOPIC] = "topic",
	[NONSENSE_SIZE] = "size",
	[NONSENSE_JSON] = "json",
	[NONSENSE_PARAMS] = "params",
	[NONSENSE_MODULE] = "module",
	[NONSENSE_VERSION] = "version",
	[NONSENSE_STEP] = "step",
	[NONSENSE_BLOCK] = "block",
	[NONSENSE_OWN] = "own_reply",
	[NONSENSE_DEVICE] = "no_device",
	[NONSENSE_POISON] = "poison",
	[NONSENSE_LATE] = "late",
};

const char *nonsense_name(enum nonsense n)
{
	return names[n];
}

static bool blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

/* At most max bytes of s, cut between characters. */
static const char *cut(struct arena *a, const char *s, size_t max)
{
	size_t len = strlen(s);

	if (len <= max)
		return arena_strdup(a, s);
	while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
		max--;
	return arena_strndup(a, s, max);
}

static enum nonsense read_version(struct arena *a, const struct json *params, struct report *r)
{
	const char *v = json_scalar(a, json_get(params, "version"));

	if (v && !blank(v) && strlen(v) <= VERSION_BYTES_MAX)
		r->version = v;
	return r->version || r->kind == UPLINK_REQUEST ? SENSE : NONSENSE_VERSION;
}

static enum nonsense read_step(struct arena *a, const struct json *params, struct report *r)
{
	const char *desc = json_text(json_get(params, "desc"));
	int64_t step;

	if (!json_int_lenient(json_get(params, "step"), &step) || step < -4 || step > 100)
		return NONSENSE_STEP;
	r->step = (int)step;
	r->desc = desc ? cut(a, desc, DESC_BYTES_MAX) : "";
	return SENSE;
}

static enum nonsense read_block(struct arena *a, const struct json *params, struct report *r)
{
	const struct json *info = json_get(params, "fileInfo"), *block = json_get(params, "fileBlock");

	r->file_token = json_scalar(a, json_get(params, "fileToken"));
	if (r->file_token && strlen(r->file_token) > 256)
		return NONSENSE_BLOCK;
	r->block_size = BLOCK_BYTES_DEFAULT;
	if (json_get(block, "size") && !json_int_lenient(json_get(block, "size"), &r->block_size))
		return NONSENSE_BLOCK;
	if (!json_int_lenient(json_get(info, "streamId"), &r->stream_id) ||
	    !json_int_lenient(json_get(info, "fileId"), &r->file_id) ||
	    !json_int_lenient(json_get(block, "offset"), &r->block_offset))
		return NONSENSE_BLOCK;
	/* The answer says how much it has, or that there is no such block. */
	r->block_size = i64_max(0, i64_min(r->block_size, REPORT_BLOCK_MAX));
	return SENSE;
}

static enum nonsense read_module(struct arena *a, const struct json *params, struct report *r)
{
	const struct json *v = json_get(params, "module");
	const char *m = json_scalar(a, v);

	r->module = "default";
	if (!v || !m || !*m)
		return SENSE; /* absent, null or empty: the default module */
	if (strlen(m) > MODULE_BYTES_MAX)
		return NONSENSE_MODULE;
	r->module = m;
	return SENSE;
}

enum nonsense report_parse(struct arena *a, const struct uplink_topic *topic, const void *payload, size_t len,
			   struct report *ret)
{
	const struct json *v, *params;
	const char *id;
	enum nonsense bad;

	*ret = (struct report){ .kind = topic->kind,
				.product_key = topic->product_key,
				.device_name = topic->device_name,
				.desc = "" };
	if (topic->kind == UPLINK_NONE || topic->kind == UPLINK_BROKER || topic->kind == UPLINK_REGISTER)
		return NONSENSE_TOPIC;
	if (len > REPORT_BYTES_MAX)
		return NONSENSE_SIZE;
	v = json_parse(a, payload, len, true);
	if (!json_is_object(v))
		return NONSENSE_JSON;
	params = json_get(v, "params");
	if (!json_is_object(params))
		return topic->kind == UPLINK_REQUEST && json_get(v, "data") ? NONSENSE_OWN : NONSENSE_PARAMS;
	id = json_scalar(a, json_get(v, "id"));
	ret->id = id ? cut(a, id, 64) : "";
	bad = read_module(a, params, ret);
	if (bad != SENSE)
		return bad;
	switch (topic->kind) {
	case UPLINK_INFORM:
	case UPLINK_REQUEST:
		return read_version(a, params, ret);
	case UPLINK_PROGRESS:
		return read_step(a, params, ret);
	case UPLINK_DOWNLOAD:
		return read_block(a, params, ret);
	case UPLINK_GET:
		return SENSE;
	case UPLINK_NONE:
	case UPLINK_BROKER:
	case UPLINK_REGISTER:
	case UPLINK_COUNT:
		break;
	}
	return NONSENSE_TOPIC;
}
