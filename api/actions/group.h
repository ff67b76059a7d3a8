/* SPDX-License-Identifier: Apache-2.0 */
/* What the calls about device groups share (api §9). */
#ifndef API_ACTIONS_GROUP_H
#define API_ACTIONS_GROUP_H

#include "api/action.h"
#include "storage/group.h"

#define GROUP_TYPE_DOC "LINK_PLATFORM (static, default) or LINK_PLATFORM_DYNAMIC."
#define GROUP_TYPE_WORDS GROUP_STATIC " " GROUP_DYNAMIC

/* A call about one group. */
struct group_in {
	const char *group_id, *type;
};
/* Rows of a table whose struct `type_` has the group in its member `at`. */
#define GROUP_ID_FIELD(type_, at) STR(type_, at.group_id, "GroupId", "The group.", .flags = REQUIRED)
#define GROUP_TYPE_FIELD(type_, at) \
	STR(type_, at.type, "GroupType", GROUP_TYPE_DOC, .one_of = GROUP_TYPE_WORDS, .err = ERR_FORMAT)

/* ERR_GROUP_NOT_FOUND. Without a type the static ones are meant. */
enum err group_find(struct call *c, const struct group_in *in, struct group *ret) MUST_USE;

/* Name, description and expression of a new group. */
struct group_new_in {
	const char *instance_id, *name, *description, *super_id, *expression;
};
/* Makes the group; parent_id 0: at the top; q NULL: static. *ret_data: struct group_made, for the answer. */
enum err group_make(struct call *c, const struct group_new_in *in, int64_t parent_id,
		    const struct group_query *q, const void **ret_data) MUST_USE;
extern const struct field group_made[];

/* A group in a list. */
struct group_out {
	const char *group_id, *name, *description, *type, *utc_create;
};
extern const struct field group_out[];
struct obj_list group_show(struct arena *a, const struct group *g, size_t n);

#endif
