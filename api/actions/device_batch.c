/* SPDX-License-Identifier: Apache-2.0 */
/* Many devices with random names: BatchRegisterDevice, QueryBatchRegisterDeviceStatus, QueryPageByApplyId
 * (api §8.7). The call only notes the order; the registrar (api/registrar.c) makes the devices. */
#include "api/action.h"
#include "engine/ids.h"
#include "storage/apply.h"
#include "storage/product.h"

#define COUNT_MAX 10000
#define PAGE_MAX 50
#define PAGE_DEFAULT 10
#define APPLY_ID_MAX 9007199254740991 /* 2^53 - 1: what JSON numbers of every client hold */

static struct opt_int number(int64_t v)
{
	return (struct opt_int){ .set = true, .v = v };
}

struct data_out {
	const void *data;
};

/* ---- BatchRegisterDevice ------------------------------------------------------------------------------- */

struct batch_in {
	const char *product_key;
	struct opt_int count;
};

static const struct field batch_in[] = {
	STR(struct batch_in, product_key, "ProductKey", "Product of the devices.", .flags = REQUIRED,
	    .chars = "", .err = ERR_PRODUCT_KEY_FORMAT),
	INT(struct batch_in, count, "Count", "How many devices, 1 to 10,000.", .flags = REQUIRED, .min = 1,
	    .max = COUNT_MAX, .err = ERR_DEVICE_COUNT),
	FIELD_END
};

struct batch_data {
	struct opt_int apply_id;
};

static const struct field batch_data[] = {
	LONG(struct batch_data, apply_id, "ApplyId", "Number of the order.", .flags = OPTIONAL), FIELD_END
};

static const struct field batch_out[] = { OBJ(struct data_out, data, "Data", "The order.", .of = batch_data),
					  FIELD_END };

static enum err wake_registrar(struct call *c, void *arg UNUSED)
{
	c->env->wake_registrar(c->env->wake_ctx);
	return OK;
}

static enum err batch_run(struct call *c, const void *in_, void *out_)
{
	const struct batch_in *in = in_;
	struct data_out *out = out_;
	struct batch_data *data = ARENA_NEW(c->arena, struct batch_data);
	struct product p;
	int64_t id = 0;

	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	TRY(store_apply_add(c->db, c->account_id, p.id, in->count.v, c->now, &id));
	data->apply_id = number(id);
	out->data = data;
	c->audit_target = arena_printf(c->arena, "%s/%lld", p.product_key, (long long)id);
	c->after_commit = wake_registrar;
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
	.out = batch_out,
	.in_size = sizeof(struct batch_in),
	.out_size = sizeof(struct data_out),
	.run = batch_run,
	.fails = batch_fails,
};

/* ---- QueryBatchRegisterDeviceStatus -------------------------------------------------------------------- */

struct status_in {
	const char *product_key;
	struct opt_int apply_id;
};

static const struct field status_in[] = {
	STR(struct status_in, product_key, "ProductKey", "Product of the devices.", .flags = REQUIRED,
	    .chars = "", .err = ERR_PRODUCT_KEY_FORMAT),
	LONG(struct status_in, apply_id, "ApplyId", "Number of the order.", .flags = REQUIRED, .min = 1,
	     .max = APPLY_ID_MAX, .err = ERR_APPLY_FORMAT),
	FIELD_END
};

struct invalid_detail {
	const char *name, *nickname, *text;
};

static const struct field invalid_detail[] = {
	STR(struct invalid_detail, name, "DeviceName", "Name that was refused.", .flags = OPTIONAL),
	STR(struct invalid_detail, nickname, "NickName", "Nickname that was refused.", .flags = OPTIONAL),
	STR(struct invalid_detail, text, "ErrorMsg", "Why.", .flags = OPTIONAL), FIELD_END
};

struct status_data {
	const char *status;
	struct str_list valid, invalid;
	struct obj_list invalid_details;
};

/* The lists explain checks of given names; an order of random names leaves them empty. */
static const struct field status_data[] = {
	STR(struct status_data, status, "Status", "CREATE, CREATE_SUCCESS or CREATE_FAILED.",
	    .flags = OPTIONAL),
	STRS(struct status_data, valid, "ValidList", "Names that were accepted.", .item = "Name"),
	STRS(struct status_data, invalid, "InvalidList", "Names that were refused.", .item = "Name"),
	OBJS(struct status_data, invalid_details, "InvalidDetailList", "Why they were refused.",
	     .item = "invalidDetailList", .of = invalid_detail, .of_size = sizeof(struct invalid_detail)),
	FIELD_END
};

static const struct field status_out[] = {
	OBJ(struct data_out, data, "Data", "The order.", .of = status_data), FIELD_END
};

