/* SPDX-License-Identifier: Apache-2.0 */
/* Orders of many devices: BatchRegisterDevice, QueryBatchRegisterDeviceStatus, QueryPageByApplyId (api §8.7).
 * The calls only note the order; the registrar (api/registrar.c) makes the devices. Orders with names:
 * device_check.c. */
#include "api/actions/apply_in.h"
#include "api/actions/page.h"
#include "api/actions/product_in.h"
#include "api/actions/show.h"
#include "storage/apply.h"
#include "storage/product.h"

/* ---- BatchRegisterDevice ------------------------------------------------------------------------------- */

struct batch_in {
	const char *product_key;
	struct opt_int count;
};

static const struct field batch_in[] = { PRODUCT_KEY_FIELD(struct batch_in, product_key),
					 INT(struct batch_in, count, "Count",
					     "How many devices, 1 to 10,000.", .flags = REQUIRED, .min = 1,
					     .max = APPLY_DEVICES_MAX, .err = ERR_DEVICE_COUNT),
					 FIELD_END };

static enum err batch_run(struct call *c, const void *in_, void *out_)
{
	struct apply_data *data = ARENA_NEW(c->arena, struct apply_data);
	const struct batch_in *in = in_;
	struct data_out *out = out_;
	struct product p;
	int64_t id = 0;

	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	TRY(store_apply_add(c->db, c->account_id, p.id, in->count.v, c->now, &id));
	data->apply_id = show_int(id);
	out->data = data;
	c->audit_target = arena_printf(c->arena, "%s/%lld", p.product_key, (long long)id);
	apply_wake(c);
	return OK;
}

static const enum err batch_fails[] = { ERR_PRODUCT_KEY_FORMAT, ERR_DEVICE_COUNT, ERR_PRODUCT_NOT_FOUND, OK };

const struct action action_BatchRegisterDevice = {
	.name = "BatchRegisterDevice",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Orders devices with random names; they are made in the background.",
	.in = batch_in,
	.out = apply_out,
	.in_size = sizeof(struct batch_in),
	.out_size = sizeof(struct data_out),
	.run = batch_run,
	.fails = batch_fails,
};

/* ---- QueryBatchRegisterDeviceStatus -------------------------------------------------------------------- */

struct status_data {
	const char *status;
	struct str_list valid, invalid;
	struct obj_list details; /* of struct apply_detail */
};

/* clang-format off */
static const struct field status_data[] = {
	STR (struct status_data, status,  "Status", "CHECK_SUCCESS, CHECK_FAILED, CREATE, CREATE_SUCCESS or CREATE_FAILED.",
	     .flags = OPTIONAL),
	STRS(struct status_data, valid,   "ValidList", "Names that were given and are good.", .item = "Name"),
	STRS(struct status_data, invalid, "InvalidList", "Names that were given and are another device's.", .item = "Name"),
	OBJS(struct status_data, details, "InvalidDetailList", "What is wrong with them.", .item = "invalidDetailList",
	     .of = apply_detail, .of_size = sizeof(struct apply_detail)),
	FIELD_END
};
static const struct field status_out[] = {
	OBJ(struct data_out, data, "Data", "The order.", .of = status_data),
	FIELD_END
};
static const enum err status_fails[] = {
	ERR_PRODUCT_KEY_FORMAT, ERR_APPLY_FORMAT, ERR_PRODUCT_NOT_FOUND, ERR_APPLY_NOT_FOUND, OK
};
/* clang-format on */

static void show_names(struct arena *a, const struct apply_name *list, size_t n, struct status_data *ret)
{
	const char **valid = ARENA_ARRAY(a, n, const char *), **invalid = ARENA_ARRAY(a, n, const char *);
	struct apply_detail *details = ARENA_ARRAY(a, n, struct apply_detail);

	ret->valid.v = valid;
	ret->invalid.v = invalid;
	ret->details.v = details;
	for (size_t i = 0; i < n; i++) {
		if (!list[i].taken) {
			valid[ret->valid.n++] = list[i].name;
			continue;
		}
		invalid[ret->invalid.n++] = list[i].name;
		details[ret->details.n++] = (struct apply_detail){ list[i].name, list[i].nickname,
								   err_info(ERR_DEVICE_NAME_EXISTS)->text };
	}
}

