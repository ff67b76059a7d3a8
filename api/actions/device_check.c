/* SPDX-License-Identifier: Apache-2.0 */
/* Many devices with names of their own: BatchCheckDeviceNames, BatchRegisterDeviceWithApplyId (api §8.7). The
 * first notes the names, the second orders the devices, the registrar (api/registrar.c) makes them. */
#include "api/actions/apply_in.h"
#include "api/actions/product_in.h"
#include "api/actions/show.h"
#include "engine/base/buf.h"
#include "engine/text.h"
#include "storage/apply.h"
#include "storage/product.h"

#include <stdlib.h>
#include <string.h>

#define REPEATED_TEXT "The name is given more than once."
#define MESSAGE_MAX 1024

/* ---- BatchCheckDeviceNames ----------------------------------------------------------------------------- */

struct named {
	const char *name, *nickname;
};
struct check_in {
	const char *product_key;
	struct str_list plain; /* without nicknames */
	struct obj_list named; /* of struct named; wins */
};
struct check_data {
	struct opt_int apply_id;
	struct str_list names, nicknames, repeated;
	struct obj_list details; /* of struct apply_detail */
};

/* clang-format off */
static const struct field named[] = {
	STR(struct named, name,     "DeviceName",     "4 to 32 letters, digits and - _ @ . :", .flags = REQUIRED),
	STR(struct named, nickname, "DeviceNickname", "4 to 64 wide (a Chinese character counts as 2): Chinese, letters, digits, "
	    "underscores.", .flags = OPTIONAL),
	FIELD_END
};
static const struct field check_in[] = {
	PRODUCT_KEY_FIELD(struct check_in, product_key),
	STRS(struct check_in, plain, "DeviceName", "At most 10,000 names; or use DeviceNameList.", .flags = OPTIONAL),
	OBJS(struct check_in, named, "DeviceNameList", "At most 10,000 names with nicknames; wins over DeviceName.", .flags = OPTIONAL,
	     .of = named, .of_size = sizeof(struct named)),
	FIELD_END
};
static const struct field check_data[] = {
	LONG(struct check_data, apply_id, "ApplyId", "Number of the check, on success.", .flags = OPTIONAL),
	STRS(struct check_data, names, "InvalidDeviceNameList", "On failure: names that are not well formed.",
	     .item = "InvalidDeviceName", .flags = OMIT_EMPTY),
	STRS(struct check_data, nicknames, "InvalidDeviceNicknameList", "On failure: nicknames that are not well formed.",
	     .item = "InvalidDeviceNickname", .flags = OMIT_EMPTY),
	STRS(struct check_data, repeated, "RepeatedDeviceNameList", "On failure: names that are given more than once.",
	     .item = "RepeatDevieNameList", .flags = OMIT_EMPTY),
	OBJS(struct check_data, details, "InvalidDetailList", "On failure: what is wrong, by name.", .item = "InvalidDetailList",
	     .of = apply_detail, .of_size = sizeof(struct apply_detail), .flags = OMIT_EMPTY),
	FIELD_END
};
static const struct field check_out[] = {
	OBJ(struct data_out, data, "Data", "The check.", .of = check_data),
	FIELD_END
};
static const enum err check_fails[] = {
	ERR_PRODUCT_KEY_FORMAT, ERR_DEVICE_NAMES_NULL, ERR_DEVICE_COUNT, ERR_DEVICE_NAME, ERR_DEVICE_NICKNAME, ERR_FORMAT,
	ERR_PRODUCT_NOT_FOUND, OK
};
/* clang-format on */

/* The names of the call in the one form or the other. */
static struct named *names_of(struct arena *a, const struct check_in *in, size_t *ret_n)
{
	bool plain = in->named.n == 0;
	size_t n = plain ? in->plain.n : in->named.n;
	struct named *list = ARENA_ARRAY(a, n, struct named);

	for (size_t i = 0; i < n; i++)
		list[i] = plain ? (struct named){ .name = in->plain.v[i] }
				: ((const struct named *)in->named.v)[i];
	*ret_n = n;
	return list;
}