static enum err status_run(struct call *c, const void *in_, void *out_)
{
	const struct status_in *in = in_;
	struct data_out *out = out_;
	struct status_data *data = ARENA_NEW(c->arena, struct status_data);
	struct product p;
	struct apply ap;

	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	TRY(store_apply_find(c->db, c->account_id, in->apply_id.v, &ap));
	if (ap.product_id != p.id)
		return fail_param(c->error, ERR_APPLY_NOT_FOUND, NULL);
	data->status = ap.status;
	out->data = data;
	return OK;
}

static const enum err status_fails[] = {
	ERR_PRODUCT_KEY_FORMAT, ERR_APPLY_FORMAT, ERR_PRODUCT_NOT_FOUND, ERR_APPLY_NOT_FOUND, OK,
};

const struct action action_QueryBatchRegisterDeviceStatus = {
	.name = "QueryBatchRegisterDeviceStatus",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 30,
	.methods = "GET POST",
	.doc = "How far an order of devices is; after CREATE_SUCCESS all of them can log in.",
	.in = status_in,
	.out = status_out,
	.in_size = sizeof(struct status_in),
	.out_size = sizeof(struct data_out),
	.run = status_run,
	.fails = status_fails,
};

/* ---- QueryPageByApplyId -------------------------------------------------------------------------------- */

struct page_in {
	struct opt_int apply_id, page, size;
};

static const struct field page_in[] = { LONG(struct page_in, apply_id, "ApplyId", "Number of the order.",
					     .flags = REQUIRED, .min = 1, .max = APPLY_ID_MAX,
					     .err = ERR_APPLY_FORMAT),
					INT(struct page_in, page, "CurrentPage", "From 1; default 1.",
					    .min = 1, .max = INT32_MAX, .err = ERR_PAGE_PARAMS),
					INT(struct page_in, size, "PageSize", "1 to 50; default 10.",
					    .min = 1, .max = PAGE_MAX, .err = ERR_PAGE_PARAMS),
					FIELD_END };

struct page_device {
	const char *name, *legacy_id, *secret, *iot_id;
};

static const struct field page_device[] = {
	STR(struct page_device, name, "DeviceName", "Name in the product.", .flags = OPTIONAL),
	STR(struct page_device, legacy_id, "DeviceId", "The same again, for old clients.", .flags = OPTIONAL),
	STR(struct page_device, secret, "DeviceSecret", "What the device logs in with.", .flags = OPTIONAL),
	STR(struct page_device, iot_id, "IotId", "Unique id.", .flags = OPTIONAL), FIELD_END
};

struct page_out {
	struct opt_int page, size, pages, total;
	struct obj_list devices;
};

static const struct field page_out[] = {
	INT(struct page_out, page, "Page", "As asked for.", .flags = OPTIONAL),
	INT(struct page_out, size, "PageSize", "As asked for.", .flags = OPTIONAL),
	INT(struct page_out, pages, "PageCount", "Pages in all.", .flags = OPTIONAL),
	INT(struct page_out, total, "Total", "Devices in all.", .flags = OPTIONAL),
	OBJS(struct page_out, devices, "ApplyDeviceList", "The devices, in the order of their making.",
	     .item = "ApplyDeviceInfo", .of = page_device, .of_size = sizeof(struct page_device)),
	FIELD_END
};

static struct obj_list page_devices(struct arena *a, const struct apply_device *d, size_t n)
{
	struct page_device *out = ARENA_ARRAY(a, n, struct page_device);

	for (size_t i = 0; i < n; i++) {
		char *iot_id = arena_alloc(a, ID_LEN + 1);

		id_format(ID_DEVICE, d[i].id, 0, iot_id);
		out[i] = (struct page_device){
			.name = d[i].name,
			.legacy_id = d[i].name,
			.secret = d[i].secret,
			.iot_id = iot_id,
		};
	}
	return (struct obj_list){ .n = n, .v = out };
}

static enum err page_run(struct call *c, const void *in_, void *out_)
{
	const struct page_in *in = in_;
	struct page_out *out = out_;
	int64_t page = in->page.set ? in->page.v : 1, size = in->size.set ? in->size.v : PAGE_DEFAULT,
		total = 0;
	const struct apply_device *devices = NULL;
	struct apply ap;
	size_t n = 0;

	TRY(store_apply_find(c->db, c->account_id, in->apply_id.v, &ap));
	TRY(store_apply_page(c->db, c->env->master, ap.id, (page - 1) * size, size, &devices, &n, &total));
	out->page = number(page);
	out->size = number(size);
	out->pages = number((total + size - 1) / size);
	out->total = number(total);
	out->devices = page_devices(c->arena, devices, n);
	return OK;
}

static const enum err page_fails[] = { ERR_APPLY_FORMAT, ERR_PAGE_PARAMS, ERR_APPLY_NOT_FOUND, OK };

const struct action action_QueryPageByApplyId = {
	.name = "QueryPageByApplyId",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.methods = "GET POST",
	.doc = "The devices of an order, with their secrets.",
	.in = page_in,
	.out = page_out,
	.in_size = sizeof(struct page_in),
	.out_size = sizeof(struct page_out),
	.run = page_run,
	.fails = page_fails,
};
