/* SPDX-License-Identifier: Apache-2.0 */
/* CreateOTAFirmware, QueryOTAFirmware, DeleteOTAFirmware. */
#include "storage/firmware.h"

#include "api/actions/firmware_file.h"
#include "api/actions/show.h"
#include "engine/base/parse.h"
#include "engine/text.h"
#include "storage/product.h"

#include <string.h>
#include <strings.h>

#define FILE_NAME_MAX 32

struct create_in {
	const char *name, *dest_version, *url, *sign, *sign_method, *product_key, *description, *src_version,
		*module, *udi;
	struct opt_int size, type;
	struct opt_bool need_to_verify;
	struct obj_list files; /* of struct file_in */
};
struct created {
	const char *firmware_id, *utc_create;
};
struct create_out {
	const void *data; /* struct created */
};
struct id_in {
	const char *firmware_id;
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

/* clang-format off */
static const struct field file_in[] = {
	STR(struct file_in, name, "Name",      "Name of the file, 1 to 32 characters, unique in the package.", .flags = LATE),
	STR(struct file_in, url,  "Url",       "FirmwareUrl of GenerateOTAUploadURL.", .flags = LATE),
	INT(struct file_in, size, "Size",      "Size in bytes. Default: that of the file.", .flags = LATE),
	STR(struct file_in, md5,  "FileMd5",   "MD5 in hex. Default: that of the file.", .flags = LATE),
	STR(struct file_in, sign, "SignValue", "Digest by SignMethod in hex. Default: that of the file.", .flags = LATE),
	FIELD_END
};
static const struct field create_in[] = {
	STR (struct create_in, name, "FirmwareName",
	     "1 to 40 characters: letters, digits, Chinese, Japanese, - _ ( ), beginning with none of the signs; "
	     "unique in the account.", .flags = REQUIRED | LATE),
	STR (struct create_in, dest_version, "DestVersion",
	     "Version that the package brings, 1 to 64 letters, digits and . - _", .flags = REQUIRED | LATE),
	STR (struct create_in, url, "FirmwareUrl", "The file: FirmwareUrl of GenerateOTAUploadURL; or use MultiFiles.",
	     .flags = LATE),
	STR (struct create_in, sign, "FirmwareSign", "Digest of the file by SignMethod in hex. Default: that of the file.",
	     .flags = LATE),
	STR (struct create_in, sign_method, "SignMethod", "MD5 (default) or SHA256.", .flags = LATE),
	INT (struct create_in, size, "FirmwareSize", "Size in bytes. Default: that of the file.", .flags = LATE),
	STR (struct create_in, product_key, "ProductKey", "Product that the package belongs to.", .flags = LATE),
	STR (struct create_in, description, "FirmwareDesc", "Description, at most 100 characters.",
	     .flags = LATE, .max_chars = 100, .err = ERR_FIRMWARE_DESC),
	INT (struct create_in, type, "Type", "0 full package (default), 1 differential package.",
	     .flags = LATE, .one_of = "0 1", .err = ERR_FIRMWARE_TYPE),
	STR (struct create_in, src_version, "SrcVersion", "Version that a differential package starts from.", .flags = LATE),
	STR (struct create_in, module, "ModuleName", "Module of the product. Default: default, the whole device.", .flags = LATE),
	BOOL(struct create_in, need_to_verify, "NeedToVerify", "Must be verified before use. Default: true.", .flags = OPTIONAL),
	STR (struct create_in, udi, "Udi", "Text for the devices, at most 4,096 characters.",
	     .flags = LATE, .max_chars = 4096, .err = ERR_FORMAT),
	OBJS(struct create_in, files, "MultiFiles", "2 to 20 files instead of FirmwareUrl.",
	     .flags = LATE, .max_items = FIRMWARE_FILES_MAX, .of = file_in, .of_size = sizeof(struct file_in)),
	FIELD_END
};
static const struct field created_fields[] = {
	STR(struct created, firmware_id, "FirmwareId", "The new package.", .flags = OPTIONAL),
	STR(struct created, utc_create,  "UtcCreate",  "When it was created.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field create_out[] = {
	OBJ(struct create_out, data, "Data", "The package.", .of = created_fields),
	FIELD_END
};
static const struct field id_in[] = {
	STR(struct id_in, firmware_id, "FirmwareId", "The package.", .flags = REQUIRED),
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
static const struct field firmware_out[] = {
	STR (struct firmware_out, firmware_id,     "FirmwareId",     "The package.", .flags = OPTIONAL),
	STR (struct firmware_out, name,            "FirmwareName",   "Its name.", .flags = OPTIONAL),
	STR (struct firmware_out, description,     "FirmwareDesc",   "Description.", .flags = OPTIONAL),
	STR (struct firmware_out, url,             "FirmwareUrl",    "Link that expires; packages of one file.", .flags = OPTIONAL),
	STR (struct firmware_out, sign,            "FirmwareSign",   "Digest by SignMethod; packages of one file.", .flags = OPTIONAL),
	INT (struct firmware_out, size,            "FirmwareSize",   "Bytes; packages of one file.", .flags = OPTIONAL),
	STR (struct firmware_out, sign_method,     "SignMethod",     "MD5 or SHA256.", .flags = OPTIONAL),
	STR (struct firmware_out, product_key,     "ProductKey",     "The product.", .flags = OPTIONAL),
	STR (struct firmware_out, product_name,    "ProductName",    "Its name.", .flags = OPTIONAL),
	STR (struct firmware_out, module,          "ModuleName",     "Module.", .flags = OPTIONAL),
	INT (struct firmware_out, type,            "Type",           "0 full, 1 differential.", .flags = OPTIONAL),
	STR (struct firmware_out, src_version,     "SrcVersion",     "Differential packages.", .flags = OPTIONAL),
	STR (struct firmware_out, dest_version,    "DestVersion",    "Version that the package brings.", .flags = OPTIONAL),
	INT (struct firmware_out, status,          "Status",         "-1 needs no verification, 0 not verified, 1 verified, 2 verifying, 3 verification failed.", .flags = OPTIONAL),
	INT (struct firmware_out, verify_progress, "VerifyProgress", "Percentage of the test devices that have finished.", .flags = OPTIONAL),
	STR (struct firmware_out, udi,             "Udi",            "Text for the devices.", .flags = OPTIONAL),
	OBJS(struct firmware_out, files,           "MultiFiles",     "Files; packages of several.", .flags = OMIT_EMPTY,
	     .of = file_out, .of_size = sizeof(struct file_out)),
	STR (struct firmware_out, utc_create,      "UtcCreate",      "When it was created.", .flags = OPTIONAL),
	STR (struct firmware_out, utc_modified,    "UtcModified",    "Last change.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field query_out[] = {
	OBJ(struct query_out, info, "FirmwareInfo", "The package.", .of = firmware_out),
	FIELD_END
};
static const struct field no_fields[] = { FIELD_END };

static const enum err create_fails[] = {
	ERR_FIRMWARE_PRODUCT_KEY, ERR_FIRMWARE_NAME_BLANK, ERR_FIRMWARE_NAME, ERR_FIRMWARE_VERSION, ERR_FIRMWARE_DESC,
	ERR_FIRMWARE_TYPE, ERR_FIRMWARE_MODULE, ERR_SRC_VERSION_NEEDED, ERR_SRC_VERSION_FORMAT, ERR_SRC_DEST_EQUAL,
	ERR_FIRMWARE_SIGN_METHOD, ERR_FORMAT, ERR_LIST_TOO_LONG, ERR_FIRMWARE_URL_NULL, ERR_FIRMWARE_URL_FORMAT,
	ERR_FIRMWARE_URL, ERR_FIRMWARE_EMPTY, ERR_FIRMWARE_SIZE, ERR_FIRMWARE_SIGN, ERR_PRODUCT_NOT_FOUND,
	ERR_MODULE_NOT_FOUND, ERR_FIRMWARE_COUNT, ERR_FIRMWARE_NAME_EXISTS, ERR_FIRMWARE_VERSION_EXISTS, OK
};
static const enum err query_fails[] = { ERR_FIRMWARE_NOT_FOUND, OK };
static const enum err delete_fails[] = { ERR_FIRMWARE_NOT_FOUND, ERR_FIRMWARE_DELETE, OK };
/* clang-format on */

/* ---- CreateOTAFirmware -------------------------------------------------------------------------------- */

static enum err check_names(struct call *c, const struct create_in *in)
{
	if (!in->product_key)
		return fail_param(c->error, ERR_FIRMWARE_PRODUCT_KEY, NULL);
	if (text_is_blank(in->name))
		return fail_param(c->error, ERR_FIRMWARE_NAME_BLANK, NULL);
	if (!text_is_firmware_name(in->name))
		return fail_param(c->error, ERR_FIRMWARE_NAME, NULL);
	if (!text_is_version(in->dest_version))
		return fail_param(c->error, ERR_FIRMWARE_VERSION, NULL);
	TRY(field_check(create_in, in, "FirmwareDesc", c->error));
	TRY(field_check(create_in, in, "Udi", c->error));
	if (in->module && !text_is_version(in->module))
		return fail_param(c->error, ERR_FIRMWARE_MODULE, NULL);
	return OK;
}

static enum err check_versions(struct call *c, const struct create_in *in)
{
	TRY(field_check(create_in, in, "Type", c->error));
	if (in->src_version && !text_is_version(in->src_version))
		return fail_param(c->error, ERR_SRC_VERSION_FORMAT, NULL);
	if (in->type.v != 1)
		return OK;
	if (!in->src_version)
		return fail_param(c->error, ERR_SRC_VERSION_NEEDED, NULL);
	return strcmp(in->src_version, in->dest_version) == 0 ? fail_param(c->error, ERR_SRC_DEST_EQUAL, NULL)
							      : OK;
}

static enum err check_sign_method(struct call *c, const struct create_in *in, bool *ret_sha256)
{
	*ret_sha256 = in->sign_method && strcasecmp(in->sign_method, "SHA256") == 0;
	if (in->sign_method && !*ret_sha256 && strcasecmp(in->sign_method, "MD5") != 0)
		return fail_param(c->error, ERR_FIRMWARE_SIGN_METHOD, NULL);
	return OK;
}

static enum err check_file_list(struct call *c, const struct create_in *in)
{
	const struct file_in *f = in->files.v;

	TRY(field_check(create_in, in, "MultiFiles", c->error));
	if (in->url)
		return fail(c->error, ERR_FORMAT, "FirmwareUrl and MultiFiles exclude each other.");
	if (in->sign)
		return fail(c->error, ERR_FIRMWARE_SIGN, "FirmwareSign belongs to a package of one file.");
	if (in->size.set)
		return fail(c->error, ERR_FIRMWARE_SIZE, "FirmwareSize belongs to a package of one file.");
	if (in->files.n < 2)
		return fail(c->error, ERR_FORMAT,
			    "MultiFiles needs at least 2 files; use FirmwareUrl for one.");
	for (size_t i = 0; i < in->files.n; i++) {
		size_t chars = f[i].name ? utf8_count(f[i].name) : 0;

		if (chars < 1 || chars > FILE_NAME_MAX)
			return fail_param(c->error, ERR_FORMAT,
					  arena_printf(c->arena, "MultiFiles.%zu.Name", i + 1));
		for (size_t j = 0; j < i; j++)
			if (strcmp(f[i].name, f[j].name) == 0)
				return fail_param(c->error, ERR_FORMAT,
						  arena_printf(c->arena, "MultiFiles.%zu.Name", i + 1));
		if (!f[i].url)
			return fail_param(c->error, ERR_FIRMWARE_URL_NULL, NULL);
	}
	return OK;
}

/* What was declared, as a list. */
static enum err files_declared(struct call *c, const struct create_in *in, struct file_in **ret,
			       size_t *ret_n)
{
	struct file_in *files = ARENA_ARRAY(c->arena, FIRMWARE_FILES_MAX, struct file_in);

	*ret = files;
	if (in->files.n > 0) {
		TRY(check_file_list(c, in));
		memcpy(files, in->files.v, in->files.n * sizeof *files);
		*ret_n = in->files.n;
		return OK;
	}
	if (!in->url)
		return fail_param(c->error, ERR_FIRMWARE_URL_NULL, NULL);
	files[0] = (struct file_in){ .url = in->url, .sign = in->sign, .size = in->size };
	*ret_n = 1;
	return OK;
}

static enum err files_find(struct call *c, const struct file_in *declared, struct firmware *f)
{
	struct firmware_file *files = ARENA_ARRAY(c->arena, f->n_files, struct firmware_file);

	for (size_t i = 0; i < f->n_files; i++)
		TRY(firmware_file_find(c, &declared[i], f->sha256, &files[i]));
	f->files = files;
	return OK;
}

static enum err create_run(struct call *c, const void *in_, void *out_)
{
	const struct create_in *in = in_;
	struct create_out *out = out_;
	struct created *data = ARENA_NEW(c->arena, struct created);
	struct firmware f = {
		.account_id = c->account_id,
		.name = in->name,
		.description = in->description ? in->description : "",
		.differential = in->type.v == 1,
		.module = in->module ? in->module : "default",
		.src_version = in->src_version ? in->src_version : "",
		.dest_version = in->dest_version,
		.status = in->need_to_verify.set && !in->need_to_verify.v ? FIRMWARE_NO_VERIFICATION
									  : FIRMWARE_UNVERIFIED,
		.udi = in->udi ? in->udi : "",
		.created_ms = c->now,
	};
	struct file_in *declared;
	struct product p;

	TRY(check_names(c, in));
	TRY(check_versions(c, in));
	TRY(check_sign_method(c, in, &f.sha256));
	TRY(files_declared(c, in, &declared, &f.n_files));
	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	f.product_id = p.id;
	TRY(store_firmware_lock_account(c->db, c->account_id));
	TRY(store_firmware_check(c->db, &f, c->config->limit_firmwares));
	TRY(files_find(c, declared, &f));
	TRY(store_firmware_create(c->db, &f));
	data->firmware_id = show_id(c->arena, ID_FIRMWARE, f.id, 0);
	data->utc_create = show_utc(c->arena, c->now);
	out->data = data;
	c->audit_target = data->firmware_id;
	return OK;
}

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
	*info = (struct firmware_out){
		.firmware_id = show_id(c->arena, ID_FIRMWARE, f.id, 0),
		.name = f.name,
		.description = f.description[0] ? f.description : NULL,
		.sign_method = f.sha256 ? "SHA256" : "MD5",
		.product_key = f.product_key,
		.product_name = f.product_name,
		.module = f.module,
		.type = show_int(f.differential),
		.src_version = f.differential ? f.src_version : NULL,
		.dest_version = f.dest_version,
		.status = show_int(f.status),
		.verify_progress = show_int(f.verify_percent),
		.udi = f.udi[0] ? f.udi : NULL,
		.utc_create = show_utc(c->arena, f.created_ms),
		.utc_modified = show_utc(c->arena, f.modified_ms),
	};
	if (f.n_files == 1) {
		info->url = firmware_file_url(c, f.id, &f.files[0]);
		info->sign = sign_of(&f, &f.files[0]);
		info->size = show_int(f.files[0].size);
	} else {
		info->files = show_files(c, &f);
	}
	out->info = info;
	return OK;
}

/* ---- DeleteOTAFirmware -------------------------------------------------------------------------------- */

static enum err delete_run(struct call *c, const void *in_, void *out)
{
	const struct id_in *in = in_;
	int64_t id;

	(void)out;
	if (!id_parse(ID_FIRMWARE, in->firmware_id, &id, NULL))
		return fail_param(c->error, ERR_FIRMWARE_NOT_FOUND, NULL);
	TRY(store_firmware_delete(c->db, c->account_id, id, c->now));
	c->audit_target = in->firmware_id;
	return OK;
}

const struct action action_CreateOTAFirmware = {
	.name = "CreateOTAFirmware",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Creates a package from uploaded files.",
	.in = create_in,
	.out = create_out,
	.in_size = sizeof(struct create_in),
	.out_size = sizeof(struct create_out),
	.run = create_run,
	.fails = create_fails,
};

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

const struct action action_DeleteOTAFirmware = {
	.name = "DeleteOTAFirmware",
	.effect = WRITES,
	.role = ROLE_ADMIN,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Deletes a package whose jobs have all ended; they stay readable.",
	.in = id_in,
	.out = no_fields,
	.in_size = sizeof(struct id_in),
	.out_size = 1,
	.run = delete_run,
	.fails = delete_fails,
};
