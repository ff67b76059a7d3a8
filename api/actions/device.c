/* SPDX-License-Identifier: Apache-2.0 */
/* RegisterDevice, DeleteDevice, DisableThing, EnableThing, ResetThing, BatchUpdateDeviceNickname (api
 * §8.6, 8.12, 8.16, 8.19). */
#include "api/actions/device_in.h"
#include "api/actions/show.h"
#include "api/credential_wait.h"
#include "engine/text.h"
#include "storage/product.h"
#include "storage/registration.h"
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

/* ---- DeleteDevice -------------------------------------------------------------------------------------- */

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
	.in_size = sizeof(struct device_in),
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
	.in_size = sizeof(struct device_in),
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
	.in_size = sizeof(struct device_in),
	.run = enable_run,
	.fails = device_fails,
};

/* ---- ResetThing ---------------------------------------------------------------------------------------- */

struct reset_out {
	const char *job_id;
};

static const struct field reset_out[] = { STR(struct reset_out, job_id, "JobId",
					      "Of gateways with many devices behind them; never here.",
					      .flags = OPTIONAL),
					  FIELD_END };

/* What it logs in with stays as it is until it registers again. */
static enum err reset_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct device_in *in = in_;
	struct device_ref ref;

	TRY(device_find(c, &in->at, &ref));
	c->audit_target = device_target(c->arena, &ref);
	return store_registration_reset(c->db, ref.id, c->now);
}

const struct action action_ResetThing = {
	.name = "ResetThing",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 500,
	.methods = "GET POST",
	.doc = "Lets a device that has logged in register dynamically once more; until it does, nothing "
	       "changes "
	       "for it.",
	.in = device_in,
	.out = reset_out,
	.in_size = sizeof(struct device_in),
	.out_size = sizeof(struct reset_out),
	.run = reset_run,
	.fails = device_fails,
};

/* ---- BatchUpdateDeviceNickname ------------------------------------------------------------------------- */

struct nickname_in {
	struct device_address at;
	const char *nickname;
};
struct nicknames_in {
	struct obj_list devices; /* of struct nickname_in */
};

/* clang-format off */
static const struct field nickname_in[] = {
	DEVICE_ADDRESS_FIELDS(struct nickname_in, at),
	STR(struct nickname_in, nickname, "Nickname",
	    "4 to 64 wide (a Chinese character counts as 2): Chinese, letters, digits, underscores. Absent: none from now on.",
	    .flags = OPTIONAL),
	FIELD_END
};
static const struct field nicknames_in[] = {
	OBJS(struct nicknames_in, devices, "DeviceNicknameInfo", "The devices and their new nicknames.", .flags = REQUIRED,
	     .of = nickname_in, .of_size = sizeof(struct nickname_in)),
	FIELD_END
};
static const enum err nicknames_fails[] = { ERR_DEVICE_NICKNAME, DEVICE_ADDRESS_FAILS, OK };
/* clang-format on */

static enum err nicknames_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct nicknames_in *in = in_;
	const struct nickname_in *named = in->devices.v;
	struct device_nickname *list = ARENA_ARRAY(c->arena, in->devices.n, struct device_nickname);
	struct device_ref ref;

	for (size_t i = 0; i < in->devices.n; i++)
		if (named[i].nickname && !text_is_name(named[i].nickname, NICKNAME_MIN, NICKNAME_MAX))
			return fail_param(c->error, ERR_DEVICE_NICKNAME, NULL);
	for (size_t i = 0; i < in->devices.n; i++) {
		TRY(device_find(c, &named[i].at, &ref));
		list[i] = (struct device_nickname){ .device_id = ref.id, .nickname = named[i].nickname };
	}
	c->audit_target = arena_printf(c->arena, "%zu devices", in->devices.n);
	return store_device_nicknames(c->db, list, in->devices.n, c->now);
}

const struct action action_BatchUpdateDeviceNickname = {
	.name = "BatchUpdateDeviceNickname",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Gives devices other nicknames, or takes them away; all of the devices or none.",
	.in = nicknames_in,
	.in_size = sizeof(struct nicknames_in),
	.run = nicknames_run,
	.fails = nicknames_fails,
};
