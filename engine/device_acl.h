/* SPDX-License-Identifier: Apache-2.0 */
/* What a device may publish and subscribe (device §7, R21), which topics of otad's go to one device, and
 * which are notifications for service accounts (api §A.3). Pure; any thread. The broker plugin calls it for
 * every message. */
#ifndef ENGINE_DEVICE_ACL_H
#define ENGINE_DEVICE_ACL_H

#include "engine/base/base.h"

/* Largest payload of a device. */
#define DEVICE_PAYLOAD_MAX 65536

/* By the patterns of device_acl.c; a closing slash is let through on progress alone. */
bool device_may_publish(const char *pk, const char *dn, const char *topic);
/* ProductKey and DeviceName have to stand in the filter literally. */
bool device_may_subscribe(const char *pk, const char *dn, const char *filter);

struct acl_name {
	const char *at;
	size_t len;
};
/* Is this a downlink that the plugin hands to the device's live connection itself? Then to whom; the names
 * point into the topic. */
bool device_downlink(const char *topic, struct acl_name *ret_pk, struct acl_name *ret_dn);

/* Is this the topic of a notification? Then of which product. */
bool notice_topic(const char *topic, struct acl_name *ret_pk);
/* May a service account subscribe to it at all? Filters with + in place of names, also shared ones; then of
 * which product, at NULL: of any, and what it gets is a matter of notice_topic. */
bool notice_may_subscribe(const char *filter, struct acl_name *ret_pk);

#endif
