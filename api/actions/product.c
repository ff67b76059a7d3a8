/* SPDX-License-Identifier: Apache-2.0 */
/* CreateProduct (api §8.1). */
#include "storage/product.h"
#include "api/actions/product_in.h"
#include "engine/text.h"

#include <string.h>

struct create_in {
	const char *name, *commodity, *description, *protocol, *net_type, *auth_type, *category_key;
	const char *join_permission, *resource_group;
	struct opt_int node_type, data_format, validate_type;
	struct opt_bool id2, publish_auto;
};

static const struct field create_in[] = {
	PRODUCT_NAME_FIELD(struct create_in, name),
	INT(struct create_in, node_type, "NodeType", "0 device, 1 gateway.", .flags = REQUIRED,
	    .one_of = "0 1", .err = ERR_NODE_TYPE),
	STR(struct create_in, commodity, "AliyunCommodityCode", "iothub (default) or iothub_senior.",
	    .one_of = "iothub iothub_senior", .err = ERR_PRODUCT_COMMODITY),
	INT(struct create_in, data_format, "DataFormat",
	    "0 transparent, 1 Alink JSON; must be given with AliyunCommodityCode = iothub_senior.",
	    .one_of = "0 1"),
	STR(struct create_in, description, "Description", "At most 100 characters.",
	    .max_chars = PRODUCT_DESC_MAX, .err = ERR_PRODUCT_DESC),
	STR(struct create_in, protocol, "ProtocolType", "How devices behind a gateway speak to it.",
	    .one_of = "modbus opc-ua customize ble zigbee"),
	STR(struct create_in, net_type, "NetType", "How devices reach the network; default WIFI.",
	    .one_of = "WIFI CELLULAR ETHERNET LORA OTHER"),
	STR(struct create_in, auth_type, "AuthType", "How devices identify themselves; default secret.",
	    .one_of = "secret id2 x509 one-party"),
	BOOL(struct create_in, id2, "Id2", "Same as AuthType = id2, which wins on conflict.",
	     .flags = OPTIONAL),
	STR(struct create_in, category_key, "CategoryKey", "Category of the product.", .max_chars = 64),
	BOOL(struct create_in, publish_auto, "PublishAuto", "Accepted; products here have no draft.",
	     .flags = OPTIONAL),
	INT(struct create_in, validate_type, "ValidateType", "1 weak check of data (default), 2 none.",
	    .one_of = "1 2"),
	STR(struct create_in, join_permission, "JoinPermissionId", "LoRaWAN only; accepted.",
	    .flags = OPTIONAL),
	STR(struct create_in, resource_group, "ResourceGroupId", "Accepted; has no effect.",
	    .flags = OPTIONAL),
	FIELD_END
};

struct create_data {
	const char *product_key, *name, *secret, *description, *commodity, *auth_type, *protocol;
	struct opt_int node_type, data_format;
	struct opt_bool id2;
};

static const struct field create_data[] = {
	STR(struct create_data, product_key, "ProductKey", "The product's key.", .flags = OPTIONAL),
	STR(struct create_data, name, "ProductName", "As given.", .flags = OPTIONAL),
	STR(struct create_data, secret, "ProductSecret", "The product's secret.", .flags = OPTIONAL),
	STR(struct create_data, description, "Description", "As given.", .flags = OPTIONAL),
	INT(struct create_data, node_type, "NodeType", "0 device, 1 gateway.", .flags = OPTIONAL),
	INT(struct create_data, data_format, "DataFormat", "As given.", .flags = OPTIONAL),
	STR(struct create_data, commodity, "AliyunCommodityCode", "iothub or iothub_senior.",
	    .flags = OPTIONAL),
	STR(struct create_data, auth_type, "AuthType", "How devices identify themselves.", .flags = OPTIONAL),
	STR(struct create_data, protocol, "ProtocolType", "As given.", .flags = OPTIONAL),
	BOOL(struct create_data, id2, "Id2", "AuthType is id2.", .flags = OPTIONAL),
	FIELD_END
};

struct create_out {
	const char *product_key;
	const void *data;
};

static const struct field create_out[] = {
	STR(struct create_out, product_key, "ProductKey", "The product's key, again.", .flags = OPTIONAL),
	OBJ(struct create_out, data, "Data", "The product.", .of = create_data), FIELD_END
};

static enum err check(struct call *c, const struct create_in *in)
{
	if (!text_is_name(in->name, PRODUCT_NAME_MIN, PRODUCT_NAME_MAX))
		return fail_param(c->error, ERR_PRODUCT_NAME, NULL);
	if (in->commodity && strcmp(in->commodity, "iothub_senior") == 0 && !in->data_format.set)
		return fail_param(c->error, ERR_MISSING_PARAM, "DataFormat");
	return OK;
}

static struct product product_of(const struct call *c, const struct create_in *in)
{
	const char *auth = in->auth_type ? in->auth_type : in->id2.v ? "id2" : "secret";

	return (struct product){
		.account_id = c->account_id,
		.instance_id = c->instance_id,
		.name = in->name,
		.description = in->description ? in->description : "",
		.node_type = in->node_type.v,
		.data_format = in->data_format.set ? in->data_format.v : -1,
		.commodity = in->commodity ? in->commodity : "iothub",
		.protocol = in->protocol,
		.net_type = in->net_type ? in->net_type : "WIFI",
		.auth_type = auth,
		.id2 = strcmp(auth, "id2") == 0,
		.category_key = in->category_key,
		.validate_type = in->validate_type.set ? in->validate_type.v : 1,
		.created_ms = c->now,
	};
}

static enum err create_run(struct call *c, const void *in_, void *out_)
{
	const struct create_in *in = in_;
	struct create_out *out = out_;
	struct create_data *data = ARENA_NEW(c->arena, struct create_data);
	struct product p = product_of(c, in);

	TRY(check(c, in));
	TRY(store_product_add(c->db, c->env->master, &p, c->config->limit_products, NULL, &data->secret));
	data->product_key = p.product_key;
	data->name = p.name;
	data->description = in->description;
	data->node_type = in->node_type;
	data->data_format = in->data_format;
	data->commodity = p.commodity;
	data->auth_type = p.auth_type;
	data->protocol = p.protocol;
	data->id2 = (struct opt_bool){ .set = true, .v = p.id2 };
	out->product_key = p.product_key;
	out->data = data;
	c->audit_target = p.product_key;
	return OK;
}

static const enum err create_fails[] = {
	ERR_PRODUCT_NAME,
	ERR_NODE_TYPE,
	ERR_PRODUCT_COMMODITY,
	ERR_PRODUCT_DESC,
	ERR_PRODUCT_NAME_EXISTS,
	ERR_PRODUCT_COUNT,
	OK,
};

const struct action action_CreateProduct = {
	.name = "CreateProduct",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 50,
	.methods = "GET POST",
	.doc = "Creates a product.",
	.in = create_in,
	.out = create_out,
	.in_size = sizeof(struct create_in),
	.out_size = sizeof(struct create_out),
	.run = create_run,
	.fails = create_fails,
};
