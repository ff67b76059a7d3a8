/* SPDX-License-Identifier: Apache-2.0 */
/* Logins of real SDKs (device §1.2) and what must not get in. */
#include "engine/device_auth.h"

#include "harness.h"

#include <stdio.h>
#include <string.h>

#define DS "0123456789abcdef0123456789abcdef"
#define V3_ID                                                                                              \
	"a1TestPk001.dev-c3-01|timestamp=2524608000000,_v=sdk-c-3.2.0,securemode=3,signmethod=hmacsha256," \
	"lan=C,_ss=1,gw=0,ext=0|"
#define V3_USER "dev-c3-01&a1TestPk001"
#define V3_PW "EDC7E4F25B947A16308836736EB5A92C867F64E10F363FFAAB6FCA51867F14EA"
#define DOC_PW "fafd82a3d602b37fb0fa8b7892f24a477f851a14"

static bool login(const char *id, const char *user, const char *password, const char *secret)
{
	struct device_login l;

	return device_login_parse(id, user, &l) && device_login_check(&l, password, secret, strlen(secret));
}

static void test_vectors(void)
{
	static const struct {
		const char *id, *user, *password, *secret;
	} good[] = {
		{ V3_ID, V3_USER, V3_PW, DS },
		{ "a1TestPk001.c3-p-get|timestamp=2524608000000,_ss=1,_v=sdk-c-4.2.0,securemode=3,signmethod="
		  "hmacsha256,ext=3,_conn=tcp_0|",
		  "c3-p-get&a1TestPk001", "6010216AA4D099CA0BD35F1CB671C786E9909B607F46F4A3C6E05C44971D2666",
		  DS },
		{ "a1TestPk001&n-newget|securemode=3,signmethod=hmacsha1,timestamp=1795386801870,lan=NodeJS,_"
		  "v=1.2.8|",
		  "n-newget&a1TestPk001", "c5115a4a2b92c8741a683406f139e311b90e4361", DS },
		{ "12345|securemode=3,signmethod=hmacsha1,timestamp=789|", "device&pk", DOC_PW, "secret" },
		/* order, blanks, line ends, an unknown key, no closing bar, capitals */
		{ "12345| timestamp = 789 ,\n        signmethod=hmacsha1,\r\n\tnew=1", "device&pk", DOC_PW,
		  "secret" },
		{ "12345|SignMethod=HMACSHA1,timestamp=789|", "device&pk",
		  "FAFD82A3D602B37FB0FA8B7892F24A477F851A14", "secret" },
		/* announces one method and uses another; none announced; an unknown one announced */
		{ "12345|signmethod=hmacsha256,timestamp=789|", "device&pk", DOC_PW, "secret" },
		{ "12345|timestamp=789|", "device&pk", DOC_PW, "secret" },
		{ "12345|signmethod=rot13,timestamp=789|", "device&pk", DOC_PW, "secret" },
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!login(good[i].id, good[i].user, good[i].password, good[i].secret))
			test_fail(__FILE__, __LINE__, "row %d was refused", (int)i);
}

/* Signs `content` itself, so that every method and shape can be had. */
static void sign(enum digest d, const char *content, char out[2 * DIGEST_MAX + 1])
{
	unsigned char mac[DIGEST_MAX];

	hmac_once(d, DS, strlen(DS), content, strlen(content), mac);
	hex_encode(mac, digest_len(d), out);
}

static void test_methods(void)
{
	static const struct {
		enum digest d;
		const char *name;
	} methods[] = { { DIGEST_MD5, "hmacmd5" },
			{ DIGEST_SHA1, "hmacsha1" },
			{ DIGEST_SHA256, "hmacsha256" },
			{ DIGEST_SHA256, "sha256" } };
	char password[2 * DIGEST_MAX + 1], id[128];

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		(void)snprintf(id, sizeof id, "x|signmethod=%s|", methods[i].name);
		sign(methods[i].d, "clientIdxdeviceNamednproductKeypk", password);
		CHECK(login(id, "dn&pk", password, DS));
		CHECK(login("x|securemode=3|", "dn&pk", password, DS));
		/* The timestamp belongs to what is signed, when and only when it was sent. */
		CHECK(!login("x|timestamp=1|", "dn&pk", password, DS));
		sign(methods[i].d, "clientIdxdeviceNamednproductKeypktimestamp1", password);
		CHECK(login("x|timestamp=1|", "dn&pk", password, DS));
		CHECK(!login("x|timestamp=2|", "dn&pk", password, DS));
		CHECK(!login("x|securemode=3|", "dn&pk", password, DS));
	}
}

