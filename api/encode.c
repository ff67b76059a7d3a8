/* SPDX-License-Identifier: Apache-2.0 */
#include "api/encode.h"

#include "engine/base/json.h"
#include "engine/base/parse.h"

#include <string.h>

/* Where the answer goes: one of the two. */
struct sink {
	struct json_out *json;
	struct buf *xml;
};

const char *format_content_type(enum format f)
{
	return f == FORMAT_XML ? CONTENT_XML : CONTENT_JSON;
}

/* ---- XML ---------------------------------------------------------------------------------------------- */

/* A device's text may hold bytes that no XML document may: they become U+FFFD, so that one device cannot make
 * a whole list unreadable. */
static void xml_text(struct buf *to, const char *s)
{
	for (;;) {
		const char *start = s;
		uint32_t c = utf8_next(&s);

		if (c == 0)
			return;
		if (c == '&')
			buf_adds(to, "&amp;");
		else if (c == '<')
			buf_adds(to, "&lt;");
		else if (c == '>')
			buf_adds(to, "&gt;");
		else if (c == '"')
			buf_adds(to, "&quot;");
		else if (c == '\'')
			buf_adds(to, "&apos;");
		else if (c == '\r')
			buf_adds(to, "&#13;");
		else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || c == 0xfffe || c == 0xffff)
			buf_adds(to, "\xef\xbf\xbd");
		else
			buf_add(to, start, (size_t)(s - start));
	}
}

static void xml_open(struct buf *to, const char *name)
{
	buf_addf(to, "<%s>", name);
}

static void xml_close(struct buf *to, const char *name)
{
	buf_addf(to, "</%s>", name);
}

/* ---- both --------------------------------------------------------------------------------------------- */

static void put_text(struct sink *s, const char *name, const char *v)
{
	if (s->json) {
		json_put_string(s->json, name, v);
		return;
	}
	xml_open(s->xml, name);
	xml_text(s->xml, v);
	xml_close(s->xml, name);
}

static void put_int(struct sink *s, const char *name, int64_t v)
{
	if (s->json)
		json_put_int(s->json, name, v);
	else
		buf_addf(s->xml, "<%s>%lld</%s>", name, (long long)v, name);
}

static void put_bool(struct sink *s, const char *name, bool v)
{
	if (s->json)
		json_put_bool(s->json, name, v);
	else
		buf_addf(s->xml, "<%s>%s</%s>", name, v ? "true" : "false", name);
}

static void put_fields(struct sink *s, const struct field *table, const void *from);

static void put_obj(struct sink *s, const char *name, const struct field *of, const void *from)
{
	if (s->json) {
		if (name)
			json_key(s->json, name);
		json_object(s->json);
		put_fields(s, of, from);
		json_object_end(s->json);
		return;
	}
	xml_open(s->xml, name);
	put_fields(s, of, from);
	xml_close(s->xml, name);
}

/* api §2.3: an object that holds one array, named after its elements; or the bare array, which XML repeats
 * under the list's own name. */
static void list_open(struct sink *s, const struct field *f)
{
	if (!s->json) {
		if (f->item)
			xml_open(s->xml, f->name);
		return;
	}
	json_key(s->json, f->name);
	if (f->item) {
		json_object(s->json);
		json_key(s->json, f->item);
	}
	json_array(s->json);
}

static void list_close(struct sink *s, const struct field *f)
{
	if (!s->json) {
		if (f->item)
			xml_close(s->xml, f->name);
		return;
	}
	json_array_end(s->json);
	if (f->item)
		json_object_end(s->json);
}

static void put_strs(struct sink *s, const struct field *f, const struct str_list *list)
{
	if (list->n == 0 && (f->flags & OMIT_EMPTY))
		return;
	list_open(s, f);
	for (size_t i = 0; i < list->n; i++) {
		if (s->json)
			json_string(s->json, list->v[i]);
		else
			put_text(s, f->item ? f->item : f->name, list->v[i]);
	}
	list_close(s, f);
}

static void put_objs(struct sink *s, const struct field *f, const struct obj_list *list)
{
	const char *element = f->item ? f->item : f->name;

	ensure(f->of && f->of_size > 0);
	if (list->n == 0 && (f->flags & OMIT_EMPTY))
		return;
	list_open(s, f);
	for (size_t i = 0; i < list->n; i++)
		put_obj(s, s->json ? NULL : element, f->of, (const unsigned char *)list->v + i * f->of_size);
	list_close(s, f);
}

