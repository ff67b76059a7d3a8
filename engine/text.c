/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/text.h"

#include "engine/base/parse.h"

#include <string.h>

#define DEVICE_NAME_MIN 4
#define DEVICE_NAME_MAX 32
#define FIRMWARE_NAME_MAX 40
#define TAG_KEY_MAX 30
#define ALIAS_MAX 64

struct range {
	uint32_t first, last;
};

static bool in_ranges(uint32_t c, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i].first && c <= r[i].last)
			return true;
	return false;
}

/* Han, as the Unicode blocks have it. */
static bool is_chinese(uint32_t c)
{
	static const struct range han[] = {
		{ 0x3007, 0x3007 }, { 0x3400, 0x4dbf },	  { 0x4e00, 0x9fff },
		{ 0xf900, 0xfaff }, { 0x20000, 0x2fa1f }, { 0x30000, 0x323af },
	};

	return in_ranges(c, han, ARRAY_LEN(han));
}

/* Hiragana, katakana, or one of their marks. */
static bool is_japanese(uint32_t c)
{
	static const struct range kana[] = {
		{ 0x3005, 0x3006 }, { 0x3041, 0x3096 }, { 0x3099, 0x309f }, { 0x30a1, 0x30fa },
		{ 0x30fc, 0x30ff }, { 0x31f0, 0x31ff }, { 0xff66, 0xff9f },
	};

	return in_ranges(c, kana, ARRAY_LEN(kana));
}

static bool is_letter_or_digit(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

size_t text_width(const char *s)
{
	size_t width = 0;
	uint32_t c;

	while ((c = utf8_next(&s)) != 0)
		width += is_chinese(c) ? 2 : 1;
	return width;
}

bool text_is_name(const char *s, size_t min, size_t max)
{
	size_t width = text_width(s);
	uint32_t c;

	if (width < min || width > max)
		return false;
	while ((c = utf8_next(&s)) != 0)
		if (!is_letter_or_digit(c) && c != '_' && !is_chinese(c))
			return false;
	return true;
}

/* ASCII only, so bytes are characters. */
static bool is_ascii_name(const char *s, const char *more, size_t min, size_t max)
{
	size_t len = strlen(s);

	return len >= min && len <= max && text_of(s, more);
}

bool text_is_device_name(const char *s)
{
	return is_ascii_name(s, "-_@.:", DEVICE_NAME_MIN, DEVICE_NAME_MAX);
}

bool text_is_firmware_name(const char *s)
{
	size_t count = utf8_count(s);
	bool first = true;
	uint32_t c;

	if (count < 1 || count > FIRMWARE_NAME_MAX)
		return false;
	for (; (c = utf8_next(&s)) != 0; first = false) {
		bool sign = c == '-' || c == '_' || c == '(' || c == ')';

		if (sign ? first : !is_letter_or_digit(c) && !is_chinese(c) && !is_japanese(c))
			return false;
	}
	return true;
}

bool text_is_version(const char *s)
{
	return is_ascii_name(s, ".-_", 1, VERSION_MAX);
}

bool text_is_alias(const char *s)
{
	size_t count = utf8_count(s);
	uint32_t c;

	if (count < 1 || count > ALIAS_MAX)
		return false;
	while ((c = utf8_next(&s)) != 0)
		if (!is_letter_or_digit(c) && c != '.' && c != '-' && c != '_' && !is_chinese(c))
			return false;
	return true;
}

bool text_is_tag_key(const char *s)
{
	return is_ascii_name(s, ".", 1, TAG_KEY_MAX);
}

bool text_is_blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

bool text_same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}
