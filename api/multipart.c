/* SPDX-License-Identifier: Apache-2.0 */
/* Before the first boundary, after a boundary, in a part's header, in its content, after the end. The
 * carriage return that begins a delimiter occurs nowhere else in it, so after a mismatch matching starts anew
 * with the byte at hand, and what was held back is a prefix of the delimiter itself. */
#include "api/multipart.h"

#include <string.h>
#include <strings.h>

#define BOUNDARY_MAX 70

enum place { PREAMBLE, AFTER_BOUNDARY, HEADER, CONTENT, FINISHED };

struct multipart {
	const struct multipart_handler *handler;
	void *ctx;
	enum place place;
	enum multipart_state state;
	char delimiter[BOUNDARY_MAX + 5]; /* CR LF - - boundary */
	size_t delimiter_len, matched;
	char after[2]; /* what follows a boundary: CR LF or - - */
	size_t after_len;
	char head[MULTIPART_HEAD_MAX + 1];
	size_t head_len;
	size_t parts;
};

/* ---- header lines ---- */

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

/* Value of a parameter (`; name=value` or `; name="value"`) in the arena or buffer given; false when absent.
 */
static bool param_get(const char *line, const char *name, char *out, size_t cap)
{
	size_t name_len = strlen(name);
	bool found = false;

	for (const char *p = strchr(line, ';'); p && !found;) {
		size_t n = 0;

		p = skip_blanks(p + 1);
		found = strncasecmp(p, name, name_len) == 0 && *skip_blanks(p + name_len) == '=';
		p += strcspn(p, "=;");
		if (*p == '=')
			p = skip_blanks(p + 1);
		if (*p == '"') {
			for (p++; *p && *p != '"'; p++) {
				if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
					p++;
				if (n + 1 < cap)
					out[n++] = *p;
			}
			p = strchr(p, ';');
		} else {
			for (; *p && !strchr("; \t", *p); p++)
				if (n + 1 < cap)
					out[n++] = *p;
			p = strchr(p, ';');
		}
		out[n] = '\0';
	}
	return found;
}

const char *multipart_boundary(struct arena *a, const char *content_type)
{
	static const char type[] = "multipart/form-data";
	char *out = arena_alloc(a, BOUNDARY_MAX + 2);
	const char *rest;

	if (!content_type || strncasecmp(content_type, type, sizeof type - 1) != 0)
		return NULL;
	rest = skip_blanks(content_type + sizeof type - 1);
	if (*rest != ';' || !param_get(rest, "boundary", out, BOUNDARY_MAX + 2) || !*out ||
	    strlen(out) > BOUNDARY_MAX)
		return NULL;
	for (const char *p = out; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			return NULL;
	return out[strlen(out) - 1] == ' ' ? NULL : out;
}

/* The value when line is the header of this name, or NULL. */
static const char *header_value(const char *line, const char *name)
{
	size_t len = strlen(name);

	return strncasecmp(line, name, len) == 0 && line[len] == ':' ? skip_blanks(line + len + 1) : NULL;
}

/* Content that would have to be decoded is refused: browsers and SDKs never send it. */
static bool encoding_plain(const char *value)
{
	static const char *const plain[] = { "7bit", "8bit", "binary" };
	size_t len = strcspn(value, " \t");

	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (strlen(plain[i]) == len && strncasecmp(value, plain[i], len) == 0)
			return true;
	return false;
}

/* head holds whole lines, each with its CR LF. */
static bool head_parse(struct multipart *m, char *name, size_t cap)
{
	bool named = false;

	m->head[m->head_len] = '\0';
	if (strlen(m->head) != m->head_len)
		return false;
	for (char *line = m->head, *end; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
		const char *disposition, *encoding;

		*end = '\0';
		disposition = header_value(line, "Content-Disposition");
		encoding = header_value(line, "Content-Transfer-Encoding");
		if (encoding && !encoding_plain(encoding))
			return false;
		if (disposition && !named)
			named = strncasecmp(disposition, "form-data", 9) == 0 &&
				param_get(disposition, "name", name, cap);
	}
	return named;
}

/* ---- the machine ---- */

struct multipart *multipart_new(struct arena *a, const char *boundary,
				const struct multipart_handler *handler, void *ctx)
{
	struct multipart *m = ARENA_NEW(a, struct multipart);
	size_t len = strlen(boundary);

	ensure(len <= BOUNDARY_MAX);
	m->handler = handler;
	m->ctx = ctx;
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary, len);
	m->delimiter_len = len + 4;
	m->matched = 2; /* the first boundary may stand at the very beginning */
	return m;
}

