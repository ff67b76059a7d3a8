/* SPDX-License-Identifier: Apache-2.0 */
/* Device groups: made, described, deleted, shown and listed (api §9). Their devices: group_device.c; their
 * tags: group_tag.c; dynamic ones: group_dynamic.c. */
#include "api/actions/group.h"

#include "api/actions/page.h"
#include "api/actions/show.h"
#include "engine/text.h"

enum err group_find(struct call *c, const struct group_in *in, struct group *ret)
{
	return store_group_find(c->db, c->account_id, in->group_id, in->type ? in->type : GROUP_STATIC, ret);
}

/* ---- CreateDeviceGroup --------------------------------------------------------------------------------- */

struct made {
	const char *group_id, *name, *description, *expression, *utc_create;
};

/* clang-format off */
static const struct field create_in[] = {
	STR(struct group_new_in, name, "GroupName",
	    "4 to 30 wide (a Chinese character counts as 2): Chinese, letters, digits, underscores; unique per account.",
	    .flags = REQUIRED),
	STR(struct group_new_in, description, "GroupDesc", "At most 100 characters.", .max_chars = GROUP_DESC_MAX,
	    .err = ERR_GROUP_DESC),
	STR(struct group_new_in, super_id, "SuperGroupId", "The group above it. Absent: at the top; there are 3 levels.",
	    .flags = OPTIONAL),
	FIELD_END
};
const struct field group_made[] = {
	STR(struct made, group_id,    "GroupId",   "The new group.", .flags = OPTIONAL),
	STR(struct made, name,        "GroupName", "As given.", .flags = OPTIONAL),
	STR(struct made, description, "GroupDesc", "As given.", .flags = OPTIONAL),
	STR(struct made, expression,  "DynamicGroupExpression", "As given; dynamic groups only.", .flags = OPTIONAL),
	STR(struct made, utc_create,  "UtcCreate", "When it was created.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field create_out[] = {
	OBJ(struct data_out, data, "Data", "The group.", .of = group_made),
	FIELD_END
};
/* clang-format on */

enum err group_make(struct call *c, const struct group_new_in *in, int64_t parent_id,
		    const struct group_query *q, const void **ret_data)
{
	struct made *data = ARENA_NEW(c->arena, struct made);
	struct group g = {
		.kind = q ? GROUP_DYNAMIC : GROUP_STATIC,
		.name = in->name,
		.description = in->description ? in->description : "",
		.expression = in->expression,
		.parent_id = parent_id,
		.created_ms = c->now,
	};

	TRY(store_group_add(c->db, c->account_id, c->instance_id, &g, q, c->config->limit_groups));
	*data = (struct made){
		.group_id = g.group_id,
		.name = g.name,
		.description = g.description,
		.expression = g.expression,
		.utc_create = show_utc(c->arena, g.created_ms),
	};
	*ret_data = data;
	c->audit_target = g.group_id;
	return OK;
}

static enum err create_run(struct call *c, const void *in_, void *out_)
{
	const struct group_new_in *in = in_;
	struct group above = { .id = 0 };
	struct data_out *out = out_;

	if (!text_is_name(in->name, GROUP_NAME_MIN, GROUP_NAME_MAX))
		return fail_param(c->error, ERR_GROUP_NAME, NULL);
	if (in->super_id)
		TRY(group_find(c, &(struct group_in){ .group_id = in->super_id }, &above));
	return group_make(c, in, above.id, NULL, &out->data);
}

static const enum err create_fails[] = {
	ERR_GROUP_NAME,
	ERR_GROUP_DESC,
	ERR_GROUP_NOT_FOUND,
	ERR_GROUP_COUNT,
	ERR_GROUP_LEVEL,
	ERR_GROUP_NAME_EXISTS,
	OK,
};

const struct action action_CreateDeviceGroup = {
	.name = "CreateDeviceGroup",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 500,
	.methods = "GET POST",
	.doc = "Creates a static device group.",
	.in = create_in,
	.out = create_out,
	.in_size = sizeof(struct group_new_in),
	.out_size = sizeof(struct data_out),
	.run = create_run,
	.fails = create_fails,
};

/* ---- UpdateDeviceGroup --------------------------------------------------------------------------------- */

struct update_in {
	struct group_in at;
	const char *description;
};

static const struct field update_in[] = { GROUP_ID_FIELD(struct update_in, at),
					  STR(struct update_in, description, "GroupDesc",
					      "At most 100 characters. Absent: it stays.",
					      .max_chars = GROUP_DESC_MAX, .err = ERR_GROUP_DESC),
					  GROUP_TYPE_FIELD(struct update_in, at), FIELD_END };

static enum err update_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct update_in *in = in_;
	struct group g;

	TRY(group_find(c, &in->at, &g));
	c->audit_target = g.group_id;
	return in->description ? store_group_describe(c->db, g.id, in->description) : OK;
}

