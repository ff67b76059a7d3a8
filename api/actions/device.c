/* SPDX-License-Identifier: Apache-2.0 */
/* One device at a time: RegisterDevice, QueryDeviceDetail, DeleteDevice, DisableThing, EnableThing (api
 * §8.6, 8.9, 8.12, 8.16). */
#include "api/actions/device_in.h"
#include "api/actions/show.h"
#include "api/credential_wait.h"
#include "engine/text.h"
#include "storage/product.h"
#include "storage/task.h"

#include <string.h>

/* ---- RegisterDevice ------------------------------------------------------------------------------------ */

struct register_in {
	const char *product_key, *name, *nickname, *dev_eui, *pin_code, *join_eui, *app_key, *lora_node_type;
};

static const struct field register_in[] = {
	STR(struct register_in, product_key, "ProductKey", "Product of the device.", .flags = REQUIRED,
	    .chars = "", .err = ERR_PRODUCT_KEY_FORMAT),
	STR(struct register_in, name, "DeviceName",
	    "4 to 32 letters, digits and - _ @ . : and unique in the product; random when absent.",
	    .min_chars = 4, .max_chars = 32, .chars = "-_@.:", .err = ERR_DEVICE_NAME),
	STR(struct register_in, nickname, "Nickname",
	    "4 to 64 wide (a Chinese character counts as 2): Chinese, letters, digits, underscores.",
	    .flags = OPTIONAL),
	STR(struct register_in, lora_node_type, "LoraNodeType", "LoRaWAN only.",
	    .one_of = "ALIYUNDEFINED USERDEFINED"),
	STR(struct register_in, dev_eui, "DevEui", "LoRaWAN only.", .max_chars = 32),
	STR(struct register_in, pin_code, "PinCode", "LoRaWAN only; needed for ALIYUNDEFINED.",
	    .max_chars = 32),
	STR(struct register_in, join_eui, "JoinEui", "LoRaWAN only; needed for USERDEFINED.",
	    .max_chars = 32),
	STR(struct register_in, app_key, "AppKey", "LoRaWAN only; needed for USERDEFINED.", .max_chars = 64),
	FIELD_END
};

struct register_data {
	const char *product_key, *name, *secret, *iot_id, *nickname, *dev_eui, *join_eui;
};

static const struct field register_data[] = {
	STR(struct register_data, product_key, "ProductKey", "Product of the device.", .flags = OPTIONAL),
	STR(struct register_data, name, "DeviceName", "Name in the product.", .flags = OPTIONAL),
	STR(struct register_data, secret, "DeviceSecret", "What the device logs in with.", .flags = OPTIONAL),
	STR(struct register_data, iot_id, "IotId", "Unique id.", .flags = OPTIONAL),
	STR(struct register_data, nickname, "Nickname", "As given.", .flags = OPTIONAL),
	STR(struct register_data, dev_eui, "DevEui", "LoRaWAN only, as given.", .flags = OPTIONAL),
	STR(struct register_data, join_eui, "JoinEui", "LoRaWAN only, as given.", .flags = OPTIONAL),
	FIELD_END
};

struct data_out {
	const void *data;
};

static const struct field register_out[] = {
	OBJ(struct data_out, data, "Data", "The device.", .of = register_data), FIELD_END
};

/* What the two kinds of LoRaWAN nodes have to bring along. */
static enum err check_lora(struct call *c, const struct register_in *in)
{
	bool alibaba = in->lora_node_type && strcmp(in->lora_node_type, "ALIYUNDEFINED") == 0;
	const struct {
		bool needed;
		const char *value, *name;
	} wanted[] = {
		{ in->lora_node_type != NULL, in->dev_eui, "DevEui" },
		{ alibaba, in->pin_code, "PinCode" },
		{ in->lora_node_type && !alibaba, in->join_eui, "JoinEui" },
		{ in->lora_node_type && !alibaba, in->app_key, "AppKey" },
	};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		if (wanted[i].needed && !wanted[i].value)
			return fail_param(c->error, ERR_MISSING_PARAM, wanted[i].name);
	return OK;
}

static enum err register_run(struct call *c, const void *in_, void *out_)
{
	const struct register_in *in = in_;
	struct data_out *out = out_;
	struct register_data *data = ARENA_NEW(c->arena, struct register_data);
	struct device_made made;
	struct product p;

