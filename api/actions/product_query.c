/* SPDX-License-Identifier: Apache-2.0 */
/* QueryProduct, QueryProductList (api §8.2, 8.3). */
#include "api/actions/page.h"
#include "api/actions/product_in.h"
#include "api/actions/show.h"
#include "storage/product.h"

#include <string.h>

/* ---- QueryProduct -------------------------------------------------------------------------------------- */

struct query_in {
	const char *product_key;
};
struct product_data {
	const char *product_key, *name, *secret, *description, *commodity, *auth_type, *protocol,
		*category_key, *status;
	struct opt_int node_type, data_format, net_type, devices, gmt_create, validate_type;
	struct opt_bool id2, owner;
};

/* clang-format off */
static const struct field query_in[] = { PRODUCT_KEY_FIELD(struct query_in, product_key), FIELD_END };
static const struct field product_data[] = {
	STR (struct product_data, product_key,   "ProductKey",    "The product's key.", .flags = OPTIONAL),
	STR (struct product_data, name,          "ProductName",   "Its name.", .flags = OPTIONAL),
	STR (struct product_data, secret,        "ProductSecret", "The product's secret.", .flags = OPTIONAL),
	STR (struct product_data, description,   "Description",   "Its description, if it has one.", .flags = OPTIONAL),
	STR (struct product_data, commodity,     "AliyunCommodityCode", "iothub or iothub_senior.", .flags = OPTIONAL),
	INT (struct product_data, node_type,     "NodeType",      "0 device, 1 gateway.", .flags = OPTIONAL),
	INT (struct product_data, data_format,   "DataFormat",    "0 transparent, 1 Alink JSON, if it was given.", .flags = OPTIONAL),
	STR (struct product_data, auth_type,     "AuthType",      "How devices identify themselves.", .flags = OPTIONAL),
	STR (struct product_data, protocol,      "ProtocolType",  "How devices behind a gateway speak to it.", .flags = OPTIONAL),
	INT (struct product_data, net_type,      "NetType",       "3 Wi-Fi, 6 cellular, 7 Ethernet, 8 other.", .flags = OPTIONAL),
	STR (struct product_data, category_key,  "CategoryKey",   "Category, if one was given.", .flags = OPTIONAL),
	STR (struct product_data, status,        "ProductStatus", "DEVELOPMENT_STATUS: products are not released here.",
	     .flags = OPTIONAL),
	INT (struct product_data, devices,       "DeviceCount",   "Devices of the product.", .flags = OPTIONAL),
	LONG(struct product_data, gmt_create,    "GmtCreate",     "When it was created: milliseconds since 1970 UTC.",
	     .flags = OPTIONAL),
	BOOL(struct product_data, id2,           "Id2",           "AuthType is id2.", .flags = OPTIONAL),
	BOOL(struct product_data, owner,         "Owner",         "Always true.", .flags = OPTIONAL),
	INT (struct product_data, validate_type, "ValidateType",  "1 weak check of data, 2 none.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field query_out[] = {
	OBJ(struct data_out, data, "Data", "The product.", .of = product_data),
	FIELD_END
};
/* clang-format on */

/* Text in CreateProduct, a number here. */
static int64_t net_type_number(const char *text)
{
	static const struct {
		const char *text;
		int64_t number;
	} rows[] = { { "WIFI", 3 }, { "CELLULAR", 6 }, { "ETHERNET", 7 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].text, text) == 0)
			return rows[i].number;
	return 8;
}

static enum err query_run(struct call *c, const void *in_, void *out_)
{
	struct product_data *data = ARENA_NEW(c->arena, struct product_data);
	const struct query_in *in = in_;
	struct data_out *out = out_;
	int64_t devices;
	struct product p;

	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	TRY(store_product_devices(c->db, p.id, &devices));
	TRY(store_product_secret(c->db, c->env->master, &p, &data->secret));
	data->product_key = p.product_key;
	data->name = p.name;
	data->description = unless_empty(p.description);
	data->commodity = p.commodity;
	data->node_type = show_int(p.node_type);
	data->data_format = show_int_unless(p.data_format, -1);
	data->auth_type = p.auth_type;
	data->protocol = p.protocol;
	data->net_type = show_int(net_type_number(p.net_type));
	data->category_key = p.category_key;
	data->status = "DEVELOPMENT_STATUS";
	data->devices = show_int(devices);
	data->gmt_create = show_int(p.created_ms);
	data->id2 = show_bool(p.id2);
	data->owner = show_bool(true);
	data->validate_type = show_int(p.validate_type);
	out->data = data;
	return OK;
}

