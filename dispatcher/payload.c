/* SPDX-License-Identifier: Apache-2.0 */
/* See payload.h; the canonical shapes are those of device §2.3, §2.6 and §5.2. */
#include "dispatcher/payload.h"

#include "engine/base/crypto.h"
#include "engine/base/json.h"

#include <string.h>

static bool is_sha256(const struct payload *p)
{
	return strcmp(p->sign_method, "SHA256") == 0;
}

/* SDKs know exactly these spellings. */
static const char *wire_method(const struct payload *p)
{
	return is_sha256(p) ? "SHA256" : "Md5";
}

static const char *sign_of(const struct payload *p, const struct payload_file *f)
{
	return is_sha256(p) ? f->sha256 : f->md5;
}

static void put_ext_data(struct json_out *j, const struct payload *p)
{
	if (p->tags == 0 && !*p->udi)
		return;
	json_put_object(j, "extData");
	for (size_t i = 0; i < p->tags; i++)
		json_put_string(j, p->tag_keys[i], p->tag_values[i]);
	if (*p->udi)
		json_put_string(j, "_package_udi", p->udi);
	json_object_end(j);
}

static void put_module(struct json_out *j, const struct payload *p)
{
	if (strcmp(p->module, "default") != 0)
		json_put_string(j, "module", p->module);
}

static void put_single(struct json_out *j, const struct payload *p)
{
	const struct payload_file *f = &p->files[0];

	json_put_int(j, "size", f->size);
	json_put_string(j, "version", p->version);
	if (p->differential)
		json_put_int(j, "isDiff", 1);
	if (p->mqtt) {
		json_put_string(j, "dProtocol", "mqtt");
		json_put_int(j, "streamId", payload_stream_id(p->firmware_id));
		json_put_int(j, "streamFileId", f->n);
	} else {
		json_put_string(j, "url", f->url);
	}
	json_put_string(j, "md5", f->md5);
	json_put_string(j, "sign", sign_of(p, f));
	json_put_string(j, "signMethod", wire_method(p));
	put_module(j, p);
	put_ext_data(j, p); /* last: tags may be named like the keys above, and the first match wins */
}

static void put_files(struct json_out *j, const struct payload *p)
{
	put_ext_data(j, p); /* before the files: behind them it would be counted as one more */
	json_put_string(j, "version", p->version);
	if (p->differential)
		json_put_int(j, "isDiff", 1);
	json_put_string(j, "signMethod", wire_method(p));
	put_module(j, p);
	json_put_array(j, "files");
	for (size_t i = 0; i < p->files_n; i++) {
		json_object(j);
		json_put_int(j, "fileSize", p->files[i].size);
		json_put_string(j, "fileName", p->files[i].name);
		json_put_string(j, "fileUrl", p->files[i].url);
		json_put_string(j, "fileMd5", p->files[i].md5);
		json_put_string(j, "fileSign", sign_of(p, &p->files[i]));
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_data(struct json_out *j, const struct payload *p)
{
	ensure(p->files_n > 0);
	json_put_object(j, "data");
	if (p->files_n > 1)
		put_files(j, p);
	else
		put_single(j, p);
	json_object_end(j);
}

void payload_push(struct arena *a, struct buf *out, const struct payload *p, utc_ms now)
{
	struct json_out *j = json_new(a, out);

	json_object(j);
	json_put_string(j, "code", "1000");
	put_data(j, p);
	json_put_int(j, "id", now);
	json_put_string(j, "message", "success");
	json_object_end(j);
}

void payload_get_reply(struct arena *a, struct buf *out, const struct payload *p, const char *id)
{
	struct json_out *j = json_new(a, out);

	json_object(j);
	json_put_int(j, "code", 200);
	put_data(j, p);
	json_put_string(j, "id", id);
	json_put_string(j, "message", "success");
	json_object_end(j);
}

void payload_get_none(struct arena *a, struct buf *out, const char *id)
{
	struct json_out *j = json_new(a, out);

	json_object(j);
	json_put_string(j, "id", id);
	json_put_int(j, "code", 200);
	json_put_object(j, "data");
	json_object_end(j);
	json_object_end(j);
}

void payload_block_reply(struct arena *a, struct buf *out, const struct payload_block *b)
{
	struct buf *head = buf_owned(a, 4096);
	struct json_out *j = json_new(a, head);
	uint16_t crc;

	json_object(j);
	json_put_string(j, "id", b->id);
	json_put_int(j, "code", b->code);
	json_put_object(j, "data");
	if (b->file_token)
		json_put_string(j, "fileToken", b->file_token);
	if (b->block) {
		json_put_int(j, "fileLength", b->file_length);
		json_put_int(j, "bOffset", b->offset);
		json_put_int(j, "bSize", (int64_t)b->size);
	}
	json_object_end(j);
	json_object_end(j);
	ensure(!head->overflow);
	buf_addc(out, (char)(head->len >> 8 & 0xff));
	buf_addc(out, (char)(head->len & 0xff));
	buf_add(out, head->data, head->len);
	if (!b->block)
		return;
	buf_add(out, b->block, b->size);
	crc = crc16_arc(b->block, b->size);
	buf_addc(out, (char)(crc & 0xff));
	buf_addc(out, (char)(crc >> 8));
}
