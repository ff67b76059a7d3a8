/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic groups: CreateDeviceDynamicGroup, DeleteDeviceDynamicGroup, QueryDynamicGroupDevices (api §9).
 * Their conditions: engine/groupquery.h. */
#include "api/actions/group.h"
#include "api/actions/page.h"
#include "api/actions/show.h"
#include "engine/base/parse.h"
#include "engine/text.h"

#include <string.h>

#define FUZZY_MIN 5

/* Here it has to be said (api §9); what it says is checked before the handler runs. */
#define INSTANCE_FIELD(type, member) \
	STR(type, member, "IotInstanceId", "Instance of the group.", .flags = REQUIRED)

/* ---- CreateDeviceDynamicGroup -------------------------------------------------------------------------- */

/* clang-format off */
static const struct field create_in[] = {
	INSTANCE_FIELD(struct group_new_in, instance_id),
	STR(struct group_new_in, name, "GroupName",
	    "4 to 30 wide (a Chinese character counts as 2): Chinese, letters, digits, underscores; unique per account.",
	    .flags = REQUIRED),
	STR(struct group_new_in, expression, "DynamicGroupExpression",
	    "Which devices are in the group: field = \"x\" or field LIKE \"x%\", joined by and. Fields: product_key, name, status "
	    "(ONLINE, OFFLINE, UNACTIVE, DISABLE), tag.tag_name with tag.tag_value, tags.NAME. At most 400 characters and 10 "
	    "conditions.", .flags = REQUIRED),
	STR(struct group_new_in, description, "GroupDesc", "At most 100 characters.", .max_chars = GROUP_DESC_MAX,
	    .err = ERR_GROUP_DESC),
	FIELD_END
};
static const struct field create_out[] = {
	OBJ(struct data_out, data, "Data", "The group.", .of = group_made),
	FIELD_END
};
static const enum err create_fails[] = {
	ERR_GROUP_NAME, ERR_GROUP_DESC, ERR_QUERY, ERR_QUERY_TERMS, ERR_QUERY_FIELD, ERR_QUERY_OPERATOR,
	ERR_QUERY_SYNTAX, ERR_GROUP_COUNT, ERR_GROUP_NAME_EXISTS, OK
};
/* clang-format on */

static enum err create_run(struct call *c, const void *in_, void *out_)
{
	const struct group_new_in *in = in_;
	struct data_out *out = out_;
	struct group_query q;

	if (!text_is_name(in->name, GROUP_NAME_MIN, GROUP_NAME_MAX))
		return fail_param(c->error, ERR_GROUP_NAME, NULL);
	TRY(group_query_parse(in->expression, &q, c->error));
	return group_make(c, in, 0, &q, &out->data);
}

const struct action action_CreateDeviceDynamicGroup = {
	.name = "CreateDeviceDynamicGroup",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Creates a dynamic device group: whatever device of the instance matches its condition is in "
	       "it.",
	.in = create_in,
	.out = create_out,
	.in_size = sizeof(struct group_new_in),
	.out_size = sizeof(struct data_out),
	.run = create_run,
	.fails = create_fails,
};

/* ---- DeleteDeviceDynamicGroup -------------------------------------------------------------------------- */

struct devices_in {
	const char *instance_id;
	struct group_in at;
	struct page_in page;
	const char *token, *product_key, *name, *status;
	struct opt_bool fuzzy;
};

static const struct field delete_in[] = {
	INSTANCE_FIELD(struct devices_in, instance_id),
	GROUP_ID_FIELD(struct devices_in, at),
	FIELD_END,
};

static enum err find(struct call *c, const struct devices_in *in, struct group *ret)
{
	return store_group_find(c->db, c->account_id, in->at.group_id, GROUP_DYNAMIC, ret);
}

static enum err delete_run(struct call *c, const void *in, void *out UNUSED)
{
	struct group g;

	TRY(find(c, in, &g));
	c->audit_target = g.group_id;
	return store_group_delete(c->db, c->account_id, g.id, c->now);
}

static const enum err delete_fails[] = { ERR_GROUP_NOT_FOUND, ERR_GROUP_DELETE, OK };

const struct action action_DeleteDeviceDynamicGroup = {
	.name = "DeleteDeviceDynamicGroup",
	.effect = WRITES,
	.role = ROLE_ADMIN,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Deletes a dynamic group, unless a job that has not ended uses it. Its devices stay.",
	.in = delete_in,
	.in_size = sizeof(struct devices_in),
	.run = delete_run,
	.fails = delete_fails,
};

/* ---- QueryDynamicGroupDevices -------------------------------------------------------------------------- */

struct device_out {
	const char *iot_id, *product_key, *product_name, *name, *nickname, *status, *category_key;
	const char *active, *utc_active, *online, *utc_online;
	struct opt_int node_type;
};
struct devices_out {
	struct page_out page;
	const char *token;
	struct obj_list data;
};