	if (in->nickname && !text_is_name(in->nickname, NICKNAME_MIN, NICKNAME_MAX))
		return fail_param(c->error, ERR_DEVICE_NICKNAME, NULL);
	TRY(check_lora(c, in));
	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	TRY(store_device_add(c->db, c->env->master, p.id, p.product_key,
			     &(struct device_new){ .name = in->name, .nickname = in->nickname }, c->now,
			     &made));
	data->product_key = p.product_key;
	data->name = made.name;
	data->secret = made.secret;
	data->iot_id = show_id(c->arena, ID_DEVICE, made.id, 0);
	data->nickname = in->nickname;
	data->dev_eui = in->dev_eui;
	data->join_eui = in->join_eui;
	out->data = data;
	c->audit_target = arena_printf(c->arena, "%s/%s", p.product_key, made.name);
	credential_wait(c, made.change_id);
	return OK;
}

static const enum err register_fails[] = {
	ERR_PRODUCT_KEY_FORMAT, ERR_DEVICE_NAME,	ERR_DEVICE_NICKNAME,
	ERR_PRODUCT_NOT_FOUND,	ERR_DEVICE_NAME_EXISTS, OK,
};

const struct action action_RegisterDevice = {
	.name = "RegisterDevice",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 30,
	.methods = "GET POST",
	.doc = "Registers a device; it can log in from the moment of the answer.",
	.in = register_in,
	.out = register_out,
	.in_size = sizeof(struct register_in),
	.out_size = sizeof(struct data_out),
	.run = register_run,
	.fails = register_fails,
};

/* ---- QueryDeviceDetail --------------------------------------------------------------------------------- */

struct detail_data {
	const char *iot_id, *product_key, *product_name, *name, *nickname, *secret, *status, *version,
		*region, *ip;
	const char *gmt_create, *gmt_active, *gmt_online, *utc_create, *utc_active, *utc_online;
	const char *gmt_changed, *utc_changed;
	struct opt_int node_type;
	struct opt_bool owner;
};

static const struct field detail_data[] = {
	STR(struct detail_data, iot_id, "IotId", "Unique id.", .flags = OPTIONAL),
	STR(struct detail_data, product_key, "ProductKey", "Product of the device.", .flags = OPTIONAL),
	STR(struct detail_data, product_name, "ProductName", "Name of the product.", .flags = OPTIONAL),
	STR(struct detail_data, name, "DeviceName", "Name in the product.", .flags = OPTIONAL),
	STR(struct detail_data, nickname, "Nickname", "As given when it was registered.", .flags = OPTIONAL),
	STR(struct detail_data, secret, "DeviceSecret", "What the device logs in with.", .flags = OPTIONAL),
	STR(struct detail_data, status, "Status", "ONLINE, OFFLINE, UNACTIVE (never connected) or DISABLE.",
	    .flags = OPTIONAL),
	STR(struct detail_data, version, "FirmwareVersion",
	    "Version of the default module, once it was reported.", .flags = OPTIONAL),
	INT(struct detail_data, node_type, "NodeType", "0 device, 1 gateway.", .flags = OPTIONAL),
	STR(struct detail_data, region, "Region", "As configured.", .flags = OPTIONAL),
	STR(struct detail_data, ip, "IpAddress", "Of the last connection.", .flags = OPTIONAL),
	BOOL(struct detail_data, owner, "Owner", "Always true.", .flags = OPTIONAL),
	STR(struct detail_data, gmt_create, "GmtCreate", "Registration, China time.", .flags = OPTIONAL),
	STR(struct detail_data, utc_create, "UtcCreate", "Registration.", .flags = OPTIONAL),
	STR(struct detail_data, gmt_active, "GmtActive", "First connection, China time.", .flags = OPTIONAL),
	STR(struct detail_data, utc_active, "UtcActive", "First connection.", .flags = OPTIONAL),
	STR(struct detail_data, gmt_online, "GmtOnline", "Last connection, China time.", .flags = OPTIONAL),
	STR(struct detail_data, utc_online, "UtcOnline", "Last connection.", .flags = OPTIONAL),
	STR(struct detail_data, gmt_changed, "GmtTimestamp", "Last change of the status, China time.",
	    .flags = OPTIONAL),
	STR(struct detail_data, utc_changed, "UtcTimestamp", "Last change of the status.", .flags = OPTIONAL),
	FIELD_END
};

