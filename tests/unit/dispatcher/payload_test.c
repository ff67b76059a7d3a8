/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads, byte for byte as device §2.3, §2.6 and §5.2. */
#include "dispatcher/payload.h"

#include "harness.h"

#include <string.h>

static const struct payload_file one = { 1,
					 "fw.bin",
					 "http://h/fw.bin?k=1",
					 300000,
					 "21ff00000000000000000000000000aa",
					 "b1ff00000000000000000000000000000000000000000000000000000000000b" };

static struct payload plain(void)
{
	return (struct payload){ .firmware_id = 7,
				 .version = "2.0.0",
				 .module = "default",
				 .sign_method = "MD5",
				 .udi = "",
				 .files = &one,
				 .files_n = 1 };
}

static void check_push(const struct payload *p, const char *want)
{
	struct arena a;
	struct buf *b;

	arena_init(&a);
	b = buf_owned(&a, PAYLOAD_MAX);
	payload_push(&a, b, p, 1795386043370);
	CHECK_STR(buf_str(b), want);
	arena_free(&a);
}

static void test_plain(void)
{
	struct payload p = plain();

	check_push(
		&p,
		"{\"code\":\"1000\",\"data\":{\"size\":300000,\"version\":\"2.0.0\",\"url\":\"http://h/"
		"fw.bin?k=1\","
		"\"md5\":\"21ff00000000000000000000000000aa\",\"sign\":\"21ff00000000000000000000000000aa\","
		"\"signMethod\":\"Md5\"},\"id\":1795386043370,\"message\":\"success\"}");
}

static void test_all_keys(void)
{
	static const char *const keys[] = { "size", "b" }, *const values[] = { "x\"y", "" };
	struct payload p = plain();

	p.sign_method = "SHA256";
	p.module = "MCU";
	p.differential = true;
	p.udi = "{\"a\":1}";
	p.tag_keys = keys;
	p.tag_values = values;
	p.tags = 2;
	check_push(&p,
		   "{\"code\":\"1000\",\"data\":{\"size\":300000,\"version\":\"2.0.0\",\"isDiff\":1,"
		   "\"url\":\"http://h/fw.bin?k=1\",\"md5\":\"21ff00000000000000000000000000aa\","
		   "\"sign\":\"b1ff00000000000000000000000000000000000000000000000000000000000b\","
		   "\"signMethod\":\"SHA256\",\"module\":\"MCU\",\"extData\":{\"size\":\"x\\\"y\",\"b\":\"\","
		   "\"_package_udi\":\"{\\\"a\\\":1}\"}},\"id\":1795386043370,\"message\":\"success\"}");
}

static void test_mqtt(void)
{
	struct payload p = plain();

	p.mqtt = true;
	check_push(
		&p,
		"{\"code\":\"1000\",\"data\":{\"size\":300000,\"version\":\"2.0.0\",\"dProtocol\":\"mqtt\","
		"\"streamId\":7,\"streamFileId\":1,\"md5\":\"21ff00000000000000000000000000aa\","
		"\"sign\":\"21ff00000000000000000000000000aa\",\"signMethod\":\"Md5\"},\"id\":1795386043370,"
		"\"message\":\"success\"}");
}

static void test_files(void)
{
	static const char *const keys[] = { "key1" }, *const values[] = { "v1" };
	struct payload_file two[] = { one, one };
	struct payload p = plain();

	two[0].md5 = "m1";
	two[1].md5 = "m2";
	two[1].name = "b.bin";
	p.files = two;
	p.files_n = 2;
	p.tag_keys = keys;
	p.tag_values = values;
	p.tags = 1;
	check_push(&p,
		   "{\"code\":\"1000\",\"data\":{\"extData\":{\"key1\":\"v1\"},\"version\":\"2.0.0\","
		   "\"signMethod\":"
		   "\"Md5\",\"files\":[{\"fileSize\":300000,\"fileName\":\"fw.bin\",\"fileUrl\":"
		   "\"http://h/"
		   "fw.bin?k=1\",\"fileMd5\":\"m1\",\"fileSign\":\"m1\"},{\"fileSize\":300000,\"fileName\":"
		   "\"b.bin\",\"fileUrl\":\"http://h/fw.bin?k=1\",\"fileMd5\":\"m2\",\"fileSign\":\"m2\"}]},"
		   "\"id\":1795386043370,\"message\":\"success\"}");
}

static void test_get(void)
{
	struct payload p = plain();
	struct arena a;
	struct buf *b;

	arena_init(&a);
	b = buf_owned(&a, PAYLOAD_MAX);
	payload_get_reply(&a, b, &p, "2");
	CHECK_STR(buf_str(b), "{\"code\":200,\"data\":{\"size\":300000,\"version\":\"2.0.0\",\"url\":\"http:/"
			      "/h/fw.bin?k=1\","
			      "\"md5\":\"21ff00000000000000000000000000aa\",\"sign\":"
			      "\"21ff00000000000000000000000000aa\",\"signMethod\":\"Md5\"},\"id\":\"2\","
			      "\"message\":\"success\"}");
	b = buf_owned(&a, PAYLOAD_MAX);
	payload_get_none(&a, b, "17");
	CHECK_STR(buf_str(b), "{\"id\":\"17\",\"code\":200,\"data\":{}}");
	arena_free(&a);
}

static void test_block(void)
{
	static const char head[] = "{\"id\":\"1\",\"code\":200,\"data\":{\"fileToken\":\"default\","
				   "\"fileLength\":300000,\"bOffset\":0,\"bSize\":9}}";
	struct payload_block block = { "1", "default", 200, 300000, 0, "123456789", 9 };
	struct arena a;
	struct buf *b;

	arena_init(&a);
	b = buf_owned(&a, PAYLOAD_MAX);
	payload_block_reply(&a, b, &block);
	CHECK_INT(b->len, 2 + sizeof head - 1 + 9 + 2);
	CHECK_INT((unsigned char)b->data[1], sizeof head - 1);
	CHECK(memcmp(b->data + 2, head, sizeof head - 1) == 0);
	CHECK_INT((unsigned char)b->data[b->len - 2], 0x3d);
	CHECK_INT((unsigned char)b->data[b->len - 1], 0xbb);
	b = buf_owned(&a, PAYLOAD_MAX);
	block = (struct payload_block){ .id = "1", .code = 404 };
	payload_block_reply(&a, b, &block);
	CHECK_STR(b->data + 2, "{\"id\":\"1\",\"code\":404,\"data\":{}}");
	arena_free(&a);
}

TESTS("dispatcher/payload", { "plain", test_plain }, { "all_keys", test_all_keys }, { "mqtt", test_mqtt },
      { "files", test_files }, { "get", test_get }, { "block", test_block })
