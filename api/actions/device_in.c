/* SPDX-License-Identifier: Apache-2.0 */
#include "api/actions/device_in.h"

const struct field device_in[] = { DEVICE_ADDRESS_FIELDS(struct device_in, at), FIELD_END };
const enum err device_fails[] = { DEVICE_ADDRESS_FAILS, OK };

enum err device_find(struct call *c, const struct device_address *at, struct device_ref *ret)
{
	return store_device_find(c->db, c->account_id, at->iot_id, at->product_key, at->name, ret);
}

const char *device_target(struct arena *a, const struct device_ref *d)
{
	return arena_printf(a, "%s/%s", d->product_key, d->name);
}
