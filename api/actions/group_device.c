/* SPDX-License-Identifier: Apache-2.0 */
/* Devices in and out of static groups, and who is where: BatchAddDeviceGroupRelations,
 * BatchDeleteDeviceGroupRelations, QueryDeviceListByDeviceGroup, QueryDeviceGroupByDevice (api §9). */
#include "api/actions/device_in.h"
#include "api/actions/group.h"
#include "api/actions/page.h"
#include "api/actions/show.h"

#define PAIRS_MAX 200

/* ---- BatchAddDeviceGroupRelations, BatchDeleteDeviceGroupRelations ------------------------------------- */

struct pair_in {
	const char *product_key, *name;
};
struct change_in {
	struct group_in at;
	struct obj_list devices; /* of struct pair_in */
};
struct change_out {
	struct opt_int valid, changed, inside, full;
	const char *message;
};

/* clang-format off */
static const struct field pair_in[] = {
	STR(struct pair_in, product_key, "ProductKey", "Product of the device.", .flags = REQUIRED),
	STR(struct pair_in, name,        "DeviceName", "Name of the device in its product.", .flags = REQUIRED),
	FIELD_END
};
static const struct field change_in[] = {
	GROUP_ID_FIELD(struct change_in, at),
	OBJS(struct change_in, devices, "Device", "At most 200 devices; those that the account does not have are passed over.",
	     .max_items = PAIRS_MAX, .of = pair_in, .of_size = sizeof(struct pair_in)),
	FIELD_END
};
static const struct field add_out[] = {
	INT(struct change_out, valid,   "ValidDeviceCount", "Devices that there are.", .flags = OPTIONAL),
	INT(struct change_out, changed, "SuccessAddedDeviceCount", "Devices that were added.", .flags = OPTIONAL),
	INT(struct change_out, inside,  "AlreadyRelatedGroupDeviceCount", "Devices that were in the group before.",
	    .flags = OPTIONAL),
	INT(struct change_out, full,    "ExceedTenGroupDeviceCount", "Devices that are in 10 groups already.",
	    .flags = OPTIONAL),
	STR(struct change_out, message, "ErrorMessage",
	    "Also on success: how many devices were added, and how many could not be.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field remove_out[] = {
	INT(struct change_out, valid,   "ValidDeviceCount", "Devices that there are.", .flags = OPTIONAL),
	INT(struct change_out, changed, "SuccessDeviceCount", "Devices that were removed.", .flags = OPTIONAL),
	INT(struct change_out, inside,  "AlreadyRelatedGroupDeviceCount", "Devices that were in the group before.",
	    .flags = OPTIONAL),
	FIELD_END
};
/* clang-format on */

static void split(struct arena *a, const struct obj_list *devices, const char ***ret_product_keys,
		  const char ***ret_names)
{
	const struct pair_in *pairs = devices->v;

	*ret_product_keys = ARENA_ARRAY(a, devices->n, const char *);
	*ret_names = ARENA_ARRAY(a, devices->n, const char *);
	for (size_t i = 0; i < devices->n; i++) {
		(*ret_product_keys)[i] = pairs[i].product_key;
		(*ret_names)[i] = pairs[i].name;
	}
}

static enum err add_run(struct call *c, const void *in_, void *out_)
{
	const struct change_in *in = in_;
	const char **product_keys, **names;
	struct change_out *out = out_;
	struct group_change n;
	struct group g;

	TRY(group_find(c, &in->at, &g));
	c->audit_target = g.group_id;
	split(c->arena, &in->devices, &product_keys, &names);
	TRY(store_group_devices_add(c->db, c->account_id, g.id, product_keys, names, in->devices.n,
				    c->config->limit_group_devices, &n));
	*out = (struct change_out){
		.valid = show_int(n.valid),
		.changed = show_int(n.changed),
		.inside = show_int(n.inside),
		.full = show_int(n.full),
		.message = arena_printf(
			c->arena, "%lld devices have been added, and %lld devices failed to be added.",
			(long long)n.changed, (long long)in->devices.n - n.changed - n.inside),
	};
	return OK;
}

static enum err remove_run(struct call *c, const void *in_, void *out_)
{
	const struct change_in *in = in_;
	const char **product_keys, **names;
	struct change_out *out = out_;
	struct group_change n;
	struct group g;

	TRY(group_find(c, &in->at, &g));
	c->audit_target = g.group_id;
	split(c->arena, &in->devices, &product_keys, &names);
	TRY(store_group_devices_remove(c->db, c->account_id, g.id, product_keys, names, in->devices.n, &n));
	*out = (struct change_out){
		.valid = show_int(n.valid),
		.changed = show_int(n.changed),
		.inside = show_int(n.inside),
	};
	return OK;
}

static const enum err add_fails[] = { ERR_LIST_TOO_LONG, ERR_GROUP_NOT_FOUND, ERR_GROUP_BIND, OK };
static const enum err remove_fails[] = { ERR_LIST_TOO_LONG, ERR_GROUP_NOT_FOUND, OK };

const struct action action_BatchAddDeviceGroupRelations = {
	.name = "BatchAddDeviceGroupRelations",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 500,
	.methods = "GET POST",
	.doc = "Adds devices to a static group.",
	.in = change_in,
	.out = add_out,
	.in_size = sizeof(struct change_in),
	.out_size = sizeof(struct change_out),
	.run = add_run,
	.fails = add_fails,
};

const struct action action_BatchDeleteDeviceGroupRelations = {
	.name = "BatchDeleteDeviceGroupRelations",
	.effect = WRITES,
	.role = ROLE_ADMIN,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Takes devices out of a static group.",
	.in = change_in,
	.out = remove_out,
	.in_size = sizeof(struct change_in),
	.out_size = sizeof(struct change_out),
	.run = remove_run,
	.fails = remove_fails,
};

/* ---- QueryDeviceListByDeviceGroup ---------------------------------------------------------------------- */

struct devices_in {
	struct group_in at;
	struct page_in page;
};
struct device_out {
	const char *iot_id, *product_key, *product_name, *name;
};
struct devices_out {
	struct page_out page;
	struct obj_list data;
};

/* clang-format off */
static const struct field devices_in[] = {
	GROUP_ID_FIELD(struct devices_in, at),
	PAGE_IN_FIELDS(struct devices_in, page, 200, "200"),
	FIELD_END
};
static const struct field device_out[] = {
	STR(struct device_out, iot_id,       "IotId",       "The device.", .flags = OPTIONAL),
	STR(struct device_out, product_key,  "ProductKey",  "Its product.", .flags = OPTIONAL),
	STR(struct device_out, product_name, "ProductName", "Name of the product.", .flags = OPTIONAL),
	STR(struct device_out, name,         "DeviceName",  "Its name in the product.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field devices_out[] = {
	PAGE_OUT_FIELDS(struct devices_out, page, "Page"),
	OBJS(struct devices_out, data, "Data", "Devices of the group, newest first.", .item = "SimpleDeviceInfo",
	     .of = device_out, .of_size = sizeof(struct device_out)),
	FIELD_END
};
/* clang-format on */

static enum err devices_run(struct call *c, const void *in_, void *out_)
{
	static const struct group_filter all;
	const struct devices_in *in = in_;
	struct devices_out *out = out_;
	const struct group_device *d;
	struct device_out *shown;
	struct group g;
	int64_t total;
	size_t n;

	TRY(group_find(c, &in->at, &g));
	TRY(store_group_devices(c->db, g.id, &all, page_from(&in->page), page_size(&in->page), &d, &n,
				&total));
	shown = ARENA_ARRAY(c->arena, n, struct device_out);
	for (size_t i = 0; i < n; i++)
		shown[i] = (struct device_out){
			.iot_id = show_id(c->arena, ID_DEVICE, d[i].id, 0),
			.product_key = d[i].product_key,
			.product_name = d[i].product_name,
			.name = d[i].name,
		};
	out->page = page_show(&in->page, total);
	out->data = (struct obj_list){ .n = n, .v = shown };
	return OK;
}

static const enum err devices_fails[] = { ERR_PAGE_PARAMS, ERR_GROUP_NOT_FOUND, OK };

const struct action action_QueryDeviceListByDeviceGroup = {
	.name = "QueryDeviceListByDeviceGroup",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 5,
	.methods = "GET POST",
	.doc = "Lists the devices of a static group, not those of groups below it.",
	.in = devices_in,
	.out = devices_out,
	.in_size = sizeof(struct devices_in),
	.out_size = sizeof(struct devices_out),
	.run = devices_run,
	.fails = devices_fails,
};

/* ---- QueryDeviceGroupByDevice -------------------------------------------------------------------------- */

struct of_device_out {
	struct obj_list groups;
};

/* clang-format off */
static const struct field of_device_in[] = {
	STR(struct device_in, at.product_key, "ProductKey", "Product of the device.", .flags = REQUIRED),
	STR(struct device_in, at.name,        "DeviceName", "Name of the device in its product.", .flags = REQUIRED),
	FIELD_END
};
static const struct field of_device_out[] = {
	OBJS(struct of_device_out, groups, "GroupInfos", "Its groups, static and dynamic ones, newest first.",
	     .item = "GroupInfo", .of = group_out, .of_size = sizeof(struct group_out)),
	FIELD_END
};
/* clang-format on */

static enum err of_device_run(struct call *c, const void *in_, void *out_)
{
	const struct device_in *in = in_;
	struct of_device_out *out = out_;
	const struct group *g;
	struct device_ref d;
	size_t n;

	TRY(device_find(c, &in->at, &d));
	TRY(store_groups_of_device(c->db, d.id, &g, &n));
	out->groups = group_show(c->arena, g, n);
	return OK;
}

static const enum err of_device_fails[] = { ERR_DEVICE_NOT_FOUND, OK };

const struct action action_QueryDeviceGroupByDevice = {
	.name = "QueryDeviceGroupByDevice",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Lists the groups that a device is in.",
	.in = of_device_in,
	.out = of_device_out,
	.in_size = sizeof(struct device_in),
	.out_size = sizeof(struct of_device_out),
	.run = of_device_run,
	.fails = of_device_fails,
};
