/* SPDX-License-Identifier: Apache-2.0 */
/* The complete requests that unmodified SDKs put on the wire (tests/contract/signature-vectors.json) and the
 * vectors of api §1.5 and §1.7, through the gateway's own verification: good as they are, bad with one byte
 * changed. */
#include "api/signature.h"
#include "engine/base/json.h"
#include "harness.h"

#include <stdio.h>
#include <string.h>

static struct arena arena;

static void setup(void)
{
	arena_init(&arena);
}

static struct request request_of(const char *method, const char *target, const char *body)
{
	struct request rq = { .method = method, .body = body, .body_len = strlen(body) };
	size_t path = strcspn(target, "?");

	arena_init(&rq.arena);
	rq.path = arena_strndup(&arena, target, path);
	rq.query = target[path] ? target + path + 1 : "";
	return rq;
}

/* What the whole of authentication before the key says. OK and a wrong signature are told apart by the caller. */
static enum err verify_as(struct request *rq, const char *secret, enum err *ret_read)
{
	struct credentials c;
	struct params p;
	struct error e;
	enum err err;

	error_init(&e, &rq->arena);
	err = request_params(rq, &e, &p);
	if (err == OK)
		err = *ret_read = credentials_read(rq, &p, &e, &c);
	error_clear(&e);
	if (err == OK || err == ERR_SECURITY_TOKEN)
		err = signature_verify(rq, &p, &c, secret, &e);
	arena_free(&rq->arena);
	arena_init(&rq->arena);
	return err;
}

static char *read_file(const char *path)
{
	static char text[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t n;

	CHECK(f != NULL);
	n = fread(text, 1, sizeof text - 1, f);
	CHECK(fclose(f) == 0);
	text[n] = '\0';
	return text;
}

static const char *text_of_key(const struct json *v, const char *key)
{
	const char *s = json_text(json_get(v, key));

	return s ? s : "";
}

/* json.h has no walk over members; these are the headers that the clients send. */
static void take_headers(struct request *rq, const struct json *headers)
{
	static const char *const names[] = {
		"host", "user-agent", "accept", "authorization", "content-type", "content-length", "connection",
		"transfer-encoding", "x-sdk-client", "x-acs-action", "x-acs-version", "x-acs-date",
		"x-acs-signature-nonce", "x-acs-content-sha256", "x-acs-credentials-provider",
		"x-acs-accesskey-id", "x-acs-security-token",
	};
	struct header *h = ARENA_ARRAY(&arena, ARRAY_LEN(names), struct header);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *v = json_text(json_get(headers, names[i]));

		if (v)
			h[rq->n_headers++] = (struct header){ .name = names[i], .value = v };
	}
	rq->headers = h;
}

static struct request vector_request(const struct json *v)
{
	const struct json *r = json_get(v, "request");
	struct request rq = request_of(text_of_key(r, "method"), text_of_key(r, "target"), text_of_key(r, "body"));

	take_headers(&rq, json_get(r, "headers"));
	return rq;
}

static const struct json *vectors(void)
{
	const char *text = read_file(SOURCE_DIR "/tests/contract/signature-vectors.json");
	const struct json *list = json_get(json_parse(&arena, text, strlen(text), false), "vectors");

	CHECK_INT(json_length(list), 10);
	return list;
}

static void test_vectors_accepted(void)
{
	const struct json *list = vectors();
	int rpc = 0, tokens = 0;

	for (size_t i = 0; i < json_length(list); i++) {
		const struct json *v = json_at(list, i);
		struct request rq = vector_request(v);
		enum err read = OK;

		rpc += signature_scheme(&rq) == SCHEME_RPC;
		if (verify_as(&rq, text_of_key(v, "accessKeySecret"), &read) != OK)
			test_fail(__FILE__, __LINE__, "%s", text_of_key(v, "name"));
		tokens += read == ERR_SECURITY_TOKEN;
	}
	CHECK_INT(rpc, 5);
	CHECK(tokens > 0);
}

