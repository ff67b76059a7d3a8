/* SPDX-License-Identifier: Apache-2.0 */
/* What names, versions and keys may look like (api §2.8): one predicate per recurring character class. Pure;
 * every text is valid UTF-8 (the gateway sees to that). Lengths are in characters, not bytes. */
#ifndef ENGINE_TEXT_H
#define ENGINE_TEXT_H

#include "engine/base/base.h"

#define PRODUCT_NAME_MIN 4
#define PRODUCT_NAME_MAX 30
#define GROUP_NAME_MIN 4
#define GROUP_NAME_MAX 30
#define NICKNAME_MIN 4
#define NICKNAME_MAX 64
#define VERSION_MAX 64

/* Length of a name in which a Chinese character counts as two. */
size_t text_width(const char *s);

/* Product name, nickname, group name: Chinese, letters, digits and underscores, min to max wide. */
bool text_is_name(const char *s, size_t min, size_t max);
/* 4 to 32 letters, digits and - _ @ . : */
bool text_is_device_name(const char *s);
/* Package name: 1 to 40 of Chinese, Japanese, letters, digits and - _ ( ), the first none of the signs. */
bool text_is_firmware_name(const char *s);
/* Version or module name: 1 to 64 letters, digits and . - _ */
bool text_is_version(const char *s);
/* Alias of a module: 1 to 64 of Chinese, letters, digits and . - _ */
bool text_is_alias(const char *s);
/* Key of a batch tag: 1 to 30 letters, digits and . */
bool text_is_tag_key(const char *s);
/* Nothing but blanks. */
bool text_is_blank(const char *s);
/* Both there, and equal. */
bool text_same(const char *a, const char *b);

#endif