static void put_field(struct sink *s, const struct field *f, const void *member)
{
	const struct opt_int *number = member;
	const struct opt_bool *flag = member;
	const char *text;
	const void *obj;

	switch (f->kind) {
	case FIELD_STR:
		text = *(const char *const *)member;
		if (text)
			put_text(s, f->name, text);
		return;
	case FIELD_INT:
	case FIELD_LONG:
		if (number->set)
			put_int(s, f->name, number->v);
		return;
	case FIELD_BOOL:
		if (flag->set)
			put_bool(s, f->name, flag->v);
		return;
	case FIELD_STRS:
		put_strs(s, f, member);
		return;
	case FIELD_OBJS:
		put_objs(s, f, member);
		return;
	case FIELD_OBJ:
		obj = *(const void *const *)member;
		if (obj)
			put_obj(s, f->name, f->of, obj);
		return;
	}
}

/* An absent value is left out. */
static void put_fields(struct sink *s, const struct field *table, const void *from)
{
	for (const struct field *f = table; f && f->name; f++)
		put_field(s, f, (const unsigned char *)from + f->offset);
}

/* ---- answers ------------------------------------------------------------------------------------------ */

static struct sink sink_open(struct arena *a, struct buf *to, enum format f, const char *root)
{
	struct sink s = { .json = f == FORMAT_JSON ? json_new(a, to) : NULL, .xml = to };

	if (s.json)
		json_object(s.json);
	else
		buf_addf(to, "<?xml version='1.0' encoding='UTF-8'?><%s>", root);
	return s;
}

static void sink_close(struct sink *s, const char *root)
{
	if (s->json)
		json_object_end(s->json);
	else
		xml_close(s->xml, root);
}

void encode_success(struct arena *a, struct buf *to, enum format f, const struct action *action,
		    const char *request_id, const void *out)
{
	const char *root = arena_printf(a, "%sResponse", action->name);
	struct sink s = sink_open(a, to, f, root);

	put_text(&s, "RequestId", request_id);
	put_bool(&s, "Success", true);
	put_fields(&s, action->out, out);
	sink_close(&s, root);
}

enum err err_shown(enum err e)
{
	/* Rows of errors.def that borrow these codes have texts about the database or a file. */
	if (strcmp(err_info(e)->api_code, err_info(ERR_UNAVAILABLE)->api_code) == 0)
		return ERR_UNAVAILABLE;
	if (strcmp(err_info(e)->api_code, err_info(ERR_INTERNAL)->api_code) == 0)
		return ERR_INTERNAL;
	return e;
}

void encode_error(struct arena *a, struct buf *to, enum format f, const struct action *action,
		  const void *why, const char *request_id, const char *host_id, const struct error *error)
{
	bool business = action && err_info(error->err)->http_status == 200;
	const char *root = business ? arena_printf(a, "%sResponse", action->name) : "Error";
	struct sink s = sink_open(a, to, f, root);
	enum err shown = err_shown(error->err);
	const char *code = error_code(error), *text = error_text(error);

	if (shown == ERR_INTERNAL || shown == ERR_UNAVAILABLE) {
		code = err_info(shown)->api_code;
		text = err_info(shown)->text;
	}
	put_text(&s, "RequestId", request_id);
	put_text(&s, "HostId", host_id);
	put_bool(&s, "Success", false);
	put_text(&s, "Code", code);
	put_text(&s, "ErrorMessage", text);
	put_text(&s, "Message", text);
	if (business && why)
		put_fields(&s, action->out, why);
	sink_close(&s, root);
}

void request_refuse(struct request *rq, enum format f, const struct action *action, const void *why,
		    const struct error *error)
{
	const char *given = request_header(rq, "Host");
	char *host = arena_strdup(&rq->arena, given && given[0] ? given : "otad");

	utf8_mend(host); /* bytes of anybody: the request may have been refused before they were looked at */
	rq->status = err_info(err_shown(error->err))->http_status;
	rq->content_type = format_content_type(f);
	rq->reply = buf_owned(&rq->arena, REPLY_MAX);
	encode_error(&rq->arena, rq->reply, f, action, why, rq->request_id, host, error);
}