static void refuse_vector(const struct json *v, struct request *rq, const char *secret, const char *what)
{
	enum err read = OK;

	if (verify_as(rq, secret, &read) == OK)
		test_fail(__FILE__, __LINE__, "%s with another %s", text_of_key(v, "name"), what);
}

/* Every byte of the query and of the body, one after the other: nothing but a change that decodes to the same
 * text may pass. */
static void change_each_byte(const struct json *v, char *text, size_t len, const char **of, struct request *rq,
			     const char *what)
{
	const char *secret = text_of_key(v, "accessKeySecret");
	size_t step = len > 400 ? len / 400 : 1;

	*of = text;
	for (size_t i = 0; i < len; i += step) {
		char was = text[i];

		text[i] = was == 'x' ? 'y' : 'x';
		refuse_vector(v, rq, secret, what);
		text[i] = was;
	}
}

static void test_vectors_refused_when_changed(void)
{
	const struct json *list = vectors();

	for (size_t i = 0; i < json_length(list); i++) {
		const struct json *v = json_at(list, i);
		struct request rq = vector_request(v);
		char *query = arena_strdup(&arena, rq.query), *body = arena_strdup(&arena, rq.body);
		const char *method = rq.method;

		refuse_vector(v, &rq, "testsecreT", "secret");
		rq.method = strcmp(method, "GET") == 0 ? "POST" : "GET";
		refuse_vector(v, &rq, text_of_key(v, "accessKeySecret"), "method");
		rq.method = method;
		change_each_byte(v, query, strlen(query), &rq.query, &rq, "query");
		change_each_byte(v, body, strlen(body), &rq.body, &rq, "body");
		rq.query = arena_printf(&arena, "%s%sAdded=1", query, query[0] ? "&" : "");
		refuse_vector(v, &rq, text_of_key(v, "accessKeySecret"), "parameter");
	}
}

static void test_signed_headers_refused_when_changed(void)
{
	const struct json *list = vectors();
	int changed = 0;

	for (size_t i = 0; i < json_length(list); i++) {
		const struct json *v = json_at(list, i);
		struct request rq = vector_request(v);
		struct header *h = ARENA_ARRAY(&arena, rq.n_headers, struct header);
		const struct header *was = rq.headers;

		if (signature_scheme(&rq) != SCHEME_ACS3)
			continue;
		for (size_t k = 0; k < rq.n_headers; k++) {
			if (strncmp(was[k].name, "x-acs-", 6) != 0 && strcmp(was[k].name, "host") != 0)
				continue;
			memcpy(h, was, rq.n_headers * sizeof *h);
			h[k].value = arena_printf(&arena, "%s1", was[k].value);
			rq.headers = h;
			refuse_vector(v, &rq, text_of_key(v, "accessKeySecret"), was[k].name);
			changed++;
		}
	}
	CHECK(changed >= 30);
}

/* ---- api §1.5, §1.7 ------------------------------------------------------------------------------------ */

#define SAMPLE_QUERY \
	"AccessKeyId=testid&Action=CreateOTAStaticUpgradeJob&FirmwareId=fw0001&Format=JSON&ProductKey=a1Le6d0test" \
	"&RegionId=cn-shanghai&SignatureMethod=HMAC-SHA1&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf" \
	"&SignatureVersion=1.0&SrcVersion.1=V1.0.1&Tag.1.Key=key.1&Tag.1.Value=a+b*~/%2b%E4%B8%AD" \
	"&TargetSelection=ALL&Timestamp=2020-01-01T00:00:00Z&Version=2018-01-20&Signature="

