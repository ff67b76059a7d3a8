/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI 3.1 out of the action tables, so that the document cannot say what the gateway does not do. Printed
 * by otactl, checked by the contract tests. */
#include "api/api.h"

#include "engine/base/json.h"

#include <string.h>

static void put_schema(struct json_out *j, const struct field *f);

static void put_type(struct json_out *j, const char *type, const char *format)
{
	json_put_string(j, "type", type);
	if (format)
		json_put_string(j, "format", format);
}

static void put_one_of(struct json_out *j, const char *words, bool numbers)
{
	struct arena scratch, *a = &scratch;

	arena_init(a);
	json_put_array(j, "enum");
	while (*words) {
		size_t len = strcspn(words, " ");
		int64_t n = 0;
		bool negative = words[0] == '-';

		for (size_t i = negative; numbers && i < len; i++)
			n = n * 10 + (words[i] - '0');
		if (numbers)
			json_int(j, negative ? -n : n);
		else
			json_string(j, arena_strndup(a, words, len));
		words += len + strspn(words + len, " ");
	}
	json_array_end(j);
	arena_free(a);
}

/* A JSON Schema pattern for letters, digits and the characters of the row. */
static void put_pattern(struct json_out *j, const char *chars)
{
	char pattern[160] = "^[A-Za-z0-9";
	size_t n = strlen(pattern);

	for (; *chars && n < sizeof pattern - 8; chars++) {
		pattern[n++] = '\\';
		pattern[n++] = *chars;
	}
	memcpy(pattern + n, "]+$", 4);
	json_put_string(j, "pattern", pattern);
}

static void put_text_limits(struct json_out *j, const struct field *f)
{
	if (f->min_chars > 0)
		json_put_int(j, "minLength", f->min_chars);
	if (f->max_chars > 0)
		json_put_int(j, "maxLength", f->max_chars);
	if (f->chars)
		put_pattern(j, f->chars);
	if (f->one_of)
		put_one_of(j, f->one_of, false);
}

static void put_object(struct json_out *j, const struct field *table)
{
	json_put_string(j, "type", "object");
	json_put_object(j, "properties");
	for (const struct field *f = table; f && f->name; f++) {
		json_key(j, f->name);
		put_schema(j, f);
	}
	json_object_end(j);
}

static void put_array(struct json_out *j, const struct field *f)
{
	json_put_string(j, "type", "array");
	if (f->max_items > 0)
		json_put_int(j, "maxItems", f->max_items);
	json_put_object(j, "items");
	if (f->kind == FIELD_OBJS) {
		put_object(j, f->of);
	} else {
		put_type(j, "string", NULL);
		put_text_limits(j, f);
	}
	json_object_end(j);
}

static void put_list(struct json_out *j, const struct field *f)
{
	if (!f->item) {
		put_array(j, f);
		return;
	}
	json_put_string(j, "type", "object");
	json_put_object(j, "properties");
	json_put_object(j, f->item);
	put_array(j, f);
	json_object_end(j);
	json_object_end(j);
}

static void put_schema(struct json_out *j, const struct field *f)
{
	json_object(j);
	if (f->doc && f->doc[0])
		json_put_string(j, "description", f->doc);
	switch (f->kind) {
	case FIELD_STR:
		put_type(j, "string", NULL);
		put_text_limits(j, f);
		break;
	case FIELD_INT:
	case FIELD_LONG:
		put_type(j, "integer", f->kind == FIELD_INT ? "int32" : "int64");
		if (f->min != 0 || f->max != 0) {
			json_put_int(j, "minimum", f->min);
			json_put_int(j, "maximum", f->max);
		}
		if (f->one_of)
			put_one_of(j, f->one_of, true);
		break;
	case FIELD_BOOL:
		put_type(j, "boolean", NULL);
		break;
	case FIELD_STRS:
	case FIELD_OBJS:
		put_list(j, f);
		break;
	case FIELD_OBJ:
		put_object(j, f->of);
		break;
	}
	json_object_end(j);
}

/* Lists are spelt Name.N and Name.N.Field on the wire (x-ota-style says so). */
static bool has_field(const struct field *table, const char *name)
{
	for (const struct field *f = table; f && f->name; f++)
		if (strcmp(f->name, name) == 0)
			return true;
	return false;
}

