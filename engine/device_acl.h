/* SPDX-License-Identifier: Apache-2.0 */
/* What a device may publish and subscribe (device §7, R21), and which topics of otad's go to one device. One
 * table, pure; any thread. The broker plugin calls it for every message. */
#ifndef ENGINE_DEVICE_ACL_H
#define ENGINE_DEVICE_ACL_H

#include "engine/base/base.h"

/* Largest payload of a device. */
#define DEVICE_PAYLOAD_MAX 65536

/* Topics are matched literally; a closing slash is let through on progress alone. */
bool device_may_publish(const char *pk, const char *dn, const char *topic);
/* Wildcards only below the device's own names. */
bool device_may_subscribe(const char *pk, const char *dn, const char *filter);

struct acl_name {
	const char *at;
	size_t len;
};
/* Is this a downlink that the plugin hands to the device's live connection itself? Then to whom; the names
 * point into the topic. */
bool device_downlink(const char *topic, struct acl_name *ret_pk, struct acl_name *ret_dn);

#endif
