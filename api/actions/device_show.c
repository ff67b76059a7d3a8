/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of devices: QueryDeviceDetail, BatchQueryDeviceDetail, QueryDeviceInfo, GetDeviceStatus,
 * BatchGetDeviceState, QueryDeviceStatistics (api §8.9 to 8.11, 8.13, 8.14, 8.17). */
#include "storage/device_view.h"

#include "api/actions/device_in.h"
#include "api/actions/show.h"
#include "storage/group.h"
#include "storage/product.h"

#define DETAILS_MAX 100
#define STATES_MAX 50

/* ---- QueryDeviceDetail --------------------------------------------------------------------------------- */

struct detail_data {
	const char *iot_id, *product_key, *product_name, *name, *nickname, *secret, *status, *version,
		*region, *ip;
	const char *gmt_create, *gmt_active, *gmt_online, *utc_create, *utc_active, *utc_online;
	const char *gmt_changed, *utc_changed;
	struct opt_int node_type;
	struct opt_bool owner;
};

/* clang-format off */
/* Rows that BatchQueryDeviceDetail has as well. */
#define DETAIL_FIELDS \
	STR(struct detail_data, iot_id,       "IotId",        "Unique id.", .flags = OPTIONAL), \
	STR(struct detail_data, product_key,  "ProductKey",   "Product of the device.", .flags = OPTIONAL), \
	STR(struct detail_data, product_name, "ProductName",  "Name of the product.", .flags = OPTIONAL), \
	STR(struct detail_data, name,         "DeviceName",   "Name in the product.", .flags = OPTIONAL), \
	STR(struct detail_data, nickname,     "Nickname",     "Its nickname, if it has one.", .flags = OPTIONAL), \
	STR(struct detail_data, secret,       "DeviceSecret", "What the device logs in with.", .flags = OPTIONAL), \
	STR(struct detail_data, status,       "Status",       "ONLINE, OFFLINE, UNACTIVE (never connected) or DISABLE.", \
	    .flags = OPTIONAL), \
	STR(struct detail_data, version,      "FirmwareVersion", "Version of the default module, once it was reported.", \
	    .flags = OPTIONAL), \
	INT(struct detail_data, node_type,    "NodeType",     "0 device, 1 gateway.", .flags = OPTIONAL), \
	STR(struct detail_data, region,       "Region",       "As configured.", .flags = OPTIONAL), \
	STR(struct detail_data, gmt_create,   "GmtCreate",    "Registration, China time.", .flags = OPTIONAL), \
	STR(struct detail_data, utc_create,   "UtcCreate",    "Registration.", .flags = OPTIONAL), \
	STR(struct detail_data, gmt_active,   "GmtActive",    "First connection, China time.", .flags = OPTIONAL), \
	STR(struct detail_data, utc_active,   "UtcActive",    "First connection.", .flags = OPTIONAL)

