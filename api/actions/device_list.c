/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of devices: QueryDevice, QueryDeviceByStatus, QueryDeviceByTags (api §8.8, 8.15, 8.18). */
#include "storage/device_view.h"

#include "api/actions/page.h"
#include "api/actions/product_in.h"
#include "api/actions/show.h"
#include "api/actions/tag_in.h"
#include "storage/product.h"

/* What the three lists show, more or less of it. */
struct device_out {
	const char *iot_id, *product_key, *product_name, *name, *legacy_id, *nickname, *secret, *status;
	const char *gmt_create, *gmt_modified, *utc_create, *utc_modified;
};
struct list_out {
	struct page_out page;
	const char *token;
	struct obj_list data; /* of struct device_out */
};

static struct obj_list show_devices(struct arena *a, const struct device_views *d,
				    const char *(*show_gmt)(struct arena *a, utc_ms t))
{
	struct device_out *shown = ARENA_ARRAY(a, d->n, struct device_out);

	for (size_t i = 0; i < d->n; i++)
		shown[i] = (struct device_out){
			.iot_id = show_id(a, ID_DEVICE, d->v[i].id, 0),
			.product_key = d->v[i].product_key,
			.product_name = d->v[i].product_name,
			.name = d->v[i].name,
			.legacy_id = d->v[i].name,
			.nickname = d->v[i].nickname,
			.secret = d->v[i].secret,
			.status = d->v[i].status,
			.gmt_create = show_gmt(a, d->v[i].created_ms),
			.gmt_modified = show_gmt(a, d->v[i].modified_ms),
			.utc_create = show_utc(a, d->v[i].created_ms),
			.utc_modified = show_utc(a, d->v[i].modified_ms),
		};
	return (struct obj_list){ .n = d->n, .v = shown };
}

/* ---- QueryDevice --------------------------------------------------------------------------------------- */

struct query_in {
	const char *product_key, *token;
	struct page_in page;
};