static void test_rpc_samples(void)
{
	static const struct {
		const char *method, *target;
		enum err want;
	} cases[] = {
		{ "GET",
		  "/?MessageContent=aGVsbG93b3JsZA%3D&Action=Pub&Timestamp=2017-10-02T09%3A39%3A41Z&SignatureVersion=1.0"
		  "&ServiceCode=iot&Format=XML&Qos=0&SignatureNonce=0715a395-aedf-4a41-bab7-746b43d38d88"
		  "&Version=2017-04-20&AccessKeyId=testid&SignatureMethod=HMAC-SHA1&RegionId=cn-shanghai"
		  "&ProductKey=12345abcdeZ&TopicFullName=%2FproductKey%2Ftestdevice%2Fget"
		  "&Signature=Y9eWn4nF8QPh3c4zAFkM%2Fk%2Fu7eA%3D", OK },
		{ "GET", "/?" SAMPLE_QUERY "gdMHQOvHZ3XRZP9CYqKhdWwZvxw%3D", OK },
		{ "POST", "/?" SAMPLE_QUERY "UzuBO0wtWFWPE4JsDffyUSyxc78%3D", OK },
		{ "POST", "/?" SAMPLE_QUERY "gdMHQOvHZ3XRZP9CYqKhdWwZvxw%3D", ERR_SIGNATURE },
		{ "GET", "/?" SAMPLE_QUERY "gdMHQOvHZ3XRZP9CYqKhdWwZvxx%3D", ERR_SIGNATURE },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct request rq = request_of(cases[i].method, cases[i].target, "");
		enum err read = OK;

		CHECK_INT(verify_as(&rq, "testsecret", &read), cases[i].want);
	}
}

static void test_acs3_samples(void)
{
	static const char signed3[] = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;"
				      "x-acs-version";
	static const char form[] = "DeviceNameList.1.DeviceName=light1&DeviceNameList.1.DeviceNickname=lamp_1"
				   "&DeviceNameList.2.DeviceName=light2";
	struct header h[] = {
		{ "Host", "iot.cn-shanghai.aliyuncs.com" },
		{ "x-acs-action", "CreateOTAStaticUpgradeJob" },
		{ "x-acs-version", "2018-01-20" },
		{ "x-acs-date", "2020-01-01T00:00:00Z" },
		{ "x-acs-signature-nonce", "3ee8c1b883d344afa94f4e0ad82fd6cf" },
		{ "x-acs-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "Authorization", arena_printf(&arena, "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=%s,Signature="
				   "e30a2e5558f85c7eb3ec7bf17192f75a863d3316f53c140ee4d979caf57fc0d8", signed3) },
		{ "Content-Type", "application/x-www-form-urlencoded" },
	};
	struct request rq = request_of("POST", "/?TargetSelection=ALL&FirmwareId=fw0001&ProductKey=a1Le6d0test"
				       "&SrcVersion.1=V1.0.1&Tag.1.Key=key.1&Tag.1.Value=a%20b*~/%2B%E4%B8%AD", "");
	enum err read = OK;

	rq.headers = h;
	rq.n_headers = 7;
	CHECK_INT(verify_as(&rq, "testsecret", &read), OK);
	rq = request_of("POST", "/?ProductKey=a1Le6d0test", form);
	h[1].value = "BatchCheckDeviceNames";
	h[5].value = "3ec09354dd3beefdbc07d7f8d85dbdb1d7dd4d713296ab992b6d5deeb2704f81";
	h[6].value = arena_printf(&arena, "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=content-type;%s,Signature="
				  "19ad60fc879abcec35afee7c3e8e8366f008138464c9366ae95e4acc904097e7", signed3);
	rq.headers = h;
	rq.n_headers = 8;
	CHECK_INT(verify_as(&rq, "testsecret", &read), OK);
	/* The body is another one than was hashed, and the hash in the header still the signed one. */
	rq.body = arena_printf(&arena, "%s%s", form, "x");
	rq.body_len++;
	CHECK_INT(verify_as(&rq, "testsecret", &read), ERR_SIGNATURE);
}

/* ---- refusals before the signature -------------------------------------------------------------------- */

