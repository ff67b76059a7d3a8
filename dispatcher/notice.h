/* SPDX-License-Identifier: Apache-2.0 */
/* Notifications as they go out: topics and members of api §A.3. Pure; any thread. */
#ifndef DISPATCHER_NOTICE_H
#define DISPATCHER_NOTICE_H

#include "dispatcher/mqtt.h"
#include "storage/service.h"

/* "task", "version", "job": for metrics. */
const char *notice_kind_name(enum notice_kind kind);
/* Topic and payload, in the arena. false: there is nothing left to tell, its product or device is gone. */
bool notice_message(struct arena *a, const struct notice *n, struct mqtt_message *ret);

#endif