static const struct field detail_data[] = {
	DETAIL_FIELDS,
	STR (struct detail_data, ip,          "IpAddress",    "Of the last connection.", .flags = OPTIONAL),
	BOOL(struct detail_data, owner,       "Owner",        "Always true.", .flags = OPTIONAL),
	STR (struct detail_data, gmt_online,  "GmtOnline",    "Last connection, China time.", .flags = OPTIONAL),
	STR (struct detail_data, utc_online,  "UtcOnline",    "Last connection.", .flags = OPTIONAL),
	STR (struct detail_data, gmt_changed, "GmtTimestamp", "Last change of the status, China time.", .flags = OPTIONAL),
	STR (struct detail_data, utc_changed, "UtcTimestamp", "Last change of the status.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field detail_out[] = {
	OBJ(struct data_out, data, "Data", "The device.", .of = detail_data),
	FIELD_END
};
/* clang-format on */

static struct detail_data show_detail(const struct call *c, const struct device_view *d)
{
	struct arena *a = c->arena;

	return (struct detail_data){
		.iot_id = show_id(a, ID_DEVICE, d->id, 0),
		.product_key = d->product_key,
		.product_name = d->product_name,
		.name = d->name,
		.nickname = d->nickname,
		.secret = d->secret,
		.status = d->status,
		.version = d->version,
		.node_type = show_int(d->node_type),
		.region = c->config->region,
		.ip = unless_empty(d->ip),
		.owner = show_bool(true),
		.gmt_create = show_local(a, d->created_ms),
		.utc_create = show_utc(a, d->created_ms),
		.gmt_active = show_local(a, d->active_ms),
		.utc_active = show_utc(a, d->active_ms),
		.gmt_online = show_local(a, d->online_ms),
		.utc_online = show_utc(a, d->online_ms),
		.gmt_changed = show_local(a, d->changed_ms),
		.utc_changed = show_utc(a, d->changed_ms),
	};
}

/* The device that a call names; master NULL: without its secret. */
static enum err view(struct call *c, const struct device_in *in, const struct seal_key *master,
		     struct device_view *ret)
{
	struct device_ref ref;

	TRY(device_find(c, &in->at, &ref));
	return store_device_view(c->db, master, ref.id, ret);
}

static enum err detail_run(struct call *c, const void *in, void *out_)
{
	struct detail_data *data = ARENA_NEW(c->arena, struct detail_data);
	struct data_out *out = out_;
	struct device_view d;

	TRY(view(c, in, c->env->master, &d));
	*data = show_detail(c, &d);
	out->data = data;
	return OK;
}

const struct action action_QueryDeviceDetail = {
	.name = "QueryDeviceDetail",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Shows a device: secret, status, version, times.",
	.in = device_in,
	.out = detail_out,
	.in_size = sizeof(struct device_in),
	.out_size = sizeof(struct data_out),
	.run = detail_run,
	.fails = device_fails,
};

/* ---- BatchQueryDeviceDetail ---------------------------------------------------------------------------- */

struct details_in {
	const char *product_key;
	struct str_list names;
};
struct list_out {
	struct obj_list list;
};

/* clang-format off */
static const struct field details_in[] = {
	STR (struct details_in, product_key, "ProductKey", "Product of the devices.", .flags = REQUIRED, .chars = "",
	     .err = ERR_PRODUCT_KEY_FORMAT),
	STRS(struct details_in, names, "DeviceName", "At most 100 names; those that the product does not have are left out.",
	     .flags = REQUIRED, .max_items = DETAILS_MAX),
	FIELD_END
};
static const struct field batch_detail[] = { DETAIL_FIELDS, FIELD_END };
static const struct field details_out[] = {
	OBJS(struct list_out, list, "Data", "The devices, in the order of their names in the call.", .item = "Data",
	     .of = batch_detail, .of_size = sizeof(struct detail_data)),
	FIELD_END
};
static const enum err details_fails[] = { ERR_PRODUCT_KEY_FORMAT, ERR_LIST_TOO_LONG, ERR_PRODUCT_NOT_FOUND, OK };
/* clang-format on */

static enum err details_run(struct call *c, const void *in_, void *out_)
{
	const struct details_in *in = in_;
	struct list_out *out = out_;
	struct detail_data *shown;
	struct device_views d;
	struct product p;

	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	TRY(store_device_views_named(c->db, c->env->master, p.id, in->names.v, in->names.n, &d));
	shown = ARENA_ARRAY(c->arena, d.n, struct detail_data);
	for (size_t i = 0; i < d.n; i++)
		shown[i] = show_detail(c, &d.v[i]);
	out->list = (struct obj_list){ .n = d.n, .v = shown };
	return OK;
}

const struct action action_BatchQueryDeviceDetail = {
	.name = "BatchQueryDeviceDetail",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 5,
	.methods = "GET POST",
	.doc = "Shows devices of a product by their names.",
	.in = details_in,
	.out = details_out,
	.in_size = sizeof(struct details_in),
	.out_size = sizeof(struct list_out),
	.run = details_run,
	.fails = details_fails,
};

/* ---- QueryDeviceInfo ----------------------------------------------------------------------------------- */

/* clang-format off */
static const struct field info_data[] = {
	STR(struct detail_data, iot_id,      "IotId",        "Unique id.", .flags = OPTIONAL),
	STR(struct detail_data, product_key, "ProductKey",   "Product of the device.", .flags = OPTIONAL),
	STR(struct detail_data, name,        "DeviceName",   "Name in the product.", .flags = OPTIONAL),
	STR(struct detail_data, secret,      "DeviceSecret", "What the device logs in with.", .flags = OPTIONAL),
	STR(struct detail_data, nickname,    "Nickname",     "Its nickname, if it has one.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field info_out[] = {
	OBJ(struct data_out, data, "Data", "The device.", .of = info_data),
	FIELD_END
};
/* clang-format on */

const struct action action_QueryDeviceInfo = {
	.name = "QueryDeviceInfo",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Shows the names and the secret of a device.",
	.in = device_in,
	.out = info_out,
	.in_size = sizeof(struct device_in),
	.out_size = sizeof(struct data_out),
	.run = detail_run,
	.fails = device_fails,
};

/* ---- GetDeviceStatus ----------------------------------------------------------------------------------- */

struct status_data {
	const char *status;
	struct opt_int changed_ms;
};

/* clang-format off */
static const struct field status_data[] = {
	STR (struct status_data, status,     "Status",    "ONLINE, OFFLINE, UNACTIVE (never connected) or DISABLE.", .flags = OPTIONAL),
	LONG(struct status_data, changed_ms, "Timestamp", "Last change of the status, milliseconds since 1970 UTC; absent: none yet.",
	     .flags = OPTIONAL),
	FIELD_END
};
static const struct field status_out[] = {
	OBJ(struct data_out, data, "Data", "The status.", .of = status_data),
	FIELD_END
};
/* clang-format on */

static enum err status_run(struct call *c, const void *in, void *out_)
{
	struct status_data *data = ARENA_NEW(c->arena, struct status_data);
	struct data_out *out = out_;
	struct device_view d;

	TRY(view(c, in, NULL, &d));
	*data = (struct status_data){ .status = d.status, .changed_ms = show_int_unless(d.changed_ms, 0) };
	out->data = data;
	return OK;
}

const struct action action_GetDeviceStatus = {
	.name = "GetDeviceStatus",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 500,
	.methods = "GET POST",
	.doc = "Tells whether a device is online.",
	.in = device_in,
	.out = status_out,
	.in_size = sizeof(struct device_in),
	.out_size = sizeof(struct data_out),
	.run = status_run,
	.fails = device_fails,
};

/* ---- BatchGetDeviceState ------------------------------------------------------------------------------- */

struct states_in {
	struct str_list iot_ids, names;
	const char *product_key;
};
struct state_out {
	const char *iot_id, *name, *legacy_id, *status, *ip, *online;
	struct opt_int changed_ms;
};

/* clang-format off */
static const struct field states_in[] = {
	STRS(struct states_in, iot_ids,     "IotId",      "At most 50 devices of any products; wins over DeviceName.", .max_items = STATES_MAX),
	STR (struct states_in, product_key, "ProductKey", "Product of the devices, together with DeviceName.", .flags = OPTIONAL),
	STRS(struct states_in, names,       "DeviceName", "At most 50 names in the product.", .max_items = STATES_MAX),
	FIELD_END
};
static const struct field state_out[] = {
	STR (struct state_out, iot_id,     "IotId",          "The device.", .flags = OPTIONAL),
	STR (struct state_out, name,       "DeviceName",     "Its name in the product.", .flags = OPTIONAL),
	STR (struct state_out, legacy_id,  "DeviceId",       "The same again, for old clients.", .flags = OPTIONAL),
	STR (struct state_out, status,     "Status",         "ONLINE, OFFLINE, UNACTIVE (never connected) or DISABLE.", .flags = OPTIONAL),
	STR (struct state_out, ip,         "AsAddress",      "Address of the last connection.", .flags = OPTIONAL),
	STR (struct state_out, online,     "LastOnlineTime", "Last connection, China time.", .flags = OPTIONAL),
	LONG(struct state_out, changed_ms, "Timestamp",      "Last change of the status, milliseconds since 1970 UTC; absent: none yet.",
	     .flags = OPTIONAL),
	FIELD_END
};
static const struct field states_out[] = {
	OBJS(struct list_out, list, "DeviceStatusList", "The devices in the order of the call; those that there are not are left out.",
	     .item = "DeviceStatus", .of = state_out, .of_size = sizeof(struct state_out)),
	FIELD_END
};
static const enum err states_fails[] = {
	ERR_LIST_TOO_LONG, ERR_IOT_ID, ERR_NULL_PRODUCT_KEY, ERR_NULL_DEVICE_NAME, ERR_PRODUCT_NOT_FOUND, OK
};
/* clang-format on */

static enum err views_of(struct call *c, const struct str_list *iot_ids, struct device_views *ret)
{
	int64_t *ids = ARENA_ARRAY(c->arena, iot_ids->n, int64_t);

	for (size_t i = 0; i < iot_ids->n; i++)
		TRY(store_device_key(c->error, iot_ids->v[i], &ids[i]));
	return store_device_views_of(c->db, c->account_id, ids, iot_ids->n, ret);
}

static enum err states_find(struct call *c, const struct states_in *in, struct device_views *ret)
{
	struct product p;

	if (in->iot_ids.n > 0)
		return views_of(c, &in->iot_ids, ret);
	if (!in->product_key)
		return fail_param(c->error, ERR_NULL_PRODUCT_KEY, NULL);
	if (in->names.n == 0)
		return fail_param(c->error, ERR_NULL_DEVICE_NAME, NULL);
	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	return store_device_views_named(c->db, NULL, p.id, in->names.v, in->names.n, ret);
}

static enum err states_run(struct call *c, const void *in, void *out_)
{
	struct list_out *out = out_;
	struct state_out *shown;
	struct device_views d;

	TRY(states_find(c, in, &d));
	shown = ARENA_ARRAY(c->arena, d.n, struct state_out);
	for (size_t i = 0; i < d.n; i++)
		shown[i] = (struct state_out){
			.iot_id = show_id(c->arena, ID_DEVICE, d.v[i].id, 0),
			.name = d.v[i].name,
			.legacy_id = d.v[i].name,
			.status = d.v[i].status,
			.ip = unless_empty(d.v[i].ip),
			.online = show_local(c->arena, d.v[i].online_ms),
			.changed_ms = show_int_unless(d.v[i].changed_ms, 0),
		};
	out->list = (struct obj_list){ .n = d.n, .v = shown };
	return OK;
}

const struct action action_BatchGetDeviceState = {
	.name = "BatchGetDeviceState",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Tells which of some devices are online.",
	.in = states_in,
	.out = states_out,
	.in_size = sizeof(struct states_in),
	.out_size = sizeof(struct list_out),
	.run = states_run,
	.fails = states_fails,
};

/* ---- QueryDeviceStatistics ----------------------------------------------------------------------------- */

struct counts_in {
	const char *product_key, *group_id;
};
struct counts_data {
	struct opt_int devices, active, online;
};

/* clang-format off */
static const struct field counts_in[] = {
	STR(struct counts_in, product_key, "ProductKey", "Only devices of this product. Neither: of the whole account.", .chars = "",
	    .err = ERR_PRODUCT_KEY_FORMAT),
	STR(struct counts_in, group_id,    "GroupId",    "Only devices of this group, static or dynamic.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field counts_data[] = {
	LONG(struct counts_data, devices, "deviceCount", "Devices.", .flags = OPTIONAL),
	LONG(struct counts_data, active,  "activeCount", "Those that have connected at least once.", .flags = OPTIONAL),
	LONG(struct counts_data, online,  "onlineCount", "Those that are online.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field counts_out[] = {
	OBJ(struct data_out, data, "Data", "The numbers.", .of = counts_data),
	FIELD_END
};
static const enum err counts_fails[] = { ERR_PRODUCT_KEY_FORMAT, ERR_PRODUCT_NOT_FOUND, ERR_GROUP_NOT_FOUND, OK };
/* clang-format on */

static enum err counts_run(struct call *c, const void *in_, void *out_)
{
	struct counts_data *data = ARENA_NEW(c->arena, struct counts_data);
	struct product p = { .id = 0 };
	const struct counts_in *in = in_;
	struct data_out *out = out_;
	struct device_counts n;
	struct group g;

	if (in->product_key)
		TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	if (in->group_id) {
		TRY(store_group_find(c->db, c->account_id, in->group_id, NULL, &g));
		TRY(store_group_counts(c->db, g.id, p.id, &n));
	} else {
		TRY(store_device_counts(c->db, c->account_id, p.id, &n));
	}
	*data = (struct counts_data){ show_int(n.devices), show_int(n.active), show_int(n.online) };
	out->data = data;
	return OK;
}

const struct action action_QueryDeviceStatistics = {
	.name = "QueryDeviceStatistics",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Counts devices: all, those that have ever connected, those online.",
	.in = counts_in,
	.out = counts_out,
	.in_size = sizeof(struct counts_in),
	.out_size = sizeof(struct data_out),
	.run = counts_run,
	.fails = counts_fails,
};