/* clang-format off */
static const struct field devices_in[] = {
	INSTANCE_FIELD(struct devices_in, instance_id),
	GROUP_ID_FIELD(struct devices_in, at),
	PAGE_IN_FIELDS(struct devices_in, page, 200, "200"),
	STR (struct devices_in, token,       "NextToken",  "NextToken of the answer before: goes on behind it, whatever CurrentPage.",
	     .flags = OPTIONAL),
	STR (struct devices_in, product_key, "ProductKey", "Only devices of this product.", .flags = OPTIONAL),
	STR (struct devices_in, name,        "DeviceName", "Only the device of this name; with FuzzyName a beginning of more than 4 "
	     "characters.", .flags = OPTIONAL),
	BOOL(struct devices_in, fuzzy,       "FuzzyName",  "DeviceName is how names begin. Default: false.", .flags = OPTIONAL),
	STR (struct devices_in, status,      "Status",     "Only devices of this status.",
	     .one_of = "ONLINE OFFLINE UNACTIVE DISABLE", .err = ERR_FORMAT),
	FIELD_END
};
static const struct field device_out[] = {
	STR(struct device_out, iot_id,       "IotId",         "The device.", .flags = OPTIONAL),
	STR(struct device_out, product_key,  "ProductKey",    "Its product.", .flags = OPTIONAL),
	STR(struct device_out, product_name, "ProductName",   "Name of the product.", .flags = OPTIONAL),
	STR(struct device_out, name,         "DeviceName",    "Its name in the product.", .flags = OPTIONAL),
	STR(struct device_out, nickname,     "Nickname",      "Its nickname.", .flags = OPTIONAL),
	STR(struct device_out, status,       "Status",        "ONLINE, OFFLINE, UNACTIVE or DISABLE.", .flags = OPTIONAL),
	STR(struct device_out, category_key, "CategoryKey",   "Category of the product.", .flags = OPTIONAL),
	STR(struct device_out, active,       "ActiveTime",    "First connection, China time.", .flags = OPTIONAL),
	STR(struct device_out, utc_active,   "UtcActiveTime", "First connection.", .flags = OPTIONAL),
	STR(struct device_out, online,       "LastOnlineTime",    "Last connection, China time.", .flags = OPTIONAL),
	STR(struct device_out, utc_online,   "UtcLastOnlineTime", "Last connection.", .flags = OPTIONAL),
	INT(struct device_out, node_type,    "NodeType",      "0 device, 1 gateway.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field devices_out[] = {
	PAGE_OUT_FIELDS(struct devices_out, page, "Page"),
	STR (struct devices_out, token, "NextToken", "Where to go on; empty: this was the last page.", .flags = OPTIONAL),
	OBJS(struct devices_out, data, "Data", "Devices that match now, newest first.", .item = "SimpleDeviceInfo",
	     .of = device_out, .of_size = sizeof(struct device_out)),
	FIELD_END
};
/* clang-format on */

static enum err filter_of(struct call *c, const struct devices_in *in, struct group_filter *ret)
{
	*ret = (struct group_filter){ .product_key = in->product_key, .status = in->status };
	TRY(page_token_parse(c, in->token, &ret->below_id));
	if (!in->fuzzy.v) {
		ret->name = in->name;
		return OK;
	}
	if (!in->name || utf8_count(in->name) < FUZZY_MIN)
		return fail(c->error, ERR_FORMAT,
			    "DeviceName must have more than 4 characters with FuzzyName.");
	ret->name_prefix = in->name;
	return OK;
}

static struct device_out show(struct arena *a, const struct group_device *d)
{
	struct device_out out = {
		.iot_id = show_id(a, ID_DEVICE, d->id, 0),
		.product_key = d->product_key,
		.product_name = d->product_name,
		.name = d->name,
		.nickname = d->nickname,
		.status = d->status,
		.category_key = d->category_key,
		.active = show_local(a, d->active_ms),
		.utc_active = show_utc(a, d->active_ms),
		.online = show_local(a, d->online_ms),
		.utc_online = show_utc(a, d->online_ms),
		.node_type = show_int(d->node_type),
	};

	return out;
}

static enum err devices_run(struct call *c, const void *in_, void *out_)
{
	const struct devices_in *in = in_;
	struct devices_out *out = out_;
	const struct group_device *d;
	struct device_out *shown;
	struct group_filter f;
	struct group g;
	int64_t total;
	size_t n;

	TRY(filter_of(c, in, &f));
	TRY(find(c, in, &g));
	TRY(store_group_devices(c->db, g.id, &f, in->token ? 0 : page_from(&in->page), page_size(&in->page),
				&d, &n, &total));
	shown = ARENA_ARRAY(c->arena, n, struct device_out);
	for (size_t i = 0; i < n; i++)
		shown[i] = show(c->arena, &d[i]);
	out->page = page_show(&in->page, total);
	out->token = page_token(c->arena, n == (size_t)page_size(&in->page) ? d[n - 1].id : 0);
	out->data = (struct obj_list){ .n = n, .v = shown };
	return OK;
}

static const enum err devices_fails[] = { ERR_PAGE_PARAMS, ERR_FORMAT, ERR_GROUP_NOT_FOUND, OK };

const struct action action_QueryDynamicGroupDevices = {
	.name = "QueryDynamicGroupDevices",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Lists the devices that match a dynamic group's condition now.",
	.in = devices_in,
	.out = devices_out,
	.in_size = sizeof(struct devices_in),
	.out_size = sizeof(struct devices_out),
	.run = devices_run,
	.fails = devices_fails,
};