static const enum err query_fails[] = { ERR_PRODUCT_KEY_FORMAT, ERR_PRODUCT_NOT_FOUND, OK };

const struct action action_QueryProduct = {
	.name = "QueryProduct",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Shows a product.",
	.in = query_in,
	.out = query_out,
	.in_size = sizeof(struct query_in),
	.out_size = sizeof(struct data_out),
	.run = query_run,
	.fails = query_fails,
};

/* ---- QueryProductList ---------------------------------------------------------------------------------- */

struct list_in {
	struct page_in page;
	const char *commodity, *resource_group;
};
struct listed {
	const char *product_key, *name, *description, *auth_type;
	struct opt_int node_type, data_format, devices, gmt_create;
};
struct list_data {
	struct page_out page;
	struct obj_list list;
};

/* clang-format off */
static const struct field list_in[] = {
	PAGE_IN_REQUIRED(struct list_in, page, 200, "200"),
	STR(struct list_in, commodity, "AliyunCommodityCode", "Only iothub_senior, or only iothub.",
	    .one_of = "iothub iothub_senior", .err = ERR_PRODUCT_COMMODITY),
	STR(struct list_in, resource_group, "ResourceGroupId", "Accepted; has no effect.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field listed[] = {
	STR (struct listed, product_key, "ProductKey",  "The product's key.", .flags = OPTIONAL),
	STR (struct listed, name,        "ProductName", "Its name.", .flags = OPTIONAL),
	STR (struct listed, description, "Description", "Its description, if it has one.", .flags = OPTIONAL),
	STR (struct listed, auth_type,   "AuthType",    "How devices identify themselves.", .flags = OPTIONAL),
	INT (struct listed, node_type,   "NodeType",    "0 device, 1 gateway.", .flags = OPTIONAL),
	INT (struct listed, data_format, "DataFormat",  "0 transparent, 1 Alink JSON, if it was given.", .flags = OPTIONAL),
	INT (struct listed, devices,     "DeviceCount", "Devices of the product.", .flags = OPTIONAL),
	LONG(struct listed, gmt_create,  "GmtCreate",   "When it was created: milliseconds since 1970 UTC.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field list_data[] = {
	PAGE_OUT_FIELDS(struct list_data, page, "CurrentPage"),
	OBJS(struct list_data, list, "List", "Products of the instance, newest first.", .item = "ProductInfo", .of = listed,
	     .of_size = sizeof(struct listed)),
	FIELD_END
};
static const struct field list_out[] = {
	OBJ(struct data_out, data, "Data", "The page.", .of = list_data),
	FIELD_END
};
/* clang-format on */

static bool list_is_deep(const void *in)
{
	return page_is_deep(&((const struct list_in *)in)->page);
}

static enum err list_run(struct call *c, const void *in_, void *out_)
{
	struct list_data *data = ARENA_NEW(c->arena, struct list_data);
	const struct list_in *in = in_;
	struct data_out *out = out_;
	const struct product *p;
	struct listed *shown;
	int64_t total;
	size_t n;

	TRY(store_product_page(c->db, c->account_id, c->instance_id, in->commodity, page_from(&in->page),
			       page_size(&in->page), &p, &n, &total));
	shown = ARENA_ARRAY(c->arena, n, struct listed);
	for (size_t i = 0; i < n; i++)
		shown[i] = (struct listed){
			.product_key = p[i].product_key,
			.name = p[i].name,
			.description = unless_empty(p[i].description),
			.auth_type = p[i].auth_type,
			.node_type = show_int(p[i].node_type),
			.data_format = show_int_unless(p[i].data_format, -1),
			.devices = show_int(p[i].devices),
			.gmt_create = show_int(p[i].created_ms),
		};
	data->page = page_show(&in->page, total);
	data->list = (struct obj_list){ .n = n, .v = shown };
	out->data = data;
	return OK;
}

static const enum err list_fails[] = { ERR_PAGE_PARAMS, ERR_PRODUCT_COMMODITY, OK };

const struct action action_QueryProductList = {
	.name = "QueryProductList",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 50,
	.is_deep = list_is_deep,
	.deep_qps = PAGE_DEEP_QPS,
	.methods = "GET POST",
	.doc = "Lists products.",
	.in = list_in,
	.out = list_out,
	.in_size = sizeof(struct list_in),
	.out_size = sizeof(struct data_out),
	.run = list_run,
	.fails = list_fails,
};
