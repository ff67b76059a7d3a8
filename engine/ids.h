/* SPDX-License-Identifier: Apache-2.0 */
/* The vendor-shaped ids, derived from the integer keys and back: 20 base-62 characters and six digits that
 * tell the kind (api.md appendix B). They carry a check, so a mistyped or foreign-made id is recognised
 * without a look at the database; they are not secrets, ownership is always checked. */
#ifndef ENGINE_IDS_H
#define ENGINE_IDS_H

#include "engine/base/base.h"

enum id_kind { ID_DEVICE = 0 /* IotId ..000100 */, ID_TASK = 1, ID_JOB = 2, ID_FIRMWARE = 3, ID_GROUP = 4 };

#define ID_LEN 26
/* `a` is the row's key, below 2^48; `b` the task's seq, below 2^32, 0 for other kinds. */
void id_format(enum id_kind kind, int64_t a, int64_t b, char out[ID_LEN + 1]);
/* false when text is not an id of this kind. ret_b may be NULL. */
bool id_parse(enum id_kind kind, const char *text, int64_t *ret_a, int64_t *ret_b);
/* A new random upper-case UUID, for RequestId. out has 37 bytes. */
void request_id_new(char out[37]);

#endif
