/* SPDX-License-Identifier: Apache-2.0 */
/* A static group and a dynamic one, and who goes in and out: jobs are made for them, and dynamic jobs follow theirs. */
#include "tests/sim/call.h"

#include "engine/base/clock.h"
#include "tests/sim/model.h"

#define TAG "site"
#define MEMBERS_AT_FIRST 30 /* of a static group: so many parameters a call may have here */
#define IS_MEMBER "product_key = \"" SIM_PRODUCT "\" and name LIKE \"d%\" and tags." TAG " = \"here\""

static const char *create(struct world *w, const char *action, const char *name, const char *expression)
{
	struct request q;
	const char *id;

	request_init(&q, w, action);
	param(&q, "GroupName", name);
	if (expression) {
		param(&q, "DynamicGroupExpression", expression);
		param(&q, "IotInstanceId", "the one that there is"); /* who calls has found it */
	}
	if (call(&q) != OK)
		broken(w, "%s: %s", action, error_text(&q.error));
	id = arena_strdup(&w->arena, q.target);
	request_free(&q);
	return id;
}

static void in_or_out(struct world *w, struct device *d, bool in)
{
	struct request q;
	enum err e;

	request_init(&q, w, in ? "BatchAddDeviceGroupRelations" : "BatchDeleteDeviceGroupRelations");
	param(&q, "GroupId", w->group_id);
	param(&q, "Device.1.ProductKey", SIM_PRODUCT);
	param(&q, "Device.1.DeviceName", d->name);
	e = call(&q);
	if (e == OK || (e == ERR_COMMIT_UNKNOWN &&
			ask_database(w, arena_printf(&q.arena, "select count(*) from device_group_member where device_id = %lld",
						     (long long)d->id)) == in))
		d->in_group = in;
	request_free(&q);
}

void group_tag(struct world *w, struct device *d, bool in)
{
	struct request q;
	enum err e;

	request_init(&q, w, in ? "SaveDeviceProp" : "DeleteDeviceProp");
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "DeviceName", d->name);
	if (in)
		param(&q, "Props", "{\"" TAG "\":\"here\"}");
	else
		param(&q, "PropKey", TAG);
	e = call(&q);
	if (e == OK || (e == ERR_COMMIT_UNKNOWN &&
			ask_database(w, arena_printf(&q.arena, "select count(*) from device_tags where device_id = %lld and tags ? '" TAG "'",
						     (long long)d->id)) == in)) {
		d->tagged = in;
		d->changed_ms = clock_now();
		trace(w, "%s is %s the dynamic group", d->name, in ? "in" : "out of");
	}
	request_free(&q);
}

void group_change(struct world *w, struct device *d, struct rng *r)
{
	/* Not while candidates are being written: whether they are of before or after it would not be known. */
	if (!d->id || w->in_turn)
		return;
	if (rng_chance(r, 400))
		in_or_out(w, d, !d->in_group);
	else
		group_tag(w, d, !d->tagged);
}

void groups_start(struct world *w)
{
	struct request q;
	int n = 0;

	w->dynamic_group_id = create(w, "CreateDeviceDynamicGroup", "group2", IS_MEMBER);
	w->group_id = create(w, "CreateDeviceGroup", "group1", NULL);
	request_init(&q, w, "BatchAddDeviceGroupRelations");
	param(&q, "GroupId", w->group_id);
	for (size_t i = 0; i < w->n_devices; i++) {
		w->devices[i].in_group &= n < MEMBERS_AT_FIRST;
		if (w->devices[i].in_group) {
			param(&q, arena_printf(&q.arena, "Device.%d.ProductKey", ++n), SIM_PRODUCT);
			param(&q, arena_printf(&q.arena, "Device.%d.DeviceName", n), w->devices[i].name);
		}
	}
	if (n > 0 && call(&q) != OK)
		broken(w, "group: %s", error_text(&q.error));
	request_free(&q);
}