static void put_parameters(struct json_out *j, const struct field *table)
{
	json_put_array(j, "parameters");
	for (const struct field *f = table; f && f->name; f++) {
		bool list = f->kind == FIELD_STRS || f->kind == FIELD_OBJS;

		json_object(j);
		json_put_string(j, "name", f->name);
		json_put_string(j, "in", "query");
		json_put_bool(j, "required", (f->flags & REQUIRED) != 0);
		if (list)
			json_put_string(j, "x-ota-style", f->kind == FIELD_STRS ? "Name.N" : "Name.N.Field");
		if (f->alias)
			json_put_string(j, "x-ota-alias", f->alias);
		if (f->err != OK)
			json_put_string(j, "x-ota-error", err_info(f->err)->api_code);
		json_key(j, "schema");
		put_schema(j, f);
		json_object_end(j);
	}
	if (!has_field(table, "IotInstanceId")) { /* of every action (rules §7) */
		json_object(j);
		json_put_string(j, "name", "IotInstanceId");
		json_put_string(j, "in", "query");
		json_put_bool(j, "required", false);
		json_put_object(j, "schema");
		json_put_string(j, "description", "Instance; absent: the account's default one.");
		put_type(j, "string", NULL);
		json_object_end(j);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_errors(struct json_out *j, const struct action *a)
{
	json_put_array(j, "x-ota-errors");
	for (const enum err *e = a->fails; e && *e != OK; e++) {
		json_object(j);
		json_put_string(j, "code", err_info(*e)->api_code);
		json_put_int(j, "status", err_info(*e)->http_status);
		json_put_string(j, "message", err_info(*e)->text);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_answer_member(struct json_out *j, const char *name, const char *type)
{
	json_put_object(j, name);
	json_put_string(j, "type", type);
	json_object_end(j);
}

/* An answer with an object of members; the caller adds them, and ends OBJECTS_OPEN objects. */
#define OBJECTS_OPEN 5
static void put_answer(struct json_out *j, const char *name, const char *description)
{
	json_put_object(j, name);
	json_put_string(j, "description", description);
	json_put_object(j, "content");
	json_put_object(j, "application/json");
	json_put_object(j, "schema");
	json_put_string(j, "type", "object");
	json_put_object(j, "properties");
}

static void put_responses(struct json_out *j, const struct action *a)
{
	json_put_object(j, "responses");
	put_answer(j, "200", "Success, or a refusal by the business (Success false and a Code).");
	put_answer_member(j, "RequestId", "string");
	put_answer_member(j, "Success", "boolean");
	put_answer_member(j, "Code", "string");
	if (!has_field(a->out, "ErrorMessage"))
		put_answer_member(j, "ErrorMessage", "string");
	for (const struct field *f = a->out; f && f->name; f++) {
		json_key(j, f->name);
		put_schema(j, f);
	}
	json_object_end(j);
	json_put_array(j, "required");
	json_string(j, "RequestId");
	json_string(j, "Success");
	json_array_end(j);
	for (int i = 1; i < OBJECTS_OPEN; i++)
		json_object_end(j);
	json_put_object(j, "default");
	json_put_string(j, "$ref", "#/components/responses/GatewayError");
	json_object_end(j);
	json_object_end(j);
}

static void put_operation(struct json_out *j, const struct action *a)
{
	static const char *const roles[] = { "", "viewer", "operator", "admin" };

	json_put_object(j, "post");
	json_put_string(j, "operationId", a->name);
	json_put_string(j, "description", a->doc ? a->doc : "");
	json_put_string(j, "x-ota-methods", a->methods ? a->methods : "GET POST");
	json_put_string(j, "x-ota-effect", a->effect == WRITES ? "writes" : "reads");
	json_put_string(j, "x-ota-role", roles[a->role]);
	json_put_int(j, "x-ota-qps", a->qps);
	if (a->is_deep)
		json_put_int(j, "x-ota-qps-deep", a->deep_qps);
	put_parameters(j, a->in);
	put_responses(j, a);
	put_errors(j, a);
	json_object_end(j);
}

static void put_gateway_error(struct json_out *j)
{
	static const char *const members[] = { "RequestId", "HostId", "Code", "ErrorMessage", "Message" };

	json_put_object(j, "components");
	json_put_object(j, "responses");
	put_answer(j, "GatewayError", "Refused before the action ran.");
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		put_answer_member(j, members[i], "string");
	put_answer_member(j, "Success", "boolean");
	for (int i = 0; i < OBJECTS_OPEN + 2; i++)
		json_object_end(j);
}

void openapi_print(struct buf *out)
{
	struct arena arena;
	struct json_out *j;

	arena_init(&arena);
	j = json_new_pretty(&arena, out);
	json_object(j);
	json_put_string(j, "openapi", "3.1.0");
	json_put_object(j, "info");
	json_put_string(j, "title", "otad management API");
	json_put_string(j, "version", "2018-01-20");
	json_put_string(
		j, "description",
		"RPC style: every action is a GET or POST of / with Action and Version as parameters or as "
		"the headers x-acs-action and x-acs-version; the paths below name the actions.");
	json_object_end(j);
	json_put_object(j, "paths");
	for (size_t i = 0; actions[i]; i++) {
		json_put_object(j, arena_printf(&arena, "/?Action=%s", actions[i]->name));
		put_operation(j, actions[i]);
		json_object_end(j);
	}
	json_object_end(j);
	put_gateway_error(j);
	json_object_end(j);
	arena_free(&arena);
}
