/* SPDX-License-Identifier: Apache-2.0 */
/* Tags that a call searches for: Tag.N.TagKey and Tag.N.TagValue, all of them wanted (api §8.18, §9). */
#ifndef API_ACTIONS_TAG_IN_H
#define API_ACTIONS_TAG_IN_H

#include "api/action.h"

#define TAGS_ASKED_MAX 10
/* Kept, but never found. */
#define TAG_KEY_RESERVED "abc"

struct tag_asked {
	const char *key, *value;
};
extern const struct field tag_asked[];
#define TAGS_ASKED_FIELD(type, member, doc)                                                             \
	OBJS(type, member, "Tag", doc, .flags = REQUIRED, .max_items = TAGS_ASKED_MAX, .of = tag_asked, \
	     .of_size = sizeof(struct tag_asked))

/* The tags as one JSON object; false when nothing can have them all: a key with two values, or the reserved
 * one. */
bool tags_asked_json(struct arena *a, const struct obj_list *tags, const char **ret);

#endif
