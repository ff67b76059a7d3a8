/* SPDX-License-Identifier: Apache-2.0 */
#include "api/store_request.h"

#include "engine/base/parse.h"

#include <string.h>
#include <strings.h>

#define CHUNK_EXTRA_MAX 8192

/* ---- heads ---- */

struct head_state {
	struct store_request *rq;
	int hosts;
	bool close, keep, te;
};

static bool is_token(const char *s, size_t len)
{
	static const char set[] =
		"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	return len > 0 && strspn(s, set) >= len;
}

/* Is word one of the comma-separated words of list? */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (*list) {
		size_t n;

		list += strspn(list, " \t,");
		n = strcspn(list, " \t,");
		if (n == len && strncasecmp(list, word, n) == 0)
			return true;
		list += n;
	}
	return false;
}

static int on_content_length(struct head_state *h, const char *value)
{
	int64_t n = 0;

	if (value[0] == '-' || !parse_i64(value, 0, INT64_MAX, &n) ||
	    (h->rq->content_length >= 0 && h->rq->content_length != n))
		return 400;
	h->rq->content_length = n;
	return 0;
}

static int on_transfer_encoding(struct head_state *h, const char *value)
{
	if (h->te || strcasecmp(value, "chunked") != 0)
		return 400;
	h->te = h->rq->chunked = true;
	return 0;
}

static int on_connection(struct head_state *h, const char *value)
{
	h->close |= has_word(value, "close");
	h->keep |= has_word(value, "keep-alive");
	return 0;
}

static int on_expect(struct head_state *h, const char *value)
{
	if (strcasecmp(value, "100-continue") != 0)
		return 417;
	h->rq->expect_continue = true;
	return 0;
}

static int on_host(struct head_state *h, const char *value)
{
	(void)value;
	return h->hosts++ ? 400 : 0;
}

static int on_content_type(struct head_state *h, const char *value)
{
	h->rq->content_type = value;
	return 0;
}

static int on_range(struct head_state *h, const char *value)
{
	h->rq->range = value;
	return 0;
}

static int on_if_range(struct head_state *h, const char *value)
{
	h->rq->if_range = value;
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(struct head_state *h, const char *value);
} headers[] = {
	{ "Content-Length", on_content_length },
	{ "Transfer-Encoding", on_transfer_encoding },
	{ "Connection", on_connection },
	{ "Expect", on_expect },
	{ "Host", on_host },
	{ "Content-Type", on_content_type },
	{ "Range", on_range },
	{ "If-Range", on_if_range },
};

/* line is NUL-terminated and may be cut. */
static int header_line(struct head_state *h, char *line)
{
	char *colon = strchr(line, ':'), *value, *end;

	if (!colon || !is_token(line, (size_t)(colon - line)))
		return 400; /* also folded lines and a blank before the colon */
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	for (const char *p = value; *p; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 127)
			return 400;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		if (strcasecmp(line, headers[i].name) == 0)
			return headers[i].fn(h, value);
	return 0;
}

static enum store_method method_of(const char *text)
{
	return strcmp(text, "GET") == 0	   ? METHOD_GET
	       : strcmp(text, "HEAD") == 0 ? METHOD_HEAD
	       : strcmp(text, "POST") == 0 ? METHOD_POST
					   : METHOD_OTHER;
}

static int request_line(struct store_request *rq, char *line, bool *ret_old)
{
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL, *query;

	if (!version || !is_token(line, (size_t)(target - line)))
		return 400;
	*target++ = '\0';
	*version++ = '\0';
	if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
		return strncmp(version, "HTTP/", 5) == 0 ? 505 : 400;
	*ret_old = version[7] == '0';
	if (strncasecmp(target, "http://", 7) == 0) { /* the form that proxies get */
		target = strchr(target + 7, '/');
		if (!target)
			return 400;
	}
	for (const char *p = target; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 127)
			return 400;
	if (target[0] != '/')
		return 400;
	query = strchr(target, '?');
	if (query)
		*query++ = '\0';
	rq->method = method_of(line);
	rq->path = target;
	rq->query = query ? query : "";
	return 0;
}

int store_request_parse(struct arena *a, const char *text, size_t len, struct store_request *ret)
{
	struct store_request rq = { .content_length = -1 };
	struct head_state h = { .rq = &rq };
	char *head = arena_strndup(a, text, len);
	bool first = true, old = false;

	if (memchr(text, '\0', len))
		return 400;
	for (char *line = head, *end; *line; line = end + 2) {
		int status;

		end = strchr(line, '\n');
		if (!end || end == line || end[-1] != '\r')
			return 400;
		*--end = '\0';
		if (!*line)
			break;
		status = first ? request_line(&rq, line, &old) : header_line(&h, line);
		if (status)
			return status;
		first = false;
	}
	if (first || (rq.chunked && (rq.content_length >= 0 || old)))
		return 400;
	rq.keep_alive = !h.close && (!old || h.keep);
	*ret = rq;
	return 0;
}