static bool emit(struct multipart *m, const char *data, size_t len)
{
	if (m->place == CONTENT && len > 0 && !m->handler->data(m->ctx, data, len))
		m->state = MULTIPART_STOPPED;
	return m->state == MULTIPART_MORE;
}

static void boundary_reached(struct multipart *m)
{
	bool go_on = m->place != CONTENT || m->handler->end(m->ctx);

	m->matched = m->after_len = 0;
	m->place = AFTER_BOUNDARY;
	if (!go_on)
		m->state = MULTIPART_STOPPED;
}

/* Returns the number of bytes taken. */
static size_t feed_content(struct multipart *m, const char *data, size_t len)
{
	size_t i = 0;

	while (i < len) {
		if (m->matched == 0) {
			const char *cr = memchr(data + i, '\r', len - i);
			size_t n = cr ? (size_t)(cr - data) - i : len - i;

			if (!emit(m, data + i, n))
				return len;
			i += n;
			if (!cr)
				break;
			m->matched = 1;
			i++;
		} else if (data[i] == m->delimiter[m->matched]) {
			i++;
			if (++m->matched == m->delimiter_len) {
				boundary_reached(m);
				return i;
			}
		} else {
			size_t held = m->matched;

			m->matched = 0;
			if (!emit(m, m->delimiter, held))
				return len;
		}
	}
	return i;
}

static size_t feed_after(struct multipart *m, const char *data)
{
	if (m->after_len == 0 && (*data == ' ' || *data == '\t'))
		return 1; /* padding that RFC 2046 allows */
	m->after[m->after_len++] = *data;
	if (m->after_len < 2)
		return 1;
	if (memcmp(m->after, "--", 2) == 0) {
		m->place = FINISHED;
		m->state = MULTIPART_DONE;
	} else if (memcmp(m->after, "\r\n", 2) == 0 && m->parts++ < MULTIPART_PARTS_MAX) {
		m->place = HEADER;
		m->head_len = 0;
	} else {
		m->state = MULTIPART_BAD;
	}
	return 1;
}

/* Does the header end with the byte at hand? */
static bool head_whole(const struct multipart *m)
{
	const char *end = m->head + m->head_len;

	return m->head_len == 2 ? memcmp(m->head, "\r\n", 2) == 0
				: m->head_len >= 4 && memcmp(end - 4, "\r\n\r\n", 4) == 0;
}

static size_t feed_header(struct multipart *m, const char *data)
{
	char name[256];

	if (m->head_len == MULTIPART_HEAD_MAX) {
		m->state = MULTIPART_BAD;
		return 1;
	}
	m->head[m->head_len++] = *data;
	if (!head_whole(m))
		return 1;
	m->place = CONTENT;
	m->matched = 0;
	if (!head_parse(m, name, sizeof name))
		m->state = MULTIPART_BAD;
	else if (!m->handler->part(m->ctx, name))
		m->state = MULTIPART_STOPPED;
	return 1;
}

enum multipart_state multipart_feed(struct multipart *m, const char *data, size_t len)
{
	while (len > 0 && m->state == MULTIPART_MORE) {
		size_t n = len;

		if (m->place == PREAMBLE || m->place == CONTENT)
			n = feed_content(m, data, len);
		else if (m->place == AFTER_BOUNDARY)
			n = feed_after(m, data);
		else if (m->place == HEADER)
			n = feed_header(m, data);
		data += n;
		len -= n;
	}
	return m->state;
}
