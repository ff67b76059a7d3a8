/* SPDX-License-Identifier: Apache-2.0 */
#include "api/actions/tag_in.h"

#include "engine/base/json.h"

#include <string.h>

#define JSON_MAX ((size_t)16 * 1024 * 1024) /* a request is smaller */

/* clang-format off */
const struct field tag_asked[] = {
	STR(struct tag_asked, key,   "TagKey",   "Key of a tag.", .flags = REQUIRED),
	STR(struct tag_asked, value, "TagValue", "Its value.", .flags = REQUIRED),
	FIELD_END
};
/* clang-format on */

bool tags_asked_json(struct arena *a, const struct obj_list *tags, const char **ret)
{
	struct buf *b = buf_owned(a, JSON_MAX);
	const struct tag_asked *t = tags->v;
	struct json_out *j = json_new(a, b);

	json_object(j);
	for (size_t i = 0; i < tags->n; i++) {
		if (strcmp(t[i].key, TAG_KEY_RESERVED) == 0)
			return false;
		for (size_t k = 0; k < i; k++)
			if (strcmp(t[i].key, t[k].key) == 0 && strcmp(t[i].value, t[k].value) != 0)
				return false;
		json_put_string(j, t[i].key, t[i].value);
	}
	json_object_end(j);
	*ret = buf_str(b);
	return true;
}
