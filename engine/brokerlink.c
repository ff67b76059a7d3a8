/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of the conversation with the broker plugin, built and parsed from one table. */
#include "engine/brokerlink.h"

#include "engine/base/parse.h"

#include <string.h>

/* Which member a field is. */
enum { F_END, F_BOOT, F_SEQ, F_CONN, F_POSITION, F_COUNT, F_PK, F_DN, F_SECRET, F_IP, F_WHY };

static const struct {
	const char *word;
	unsigned char fields[6];
} verbs[] = {
	[LINK_NONE] = { "", { F_END } },
	[LINK_HELLO] = { "hello", { F_END } },
	[LINK_CRED_BEGIN] = { "cred-begin", { F_POSITION } },
	[LINK_CRED] = { "cred", { F_PK, F_DN, F_SECRET } },
	[LINK_CRED_DEL] = { "cred-del", { F_PK, F_DN } },
	[LINK_CRED_END] = { "cred-end", { F_POSITION } },
	[LINK_CRED_POS] = { "cred-pos", { F_POSITION } },
	[LINK_PRESENCE] = { "presence", { F_END } },
	[LINK_STATE] = { "state", { F_BOOT, F_POSITION, F_COUNT } },
	[LINK_ON] = { "on", { F_BOOT, F_SEQ, F_CONN, F_PK, F_DN, F_IP } },
	[LINK_OFF] = { "off", { F_BOOT, F_SEQ, F_CONN, F_PK, F_DN } },
	[LINK_SNAP_BEGIN] = { "snap-begin", { F_BOOT, F_SEQ } },
	[LINK_SNAP] = { "snap", { F_CONN, F_PK, F_DN, F_IP } },
	[LINK_SNAP_END] = { "snap-end", { F_BOOT, F_SEQ, F_COUNT } },
	[LINK_BEAT] = { "beat", { F_BOOT, F_SEQ, F_COUNT } },
	[LINK_REG_OK] = { "reg-ok", { F_CONN, F_SECRET } },
	[LINK_REG_NO] = { "reg-no", { F_CONN, F_WHY } },
	[LINK_ASK_REGISTER] = { "register", { F_CONN, F_PK, F_DN, F_IP } },
	[LINK_ASK_REGNWL] = { "regnwl", { F_CONN, F_PK, F_DN, F_IP } },
};

static int64_t *number_of(struct link_line *l, int field)
{
	switch (field) {
	case F_BOOT:
		return &l->boot;
	case F_SEQ:
		return &l->seq;
	case F_CONN:
		return &l->conn;
	case F_POSITION:
		return &l->position;
	case F_COUNT:
		return &l->count;
	default:
		return NULL;
	}
}

static const char **text_of_field(struct link_line *l, int field)
{
	switch (field) {
	case F_PK:
		return &l->pk;
	case F_DN:
		return &l->dn;
	case F_SECRET:
		return &l->secret;
	case F_WHY:
		return &l->why;
	default:
		return &l->ip;
	}
}

void link_add(struct buf *to, const struct link_line *l)
{
	struct link_line copy = *l;
	size_t start = to->len;

	ensure(l->verb > LINK_NONE && (size_t)l->verb < ARRAY_LEN(verbs));
	buf_adds(to, verbs[l->verb].word);
	for (size_t i = 0; i < ARRAY_LEN(verbs[0].fields) && verbs[l->verb].fields[i] != F_END; i++) {
		int64_t *n = number_of(&copy, verbs[l->verb].fields[i]);
		const char *text;

		if (n) {
			buf_addf(to, "\t%lld", (long long)*n);
			continue;
		}
		text = *text_of_field(&copy, verbs[l->verb].fields[i]);
		ensure(text && !strpbrk(text, "\t\n"));
		buf_addf(to, "\t%s", text);
	}
	buf_addc(to, '\n');
	ensure(to->len - start <= LINK_LINE_MAX);
}

static enum link_verb verb_of(const char *word)
{
	for (size_t v = LINK_NONE + 1; v < ARRAY_LEN(verbs); v++)
		if (strcmp(verbs[v].word, word) == 0)
			return (enum link_verb)v;
	return LINK_NONE;
}

bool link_parse(char *line, struct link_line *ret)
{
	struct link_line l = { .verb = LINK_NONE };
	char *rest = line, *word;

	if (strlen(line) >= LINK_LINE_MAX)
		return false;
	word = strsep(&rest, "\t");
	l.verb = verb_of(word);
	if (l.verb == LINK_NONE)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(verbs[0].fields) && verbs[l.verb].fields[i] != F_END; i++) {
		int64_t *n = number_of(&l, verbs[l.verb].fields[i]);

		word = strsep(&rest, "\t");
		if (!word)
			return false;
		if (!n)
			*text_of_field(&l, verbs[l.verb].fields[i]) = word;
		else if (!parse_i64(word, 0, INT64_MAX, n))
			return false;
	}
	if (rest)
		return false;
	*ret = l;
	return true;
}

char *link_next(char **rest)
{
	char *line;

	do {
		line = *rest ? strsep(rest, "\n") : NULL;
	} while (line && !*line);
	return line;
}