static int by_text(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Each name that occurs more than once, once, sorted. */
static struct str_list repeated(struct arena *a, const struct named *list, size_t n)
{
	const char **all = ARENA_ARRAY(a, n, const char *);
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		all[i] = list[i].name;
	qsort(all, n, sizeof *all, by_text);
	for (size_t i = 1; i < n; i++)
		if (strcmp(all[i], all[i - 1]) == 0 && (kept == 0 || strcmp(all[kept - 1], all[i]) != 0))
			all[kept++] = all[i];
	return (struct str_list){ .n = kept, .v = all };
}

static void complain(struct buf *b, bool wrong, const char *text)
{
	if (wrong)
		buf_addf(b, "%s%s", b->len ? "|" : "", text);
}

/* What is wrong with the names in themselves; false when nothing is. */
static bool find_faults(struct arena *a, const struct named *list, size_t n, struct check_data *ret)
{
	const char **names = ARENA_ARRAY(a, n, const char *), **nicknames = ARENA_ARRAY(a, n, const char *);
	struct apply_detail *details = ARENA_ARRAY(a, n, struct apply_detail);

	*ret = (struct check_data){ .names.v = names, .nicknames.v = nicknames, .details.v = details };
	ret->repeated = repeated(a, list, n);
	for (size_t i = 0; i < n; i++) {
		bool name_bad = !text_is_device_name(list[i].name);
		bool nickname_bad =
			list[i].nickname && !text_is_name(list[i].nickname, NICKNAME_MIN, NICKNAME_MAX);
		bool twice = bsearch(&list[i].name, ret->repeated.v, ret->repeated.n, sizeof(const char *),
				     by_text) != NULL;
		struct buf *why;

		if (!name_bad && !nickname_bad && !twice)
			continue;
		why = buf_owned(a, MESSAGE_MAX);
		complain(why, name_bad, err_info(ERR_DEVICE_NAME)->text);
		complain(why, nickname_bad, err_info(ERR_DEVICE_NICKNAME)->text);
		complain(why, twice, REPEATED_TEXT);
		details[ret->details.n++] =
			(struct apply_detail){ list[i].name, list[i].nickname, buf_str(why) };
		if (name_bad)
			names[ret->names.n++] = list[i].name;
		if (nickname_bad)
			nicknames[ret->nicknames.n++] = list[i].nickname;
	}
	return ret->details.n > 0;
}

static enum err refuse(struct call *c, const struct check_data *faults)
{
	struct data_out *out = ARENA_NEW(c->arena, struct data_out);

	out->data = faults;
	c->refusal = out;
	if (faults->names.n > 0)
		return fail_param(c->error, ERR_DEVICE_NAME, NULL);
	if (faults->nicknames.n > 0)
		return fail_param(c->error, ERR_DEVICE_NICKNAME, NULL);
	return fail(c->error, ERR_FORMAT, "A name is given more than once.");
}

static enum err note(struct call *c, const struct product *p, const struct named *list, size_t n,
		     int64_t *ret_id)
{
	const char **names = ARENA_ARRAY(c->arena, n, const char *),
		   **nicknames = ARENA_ARRAY(c->arena, n, const char *);

	for (size_t i = 0; i < n; i++) {
		names[i] = list[i].name;
		nicknames[i] = list[i].nickname;
	}
	return store_apply_check(c->db, c->account_id, p->id, names, nicknames, n, c->now, ret_id);
}

static enum err check_run(struct call *c, const void *in_, void *out_)
{
	struct check_data *data = ARENA_NEW(c->arena, struct check_data);
	const struct check_in *in = in_;
	struct data_out *out = out_;
	struct named *list;
	struct product p;
	int64_t id;
	size_t n;

	list = names_of(c->arena, in, &n);
	if (n == 0)
		return fail_param(c->error, ERR_DEVICE_NAMES_NULL, NULL);
	if (n > APPLY_DEVICES_MAX)
		return fail_param(c->error, ERR_DEVICE_COUNT, NULL);
	if (find_faults(c->arena, list, n, data))
		return refuse(c, data);
	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	TRY(note(c, &p, list, n, &id));
	*data = (struct check_data){ .apply_id = show_int(id) };
	out->data = data;
	c->audit_target = arena_printf(c->arena, "%s/%lld", p.product_key, (long long)id);
	return OK;
}

const struct action action_BatchCheckDeviceNames = {
	.name = "BatchCheckDeviceNames",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Checks names for devices and keeps them for BatchRegisterDeviceWithApplyId, a week long. "
	       "Names that the product has "
	       "already show in QueryBatchRegisterDeviceStatus.",
	.in = check_in,
	.out = check_out,
	.in_size = sizeof(struct check_in),
	.out_size = sizeof(struct data_out),
	.run = check_run,
	.fails = check_fails,
};

/* ---- BatchRegisterDeviceWithApplyId -------------------------------------------------------------------- */

static const enum err order_fails[] = {
	ERR_PRODUCT_KEY_FORMAT,
	ERR_APPLY_FORMAT,
	ERR_PRODUCT_NOT_FOUND,
	ERR_APPLY_NOT_FOUND,
	ERR_APPLY_RUNNING,
	ERR_APPLY_STATE,
	OK,
};

static enum err order_run(struct call *c, const void *in_, void *out_)
{
	struct apply_data *data = ARENA_NEW(c->arena, struct apply_data);
	const struct apply_in *in = in_;
	struct data_out *out = out_;
	struct apply ap;
	struct product p;

	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	TRY(store_apply_find(c->db, c->account_id, in->apply_id.v, &ap));
	c->audit_target = arena_printf(c->arena, "%s/%lld", p.product_key, (long long)ap.id);
	if (ap.product_id != p.id || !ap.named)
		return fail_param(c->error, ERR_APPLY_STATE, NULL);
	TRY(store_apply_order(c->db, &ap));
	data->apply_id = show_int(ap.id);
	out->data = data;
	apply_wake(c);
	return OK;
}

const struct action action_BatchRegisterDeviceWithApplyId = {
	.name = "BatchRegisterDeviceWithApplyId",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 500,
	.methods = "GET POST",
	.doc = "Orders the devices whose names were checked; they are made in the background.",
	.in = apply_in,
	.out = apply_out,
	.in_size = sizeof(struct apply_in),
	.out_size = sizeof(struct data_out),
	.run = order_run,
	.fails = order_fails,
};