static void test_no_client(void)
{
	char password[2 * DIGEST_MAX + 1];

	sign(DIGEST_SHA256, "clientIddeviceNamednproductKeypk", password);
	CHECK(login("|securemode=3|", "dn&pk", password, DS));
	sign(DIGEST_SHA256, "deviceNamednproductKeypk", password);
	CHECK(login("|securemode=3|", "dn&pk", password, DS));
	CHECK(!login("x|securemode=3|", "dn&pk", password, DS));
}

static void test_names(void)
{
	struct device_login l;
	char longest[DEVICE_NAME_TEXT_MAX + 8];

	CHECK(device_login_parse("x|a=b|", "d&n&pk", &l));
	CHECK_STR(l.dn, "d&n");
	CHECK_STR(l.pk, "pk");
	CHECK_INT(l.x.len, 1);
	CHECK(device_login_parse("x", "dn.1:@-_&pk", &l));
	CHECK_STR(l.dn, "dn.1:@-_");
	CHECK(!device_login_parse("x|a=b|", "dnpk", &l));
	CHECK(!device_login_parse("x|a=b|", "&pk", &l));
	CHECK(!device_login_parse("x|a=b|", "dn&", &l));
	memset(longest, 'a', sizeof longest);
	memcpy(longest + DEVICE_NAME_TEXT_MAX + 1, "&pk", 4);
	CHECK(!device_login_parse("x|a=b|", longest, &l));
	CHECK(device_login_parse("x|a=b|", longest + 1, &l));
	CHECK_INT(strlen(l.dn), DEVICE_NAME_TEXT_MAX);
}

static void test_refused(void)
{
	char wrong[sizeof V3_PW], half[40] = "EDC7E4F25B947A16308836736EB5A92C";

	CHECK(!login(V3_ID, V3_USER, V3_PW, "another secret"));
	CHECK(!login(V3_ID, "dev-c3-02&a1TestPk001", V3_PW, DS));
	CHECK(!login(V3_ID, "dev-c3-01&a1TestPk002", V3_PW, DS));
	CHECK(!login("other|timestamp=2524608000000,signmethod=hmacsha256|", V3_USER, V3_PW, DS));
	CHECK(!login(V3_ID, V3_USER, "", DS));
	CHECK(!login(V3_ID, V3_USER, V3_PW "0", DS));
	CHECK(!login(V3_ID, V3_USER, V3_PW "00", DS));
	CHECK(!login(V3_ID, V3_USER, half, DS));
	for (size_t i = 0; i < sizeof V3_PW - 1; i++) { /* every digit counts */
		memcpy(wrong, V3_PW, sizeof wrong);
		wrong[i] = wrong[i] == '0' ? '1' : '0';
		CHECK(!login(V3_ID, V3_USER, wrong, DS));
		wrong[i] = 'g';
		CHECK(!login(V3_ID, V3_USER, wrong, DS));
	}
}

/* ---- dynamic registration (device §1.5) ---- */

#define PS "U5tW7i44uilcQ2dX"
#define R_USER "dev-r1&a1TestPk001"
#define R_MD5 "2038a477ad0317433c909cc589f979c7"
#define R_SHA1 "debd6e7ef69b5fc2aad6ab7bd9aa2844890d1d4e"
#define R_SHA256 "425a86c84909acbddfd7f32f4b829f4aa0e55cd42557e082a730a872f5199d53"

static bool registers(const char *id, const char *user, const char *sign_text, enum device_auth want)
{
	struct device_login l;

	return device_login_parse(id, user, &l) && l.auth == want &&
	       device_register_check(&l, sign_text, PS, strlen(PS));
}

/* The clientIds of SDKs in the field: any order, any X, either securemode. */
static void test_registrations(void)
{
	static const struct {
		const char *id, *sign_text;
		enum device_auth auth;
	} good[] = {
		{ "a1TestPk001.dev-r1|authType=register,random=8Ygb7ULYh53B6OA,signmethod=hmacsha256,"
		  "securemode=2|",
		  R_SHA256, AUTH_REGISTER },
		{ "dev-r1|securemode=2,authType=register,random=8Ygb7ULYh53B6OA,signmethod=hmacmd5|", R_MD5,
		  AUTH_REGISTER },
		{ "dev-r1.a1TestPk001|random=8Ygb7ULYh53B6OA,authType=regnwl,securemode=2,signmethod="
		  "hmacsha256,"
		  "instanceId=iot-06z009y9rnab11u|",
		  R_SHA256, AUTH_REGNWL },
		{ "x|securemode=-2,authType=regnwl,random=8Ygb7ULYh53B6OA,signmethod=hmacsha1|", R_SHA1,
		  AUTH_REGNWL },
		/* by its length when none, an unknown or another method is announced; blanks and capitals */
		{ "|AUTHTYPE = RegNwl , random= 8Ygb7ULYh53B6OA|", R_SHA1, AUTH_REGNWL },
		{ "x|authType=register,random=8Ygb7ULYh53B6OA,signmethod=rot13|", R_MD5, AUTH_REGISTER },
		{ "x|authType=register,random=8Ygb7ULYh53B6OA,signmethod=hmacmd5|", R_SHA256, AUTH_REGISTER },
	};
	char upper[sizeof R_SHA1] = R_SHA1;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!registers(good[i].id, R_USER, good[i].sign_text, good[i].auth))
			test_fail(__FILE__, __LINE__, "row %d was refused", (int)i);
	for (char *c = upper; *c; c++)
		if (*c >= 'a')
			*c = (char)(*c - 'a' + 'A');
	CHECK(registers("x|authType=register,random=8Ygb7ULYh53B6OA|", R_USER, upper, AUTH_REGISTER));
}