/* clang-format off */
static const struct field query_in[] = {
	PRODUCT_KEY_FIELD(struct query_in, product_key),
	PAGE_IN_FIELDS(struct query_in, page, 50, "50"),
	STR(struct query_in, token, "NextToken", "NextToken of the answer before: goes on behind it, whatever CurrentPage.",
	    .flags = OPTIONAL),
	FIELD_END
};
static const struct field query_device[] = {
	STR(struct device_out, iot_id,       "IotId",        "The device.", .flags = OPTIONAL),
	STR(struct device_out, product_key,  "ProductKey",   "Its product.", .flags = OPTIONAL),
	STR(struct device_out, name,         "DeviceName",   "Its name in the product.", .flags = OPTIONAL),
	STR(struct device_out, legacy_id,    "DeviceId",     "The same again, for old clients.", .flags = OPTIONAL),
	STR(struct device_out, nickname,     "Nickname",     "Its nickname, if it has one.", .flags = OPTIONAL),
	STR(struct device_out, secret,       "DeviceSecret", "What the device logs in with.", .flags = OPTIONAL),
	STR(struct device_out, status,       "DeviceStatus", "ONLINE, OFFLINE, UNACTIVE (never connected) or DISABLE.", .flags = OPTIONAL),
	STR(struct device_out, gmt_create,   "GmtCreate",    "Registration, as \"Wed, 20-Feb-2019 02:16:09 GMT\".", .flags = OPTIONAL),
	STR(struct device_out, gmt_modified, "GmtModified",  "Last change, in the same form.", .flags = OPTIONAL),
	STR(struct device_out, utc_create,   "UtcCreate",    "Registration.", .flags = OPTIONAL),
	STR(struct device_out, utc_modified, "UtcModified",  "Last change.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field query_out[] = {
	PAGE_OUT_FIELDS(struct list_out, page, "Page"),
	STR (struct list_out, token, "NextToken", "Where to go on; empty: this was the last page.", .flags = OPTIONAL),
	OBJS(struct list_out, data, "Data", "Devices of the product, newest first.", .item = "DeviceInfo", .of = query_device,
	     .of_size = sizeof(struct device_out)),
	FIELD_END
};
static const enum err query_fails[] = { ERR_PRODUCT_KEY_FORMAT, ERR_PAGE_PARAMS, ERR_FORMAT, ERR_PRODUCT_NOT_FOUND, OK };
/* clang-format on */

static bool query_is_deep(const void *in)
{
	return page_is_deep(&((const struct query_in *)in)->page);
}

static enum err query_run(struct call *c, const void *in_, void *out_)
{
	const struct query_in *in = in_;
	struct list_out *out = out_;
	struct device_views d;
	int64_t below, total;
	struct product p;

	TRY(page_token_parse(c, in->token, &below));
	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	if (below) {
		TRY(store_product_devices(c->db, p.id, &total));
		TRY(store_device_page_below(c->db, c->env->master, p.id, below, page_size(&in->page), &d));
	} else {
		TRY(store_device_page_status(c->db, c->env->master, c->account_id, p.instance_id, p.id, NULL,
					     page_from(&in->page), page_size(&in->page), &d, &total));
	}
	out->page = page_show(&in->page, total);
	out->token = page_token(c->arena, d.n == (size_t)page_size(&in->page) ? d.v[d.n - 1].id : 0);
	out->data = show_devices(c->arena, &d, show_gmt_dashed);
	return OK;
}

const struct action action_QueryDevice = {
	.name = "QueryDevice",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.is_deep = query_is_deep,
	.deep_qps = PAGE_DEEP_QPS,
	.methods = "GET POST",
	.doc = "Lists the devices of a product. Beyond the first 10,000 NextToken is the quicker way.",
	.in = query_in,
	.out = query_out,
	.in_size = sizeof(struct query_in),
	.out_size = sizeof(struct list_out),
	.run = query_run,
	.fails = query_fails,
};

/* ---- QueryDeviceByStatus ------------------------------------------------------------------------------- */

struct status_in {
	struct opt_int status;
	const char *product_key, *resource_group;
	struct page_in page;
};

/* clang-format off */
static const struct field status_in[] = {
	INT(struct status_in, status, "Status", "0 UNACTIVE (never connected), 1 ONLINE, 3 OFFLINE, 8 DISABLE.", .flags = REQUIRED,
	    .one_of = "0 1 3 8", .err = ERR_FORMAT),
	STR(struct status_in, product_key, "ProductKey", "Only devices of this product. Absent: of the whole instance.", .chars = "",
	    .err = ERR_PRODUCT_KEY_FORMAT),
	PAGE_IN_FIELDS(struct status_in, page, 50, "50"),
	STR(struct status_in, resource_group, "ResourceGroupId", "Accepted; has no effect.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field status_device[] = {
	STR(struct device_out, iot_id,       "IotId",        "The device.", .flags = OPTIONAL),
	STR(struct device_out, product_key,  "ProductKey",   "Its product.", .flags = OPTIONAL),
	STR(struct device_out, name,         "DeviceName",   "Its name in the product.", .flags = OPTIONAL),
	STR(struct device_out, nickname,     "Nickname",     "Its nickname, if it has one.", .flags = OPTIONAL),
	STR(struct device_out, secret,       "DeviceSecret", "What the device logs in with.", .flags = OPTIONAL),
	STR(struct device_out, status,       "Status",       "ONLINE, OFFLINE, UNACTIVE or DISABLE.", .flags = OPTIONAL),
	STR(struct device_out, gmt_create,   "GmtCreate",    "Registration, China time.", .flags = OPTIONAL),
	STR(struct device_out, gmt_modified, "GmtModified",  "Last change, China time.", .flags = OPTIONAL),
	STR(struct device_out, utc_create,   "UtcCreate",    "Registration.", .flags = OPTIONAL),
	STR(struct device_out, utc_modified, "UtcModified",  "Last change.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field status_out[] = {
	PAGE_OUT_FIELDS(struct list_out, page, "Page"),
	OBJS(struct list_out, data, "Data", "The devices, newest first.", .item = "SimpleDeviceInfo", .of = status_device,
	     .of_size = sizeof(struct device_out)),
	FIELD_END
};
static const enum err status_fails[] = { ERR_FORMAT, ERR_PRODUCT_KEY_FORMAT, ERR_PAGE_PARAMS, ERR_PRODUCT_NOT_FOUND, OK };
/* clang-format on */

static const char *status_name(int64_t number)
{
	return number == 0 ? "UNACTIVE" : number == 1 ? "ONLINE" : number == 3 ? "OFFLINE" : "DISABLE";
}

static enum err status_run(struct call *c, const void *in_, void *out_)
{
	const struct status_in *in = in_;
	struct product p = { .id = 0 };
	struct list_out *out = out_;
	struct device_views d;
	int64_t total;

	if (in->product_key)
		TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	TRY(store_device_page_status(c->db, c->env->master, c->account_id,
				     p.id ? p.instance_id : c->instance_id, p.id, status_name(in->status.v),
				     page_from(&in->page), page_size(&in->page), &d, &total));
	out->page = page_show(&in->page, total);
	out->data = show_devices(c->arena, &d, show_local);
	return OK;
}

const struct action action_QueryDeviceByStatus = {
	.name = "QueryDeviceByStatus",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Lists the devices that have a status.",
	.in = status_in,
	.out = status_out,
	.in_size = sizeof(struct status_in),
	.out_size = sizeof(struct list_out),
	.run = status_run,
	.fails = status_fails,
};

/* ---- QueryDeviceByTags --------------------------------------------------------------------------------- */

struct tags_in {
	struct obj_list tags; /* of struct tag_in */
	struct page_in page;
};

/* clang-format off */
static const struct field tags_in[] = {
	TAGS_ASKED_FIELD(struct tags_in, tags, "The device has all of these tags; at most 10."),
	PAGE_IN_FIELDS(struct tags_in, page, 50, "50"),
	FIELD_END
};
static const struct field tags_device[] = {
	STR(struct device_out, iot_id,       "IotId",       "The device.", .flags = OPTIONAL),
	STR(struct device_out, product_key,  "ProductKey",  "Its product.", .flags = OPTIONAL),
	STR(struct device_out, product_name, "ProductName", "Name of the product.", .flags = OPTIONAL),
	STR(struct device_out, name,         "DeviceName",  "Its name in the product.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field tags_out[] = {
	PAGE_OUT_FIELDS(struct list_out, page, "Page"),
	OBJS(struct list_out, data, "Data", "Devices of the instance, newest first.", .item = "SimpleDeviceInfo", .of = tags_device,
	     .of_size = sizeof(struct device_out)),
	FIELD_END
};
static const enum err tags_fails[] = { ERR_LIST_TOO_LONG, ERR_PAGE_PARAMS, OK };
/* clang-format on */

static enum err tags_run(struct call *c, const void *in_, void *out_)
{
	const struct tags_in *in = in_;
	struct list_out *out = out_;
	struct device_views d = { .n = 0 };
	const char *wanted;
	int64_t total = 0;

	if (tags_asked_json(c->arena, &in->tags, &wanted))
		TRY(store_device_page_tags(c->db, c->instance_id, wanted, page_from(&in->page),
					   page_size(&in->page), &d, &total));
	out->page = page_show(&in->page, total);
	out->data = show_devices(c->arena, &d, show_local);
	return OK;
}

const struct action action_QueryDeviceByTags = {
	.name = "QueryDeviceByTags",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 5,
	.methods = "GET POST",
	.doc = "Finds devices by their tags.",
	.in = tags_in,
	.out = tags_out,
	.in_size = sizeof(struct tags_in),
	.out_size = sizeof(struct list_out),
	.run = tags_run,
	.fails = tags_fails,
};
