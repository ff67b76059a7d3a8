/* SPDX-License-Identifier: Apache-2.0 */
#include "api/guard.h"

#include "engine/base/parse.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* A line of the head, without its CRLF. */
struct line {
	const char *text;
	size_t len;
};

/* RFC 9110 §5.6.2 */
static bool is_token_char(char c)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_token_char(s[i]))
			return false;
	return len > 0;
}

/* Takes the next line. OK with false: no whole line there yet. A line feed alone, a carriage return alone and
 * a NUL are refused. */
static enum err line_next(const char *data, size_t len, size_t *pos, struct line *ret, bool *ret_whole)
{
	*ret_whole = false;
	for (size_t i = *pos; i < len; i++) {
		char c = data[i];

		if (c == '\0' || c == '\n')
			return ERR_BAD_REQUEST;
		if (c != '\r')
			continue;
		if (i + 1 == len)
			return OK;
		if (data[i + 1] != '\n')
			return ERR_BAD_REQUEST;
		*ret = (struct line){ .text = data + *pos, .len = i - *pos };
		*pos = i + 2;
		*ret_whole = true;
		return OK;
	}
	return OK;
}

/* METHOD SP target SP HTTP/1.x and nothing else. */
static enum err request_line(const struct line *l, bool *ret_http11)
{
	const char *end = l->text + l->len;
	const char *sp1 = memchr(l->text, ' ', l->len);
	const char *sp2 = sp1 ? memchr(sp1 + 1, ' ', (size_t)(end - sp1 - 1)) : NULL;
	size_t method;

	if (!sp2 || end - sp2 != 9 || memcmp(sp2, " HTTP/1.", 8) != 0 || (end[-1] != '0' && end[-1] != '1'))
		return ERR_BAD_REQUEST;
	*ret_http11 = end[-1] == '1';
	method = (size_t)(sp1 - l->text);
	if (!is_token(l->text, method) || sp1[1] != '/' || sp1[2] == '/')
		return ERR_BAD_REQUEST;
	for (const char *p = sp1 + 1; p < sp2; p++)
		if (*p <= 0x20 || *p >= 0x7f || *p == '#')
			return ERR_BAD_REQUEST;
	if ((method == 3 && memcmp(l->text, "GET", 3) == 0) || (method == 4 && memcmp(l->text, "POST", 4) == 0))
		return OK;
	return ERR_METHOD;
}

static bool name_is(const struct line *l, size_t name_len, const char *name)
{
	return name_len == strlen(name) && strncasecmp(l->text, name, name_len) == 0;
}

/* What the headers said so far. */
struct framing {
	bool has_length, has_te, has_host, too_large;
};

static enum err content_length(const char *v, size_t len, const struct guard_limits *lim, struct framing *f,
			       struct guard_head *ret)
{
	if (f->has_length || len == 0)
		return ERR_BAD_REQUEST;
	for (size_t i = 0; i < len; i++)
		if (!isdigit((unsigned char)v[i]))
			return ERR_BAD_REQUEST;
	f->has_length = true;
	if (!parse_i64n(v, len, 0, INT64_MAX, &ret->content_length))
		ret->content_length = INT64_MAX;
	f->too_large = ret->content_length > lim->body_bytes;
	return OK;
}

static enum err header_line(const struct line *l, const struct guard_limits *lim, struct framing *f,
			    struct guard_head *ret)
{
	const char *colon = memchr(l->text, ':', l->len);
	size_t name_len = colon ? (size_t)(colon - l->text) : 0;
	const char *v, *end = l->text + l->len;

	/* A name that is a token excludes blanks before the colon and lines that continue another. */
	if (!colon || !is_token(l->text, name_len))
		return ERR_BAD_REQUEST;
	for (v = colon + 1; v < end; v++)
		if (((unsigned char)*v < 0x20 && *v != '\t') || *v == 0x7f)
			return ERR_BAD_REQUEST;
	v = colon + 1;
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (name_is(l, name_len, "Content-Length"))
		return content_length(v, (size_t)(end - v), lim, f, ret);
	if (name_is(l, name_len, "Transfer-Encoding")) {
		if (f->has_te || end - v != 7 || strncasecmp(v, "chunked", 7) != 0)
			return ERR_BAD_REQUEST;
		f->has_te = ret->chunked = true;
	}
	if (name_is(l, name_len, "Host")) {
		if (f->has_host)
			return ERR_BAD_REQUEST;
		f->has_host = true;
	}
	if (name_is(l, name_len, "Expect")) {
		if (end - v != 12 || strncasecmp(v, "100-continue", 12) != 0)
			return ERR_BAD_REQUEST;
		ret->expect_continue = true;
	}
	return OK;
}

/* Everything from `pos` on must be header lines; stops at the empty one. */
static enum err header_lines(const char *data, size_t len, size_t pos, const struct guard_limits *l,
			     struct framing *f, struct guard_head *ret)
{
	size_t start = pos;
	struct line line;
	bool whole;

	for (;;) {
		TRY(line_next(data, len, &pos, &line, &whole));
		if (!whole)
			return len - start > l->header_bytes + 2 ? ERR_BAD_REQUEST : OK;
		if (pos - start > l->header_bytes + 2)
			return ERR_BAD_REQUEST;
		if (line.len == 0) {
			ret->len = pos;
			return OK;
		}
		TRY(header_line(&line, l, f, ret));
	}
}

enum err guard_head(const char *data, size_t len, const struct guard_limits *l, struct guard_head *ret)
{
	struct framing f = { .has_length = false };
	struct line line;
	bool whole, http11 = false;
	size_t pos = 0;
	enum err method;

	*ret = (struct guard_head){ .len = 0 };
	TRY(line_next(data, len, &pos, &line, &whole));
	if (!whole)
		return len > l->line_bytes + 1 ? ERR_BAD_REQUEST : OK;
	if (line.len > l->line_bytes)
		return ERR_BAD_REQUEST;
	method = request_line(&line, &http11);
	if (method == ERR_BAD_REQUEST)
		return method;
	TRY(header_lines(data, len, pos, l, &f, ret));
	if (ret->len == 0)
		return OK;
	if ((f.has_length && f.has_te) || (f.has_te && !http11) || (http11 && !f.has_host))
		return ERR_BAD_REQUEST;
	if (method != OK)
		return method;
	return f.too_large ? ERR_BODY_TOO_LARGE : OK;
}

enum err guard_chunk(const char *data, size_t len, size_t *ret_line, int64_t *ret_size)
{
	int64_t size = 0;
	size_t i;

	*ret_line = 0;
	for (i = 0; i < len && isxdigit((unsigned char)data[i]); i++) {
		if (i == 8)
			return ERR_BAD_REQUEST;
		size = size * 16 + (isdigit((unsigned char)data[i]) ? data[i] - '0' : (data[i] | 0x20) - 'a' + 10);
	}
	if (i == len)
		return OK;
	if (i == 0 || data[i] != '\r' || (i + 1 < len && data[i + 1] != '\n'))
		return ERR_BAD_REQUEST;
	if (i + 1 == len)
		return OK;
	*ret_line = i + 2;
	*ret_size = size;
	return OK;
}

static bool contains(const char *data, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= len; i++)
		if (strncasecmp(data + i, word, n) == 0)
			return true;
	return false;
}

bool guard_wants_xml(const char *data, size_t len)
{
	if (contains(data, len, "Format=XML"))
		return true;
	if (contains(data, len, "Format=JSON") || contains(data, len, "ACS3-"))
		return false;
	/* The RPC style, whose default is XML (api §1.3). */
	return contains(data, len, "Action=");
}
