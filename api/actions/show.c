/* SPDX-License-Identifier: Apache-2.0 */
#include "api/actions/show.h"

#include "engine/base/parse.h"
#include "storage/firmware.h"
#include "storage/product.h"

enum err job_find(struct call *c, const char *job_id, struct job_view *ret)
{
	int64_t id;
	enum err e;

	if (!id_parse(ID_JOB, job_id, &id, NULL))
		return fail_param(c->error, ERR_JOB_ID, NULL);
	e = store_job_get(c->db, c->account_id, id, ret);
	return e == ERR_NOT_FOUND ? fail_param(c->error, ERR_JOB_ID, NULL) : e;
}

enum err firmware_find(struct call *c, const char *firmware_id, int64_t *ret_id, int64_t *ret_product_id)
{
	int64_t id;

	if (!id_parse(ID_FIRMWARE, firmware_id, &id, NULL))
		return fail_param(c->error, ERR_FIRMWARE_NOT_FOUND, NULL);
	TRY(store_firmware_owned(c->db, c->account_id, id, ret_product_id));
	*ret_id = id;
	return OK;
}

enum err firmware_find_of(struct call *c, const char *firmware_id, const char *product_key, int64_t *ret_id,
			  int64_t *ret_product_id)
{
	struct product p;

	TRY(firmware_find(c, firmware_id, ret_id, ret_product_id));
	TRY(store_product_find(c->db, c->account_id, product_key, &p));
	return p.id == *ret_product_id ? OK : fail_param(c->error, ERR_FIRMWARE_PRODUCT, NULL);
}

const char *show_id(struct arena *a, enum id_kind kind, int64_t key, int64_t seq)
{
	char *id = arena_alloc(a, ID_LEN + 1);

	id_format(kind, key, seq, id);
	return id;
}

/* len: of the format, with its NUL. */
static const char *show_time(struct arena *a, utc_ms t, size_t len, void (*format)(utc_ms t, char *out))
{
	char *text;

	if (t == 0)
		return NULL;
	text = arena_alloc(a, len);
	format(t, text);
	return text;
}

const char *show_utc(struct arena *a, utc_ms t)
{
	return show_time(a, t, UTC_TEXT_LEN, format_utc_ms);
}

const char *show_minute(struct arena *a, utc_ms t)
{
	return show_time(a, t, UTC_TEXT_LEN, format_utc_minute);
}

const char *show_local(struct arena *a, utc_ms t)
{
	return show_time(a, t, LOCAL_TEXT_LEN, format_gmt_local);
}

const char *show_gmt_dashed(struct arena *a, utc_ms t)
{
	return show_time(a, t, GMT_TEXT_LEN, format_gmt_dashed);
}

const char *unless_empty(const char *text)
{
	return text && text[0] ? text : NULL;
}

struct opt_int show_int(int64_t v)
{
	return (struct opt_int){ .set = true, .v = v };
}

struct opt_int show_int_unless(int64_t v, int64_t unset)
{
	return (struct opt_int){ .set = v != unset, .v = v };
}

struct opt_bool show_bool(bool v)
{
	return (struct opt_bool){ .set = true, .v = v };
}
