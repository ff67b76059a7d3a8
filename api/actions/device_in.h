/* SPDX-License-Identifier: Apache-2.0 */
/* How a call addresses one device: IotId alone, or ProductKey and DeviceName; IotId wins (api §8). */
#ifndef API_ACTIONS_DEVICE_IN_H
#define API_ACTIONS_DEVICE_IN_H

#include "api/action.h"
#include "storage/device.h"

struct device_address {
	const char *iot_id, *product_key, *name;
};

/* The rows of a table whose struct `type` has the address in its member `at`. */
#define DEVICE_ADDRESS_FIELDS(type, at)                                                                     \
	STR(type, at.iot_id, "IotId", "The device's id; wins over ProductKey and DeviceName.",              \
	    .flags = OPTIONAL),                                                                             \
		STR(type, at.product_key, "ProductKey", "Product of the device, together with DeviceName.", \
		    .flags = OPTIONAL),                                                                     \
		STR(type, at.name, "DeviceName", "Name of the device in its product.", .flags = OPTIONAL)
/* What device_find may answer, for the list of an action's errors. */
#define DEVICE_ADDRESS_FAILS ERR_NULL_PRODUCT_KEY, ERR_NULL_DEVICE_NAME, ERR_IOT_ID, ERR_DEVICE_NOT_FOUND

/* Calls that take an address and nothing else. */
struct device_in {
	struct device_address at;
};
extern const struct field device_in[];
extern const enum err device_fails[];

enum err device_find(struct call *c, const struct device_address *at, struct device_ref *ret) MUST_USE;
/* "PK/DN" for the audit row. */
const char *device_target(struct arena *a, const struct device_ref *d);

#endif
