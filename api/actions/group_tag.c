/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of device groups: SetDeviceGroupTags, QueryDeviceGroupTagList, QueryDeviceGroupByTags (api §9). */
#include "api/actions/group.h"
#include "api/actions/page.h"
#include "api/actions/show.h"
#include "api/actions/tag_in.h"
#include "engine/base/json.h"
#include "engine/base/parse.h"
#include "engine/devicelist.h"
#include "engine/text.h"

#include <string.h>

#define KEY_MIN 2
#define KEY_MAX 30
#define VALUE_MAX 128	     /* wide: a Chinese character counts as 2 */
#define TAG_STRING_MAX 65536 /* bytes: twice what 100 tags can need */

/* ---- SetDeviceGroupTags -------------------------------------------------------------------------------- */

struct set_in {
	struct group_in at;
	const char *tags;
};

/* clang-format off */
static const struct field set_in[] = {
	GROUP_ID_FIELD(struct set_in, at),
	STR(struct set_in, tags, "TagString",
	    "All tags of the group from now on, as JSON: [{\"tagKey\":\"h1\",\"tagValue\":\"rr\"}]. At most 100; a key is 2 to 30 "
	    "letters, digits and full stops, a value 1 to 128 wide (a Chinese character counts as 2). Absent: none. The key "
	    "abc is kept but never found.", .flags = OPTIONAL),
	GROUP_TYPE_FIELD(struct set_in, at),
	FIELD_END
};
/* clang-format on */

static bool tag_good(const struct group_tag *t)
{
	size_t len = t->key ? strlen(t->key) : 0;

	return len >= KEY_MIN && len <= KEY_MAX && text_of(t->key, ".") && t->value && t->value[0] &&
	       text_width(t->value) <= VALUE_MAX;
}

/* TagString into tags; the caller has bounded nothing yet. */
static enum err tags_parse(struct call *c, const char *text, const struct group_tag **ret, size_t *ret_n)
{
	size_t len = strlen(text), n;
	struct group_tag *tags;
	const struct json *list;
	const char **keys;

	list = len <= TAG_STRING_MAX ? json_parse(c->arena, text, len, false) : NULL;
	if (!list || !json_is_array(list))
		return fail_param(c->error, ERR_GROUP_TAG_FORMAT, NULL);
	n = json_length(list);
	if (n > GROUP_TAGS_MAX)
		return fail_param(c->error, ERR_GROUP_TAG_COUNT, NULL);
	tags = ARENA_ARRAY(c->arena, n, struct group_tag);
	keys = ARENA_ARRAY(c->arena, n, const char *);
	for (size_t i = 0; i < n; i++) {
		tags[i].key = json_text(json_get(json_at(list, i), "tagKey"));
		tags[i].value = json_text(json_get(json_at(list, i), "tagValue"));
		if (!tag_good(&tags[i]))
			return fail(c->error, ERR_GROUP_TAG_FORMAT,
				    "Tag %zu of TagString is not well formatted.", i + 1);
		keys[i] = tags[i].key;
	}
	if (devicelist_duplicate(c->arena, keys, n))
		return fail(c->error, ERR_GROUP_TAG_FORMAT, "TagString has a key twice.");
	*ret = tags;
	*ret_n = n;
	return OK;
}

static enum err set_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct group_tag *tags = NULL;
	const struct set_in *in = in_;
	struct group g;
	size_t n = 0;

	if (in->tags)
		TRY(tags_parse(c, in->tags, &tags, &n));
	TRY(group_find(c, &in->at, &g));
	c->audit_target = g.group_id;
	return store_group_tags_set(c->db, g.id, tags, n);
}

static const enum err set_fails[] = {
	ERR_FORMAT, ERR_GROUP_TAG_FORMAT, ERR_GROUP_TAG_COUNT, ERR_GROUP_NOT_FOUND, OK,
};

const struct action action_SetDeviceGroupTags = {
	.name = "SetDeviceGroupTags",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Sets the tags of a group; tags that it had before and that are not named are removed.",
	.in = set_in,
	.in_size = sizeof(struct set_in),
	.run = set_run,
	.fails = set_fails,
};