static enum err status_run(struct call *c, const void *in_, void *out_)
{
	struct status_data *data = ARENA_NEW(c->arena, struct status_data);
	const struct apply_name *names = NULL;
	const struct apply_in *in = in_;
	struct data_out *out = out_;
	struct product p;
	struct apply ap;
	size_t n = 0;

	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	TRY(store_apply_find(c->db, c->account_id, in->apply_id.v, &ap));
	if (ap.product_id != p.id)
		return fail_param(c->error, ERR_APPLY_NOT_FOUND, NULL);
	if (ap.named)
		TRY(store_apply_names(c->db, ap.id, &names, &n));
	data->status = ap.status;
	show_names(c->arena, names, n, data);
	out->data = data;
	return OK;
}

const struct action action_QueryBatchRegisterDeviceStatus = {
	.name = "QueryBatchRegisterDeviceStatus",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 30,
	.methods = "GET POST",
	.doc = "How far an order of devices is; after CREATE_SUCCESS all of them can log in. CREATE_FAILED: "
	       "some names were taken since "
	       "the check; the other devices were made.",
	.in = apply_in,
	.out = status_out,
	.in_size = sizeof(struct apply_in),
	.out_size = sizeof(struct data_out),
	.run = status_run,
	.fails = status_fails,
};

/* ---- QueryPageByApplyId -------------------------------------------------------------------------------- */

struct devices_in {
	struct opt_int apply_id;
	struct page_in page;
};
struct device_out {
	const char *name, *legacy_id, *secret, *iot_id;
};
struct devices_out {
	struct page_out page;
	struct obj_list devices;
};

/* clang-format off */
static const struct field devices_in[] = {
	LONG(struct devices_in, apply_id, "ApplyId", "Number of the order.", .flags = REQUIRED, .min = 1, .max = APPLY_ID_MAX,
	     .err = ERR_APPLY_FORMAT),
	PAGE_IN_FIELDS(struct devices_in, page, 50, "50"),
	FIELD_END
};
static const struct field device_out[] = {
	STR(struct device_out, name,      "DeviceName",   "Name in the product.", .flags = OPTIONAL),
	STR(struct device_out, legacy_id, "DeviceId",     "The same again, for old clients.", .flags = OPTIONAL),
	STR(struct device_out, secret,    "DeviceSecret", "What the device logs in with.", .flags = OPTIONAL),
	STR(struct device_out, iot_id,    "IotId",        "Unique id.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field devices_out[] = {
	PAGE_OUT_FIELDS(struct devices_out, page, "Page"),
	OBJS(struct devices_out, devices, "ApplyDeviceList", "The devices, in the order of their making.", .item = "ApplyDeviceInfo",
	     .of = device_out, .of_size = sizeof(struct device_out)),
	FIELD_END
};
/* clang-format on */

static enum err devices_run(struct call *c, const void *in_, void *out_)
{
	const struct apply_device *d = NULL;
	const struct devices_in *in = in_;
	struct devices_out *out = out_;
	struct device_out *shown;
	int64_t total = 0;
	struct apply ap;
	size_t n = 0;

	TRY(store_apply_find(c->db, c->account_id, in->apply_id.v, &ap));
	TRY(store_apply_page(c->db, c->env->master, ap.id, page_from(&in->page), page_size(&in->page), &d, &n,
			     &total));
	shown = ARENA_ARRAY(c->arena, n, struct device_out);
	for (size_t i = 0; i < n; i++)
		shown[i] = (struct device_out){
			.name = d[i].name,
			.legacy_id = d[i].name,
			.secret = d[i].secret,
			.iot_id = show_id(c->arena, ID_DEVICE, d[i].id, 0),
		};
	out->page = page_show(&in->page, total);
	out->devices = (struct obj_list){ .n = n, .v = shown };
	return OK;
}

static const enum err devices_fails[] = { ERR_APPLY_FORMAT, ERR_PAGE_PARAMS, ERR_APPLY_NOT_FOUND, OK };

const struct action action_QueryPageByApplyId = {
	.name = "QueryPageByApplyId",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.methods = "GET POST",
	.doc = "The devices of an order, with their secrets.",
	.in = devices_in,
	.out = devices_out,
	.in_size = sizeof(struct devices_in),
	.out_size = sizeof(struct devices_out),
	.run = devices_run,
	.fails = devices_fails,
};
