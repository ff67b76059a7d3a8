/* SPDX-License-Identifier: Apache-2.0 */
/* CreateOTAFirmware, ModifyOTAFirmware, DeleteOTAFirmware (api §4). Showing them: firmware_show.c. */
#include "storage/firmware.h"

#include "api/actions/firmware_file.h"
#include "api/actions/show.h"
#include "engine/base/parse.h"
#include "engine/text.h"
#include "storage/account.h"
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
struct modify_in {
	const char *product_key, *firmware_id, *name, *description, *udi;
};
struct id_in {
	const char *firmware_id;
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
	OBJ(struct data_out, data, "Data", "The package.", .of = created_fields),
	FIELD_END
};
static const struct field modify_in[] = {
	STR(struct modify_in, product_key, "ProductKey", "Product of the package.", .flags = REQUIRED),
	STR(struct modify_in, firmware_id, "FirmwareId", "The package.", .flags = REQUIRED),
	STR(struct modify_in, name, "FirmwareName", "New name; rules as for a new package.", .flags = LATE),
	STR(struct modify_in, description, "FirmwareDesc", "New description, at most 100 characters.",
	    .flags = LATE, .max_chars = 100, .err = ERR_FIRMWARE_DESC),
	STR(struct modify_in, udi, "FirmwareUdi", "New text for the devices, at most 4,096 characters; pushes from now on carry it.",
	    .flags = LATE, .max_chars = 4096, .err = ERR_FORMAT, .alias = "Udi"),
	FIELD_END
};
static const struct field id_in[] = {
	STR(struct id_in, firmware_id, "FirmwareId", "The package.", .flags = REQUIRED),
	FIELD_END
};

static const enum err create_fails[] = {
	ERR_FIRMWARE_PRODUCT_KEY, ERR_FIRMWARE_NAME_BLANK, ERR_FIRMWARE_NAME, ERR_FIRMWARE_VERSION, ERR_FIRMWARE_DESC,
	ERR_FIRMWARE_TYPE, ERR_FIRMWARE_MODULE, ERR_SRC_VERSION_NEEDED, ERR_SRC_VERSION_FORMAT, ERR_SRC_DEST_EQUAL,
	ERR_FIRMWARE_SIGN_METHOD, ERR_FORMAT, ERR_LIST_TOO_LONG, ERR_FIRMWARE_URL_NULL, ERR_FIRMWARE_URL_FORMAT,
	ERR_FIRMWARE_URL, ERR_FIRMWARE_EMPTY, ERR_FIRMWARE_SIZE, ERR_FIRMWARE_SIGN, ERR_PRODUCT_NOT_FOUND,
	ERR_MODULE_NOT_FOUND, ERR_FIRMWARE_COUNT, ERR_FIRMWARE_NAME_EXISTS, ERR_FIRMWARE_VERSION_EXISTS, OK
};
static const enum err modify_fails[] = {
	ERR_FIRMWARE_NAME_BLANK, ERR_FIRMWARE_NAME, ERR_FIRMWARE_DESC, ERR_FORMAT, ERR_FIRMWARE_NOT_FOUND_OTA, ERR_PRODUCT_NOT_FOUND,
	ERR_FIRMWARE_PRODUCT, ERR_FIRMWARE_NAME_EXISTS, OK
};
static const enum err delete_fails[] = { ERR_FIRMWARE_NOT_FOUND, ERR_FIRMWARE_DELETE, OK };
/* clang-format on */

/* ---- CreateOTAFirmware -------------------------------------------------------------------------------- */

static enum err check_name(struct call *c, const char *name)
{
	if (text_is_blank(name))
		return fail_param(c->error, ERR_FIRMWARE_NAME_BLANK, NULL);
	return text_is_firmware_name(name) ? OK : fail_param(c->error, ERR_FIRMWARE_NAME, NULL);
}

static enum err check_names(struct call *c, const struct create_in *in)
{
	if (!in->product_key)
		return fail_param(c->error, ERR_FIRMWARE_PRODUCT_KEY, NULL);
	TRY(check_name(c, in->name));
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
	struct data_out *out = out_;
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
	TRY(store_account_lock(c->db, c->account_id));
	TRY(store_firmware_check(c->db, &f, c->config->limit_firmwares));
	TRY(files_find(c, declared, &f));
	TRY(store_firmware_create(c->db, &f));
	data->firmware_id = show_id(c->arena, ID_FIRMWARE, f.id, 0);
	data->utc_create = show_utc(c->arena, c->now);
	out->data = data;
	c->audit_target = data->firmware_id;
	return OK;
}

/* ---- ModifyOTAFirmware -------------------------------------------------------------------------------- */

static enum err modify_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct modify_in *in = in_;
	struct product p;
	int64_t id, product_id;

	if (in->name)
		TRY(check_name(c, in->name));
	TRY(field_check(modify_in, in, "FirmwareDesc", c->error));
	TRY(field_check(modify_in, in, "FirmwareUdi", c->error));
	if (!id_parse(ID_FIRMWARE, in->firmware_id, &id, NULL))
		return fail_param(c->error, ERR_FIRMWARE_NOT_FOUND_OTA, NULL);
	TRY(store_account_lock(c->db, c->account_id));
	TRY(store_firmware_product(c->db, c->account_id, id, &product_id));
	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	if (p.id != product_id)
		return fail_param(c->error, ERR_FIRMWARE_PRODUCT, NULL);
	c->audit_target = in->firmware_id;
	return store_firmware_modify(c->db, c->account_id, id, in->name, in->description, in->udi, c->now);
}

/* ---- DeleteOTAFirmware -------------------------------------------------------------------------------- */

static enum err delete_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct id_in *in = in_;
	int64_t id;

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
	.out_size = sizeof(struct data_out),
	.run = create_run,
	.fails = create_fails,
};

const struct action action_ModifyOTAFirmware = {
	.name = "ModifyOTAFirmware",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Changes name, description and text for the devices of a package; what is not given stays as it is.",
	.in = modify_in,
	.in_size = sizeof(struct modify_in),
	.run = modify_run,
	.fails = modify_fails,
};

const struct action action_DeleteOTAFirmware = {
	.name = "DeleteOTAFirmware",
	.effect = WRITES,
	.role = ROLE_ADMIN,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Deletes a package whose jobs have all ended; they stay readable.",
	.in = id_in,
	.in_size = sizeof(struct id_in),
	.run = delete_run,
	.fails = delete_fails,
};