static const struct field detail_out[] = {
	OBJ(struct data_out, data, "Data", "The device.", .of = detail_data), FIELD_END
};

static enum err detail_run(struct call *c, const void *in_, void *out_)
{
	const struct device_in *in = in_;
	struct data_out *out = out_;
	struct detail_data *data = ARENA_NEW(c->arena, struct detail_data);
	struct device_detail d;
	struct device_ref ref;

	TRY(device_find(c, &in->at, &ref));
	TRY(store_device_detail(c->db, c->env->master, &ref, &d));
	data->iot_id = show_id(c->arena, ID_DEVICE, ref.id, 0);
	data->product_key = ref.product_key;
	data->product_name = d.product_name;
	data->name = ref.name;
	data->nickname = d.nickname;
	data->secret = d.secret;
	data->status = device_status(&d);
	data->version = d.version;
	data->node_type = show_int(d.node_type);
	data->region = c->config->region;
	data->ip = d.ip && *d.ip ? d.ip : NULL;
	data->owner = show_bool(true);
	data->gmt_create = show_local(c->arena, d.created_ms);
	data->utc_create = show_utc(c->arena, d.created_ms);
	data->gmt_active = show_local(c->arena, d.active_ms);
	data->utc_active = show_utc(c->arena, d.active_ms);
	data->gmt_online = show_local(c->arena, d.online_ms);
	data->utc_online = show_utc(c->arena, d.online_ms);
	data->gmt_changed = show_local(c->arena, d.changed_ms);
	data->utc_changed = show_utc(c->arena, d.changed_ms);
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

/* ---- DeleteDevice -------------------------------------------------------------------------------------- */

struct nothing {
	char unused;
};
static const struct field no_out[] = { FIELD_END };

static enum err delete_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct device_in *in = in_;
	struct device_ref ref;
	int64_t change_id = 0;

	TRY(device_find(c, &in->at, &ref));
	c->audit_target = device_target(c->arena, &ref);
	TRY(store_task_cancel_of_device(c->db, ref.id, c->now));
	TRY(store_device_delete(c->db, ref.id, c->now, &change_id));
	credential_wait(c, change_id);
	return OK;
}

const struct action action_DeleteDevice = {
	.name = "DeleteDevice",
	.effect = WRITES,
	.role = ROLE_ADMIN,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Deletes a device: it is disconnected and refused, its unfinished update task is cancelled.",
	.in = device_in,
	.out = no_out,
	.in_size = sizeof(struct device_in),
	.out_size = sizeof(struct nothing),
	.run = delete_run,
	.fails = device_fails,
};

/* ---- DisableThing, EnableThing ------------------------------------------------------------------------- */

/* Its unfinished tasks wait for it: it is offline until it may log in again. */
static enum err set_disabled(struct call *c, const struct device_in *in, bool disabled)
{
	struct device_ref ref;
	int64_t change_id = 0;

	TRY(device_find(c, &in->at, &ref));
	c->audit_target = device_target(c->arena, &ref);
	TRY(store_device_disable(c->db, ref.id, disabled, c->now, &change_id));
	if (change_id != 0)
		credential_wait(c, change_id);
	return OK;
}

static enum err disable_run(struct call *c, const void *in, void *out UNUSED)
{
	return set_disabled(c, in, true);
}

static enum err enable_run(struct call *c, const void *in, void *out UNUSED)
{
	return set_disabled(c, in, false);
}

const struct action action_DisableThing = {
	.name = "DisableThing",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 500,
	.methods = "GET POST",
	.doc = "Disables a device: it is disconnected and refused, gets no new update task, and keeps its "
	       "data and its "
	       "unfinished tasks, which go on when it is enabled again.",
	.in = device_in,
	.out = no_out,
	.in_size = sizeof(struct device_in),
	.out_size = sizeof(struct nothing),
	.run = disable_run,
	.fails = device_fails,
};

const struct action action_EnableThing = {
	.name = "EnableThing",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 500,
	.methods = "GET POST",
	.doc = "Enables a device again; it can log in from the moment of the answer.",
	.in = device_in,
	.out = no_out,
	.in_size = sizeof(struct device_in),
	.out_size = sizeof(struct nothing),
	.run = enable_run,
	.fails = device_fails,
};