/* ---- QueryDeviceGroupTagList --------------------------------------------------------------------------- */

struct tags_out {
	struct obj_list data; /* of struct group_tag */
};

/* clang-format off */
static const struct field tags_in[] = {
	GROUP_ID_FIELD(struct set_in, at), GROUP_TYPE_FIELD(struct set_in, at),
	FIELD_END
};
static const struct field tag_out[] = {
	STR(struct group_tag, key,   "TagKey",   "Key.", .flags = OPTIONAL),
	STR(struct group_tag, value, "TagValue", "Value.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field tags_out[] = {
	OBJS(struct tags_out, data, "Data", "Tags in the order of their keys.", .item = "GroupTagInfo", .of = tag_out,
	     .of_size = sizeof(struct group_tag)),
	FIELD_END
};
/* clang-format on */

static enum err tags_run(struct call *c, const void *in_, void *out_)
{
	const struct set_in *in = in_;
	struct tags_out *out = out_;
	const struct group_tag *t;
	struct group g;
	size_t n;

	TRY(group_find(c, &in->at, &g));
	TRY(store_group_tags(c->db, g.id, &t, &n));
	out->data = (struct obj_list){ .n = n, .v = t };
	return OK;
}

static const enum err tags_fails[] = { ERR_FORMAT, ERR_GROUP_NOT_FOUND, OK };

const struct action action_QueryDeviceGroupTagList = {
	.name = "QueryDeviceGroupTagList",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 500,
	.methods = "GET POST",
	.doc = "Lists the tags of a group.",
	.in = tags_in,
	.out = tags_out,
	.in_size = sizeof(struct set_in),
	.out_size = sizeof(struct tags_out),
	.run = tags_run,
	.fails = tags_fails,
};

/* ---- QueryDeviceGroupByTags ---------------------------------------------------------------------------- */

struct search_in {
	struct obj_list tags; /* of struct tag_asked */
	struct page_in page;
};
struct search_out {
	struct page_out page;
	struct obj_list data;
};

/* clang-format off */
static const struct field search_in[] = {
	TAGS_ASKED_FIELD(struct search_in, tags, "The group has all of these tags; at most 10."),
	PAGE_IN_FIELDS(struct search_in, page, 200, "200"),
	FIELD_END
};
static const struct field search_group[] = {
	STR(struct group_out, group_id, "GroupId",   "The group.", .flags = OPTIONAL),
	STR(struct group_out, name,     "GroupName", "Its name.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field search_out[] = {
	PAGE_OUT_FIELDS(struct search_out, page, "Page"),
	OBJS(struct search_out, data, "Data", "Groups of the instance, newest first.", .item = "DeviceGroup",
	     .of = search_group, .of_size = sizeof(struct group_out)),
	FIELD_END
};
/* clang-format on */

static enum err search_run(struct call *c, const void *in_, void *out_)
{
	const struct search_in *in = in_;
	const struct tag_asked *asked = in->tags.v;
	struct group_tag *tags = ARENA_ARRAY(c->arena, in->tags.n, struct group_tag);
	struct search_out *out = out_;
	const struct group *g;
	int64_t total;
	size_t n;

	for (size_t i = 0; i < in->tags.n; i++)
		tags[i] = (struct group_tag){ .key = asked[i].key, .value = asked[i].value };
	TRY(store_groups_by_tags(c->db, c->account_id, c->instance_id, tags, in->tags.n, page_from(&in->page),
				 page_size(&in->page), &g, &n, &total));
	out->page = page_show(&in->page, total);
	out->data = group_show(c->arena, g, n);
	return OK;
}

static const enum err search_fails[] = { ERR_LIST_TOO_LONG, ERR_PAGE_PARAMS, OK };

const struct action action_QueryDeviceGroupByTags = {
	.name = "QueryDeviceGroupByTags",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 5,
	.methods = "GET POST",
	.doc = "Finds groups, static and dynamic ones, by their tags.",
	.in = search_in,
	.out = search_out,
	.in_size = sizeof(struct search_in),
	.out_size = sizeof(struct search_out),
	.run = search_run,
	.fails = search_fails,
};
