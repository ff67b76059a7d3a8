/* SPDX-License-Identifier: Apache-2.0 */
/* The condition of a dynamic group: `field = "x"` and `field LIKE "x%"`, joined by `and` (api §9). Pure; any
 * thread. Storage matches devices against the result (view device_group_device).
 *
 *   product_key = "a1Xk3Pq7RtZ" and name LIKE "meter%"
 *   status = "ONLINE" and tag.tag_name = "site" and tag.tag_value LIKE "p%"
 *
 * Fields: product_key, name (DeviceName), status (ONLINE, OFFLINE, UNACTIVE, DISABLE; only with =), and tags,
 * as a pair tag.tag_name, tag.tag_value or in short tags.<name>; a tag.tag_name alone asks for any value. A
 * value is quoted by " or '; there are no escapes. The % of LIKE stands at the end and nowhere else; _ means
 * itself. Keywords may be in either case. */
#ifndef ENGINE_GROUPQUERY_H
#define ENGINE_GROUPQUERY_H

#include "engine/base/err.h"

#define GROUP_QUERY_TERMS_MAX 10
#define GROUP_QUERY_CHARS_MAX 400

/* Terms of one field, as patterns of SQL's LIKE with backslash escapes: all of them have to match. */
struct group_query {
	size_t n_product_keys, n_names, n_statuses, n_tags;
	const char *product_keys[GROUP_QUERY_TERMS_MAX];
	const char *names[GROUP_QUERY_TERMS_MAX];
	const char *statuses[GROUP_QUERY_TERMS_MAX];
	const char *tag_keys[GROUP_QUERY_TERMS_MAX]; /* as they are, no patterns */
	const char *tag_values[GROUP_QUERY_TERMS_MAX];
};

/* Texts in e's arena. ERR_QUERY (not a condition), ERR_QUERY_FIELD, ERR_QUERY_TERMS (too many),
 * ERR_QUERY_OPERATOR (not with this field), ERR_QUERY_SYNTAX (SQL that is not supported here, e.g. or); the
 * text says where. */
enum err group_query_parse(const char *text, struct group_query *ret, struct error *e) MUST_USE;

#endif