static const enum err update_fails[] = { ERR_GROUP_DESC, ERR_FORMAT, ERR_GROUP_NOT_FOUND, OK };

const struct action action_UpdateDeviceGroup = {
	.name = "UpdateDeviceGroup",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Describes a group anew. Its name cannot be changed.",
	.in = update_in,
	.in_size = sizeof(struct update_in),
	.run = update_run,
	.fails = update_fails,
};

/* ---- DeleteDeviceGroup --------------------------------------------------------------------------------- */

/* Calls that take a group and nothing else; its kind is understood. */
static const struct field only_in[] = { GROUP_ID_FIELD(struct update_in, at), FIELD_END };

static enum err delete_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct update_in *in = in_;
	struct group g;

	TRY(group_find(c, &in->at, &g));
	c->audit_target = g.group_id;
	return store_group_delete(c->db, c->account_id, g.id, c->now);
}

static const enum err delete_fails[] = { ERR_GROUP_NOT_FOUND, ERR_GROUP_HAS_SUBGROUPS, ERR_GROUP_DELETE, OK };

const struct action action_DeleteDeviceGroup = {
	.name = "DeleteDeviceGroup",
	.effect = WRITES,
	.role = ROLE_ADMIN,
	.qps = 500,
	.methods = "GET POST",
	.doc = "Deletes a static group, unless it has groups below it or a job that has not ended uses it. "
	       "Its devices "
	       "stay.",
	.in = only_in,
	.in_size = sizeof(struct update_in),
	.run = delete_run,
	.fails = delete_fails,
};

/* ---- QueryDeviceGroupInfo ------------------------------------------------------------------------------ */

struct info_data {
	const char *group_id, *name, *description, *utc_create, *expression;
	struct opt_int devices, active, online;
};

