/* SPDX-License-Identifier: Apache-2.0 */
/* UpdateProduct, DeleteProduct (api §8.4, 8.5). */
#include "api/action.h"
#include "api/actions/product_in.h"
#include "engine/text.h"
#include "storage/product.h"

struct update_in {
	const char *product_key, *name, *description;
};

/* ---- UpdateProduct ------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct field update_in[] = {
	PRODUCT_KEY_FIELD(struct update_in, product_key),
	PRODUCT_NAME_FIELD(struct update_in, name),
	STR(struct update_in, description, "Description", "At most 100 characters. Absent: it stays.",
	    .max_chars = PRODUCT_DESC_MAX, .err = ERR_PRODUCT_DESC),
	FIELD_END
};
static const enum err update_fails[] = {
	ERR_PRODUCT_KEY_FORMAT, ERR_PRODUCT_NAME, ERR_PRODUCT_DESC, ERR_PRODUCT_NOT_FOUND, ERR_PRODUCT_NAME_EXISTS, OK
};
/* clang-format on */

static enum err update_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct update_in *in = in_;
	struct product p;

	if (!text_is_name(in->name, PRODUCT_NAME_MIN, PRODUCT_NAME_MAX))
		return fail_param(c->error, ERR_PRODUCT_NAME, NULL);
	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	c->audit_target = p.product_key;
	return store_product_update(c->db, c->account_id, p.id, in->name, in->description);
}

const struct action action_UpdateProduct = {
	.name = "UpdateProduct",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Gives a product another name, and another description.",
	.in = update_in,
	.in_size = sizeof(struct update_in),
	.run = update_run,
	.fails = update_fails,
};

/* ---- DeleteProduct ------------------------------------------------------------------------------------- */

static const struct field delete_in[] = { PRODUCT_KEY_FIELD(struct update_in, product_key), FIELD_END };
static const enum err delete_fails[] = { ERR_PRODUCT_KEY_FORMAT, ERR_PRODUCT_NOT_FOUND, ERR_PRODUCT_DELETE,
					 OK };

static enum err delete_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct update_in *in = in_;
	struct product p;

	TRY(store_product_find(c->db, c->account_id, in->product_key, &p));
	c->audit_target = p.product_key;
	return store_product_delete(c->db, p.id, c->now);
}

const struct action action_DeleteProduct = {
	.name = "DeleteProduct",
	.effect = WRITES,
	.role = ROLE_ADMIN,
	.qps = 500,
	.methods = "GET POST",
	.doc = "Deletes a product that has neither devices nor packages; its ended jobs stay readable.",
	.in = delete_in,
	.in_size = sizeof(struct update_in),
	.run = delete_run,
	.fails = delete_fails,
};
