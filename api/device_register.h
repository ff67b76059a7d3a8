/* SPDX-License-Identifier: Apache-2.0 */
/* POST /auth/register/device, the devices' own call on the API's listener (device §1.5): not signed with an
 * access key but with the product's secret, answered in the devices' own form. Called by the workers. */
#ifndef API_DEVICE_REGISTER_H
#define API_DEVICE_REGISTER_H

#include "api/action.h"
#include "api/quota.h"
#include "api/request.h"

#define DEVICE_REGISTER_PATH "/auth/register/device"

/* Fills in the request's answer. The arena is the worker's, between two calls. */
void device_register(const struct api_env *env, struct quota *quota, struct db *db, struct arena *a,
		     struct request *rq);

#endif