/* ---- ranges ---- */

enum store_range store_range_parse(const char *range, int64_t size, int64_t *ret_first, int64_t *ret_len)
{
	int64_t first = 0, last = INT64_MAX;
	const char *dash;

	if (!range || strncasecmp(range, "bytes=", 6) != 0 || strchr(range, ','))
		return RANGE_WHOLE;
	range += 6;
	dash = strchr(range, '-');
	if (!dash)
		return RANGE_WHOLE;
	if (dash == range) {
		if (!parse_i64(dash + 1, 0, INT64_MAX, &last))
			return RANGE_WHOLE;
		first = i64_max(0, size - last);
		if (last == 0)
			return RANGE_OUTSIDE;
		last = INT64_MAX;
	} else if (!parse_i64n(range, (size_t)(dash - range), 0, INT64_MAX, &first) ||
		   (dash[1] && !parse_i64(dash + 1, 0, INT64_MAX, &last)) || last < first) {
		return RANGE_WHOLE;
	}
	if (first >= size)
		return RANGE_OUTSIDE;
	*ret_first = first;
	*ret_len = i64_min(last, size - 1) - first + 1;
	return RANGE_PART;
}

/* ---- bodies ---- */

void store_body_init(struct store_body *b, const struct store_request *rq)
{
	*b = (struct store_body){ .place = rq->chunked ? CHUNK_SIZE : BODY_LENGTH,
				  .left = rq->chunked ? 0 : i64_max(0, rq->content_length) };
	if (b->place == BODY_LENGTH && b->left == 0)
		b->place = BODY_END;
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static enum body_place size_byte(struct store_body *b, char c)
{
	int v = hex_value(c);

	if (c == '\r')
		return b->digits != 0 ? CHUNK_SIZE_LF : BODY_BAD;
	if (b->digits < 0 || (b->digits > 0 && (c == ';' || c == ' ' || c == '\t'))) {
		b->digits = -1;
		return c != '\n' && ++b->trailer <= CHUNK_EXTRA_MAX ? CHUNK_SIZE : BODY_BAD;
	}
	if (v < 0 || ++b->digits > 15)
		return BODY_BAD;
	b->left = b->left * 16 + v;
	return CHUNK_SIZE;
}

static enum body_place trailer_byte(struct store_body *b, char c)
{
	if (++b->trailer > CHUNK_EXTRA_MAX)
		return BODY_BAD;
	if (c == '\r')
		return CHUNK_TRAILER;
	if (c != '\n') {
		b->line++;
		return CHUNK_TRAILER;
	}
	if (b->line == 0)
		return BODY_END;
	b->line = 0;
	return CHUNK_TRAILER;
}

static enum body_place body_byte(struct store_body *b, char c)
{
	switch (b->place) {
	case CHUNK_SIZE:
		return size_byte(b, c);
	case CHUNK_SIZE_LF:
		b->digits = 0;
		return c != '\n' ? BODY_BAD : b->left ? CHUNK_DATA : CHUNK_TRAILER;
	case CHUNK_CR:
		return c == '\r' ? CHUNK_LF : BODY_BAD;
	case CHUNK_LF:
		return c == '\n' ? CHUNK_SIZE : BODY_BAD;
	case CHUNK_TRAILER:
		return trailer_byte(b, c);
	case BODY_LENGTH:
	case CHUNK_DATA:
	case BODY_END:
	case BODY_BAD:
		break;
	}
	return BODY_BAD;
}

size_t store_body_take(struct store_body *b, const char *in, size_t len, const char **ret_data,
		       size_t *ret_len)
{
	size_t used = 0;

	*ret_data = in;
	*ret_len = 0;
	while (used < len && b->place != BODY_END && b->place != BODY_BAD) {
		if (b->place == BODY_LENGTH || b->place == CHUNK_DATA) {
			size_t n = (size_t)i64_min((int64_t)(len - used), b->left);

			*ret_data = in + used;
			*ret_len = n;
			b->left -= (int64_t)n;
			if (b->left == 0)
				b->place = b->place == BODY_LENGTH ? BODY_END : CHUNK_CR;
			return used + n;
		}
		b->place = body_byte(b, in[used++]);
	}
	return used;
}
