/* SPDX-License-Identifier: Apache-2.0 */
/* GenerateOTAUploadURL and GenerateDeviceNameListURL: forms to POST a file to the package store with. */
#include "api/actions/show.h"
#include "storage/package_store.h"

struct package_in {
	const char *suffix;
};
/* Of both; each has its own names for two members. */
struct form_out {
	const char *key, *access_key_id, *signature, *host, *policy, *object_storage, *url, *utc_create;
};

/* clang-format off */
static const struct field package_in[] = {
	STR(struct package_in, suffix, "FileSuffix", "Extension of the file. Default: bin.",
	    .one_of = "bin dav apk tar gz tar.gz zip gzip tar.xz pack", .err = ERR_UPLOAD_PARAM),
	FIELD_END
};

#define FORM_FIELDS(access_key_id_, url_) \
	STR(struct form_out, key,            "Key",           "Name of the object; the form's field key.", .flags = OPTIONAL), \
	STR(struct form_out, access_key_id,  access_key_id_,  "The form's field OSSAccessKeyId.", .flags = OPTIONAL), \
	STR(struct form_out, signature,      "Signature",     "The form's field signature.", .flags = OPTIONAL), \
	STR(struct form_out, host,           "Host",          "Where to POST the form.", .flags = OPTIONAL), \
	STR(struct form_out, policy,         "Policy",        "The form's field policy.", .flags = OPTIONAL), \
	STR(struct form_out, object_storage, "ObjectStorage", "OSS.", .flags = OPTIONAL), \
	STR(struct form_out, url,            url_,            "Names the uploaded file in later calls.", .flags = OPTIONAL), \
	STR(struct form_out, utc_create,     "UtcCreate",     "When the form was made; it is good for 1 minute.", .flags = OPTIONAL)
static const struct field package_form[] = { FORM_FIELDS("OSSAccessKeyId", "FirmwareUrl"), FIELD_END };
static const struct field list_form[] = { FORM_FIELDS("AccessKeyId", "FileUrl"), FIELD_END };
static const struct field package_out[] = {
	OBJ(struct data_out, data, "Data", "The form.", .of = package_form),
	FIELD_END
};
static const struct field list_out[] = {
	OBJ(struct data_out, data, "Data", "The form.", .of = list_form),
	FIELD_END
};
static const enum err package_fails[] = { ERR_UPLOAD_PARAM, OK };
static const enum err list_fails[] = { OK };
/* clang-format on */

static enum err form(struct call *c, enum object_kind kind, const char *suffix, struct data_out *out)
{
	struct form_out *data = ARENA_NEW(c->arena, struct form_out);
	struct upload_form f =
		package_store_form(c->env->store, c->arena, kind, c->account_id, suffix, c->now);

	*data = (struct form_out){
		.key = f.key,
		.access_key_id = f.access_key_id,
		.signature = f.signature,
		.host = f.host,
		.policy = f.policy,
		.object_storage = "OSS",
		.url = f.url,
		.utc_create = show_utc(c->arena, c->now),
	};
	out->data = data;
	c->audit_target = f.key;
	return OK;
}

static enum err package_run(struct call *c, const void *in_, void *out)
{
	const struct package_in *in = in_;

	return form(c, OBJECT_PACKAGE, in->suffix ? in->suffix : "bin", out);
}

static enum err list_run(struct call *c, const void *in UNUSED, void *out)
{
	return form(c, OBJECT_DEVICE_LIST, "csv", out);
}

const struct action action_GenerateOTAUploadURL = {
	.name = "GenerateOTAUploadURL",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Makes a form to upload one file of a package with.",
	.in = package_in,
	.out = package_out,
	.in_size = sizeof(struct package_in),
	.out_size = sizeof(struct data_out),
	.run = package_run,
	.fails = package_fails,
};

const struct action action_GenerateDeviceNameListURL = {
	.name = "GenerateDeviceNameListURL",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Makes a form to upload a device list with.",
	.out = list_out,
	.out_size = sizeof(struct data_out),
	.run = list_run,
	.fails = list_fails,
};