static void test_acs3_needs_its_headers_signed(void)
{
	struct header h[] = {
		{ "host", "h" }, { "x-acs-date", "2020-01-01T00:00:00Z" }, { "x-acs-signature-nonce", "n" },
		{ "x-acs-content-sha256", "e3" },
		{ "Authorization", "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=b" },
	};
	struct request rq = request_of("POST", "/", "");
	enum err read = OK;

	rq.headers = h;
	rq.n_headers = ARRAY_LEN(h);
	CHECK_INT(verify_as(&rq, "s", &read), ERR_SIGNATURE_INCOMPLETE);
	h[4].value = "ACS3-HMAC-SM3 Credential=a,SignedHeaders=host,Signature=b";
	CHECK_INT(verify_as(&rq, "s", &read), ERR_SIGNATURE_METHOD);
	h[4].value = "ACS3-HMAC-SHA256 Credential=a";
	CHECK_INT(verify_as(&rq, "s", &read), ERR_SIGNATURE_INCOMPLETE);
}

static void test_rpc_presence(void)
{
	static const struct {
		const char *query;
		enum err want;
	} cases[] = {
		{ "AccessKeyId=a", ERR_MISSING_PARAM },
		{ "AccessKeyId=a&Signature=b&SignatureMethod=HMAC-SHA256&SignatureVersion=1.0&SignatureNonce=n&Timestamp=t",
		  ERR_SIGNATURE_METHOD },
		{ "AccessKeyId=a&Signature=b&SignatureMethod=HMAC-SHA1&SignatureVersion=2.0&SignatureNonce=n&Timestamp=t",
		  ERR_SIGNATURE_VERSION },
		{ "AccessKeyId=a&Signature=b&SignatureType=BEARERTOKEN&BearerToken=x", ERR_SIGNATURE_METHOD },
		{ "a=1&a=2", ERR_DUPLICATE_PARAM },
		{ "a=%zz", ERR_BAD_REQUEST },
		{ "a=%00", ERR_BAD_REQUEST },
		{ "a=%ff%fe", ERR_BAD_REQUEST },
		{ "a=%4", ERR_BAD_REQUEST },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct request rq = request_of("GET", arena_printf(&arena, "/?%s", cases[i].query), "");
		enum err read = OK;

		CHECK_INT(verify_as(&rq, "s", &read), cases[i].want);
	}
}

static void test_message_shows_the_string(void)
{
	struct request rq = request_of("GET", "/?" SAMPLE_QUERY "wrong", "");
	struct credentials c;
	struct params p;
	struct error e;

	error_init(&e, &arena);
	CHECK_INT(request_params(&rq, &e, &p), OK);
	CHECK_INT(credentials_read(&rq, &p, &e, &c), OK);
	CHECK_INT(signature_verify(&rq, &p, &c, "testsecret", &e), ERR_SIGNATURE);
	CHECK(strncmp(error_text(&e),
		      "Specified signature is not matched with our calculation. server string to sign is:GET&%2F&"
		      "AccessKeyId%3Dtestid%26Action%3DCreateOTAStaticUpgradeJob", 140) == 0);
	CHECK(strstr(error_text(&e), "Tag.1.Value%3Da%2520b%252A~%252F%252B%25E4%25B8%25AD%26") != NULL);
	arena_free(&rq.arena);
}

#define CASE(fn_) static void fn_##_(void) { setup(); fn_(); arena_free(&arena); }
CASE(test_vectors_accepted)
CASE(test_vectors_refused_when_changed)
CASE(test_signed_headers_refused_when_changed)
CASE(test_rpc_samples)
CASE(test_acs3_samples)
CASE(test_acs3_needs_its_headers_signed)
CASE(test_rpc_presence)
CASE(test_message_shows_the_string)

TESTS("api/signature", { "vectors accepted", test_vectors_accepted_ },
      { "vectors refused when changed", test_vectors_refused_when_changed_ },
      { "signed headers refused when changed", test_signed_headers_refused_when_changed_ },
      { "rpc samples", test_rpc_samples_ }, { "acs3 samples", test_acs3_samples_ },
      { "acs3 needs its headers signed", test_acs3_needs_its_headers_signed_ },
      { "rpc presence", test_rpc_presence_ }, { "message shows the string", test_message_shows_the_string_ })
