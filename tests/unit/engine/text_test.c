/* SPDX-License-Identifier: Apache-2.0 */
/* The character classes of names, at their borders. */
#include "engine/text.h"
#include "harness.h"

#include <string.h>

/* n times the character c, in a static buffer. */
static const char *times(const char *c, size_t n)
{
	static char out[512];
	size_t len = strlen(c);

	CHECK(n * len < sizeof out);
	for (size_t i = 0; i < n; i++)
		memcpy(out + i * len, c, len);
	out[n * len] = '\0';
	return out;
}

static void chinese_counts_two(void)
{
	CHECK_INT(text_width("abc_1"), 5);
	CHECK_INT(text_width("水表"), 4);
	CHECK_INT(text_width("水a"), 3);
	CHECK_INT(text_width(""), 0);
	CHECK_INT(text_width("𠀀"), 2); /* outside the basic plane */
}

static void product_names(void)
{
	CHECK(!text_is_name("abc", 4, 30));
	CHECK(text_is_name("abcd", 4, 30));
	CHECK(text_is_name("水表", 4, 30));
	CHECK(!text_is_name("水a", 4, 30));
	CHECK(text_is_name(times("x", 30), 4, 30));
	CHECK(!text_is_name(times("x", 31), 4, 30));
	CHECK(text_is_name(times("水", 15), 4, 30));
	CHECK(!text_is_name(times("水", 16), 4, 30));
	CHECK(text_is_name("meter_v1", 4, 30));
	CHECK(!text_is_name("meter-v1", 4, 30));
	CHECK(!text_is_name("meter v1", 4, 30));
	CHECK(!text_is_name("カタカナ", 4, 30));
	CHECK(!text_is_name("mètre", 4, 30));
}

static void device_names(void)
{
	CHECK(!text_is_device_name("abc"));
	CHECK(text_is_device_name("abcd"));
	CHECK(text_is_device_name("A-_@.:9z"));
	CHECK(text_is_device_name(times("d", 32)));
	CHECK(!text_is_device_name(times("d", 33)));
	CHECK(!text_is_device_name("a/bcd"));
	CHECK(!text_is_device_name("水表水表"));
	CHECK(!text_is_device_name("abc d"));
	CHECK(!text_is_device_name(""));
}

static void firmware_names(void)
{
	CHECK(!text_is_firmware_name(""));
	CHECK(text_is_firmware_name("a"));
	CHECK(text_is_firmware_name("固件(v1)-_"));
	CHECK(text_is_firmware_name("ファーム"));
	CHECK(text_is_firmware_name("ふぁーむ"));
	CHECK(!text_is_firmware_name("-a"));
	CHECK(!text_is_firmware_name("_a"));
	CHECK(!text_is_firmware_name("(a)"));
	CHECK(!text_is_firmware_name("a.b"));
	CHECK(!text_is_firmware_name("a b"));
	CHECK(text_is_firmware_name(times("固", 40)));
	CHECK(!text_is_firmware_name(times("固", 41)));
}

static void versions_and_tags(void)
{
	CHECK(text_is_version("1.0.0-rc_1"));
	CHECK(!text_is_version(""));
	CHECK(!text_is_version("1.0 0"));
	CHECK(!text_is_version("1:0"));
	CHECK(text_is_version(times("1", 64)));
	CHECK(!text_is_version(times("1", 65)));
	CHECK(text_is_alias("Scanner-2.v_1"));
	CHECK(text_is_alias(times("水", 64)));
	CHECK(!text_is_alias(times("水", 65)));
	CHECK(!text_is_alias(""));
	CHECK(!text_is_alias("a b"));
	CHECK(!text_is_alias("カナ"));
	CHECK(text_is_tag_key("site.1"));
	CHECK(!text_is_tag_key("site_1"));
	CHECK(text_is_tag_key(times("k", 30)));
	CHECK(!text_is_tag_key(times("k", 31)));
	CHECK(!text_is_tag_key(""));
	CHECK(text_is_blank(" \t"));
	CHECK(!text_is_blank(" a"));
}

TESTS("engine/text", { "chinese counts two", chinese_counts_two }, { "product names", product_names },
      { "device names", device_names }, { "firmware names", firmware_names },
      { "versions and tags", versions_and_tags })