/* clang-format off */
static const struct field info_in[] = {
	GROUP_ID_FIELD(struct update_in, at), GROUP_TYPE_FIELD(struct update_in, at),
	FIELD_END
};
static const struct field info_data[] = {
	STR(struct info_data, group_id,    "GroupId",      "The group.", .flags = OPTIONAL),
	STR(struct info_data, name,        "GroupName",    "Its name.", .flags = OPTIONAL),
	STR(struct info_data, description, "GroupDesc",    "Its description.", .flags = OPTIONAL),
	STR(struct info_data, utc_create,  "UtcCreate",    "When it was created.", .flags = OPTIONAL),
	STR(struct info_data, expression,  "DynamicGroupExpression", "Condition of a dynamic group.", .flags = OPTIONAL),
	INT(struct info_data, devices,     "DeviceCount",  "Devices in it, not in groups below it.", .flags = OPTIONAL),
	INT(struct info_data, active,      "DeviceActive", "Those that have connected at least once.", .flags = OPTIONAL),
	INT(struct info_data, online,      "DeviceOnline", "Those that are online.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field info_out[] = {
	OBJ(struct data_out, data, "Data", "The group.", .of = info_data),
	FIELD_END
};
/* clang-format on */

static enum err info_run(struct call *c, const void *in_, void *out_)
{
	struct info_data *data = ARENA_NEW(c->arena, struct info_data);
	const struct update_in *in = in_;
	struct data_out *out = out_;
	struct device_counts n;
	struct group g;

	TRY(group_find(c, &in->at, &g));
	TRY(store_group_counts(c->db, g.id, 0, &n));
	*data = (struct info_data){
		.group_id = g.group_id,
		.name = g.name,
		.description = g.description,
		.utc_create = show_utc(c->arena, g.created_ms),
		.expression = g.expression,
		.devices = show_int(n.devices),
		.active = show_int(n.active),
		.online = show_int(n.online),
	};
	out->data = data;
	return OK;
}

static const enum err info_fails[] = { ERR_FORMAT, ERR_GROUP_NOT_FOUND, OK };

const struct action action_QueryDeviceGroupInfo = {
	.name = "QueryDeviceGroupInfo",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 30,
	.methods = "GET POST",
	.doc = "Shows a group and counts its devices.",
	.in = info_in,
	.out = info_out,
	.in_size = sizeof(struct update_in),
	.out_size = sizeof(struct data_out),
	.run = info_run,
	.fails = info_fails,
};

/* ---- QueryDeviceGroupList ------------------------------------------------------------------------------ */

struct list_in {
	struct page_in page;
	const char *name, *super_id;
	struct str_list types;
};
struct list_out {
	struct page_out page;
	struct obj_list data;
};

/* clang-format off */
const struct field group_out[] = {
	STR(struct group_out, group_id,    "GroupId",   "The group.", .flags = OPTIONAL),
	STR(struct group_out, name,        "GroupName", "Its name.", .flags = OPTIONAL),
	STR(struct group_out, description, "GroupDesc", "Its description.", .flags = OPTIONAL),
	STR(struct group_out, type,        "GroupType", "LINK_PLATFORM or LINK_PLATFORM_DYNAMIC.", .flags = OPTIONAL),
	STR(struct group_out, utc_create,  "UtcCreate", "When it was created.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field list_in[] = {
	PAGE_IN_FIELDS(struct list_in, page, 200, "200"),
	STR (struct list_in, name,     "GroupName",    "Only the group of exactly this name.", .flags = OPTIONAL),
	STR (struct list_in, super_id, "SuperGroupId", "Only groups right below this one.", .flags = OPTIONAL),
	STRS(struct list_in, types,    "GroupTypes",   "LINK_PLATFORM_DYNAMIC: the dynamic groups. Absent: the static ones.",
	     .max_items = 1, .one_of = GROUP_TYPE_WORDS, .err = ERR_FORMAT),
	FIELD_END
};
static const struct field list_out[] = {
	PAGE_OUT_FIELDS(struct list_out, page, "CurrentPage"),
	OBJS(struct list_out, data, "Data", "Groups of the instance, newest first.", .item = "GroupInfo", .of = group_out,
	     .of_size = sizeof(struct group_out)),
	FIELD_END
};
/* clang-format on */

struct obj_list group_show(struct arena *a, const struct group *g, size_t n)
{
	struct group_out *shown = ARENA_ARRAY(a, n, struct group_out);

	for (size_t i = 0; i < n; i++)
		shown[i] = (struct group_out){
			.group_id = g[i].group_id,
			.name = g[i].name,
			.description = g[i].description,
			.type = g[i].kind,
			.utc_create = show_utc(a, g[i].created_ms),
		};
	return (struct obj_list){ .n = n, .v = shown };
}

static enum err list_run(struct call *c, const void *in_, void *out_)
{
	const struct list_in *in = in_;
	const char *kind = in->types.n > 0 ? in->types.v[0] : GROUP_STATIC;
	struct group above = { .id = 0 };
	struct list_out *out = out_;
	const struct group *g;
	int64_t total;
	size_t n;

	if (in->super_id)
		TRY(group_find(c, &(struct group_in){ .group_id = in->super_id }, &above));
	TRY(store_group_page(c->db, c->account_id, c->instance_id, kind, in->name, above.id,
			     page_from(&in->page), page_size(&in->page), &g, &n, &total));
	out->page = page_show(&in->page, total);
	out->data = group_show(c->arena, g, n);
	return OK;
}

static const enum err list_fails[] = { ERR_PAGE_PARAMS, ERR_LIST_TOO_LONG, ERR_FORMAT, ERR_GROUP_NOT_FOUND,
				       OK };

const struct action action_QueryDeviceGroupList = {
	.name = "QueryDeviceGroupList",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 100,
	.methods = "GET POST",
	.doc = "Lists device groups.",
	.in = list_in,
	.out = list_out,
	.in_size = sizeof(struct list_in),
	.out_size = sizeof(struct list_out),
	.run = list_run,
	.fails = list_fails,
};

/* ---- QuerySuperDeviceGroup ----------------------------------------------------------------------------- */

struct super_out {
	struct obj_list data;
};

/* clang-format off */
static const struct field above_out[] = {
	STR(struct group_out, group_id,    "GroupId",   "The group.", .flags = OPTIONAL),
	STR(struct group_out, name,        "GroupName", "Its name.", .flags = OPTIONAL),
	STR(struct group_out, description, "GroupDesc", "Its description.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field super_out[] = {
	OBJS(struct super_out, data, "Data", "The group above; none for one at the top.", .item = "GroupInfo",
	     .of = above_out, .of_size = sizeof(struct group_out)),
	FIELD_END
};
/* clang-format on */

static enum err super_run(struct call *c, const void *in_, void *out_)
{
	const struct update_in *in = in_;
	struct super_out *out = out_;
	struct group g, above;

	TRY(group_find(c, &in->at, &g));
	TRY(store_group_parent(c->db, &g, &above));
	out->data = group_show(c->arena, &above, above.id != 0);
	return OK;
}

static const enum err super_fails[] = { ERR_GROUP_NOT_FOUND, OK };

const struct action action_QuerySuperDeviceGroup = {
	.name = "QuerySuperDeviceGroup",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Shows the group above a static group.",
	.in = only_in,
	.out = super_out,
	.in_size = sizeof(struct update_in),
	.out_size = sizeof(struct super_out),
	.run = super_run,
	.fails = super_fails,
};
