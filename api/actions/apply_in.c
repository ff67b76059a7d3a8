/* SPDX-License-Identifier: Apache-2.0 */
#include "api/actions/apply_in.h"

#include "api/actions/product_in.h"
#include "api/actions/show.h"

/* clang-format off */
const struct field apply_in[] = {
	PRODUCT_KEY_FIELD(struct apply_in, product_key),
	LONG(struct apply_in, apply_id, "ApplyId", "Number of the order.", .flags = REQUIRED, .min = 1, .max = APPLY_ID_MAX,
	     .err = ERR_APPLY_FORMAT),
	FIELD_END
};
static const struct field apply_data[] = {
	LONG(struct apply_data, apply_id, "ApplyId", "Number of the order.", .flags = OPTIONAL),
	FIELD_END
};
const struct field apply_out[] = {
	OBJ(struct data_out, data, "Data", "The order.", .of = apply_data),
	FIELD_END
};
const struct field apply_detail[] = {
	STR(struct apply_detail, name,     "DeviceName", "Name that was refused.", .flags = OPTIONAL),
	STR(struct apply_detail, nickname, "NickName",   "Nickname beside it.", .flags = OPTIONAL),
	STR(struct apply_detail, text,     "ErrorMsg",   "Why; several reasons are joined by |.", .flags = OPTIONAL),
	FIELD_END
};
/* clang-format on */

static enum err wake(struct call *c, void *arg UNUSED)
{
	c->env->wake_registrar(c->env->wake_ctx);
	return OK;
}

void apply_wake(struct call *c)
{
	c->after_commit = wake;
}
