/* SPDX-License-Identifier: Apache-2.0 */
/* CreateOTAModule, UpdateOTAModule, DeleteOTAModule, ListOTAModuleByProduct, ListOTAModuleVersionsByDevice (api
 * §7). The module "default", the whole device, needs no creation and is not listed. */
#include "storage/module.h"

#include "api/actions/device_in.h"
#include "api/actions/page.h"
#include "api/actions/show.h"
#include "engine/text.h"
#include "storage/account.h"
#include "storage/product.h"

#include <strings.h>

#define MODULE_DEFAULT "default"

struct module_in {
	const char *product_key, *name, *alias, *description;
};
struct module_out {
	const char *product_key, *name, *alias, *description, *created, *modified;
};
struct modules_out {
	struct obj_list data; /* of struct module_out */
};
struct versions_in {
	struct page_in page;
	struct device_address at;
};
struct version_out {
	const char *iot_id, *product_key, *device_name, *module, *version;
};
struct versions_out {
	struct page_out page;
	struct obj_list data; /* of struct version_out */
};

/* clang-format off */
#define NAME_FIELDS \
	STR(struct module_in, product_key, "ProductKey", "The product.", .flags = REQUIRED), \
	STR(struct module_in, name, "ModuleName", "1 to 64 letters, digits and . - _; unique in the product, whatever the case.", \
	    .flags = REQUIRED | LATE)
#define TEXT_FIELDS(err_) \
	STR(struct module_in, alias, "AliasName", "1 to 64 of Chinese, letters, digits and . - _", .flags = LATE), \
	STR(struct module_in, description, "Desc", "Description, at most 100 characters.", .flags = LATE, .max_chars = 100, .err = (err_))

static const struct field create_in[] = { NAME_FIELDS, TEXT_FIELDS(ERR_MODULE_CREATE_PARAM), FIELD_END };
static const struct field update_in[] = { NAME_FIELDS, TEXT_FIELDS(ERR_MODULE_UPDATE_PARAM), FIELD_END };
static const struct field delete_in[] = { NAME_FIELDS, FIELD_END };
static const struct field list_in[] = {
	STR(struct module_in, product_key, "ProductKey", "The product.", .flags = REQUIRED, .chars = "", .err = ERR_MODULE_LIST_PARAM),
	FIELD_END
};

static const struct field module_out[] = {
	STR(struct module_out, product_key, "ProductKey",  "The product.", .flags = OPTIONAL),
	STR(struct module_out, name,        "ModuleName",  "Name of the module.", .flags = OPTIONAL),
	STR(struct module_out, alias,       "AliasName",   "Alias; may be empty.", .flags = OPTIONAL),
	STR(struct module_out, description, "Desc",        "Description; may be empty.", .flags = OPTIONAL),
	STR(struct module_out, created,     "GmtCreate",   "When it was created: UTC, to the minute.", .flags = OPTIONAL),
	STR(struct module_out, modified,    "GmtModified", "Last change: UTC, to the minute.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field modules_out[] = {
	OBJS(struct modules_out, data, "Data", "Modules of the product but default, newest first.", .of = module_out,
	     .of_size = sizeof(struct module_out)),
	FIELD_END
};

static const struct field versions_in[] = {
	PAGE_IN_REQUIRED(struct versions_in, page, 200, "200"),
	DEVICE_ADDRESS_FIELDS(struct versions_in, at),
	FIELD_END
};
static const struct field version_out[] = {
	STR(struct version_out, iot_id,      "IotId",         "The device.", .flags = OPTIONAL),
	STR(struct version_out, product_key, "ProductKey",    "Its product.", .flags = OPTIONAL),
	STR(struct version_out, device_name, "DeviceName",    "Its name.", .flags = OPTIONAL),
	STR(struct version_out, module,      "ModuleName",    "Module; default: the whole device.", .flags = OPTIONAL),
	STR(struct version_out, version,     "ModuleVersion", "Version that the device reported last.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field versions_out[] = {
	PAGE_OUT_FIELDS(struct versions_out, page, "CurrentPage"),
	OBJS(struct versions_out, data,  "Data",        "What the device reported, by module name.", .item = "SimpleOTAModuleInfo",
	     .of = version_out, .of_size = sizeof(struct version_out)),
	FIELD_END
};

static const enum err create_fails[] = {
	ERR_MODULE_CREATE_PARAM, ERR_MODULE_RESERVED, ERR_PRODUCT_NOT_FOUND, ERR_MODULE_EXISTS, ERR_MODULE_COUNT, OK
};
static const enum err update_fails[] = { ERR_MODULE_UPDATE_PARAM, ERR_PRODUCT_NOT_FOUND, ERR_MODULE_NOT_FOUND, OK };
static const enum err delete_fails[] = {
	ERR_MODULE_DELETE_PARAM, ERR_MODULE_DEFAULT, ERR_PRODUCT_NOT_FOUND, ERR_MODULE_NOT_FOUND, ERR_MODULE_IN_USE, OK
};
static const enum err list_fails[] = { ERR_MODULE_LIST_PARAM, ERR_PRODUCT_NOT_FOUND, OK };
static const enum err versions_fails[] = { ERR_PAGE_PARAMS, DEVICE_ADDRESS_FAILS, OK };
/* clang-format on */

static enum err find_product(struct call *c, const struct module_in *in, struct product *ret)
{
	c->audit_target = arena_printf(c->arena, "%s/%s", in->product_key, in->name ? in->name : "");
	return store_product_find(c->db, c->account_id, in->product_key, ret);
}

static enum err create_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct module_in *in = in_;
	struct module m = { .name = in->name,
			    .alias = in->alias ? in->alias : "",
			    .description = in->description ? in->description : "",
			    .created_ms = c->now };
	struct product p;

	if (!text_is_version(in->name) || (in->alias && !text_is_alias(in->alias)))
		return fail_param(c->error, ERR_MODULE_CREATE_PARAM, NULL);
	TRY(field_check(create_in, in, "Desc", c->error));
	if (strcasecmp(in->name, MODULE_DEFAULT) == 0)
		return fail_param(c->error, ERR_MODULE_RESERVED, NULL);
	TRY(find_product(c, in, &p));
	TRY(store_account_lock(c->db, c->account_id));
	return store_module_add(c->db, p.id, &m, c->config->limit_modules);
}

static enum err update_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct module_in *in = in_;
	struct module m = { .name = in->name,
			    .alias = in->alias,
			    .description = in->description,
			    .modified_ms = c->now };
	struct product p;

	if (!text_is_version(in->name) || (in->alias && !text_is_alias(in->alias)))
		return fail_param(c->error, ERR_MODULE_UPDATE_PARAM, NULL);
	TRY(field_check(update_in, in, "Desc", c->error));
	TRY(find_product(c, in, &p));
	return store_module_update(c->db, p.id, &m);
}