static void test_registrations_refused(void)
{
	static const char id[] = "x|authType=register,random=8Ygb7ULYh53B6OA|";
	struct device_login l;
	char longest[DEVICE_CLIENT_ID_MAX + 1];

	CHECK(!registers(id, "dev-r2&a1TestPk001", R_SHA256, AUTH_REGISTER));
	CHECK(!registers(id, "dev-r1&a1TestPk002", R_SHA256, AUTH_REGISTER));
	CHECK(!registers("x|authType=register,random=8Ygb7ULYh53B6OB|", R_USER, R_SHA256, AUTH_REGISTER));
	CHECK(!registers("x|authType=register|", R_USER, R_SHA256, AUTH_REGISTER)); /* no random */
	CHECK(!registers("x|authType=register,random=|", R_USER, R_SHA256, AUTH_REGISTER));
	CHECK(!registers(id, R_USER, "", AUTH_REGISTER));
	CHECK(!registers(id, R_USER, PS, AUTH_REGISTER));
	CHECK(!registers(id, R_USER, R_SHA256 "00", AUTH_REGISTER));
	CHECK(device_login_parse(id, R_USER, &l));
	CHECK(!device_register_check(&l, R_SHA256, "another secret", 14));
	/* the product's secret signs no login, the device's no registration */
	CHECK(device_login_parse("x|random=8Ygb7ULYh53B6OA|", R_USER, &l));
	CHECK_INT(l.auth, AUTH_LOGIN);
	CHECK(!device_login_check(&l, R_SHA256, PS, strlen(PS)));
	memset(longest, 'r', sizeof longest - 1);
	longest[DEVICE_CLIENT_ID_MAX] = '\0';
	memcpy(longest, "x|authType=register,random=", 27);
	CHECK(device_login_parse(longest, R_USER, &l));
	CHECK(!device_register_check(&l, R_SHA256, PS, strlen(PS)));
}

/* After regnwl the password is the token itself (authType=connwl). */
static void test_token(void)
{
	struct device_login l;

	CHECK(device_login_parse("a1TestPk001.dev-r1|authType=connwl,securemode=-2,_ss=1,ext=3,_v=x|", R_USER,
				 &l));
	CHECK_INT(l.auth, AUTH_TOKEN);
	CHECK(device_login_check(&l, DS, DS, strlen(DS)));
	CHECK(!device_login_check(&l, DS "0", DS, strlen(DS)));
	CHECK(!device_login_check(&l, "", DS, strlen(DS)));
	CHECK(!device_login_check(&l, "0123456789abcdef0123456789abcdeF", DS, strlen(DS)));
	/* without connwl the secret is no password */
	CHECK(!login("x|securemode=3|", R_USER, DS, DS));
	/* an unknown authType is a plain login, the first one counts */
	CHECK(device_login_parse("x|authType=id2|", R_USER, &l) && l.auth == AUTH_LOGIN);
	CHECK(device_login_parse("x|authType=connwl,authType=register|", R_USER, &l) && l.auth == AUTH_TOKEN);
}

static void test_sign_methods(void)
{
	static const char *const good[] = { "hmacmd5", "hmacsha1", "hmacsha256", "HmacSHA256" };
	static const char *const bad[] = { "", "md5", "hmac", "hmacsha512", "hmacmd5 " };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK(device_sign_method(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(!device_sign_method(bad[i]));
}

TESTS("engine/device_auth", { "registrations", test_registrations },
      { "registrations_refused", test_registrations_refused }, { "token", test_token },
      { "sign_methods", test_sign_methods }, { "vectors", test_vectors }, { "methods", test_methods },
      { "no_client", test_no_client }, { "names", test_names }, { "refused", test_refused })
