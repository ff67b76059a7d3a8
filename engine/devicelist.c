/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/devicelist.h"

#include "engine/base/parse.h"

#include <string.h>

#define BOM "\xef\xbb\xbf"
#define HEADER "DeviceName"

/* Open addressing over the names seen so far; never more than half full. */
struct name_set {
	const char **slots;
	size_t mask;
};

static struct name_set set_new(struct arena *a, size_t names)
{
	size_t size = 16;

	while (size < names * 2)
		size *= 2;
	return (struct name_set){ .slots = ARENA_ARRAY(a, size, const char *), .mask = size - 1 };
}

/* FNV-1a. */
static size_t hash(const char *s)
{
	uint64_t h = 14695981039346656037ULL;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211ULL;
	return (size_t)(h ^ (h >> 32));
}

/* false when it is there already. */
static bool set_add(struct name_set *s, const char *name)
{
	size_t i = hash(name) & s->mask;

	while (s->slots[i]) {
		if (strcmp(s->slots[i], name) == 0)
			return false;
		i = (i + 1) & s->mask;
	}
	s->slots[i] = name;
	return true;
}

const char *devicelist_duplicate(struct arena *a, const char *const *names, size_t n)
{
	struct name_set s = set_new(a, n);

	for (size_t i = 0; i < n; i++)
		if (!set_add(&s, names[i]))
			return names[i];
	return NULL;
}

static bool is_separator(char c)
{
	return c == ',' || c == '\n' || c == '\r';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static size_t separators(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += is_separator(s[i]);
	return n;
}

enum devicelist_result devicelist_parse(struct arena *a, const char *text_raw, size_t len, size_t names_max,
					const char *const **ret_names, size_t *ret_n)
{
	const char *s = text_raw, *end = text_raw + len;
	size_t n = 0, pieces, seen = 0;
	struct name_set set;
	const char **names;

	if (memchr(s, '\0', len) || !utf8_valid(s, len))
		return DEVICELIST_MALFORMED;
	if (len >= sizeof BOM - 1 && memcmp(s, BOM, sizeof BOM - 1) == 0)
		s += sizeof BOM - 1;
	pieces = separators(s, (size_t)(end - s)) + 1;
	if (pieces > names_max)
		pieces = names_max + 1; /* one more is refused */
	set = set_new(a, pieces);
	names = ARENA_ARRAY(a, pieces, const char *);
	while (s < end) {
		const char *from = s, *to;
		char *name;

		while (s < end && !is_separator(*s))
			s++;
		to = s++;
		while (from < to && is_blank(*from))
			from++;
		while (to > from && is_blank(to[-1]))
			to--;
		if (from == to)
			continue;
		name = arena_strndup(a, from, (size_t)(to - from));
		if ((seen++ == 0 && strcmp(name, HEADER) == 0) || !set_add(&set, name))
			continue;
		if (n == names_max)
			return DEVICELIST_TOO_MANY;
		names[n++] = name;
	}
	*ret_names = names;
	*ret_n = n;
	return DEVICELIST_OK;
}
