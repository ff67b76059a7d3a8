/* SPDX-License-Identifier: Apache-2.0 */
/* QueryOTAFirmware and ListOTAFirmware (api §4.7, §4.8). */
#include "storage/firmware.h"

#include "api/actions/firmware_file.h"
#include "api/actions/page.h"
#include "api/actions/show.h"
#include "storage/product.h"

struct id_in {
	const char *firmware_id;
};
struct list_in {
	struct page_in page;
	const char *product_key, *dest_version;
};
struct file_out {
	const char *name, *url, *md5, *sign;
	struct opt_int size;
};
struct firmware_out {
	const char *firmware_id, *name, *description, *url, *sign, *sign_method, *product_key, *product_name,
		*module;
	const char *src_version, *dest_version, *udi, *utc_create, *utc_modified;
	struct opt_int size, type, status, verify_progress;
	struct obj_list files; /* of struct file_out */
};
struct query_out {
	const void *info; /* struct firmware_out */
};
struct list_out {
	struct page_out page;
	struct obj_list info; /* of struct firmware_out */
};

/* clang-format off */
static const struct field id_in[] = {
	STR(struct id_in, firmware_id, "FirmwareId", "The package.", .flags = REQUIRED),
	FIELD_END
};
static const struct field list_in[] = {
	PAGE_IN_REQUIRED(struct list_in, page, 100, "100"),
	STR(struct list_in, product_key, "ProductKey", "Only packages of this product.", .flags = OPTIONAL),
	STR(struct list_in, dest_version, "DestVersion", "Only packages that bring this version.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field file_out[] = {
	STR(struct file_out, name, "Name",      "Name of the file.", .flags = OPTIONAL),
	STR(struct file_out, url,  "Url",       "Link that expires.", .flags = OPTIONAL),
	INT(struct file_out, size, "Size",      "Bytes.", .flags = OPTIONAL),
	STR(struct file_out, md5,  "FileMd5",   "MD5 in hex.", .flags = OPTIONAL),
	STR(struct file_out, sign, "SignValue", "Digest by SignMethod in hex.", .flags = OPTIONAL),
	FIELD_END
};
/* Rows that both answers have. */
#define FIRMWARE_FIELDS \
	STR (struct firmware_out, firmware_id,     "FirmwareId",     "The package.", .flags = OPTIONAL), \
	STR (struct firmware_out, name,            "FirmwareName",   "Its name.", .flags = OPTIONAL), \
	STR (struct firmware_out, description,     "FirmwareDesc",   "Description.", .flags = OPTIONAL), \
	STR (struct firmware_out, sign,            "FirmwareSign",   "Digest by SignMethod; packages of one file.", .flags = OPTIONAL), \
	INT (struct firmware_out, size,            "FirmwareSize",   "Bytes; in a list also of all files of a package.", .flags = OPTIONAL), \
	STR (struct firmware_out, sign_method,     "SignMethod",     "MD5 or SHA256.", .flags = OPTIONAL), \
	STR (struct firmware_out, product_key,     "ProductKey",     "The product.", .flags = OPTIONAL), \
	STR (struct firmware_out, product_name,    "ProductName",    "Its name.", .flags = OPTIONAL), \
	STR (struct firmware_out, module,          "ModuleName",     "Module.", .flags = OPTIONAL), \
	INT (struct firmware_out, type,            "Type",           "0 full, 1 differential.", .flags = OPTIONAL), \
	STR (struct firmware_out, src_version,     "SrcVersion",     "Differential packages.", .flags = OPTIONAL), \
	STR (struct firmware_out, dest_version,    "DestVersion",    "Version that the package brings.", .flags = OPTIONAL), \
	INT (struct firmware_out, status,          "Status",         "-1 needs no verification, 0 not verified, 1 verified, 2 verifying, 3 verification failed.", .flags = OPTIONAL), \
	STR (struct firmware_out, utc_create,      "UtcCreate",      "When it was created.", .flags = OPTIONAL), \
	STR (struct firmware_out, utc_modified,    "UtcModified",    "Last change.", .flags = OPTIONAL)

static const struct field firmware_out[] = {
	FIRMWARE_FIELDS,
	STR (struct firmware_out, url,             "FirmwareUrl",    "Link that expires; packages of one file.", .flags = OPTIONAL),
	INT (struct firmware_out, verify_progress, "VerifyProgress", "Percentage of the test devices that have finished.", .flags = OPTIONAL),
	STR (struct firmware_out, udi,             "Udi",            "Text for the devices.", .flags = OPTIONAL),
	OBJS(struct firmware_out, files,           "MultiFiles",     "Files; packages of several.", .flags = OMIT_EMPTY,
	     .of = file_out, .of_size = sizeof(struct file_out)),
	FIELD_END
};
static const struct field listed_out[] = { FIRMWARE_FIELDS, FIELD_END };
static const struct field query_out[] = {
	OBJ(struct query_out, info, "FirmwareInfo", "The package.", .of = firmware_out),
	FIELD_END
};
static const struct field list_out[] = {
	PAGE_OUT_FIELDS(struct list_out, page, "CurrentPage"),
	OBJS(struct list_out, info,  "FirmwareInfo", "Packages, newest first.", .item = "SimpleFirmwareInfo", .of = listed_out,
	     .of_size = sizeof(struct firmware_out)),
	FIELD_END
};

static const enum err query_fails[] = { ERR_FIRMWARE_NOT_FOUND, OK };
static const enum err list_fails[] = { ERR_PAGE_PARAMS, ERR_PRODUCT_NOT_FOUND, OK };
/* clang-format on */

/* ---- QueryOTAFirmware --------------------------------------------------------------------------------- */

static const char *sign_of(const struct firmware *f, const struct firmware_file *file)
{
	return f->sha256 ? file->sha256 : file->md5;
}

static struct obj_list show_files(struct call *c, const struct firmware *f)
{
	struct file_out *out = ARENA_ARRAY(c->arena, f->n_files, struct file_out);

	for (size_t i = 0; i < f->n_files; i++)
		out[i] = (struct file_out){
			.name = f->files[i].name,
			.url = firmware_file_url(c, f->id, &f->files[i]),
			.size = show_int(f->files[i].size),
			.md5 = f->files[i].md5,
			.sign = sign_of(f, &f->files[i]),
		};
	return (struct obj_list){ .n = f->n_files, .v = out };
}

/* What both answers show. */
static struct firmware_out show_firmware(struct arena *a, const struct firmware *f)
{
	return (struct firmware_out){
		.firmware_id = show_id(a, ID_FIRMWARE, f->id, 0),
		.name = f->name,
		.description = unless_empty(f->description),
		.sign = f->n_files == 1 ? sign_of(f, &f->files[0]) : NULL,
		.size = show_int(f->bytes),
		.sign_method = f->sha256 ? "SHA256" : "MD5",
		.product_key = f->product_key,
		.product_name = f->product_name,
		.module = f->module,
		.type = show_int(f->differential),
		.src_version = f->differential ? f->src_version : NULL,
		.dest_version = f->dest_version,
		.status = show_int(f->status),
		.utc_create = show_utc(a, f->created_ms),
		.utc_modified = show_utc(a, f->modified_ms),
	};
}

static enum err query_run(struct call *c, const void *in_, void *out_)
{
	const struct id_in *in = in_;
	struct query_out *out = out_;
	struct firmware_out *info = ARENA_NEW(c->arena, struct firmware_out);
	struct firmware f;
	int64_t id;

	if (!id_parse(ID_FIRMWARE, in->firmware_id, &id, NULL))
		return fail_param(c->error, ERR_FIRMWARE_NOT_FOUND, NULL);
	TRY(store_firmware_get(c->db, c->account_id, id, &f));
	*info = show_firmware(c->arena, &f);
	info->verify_progress = show_int(f.verify_percent);
	info->udi = unless_empty(f.udi);
	if (f.n_files == 1) {
		info->url = firmware_file_url(c, f.id, &f.files[0]);
	} else {
		info->size.set = false;
		info->files = show_files(c, &f);
	}
	out->info = info;
	return OK;
}

/* ---- ListOTAFirmware ---------------------------------------------------------------------------------- */

static enum err list_run(struct call *c, const void *in_, void *out_)
{
	const struct list_in *in = in_;
	struct list_out *out = out_;
	struct product p = { .id = 0 };
	const struct firmware *f;
	struct firmware_out *shown;
	int64_t total;
	size_t n;

	if (in->product_key)
		TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	TRY(store_firmware_page(c->db, c->account_id, p.id, in->dest_version, page_from(&in->page),
				page_size(&in->page), &f, &n, &total));
	shown = ARENA_ARRAY(c->arena, n, struct firmware_out);
	for (size_t i = 0; i < n; i++)
		shown[i] = show_firmware(c->arena, &f[i]);
	*out = (struct list_out){
		.page = page_show(&in->page, total),
		.info = { .n = n, .v = shown },
	};
	return OK;
}

const struct action action_QueryOTAFirmware = {
	.name = "QueryOTAFirmware",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 20,
	.methods = "GET POST",
	.doc = "Shows a package, with links to its files and the state of its verification.",
	.in = id_in,
	.out = query_out,
	.in_size = sizeof(struct id_in),
	.out_size = sizeof(struct query_out),
	.run = query_run,
	.fails = query_fails,
};

const struct action action_ListOTAFirmware = {
	.name = "ListOTAFirmware",
	.effect = READS,
	.role = ROLE_VIEWER,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Lists the packages of the account or of a product.",
	.in = list_in,
	.out = list_out,
	.in_size = sizeof(struct list_in),
	.out_size = sizeof(struct list_out),
	.run = list_run,
	.fails = list_fails,
};
