/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of a device: SaveDeviceProp, QueryDeviceProp, DeleteDeviceProp (api §8.18). */
#include "storage/device_view.h"

#include "api/actions/device_in.h"
#include "engine/base/json.h"

#include <string.h>

#define PROPS_BYTES_MAX 5120
/* Escapes may be longer than the characters they stand for. */
#define JSON_MAX ((size_t)64 * 1024 * 1024)

/* The object compactly, every value as text; NULL when a value is not a scalar or a key is empty. */
static const char *tags_compact(struct arena *a, const struct json *tags, bool *ret_key_bad)
{
	struct buf *b = buf_owned(a, JSON_MAX);
	struct json_out *j = json_new(a, b);

	*ret_key_bad = false;
	json_object(j);
	for (size_t i = 0; i < json_members(tags); i++) {
		const struct json *v;
		const char *key = json_member(tags, i, &v), *value = json_scalar(a, v);

		*ret_key_bad = key[0] == '\0';
		if (*ret_key_bad || !value)
			return NULL;
		json_put_string(j, key, value);
	}
	json_object_end(j);
	return buf_str(b);
}

/* ---- SaveDeviceProp ------------------------------------------------------------------------------------ */

struct save_in {
	struct device_address at;
	const char *props;
};

/* clang-format off */
static const struct field save_in[] = {
	DEVICE_ADDRESS_FIELDS(struct save_in, at),
	STR(struct save_in, props, "Props",
	    "Tags to add or overwrite, as JSON: {\"color\":\"red\"}. At most 5 KB and 100 tags, and 100 in all on a device. The key abc is "
	    "kept but never found.", .flags = REQUIRED),
	FIELD_END
};
static const enum err save_fails[] = {
	ERR_DEVICE_TAGS_LONG, ERR_DEVICE_TAGS_FORMAT, ERR_DEVICE_TAGS_NULL, ERR_DEVICE_TAGS_COUNT, ERR_DEVICE_TAG_KEY,
	DEVICE_ADDRESS_FAILS, ERR_DEVICE_TAGS_SAVE, OK
};
/* clang-format on */

static enum err props_parse(struct call *c, const char *props, const char **ret)
{
	size_t len = strlen(props);
	const struct json *tags;
	bool key_bad;

	if (len > PROPS_BYTES_MAX)
		return fail_param(c->error, ERR_DEVICE_TAGS_LONG, NULL);
	tags = json_parse(c->arena, props, len, false);
	if (!tags || !json_is_object(tags))
		return fail_param(c->error, ERR_DEVICE_TAGS_FORMAT, NULL);
	if (json_members(tags) == 0)
		return fail_param(c->error, ERR_DEVICE_TAGS_NULL, NULL);
	if (json_members(tags) > DEVICE_TAGS_MAX)
		return fail_param(c->error, ERR_DEVICE_TAGS_COUNT, NULL);
	*ret = tags_compact(c->arena, tags, &key_bad);
	if (!*ret)
		return fail_param(c->error, key_bad ? ERR_DEVICE_TAG_KEY : ERR_DEVICE_TAGS_FORMAT, NULL);
	return OK;
}

static enum err save_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct save_in *in = in_;
	struct device_ref ref;
	const char *tags;

	TRY(props_parse(c, in->props, &tags));
	TRY(device_find(c, &in->at, &ref));
	c->audit_target = device_target(c->arena, &ref);
	return store_device_tags_save(c->db, ref.id, tags);
}

const struct action action_SaveDeviceProp = {
	.name = "SaveDeviceProp",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Adds tags to a device, or overwrites them.",
	.in = save_in,
	.in_size = sizeof(struct save_in),
	.run = save_run,
	.fails = save_fails,
};

/* ---- QueryDeviceProp ----------------------------------------------------------------------------------- */

struct query_out {
	const char *props;
};

static const struct field query_out[] = {
	STR(struct query_out, props, "Props", "The tags as JSON, in a text.", .flags = OPTIONAL), FIELD_END
};

static enum err query_run(struct call *c, const void *in_, void *out_)
{
	const struct device_in *in = in_;
	struct query_out *out = out_;
	struct device_ref ref;
	const char *tags;
	bool key_bad;

	TRY(device_find(c, &in->at, &ref));
	TRY(store_device_tags(c->db, ref.id, &tags));
	out->props = tags_compact(c->arena, json_parse(c->arena, tags, strlen(tags), false), &key_bad);
	return OK;
}

const struct action action_QueryDeviceProp = {
	.name = "QueryDeviceProp",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Shows the tags of a device.",
	.in = device_in,
	.out = query_out,
	.in_size = sizeof(struct device_in),
	.out_size = sizeof(struct query_out),
	.run = query_run,
	.fails = device_fails,
};

/* ---- DeleteDeviceProp ---------------------------------------------------------------------------------- */

struct delete_in {
	struct device_address at;
	const char *key;
};

/* clang-format off */
static const struct field delete_in[] = {
	DEVICE_ADDRESS_FIELDS(struct delete_in, at),
	STR(struct delete_in, key, "PropKey", "Key of the tag. One that the device does not have changes nothing.", .flags = REQUIRED),
	FIELD_END
};
/* clang-format on */

static enum err delete_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct delete_in *in = in_;
	struct device_ref ref;

	TRY(device_find(c, &in->at, &ref));
	c->audit_target = device_target(c->arena, &ref);
	return store_device_tag_remove(c->db, ref.id, in->key);
}

const struct action action_DeleteDeviceProp = {
	.name = "DeleteDeviceProp",
	.effect = WRITES,
	.role = ROLE_ADMIN,
	.qps = 500,
	.methods = "GET POST",
	.doc = "Takes a tag from a device.",
	.in = delete_in,
	.in_size = sizeof(struct delete_in),
	.run = delete_run,
	.fails = device_fails,
};