static enum err delete_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct module_in *in = in_;
	struct product p;

	if (!text_is_version(in->name))
		return fail_param(c->error, ERR_MODULE_DELETE_PARAM, NULL);
	if (strcasecmp(in->name, MODULE_DEFAULT) == 0)
		return fail_param(c->error, ERR_MODULE_DEFAULT, NULL);
	TRY(find_product(c, in, &p));
	TRY(store_account_lock(c->db, c->account_id));
	return store_module_delete(c->db, p.id, in->name);
}

static enum err list_run(struct call *c, const void *in_, void *out_)
{
	const struct module_in *in = in_;
	struct modules_out *out = out_;
	const struct module *modules;
	struct module_out *shown;
	struct product p;
	size_t n;

	TRY(find_product(c, in, &p));
	TRY(store_module_list(c->db, p.id, &modules, &n));
	shown = ARENA_ARRAY(c->arena, n, struct module_out);
	for (size_t i = 0; i < n; i++)
		shown[i] = (struct module_out){
			.product_key = p.product_key,
			.name = modules[i].name,
			.alias = modules[i].alias,
			.description = modules[i].description,
			.created = show_minute(c->arena, modules[i].created_ms),
			.modified = show_minute(c->arena, modules[i].modified_ms),
		};
	out->data = (struct obj_list){ .n = n, .v = shown };
	return OK;
}

static enum err versions_run(struct call *c, const void *in_, void *out_)
{
	const struct versions_in *in = in_;
	struct versions_out *out = out_;
	const struct module_version *versions;
	struct version_out *shown;
	struct device_ref d;
	int64_t total;
	size_t n;

	TRY(device_find(c, &in->at, &d));
	TRY(store_module_versions(c->db, d.id, page_from(&in->page), page_size(&in->page), &versions, &n, &total));
	shown = ARENA_ARRAY(c->arena, n, struct version_out);
	for (size_t i = 0; i < n; i++)
		shown[i] = (struct version_out){
			.iot_id = show_id(c->arena, ID_DEVICE, d.id, 0),
			.product_key = d.product_key,
			.device_name = d.name,
			.module = versions[i].module,
			.version = versions[i].version,
		};
	*out = (struct versions_out){
		.page = page_show(&in->page, total),
		.data = { .n = n, .v = shown },
	};
	return OK;
}

const struct action action_CreateOTAModule = {
	.name = "CreateOTAModule",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "POST",
	.doc = "Creates a module of a product: a part of its devices that is updated by itself.",
	.in = create_in,
	.in_size = sizeof(struct module_in),
	.run = create_run,
	.fails = create_fails,
};

const struct action action_UpdateOTAModule = {
	.name = "UpdateOTAModule",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "POST",
	.doc = "Changes alias and description of a module; what is not given stays as it is.",
	.in = update_in,
	.in_size = sizeof(struct module_in),
	.run = update_run,
	.fails = update_fails,
};

const struct action action_DeleteOTAModule = {
	.name = "DeleteOTAModule",
	.effect = WRITES,
	.role = ROLE_ADMIN,
	.qps = 10,
	.methods = "POST",
	.doc = "Deletes a module that has no packages.",
	.in = delete_in,
	.in_size = sizeof(struct module_in),
	.run = delete_run,
	.fails = delete_fails,
};

const struct action action_ListOTAModuleByProduct = {
	.name = "ListOTAModuleByProduct",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 10,
	.methods = "GET",
	.doc = "Lists the modules of a product, without default.",
	.in = list_in,
	.out = modules_out,
	.in_size = sizeof(struct module_in),
	.out_size = sizeof(struct modules_out),
	.run = list_run,
	.fails = list_fails,
};

const struct action action_ListOTAModuleVersionsByDevice = {
	.name = "ListOTAModuleVersionsByDevice",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Lists the versions that a device reported of its modules.",
	.in = versions_in,
	.out = versions_out,
	.in_size = sizeof(struct versions_in),
	.out_size = sizeof(struct versions_out),
	.run = versions_run,
	.fails = versions_fails,
};
