/* SPDX-License-Identifier: Apache-2.0 */
/* One table made from config.def reads, checks, compares and prints every key; nothing here knows a key by
 * name except the checks of texts (checks[] below). */
#include "engine/base/config.h"

#include "engine/base/log.h"
#include "engine/base/parse.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)1024 * 1024)
#define ENV_PREFIX "OTAD_"

enum kind { TEXT, INTEGER, BOOLEAN };

struct key {
	const char *name;
	enum kind kind;
	bool reloadable, secret;
	size_t offset;
	int64_t min, max;
	const char *unit, *def, *doc;
};

static const struct key keys[] = {
#define CONFIG_TEXT(key, def, reloadable, secret, doc) \
	{ #key, TEXT, reloadable, secret, offsetof(struct config, key), 0, 0, "", def, doc },
#define CONFIG_INT(key, def, min, max, unit, reloadable, doc) \
	{ #key, INTEGER, reloadable, false, offsetof(struct config, key), min, max, unit, #def, doc },
#define CONFIG_BOOL(key, def, reloadable, doc) \
	{ #key, BOOLEAN, reloadable, false, offsetof(struct config, key), 0, 0, "", #def, doc },
#include "engine/base/config.def"
};

static const struct config defaults = {
#define CONFIG_TEXT(key, def, reloadable, secret, doc) .key = (def),
#define CONFIG_INT(key, def, min, max, unit, reloadable, doc) .key = (def),
#define CONFIG_BOOL(key, def, reloadable, doc) .key = (def),
#include "engine/base/config.def"
};

struct snapshot {
	struct config values;
	struct arena texts;
	struct snapshot *older;
};

static _Atomic(const struct config *) in_force = &defaults;
static struct snapshot *newest; /* of the thread that loads */

const struct config *config_now(void)
{
	return atomic_load(&in_force);
}

/* ---- a value of any kind ---- */

static void *field(struct config *c, const struct key *k)
{
	return (char *)c + k->offset;
}

static const void *field_of(const struct config *c, const struct key *k)
{
	return (const char *)c + k->offset;
}

static const char *text_at(const struct config *c, const struct key *k)
{
	const char *s;

	memcpy(&s, field_of(c, k), sizeof s);
	return s;
}

static int64_t int_at(const struct config *c, const struct key *k)
{
	int64_t n;

	memcpy(&n, field_of(c, k), sizeof n);
	return n;
}

static bool bool_at(const struct config *c, const struct key *k)
{
	bool v;

	memcpy(&v, field_of(c, k), sizeof v);
	return v;
}

static bool same(const struct config *a, const struct config *b, const struct key *k)
{
	if (k->kind == TEXT)
		return strcmp(text_at(a, k), text_at(b, k)) == 0;
	return k->kind == INTEGER ? int_at(a, k) == int_at(b, k) : bool_at(a, k) == bool_at(b, k);
}

/* ---- checks of texts ---- */

/* Walks the words of a text; false at its end. */
static bool word_next(const char **s, const char *seps, const char **word, size_t *len)
{
	*s += strspn(*s, seps);
	*word = *s;
	*len = strcspn(*s, seps);
	*s += *len;
	return *len > 0;
}

static bool is_role(const char *s)
{
	const char *word;
	size_t len;
	int n = 0;

	for (; word_next(&s, ", ", &word, &len); n++)
		if (!(len == 3 && memcmp(word, "api", 3) == 0) &&
		    !(len == 6 && memcmp(word, "engine", 6) == 0))
			return false;
	return n > 0;
}

static bool is_log_level(const char *s)
{
	enum log_level level;

	return log_level_parse(s, &level);
}

static bool is_profile(const char *s)
{
	return strcmp(s, "seed") == 0 || strcmp(s, "current") == 0;
}

/* HOST:PORT, the host an address, a name or [an IPv6 address]. */
static bool is_listen(const char *s)
{
	const char *colon = strrchr(s, ':');
	int64_t port;

	if (!colon || colon == s || strpbrk(s, " \t/") || !parse_i64(colon + 1, 0, 65535, &port))
		return false;
	return s[0] == '[' ? colon[-1] == ']' : memchr(s, ':', (size_t)(colon - s)) == NULL;
}

static bool is_listen_or_empty(const char *s)
{
	return !*s || is_listen(s);
}

static bool is_broker(const char *s)
{
	bool scheme = strncmp(s, "tcp://", 6) == 0 || strncmp(s, "ssl://", 6) == 0;

	return scheme && is_listen(s + 6);
}

static bool is_url_prefix(const char *s, size_t len)
{
	size_t scheme = len > 7 && strncmp(s, "http://", 7) == 0 ? 7 : 8;

	return len > scheme && (scheme == 7 || strncmp(s, "https://", 8) == 0);
}

static bool is_url_or_empty(const char *s)
{
	size_t len = strlen(s);

	return !*s ||
	       (len <= CONFIG_URL_MAX && is_url_prefix(s, len) && !strchr(s, ' ') && s[len - 1] != '/');
}

static bool is_url_list(const char *s)
{
	const char *word;
	size_t len;

	while (word_next(&s, " ", &word, &len))
		if (!is_url_prefix(word, len))
			return false;
	return true;
}

static bool is_quota(const char *s)
{
	const char *word;
	size_t len;

	while (word_next(&s, " ", &word, &len)) {
		const char *eq = memchr(word, '=', len);
		int64_t n;

		if (!eq || eq == word)
			return false;
		if (!parse_i64n(eq + 1, len - (size_t)(eq + 1 - word), 0, 1000000, &n))
			return false;
	}
	return true;
}

static bool is_given(const char *s)
{
	return *s != '\0';
}

#define URL_WANTED "http://.. or https://.. of at most 90 characters, without a slash at its end"

static const struct {
	size_t offset;
	bool (*good)(const char *s);
	const char *want;
} checks[] = {
	{ offsetof(struct config, role), is_role, "api, engine, or both separated by a comma" },
	{ offsetof(struct config, log_level), is_log_level, "debug, info, warn or error" },
	{ offsetof(struct config, limits_profile), is_profile, "seed or current" },
	{ offsetof(struct config, state_dir), is_given, "a directory" },
	{ offsetof(struct config, store_dir), is_given, "a directory" },
	{ offsetof(struct config, master_key_file), is_given, "a file" },
	{ offsetof(struct config, api_listen), is_listen, "ADDRESS:PORT" },
	{ offsetof(struct config, metrics_listen), is_listen_or_empty, "ADDRESS:PORT or nothing" },
	{ offsetof(struct config, store_listen), is_listen, "ADDRESS:PORT" },
	{ offsetof(struct config, broker), is_broker, "tcp://HOST:PORT or ssl://HOST:PORT" },
	{ offsetof(struct config, store_url), is_url_or_empty, URL_WANTED },
	{ offsetof(struct config, store_device_listen), is_listen_or_empty, "ADDRESS:PORT or nothing" },
	{ offsetof(struct config, store_device_url), is_url_or_empty, URL_WANTED },
	{ offsetof(struct config, store_external), is_url_list, "URL prefixes separated by blanks" },
	{ offsetof(struct config, quota), is_quota, "Action=N pairs separated by blanks" },
};

static const char *wanted(const struct key *k, const char *value)
{
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		if (checks[i].offset == k->offset && !checks[i].good(value))
			return checks[i].want;
	return NULL;
}

/* ---- reading ---- */

static const struct key *key_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strlen(keys[i].name) == len && memcmp(keys[i].name, name, len) == 0)
			return &keys[i];
	return NULL;
}

/* where: "otad.conf:12" or "environment". A secret's value is not repeated in the error. */
static enum err value_set(struct snapshot *s, const struct key *k, const char *value, const char *where,
			  struct error *e)
{
	const char *want = wanted(k, value), *copy;
	int64_t n;
	bool v;

	if (want)
		return fail(e, ERR_CONFIG, "%s: %s must be %s, not \"%s\"", where, k->name, want,
			    k->secret ? "***" : value);
	switch (k->kind) {
	case TEXT:
		copy = arena_strdup(&s->texts, value);
		memcpy(field(&s->values, k), &copy, sizeof copy);
		break;
	case INTEGER:
		if (!parse_i64(value, k->min, k->max, &n))
			return fail(e, ERR_CONFIG,
				    "%s: %s must be a number from %lld to %lld (%s), not \"%s\"", where,
				    k->name, (long long)k->min, (long long)k->max, k->unit, value);
		memcpy(field(&s->values, k), &n, sizeof n);
		break;
	case BOOLEAN:
		if (!parse_bool(value, &v))
			return fail(e, ERR_CONFIG, "%s: %s must be true or false, not \"%s\"", where, k->name,
				    value);
		memcpy(field(&s->values, k), &v, sizeof v);
		break;
	}
	return OK;
}

static char *trim(char *s)
{
	size_t len;

	s += strspn(s, " \t");
	len = strlen(s);
	while (len > 0 && strchr(" \t\r", s[len - 1]))
		s[--len] = '\0';
	return s;
}

static enum err line_read(struct snapshot *s, char *line, const char *where, bool *seen, struct error *e)
{
	const struct key *k;
	char *eq, *name, *value;

	line = trim(line);
	if (*line == '\0' || *line == '#')
		return OK;
	eq = strchr(line, '=');
	if (!eq)
		return fail(e, ERR_CONFIG, "%s: a line has to be \"key = value\"", where);
	*eq = '\0';
	name = trim(line);
	value = trim(eq + 1);
	k = key_find(name, strlen(name));
	if (!k)
		return fail(e, ERR_CONFIG, "%s: unknown key \"%s\"", where, name);
	if (seen[k - keys])
		return fail(e, ERR_CONFIG, "%s: %s is given twice", where, name);
	seen[k - keys] = true;
	return value_set(s, k, value, where, e);
}

static enum err text_read(struct snapshot *s, struct arena *scratch, char *text, const char *path,
			  struct error *e)
{
	bool seen[ARRAY_LEN(keys)] = { false };
	int line_no = 0;

	while (text) {
		char *end = strchr(text, '\n');

		if (end)
			*end++ = '\0';
		TRY(line_read(s, text, arena_printf(scratch, "%s:%d", path, ++line_no), seen, e));
		text = end;
	}
	return OK;
}

static enum err file_read(struct arena *scratch, const char *path, char **ret, struct error *e)
{
	char *text = arena_alloc(scratch, FILE_BYTES_MAX + 2);
	FILE *f = fopen(path, "re");
	size_t len;
	bool bad;

	if (!f)
		return fail(e, ERR_CONFIG, "%s: %s", path, strerror(errno));
	len = fread(text, 1, FILE_BYTES_MAX + 1, f);
	bad = ferror(f) != 0;
	(void)fclose(f);
	if (bad)
		return fail(e, ERR_CONFIG, "%s: cannot be read", path);
	if (len > FILE_BYTES_MAX || memchr(text, '\0', len))
		return fail(e, ERR_CONFIG, "%s: not a configuration file", path);
	*ret = text;
	return OK;
}

static enum err environment_read(struct snapshot *s, struct arena *scratch, struct error *e)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		char *name = arena_printf(scratch, ENV_PREFIX "%s", keys[i].name);
		const char *value;

		for (char *c = name; *c; c++)
			if (*c >= 'a' && *c <= 'z')
				*c = (char)(*c - 'a' + 'A');
		value = getenv(name);
		if (value)
			TRY(value_set(s, &keys[i], value, name, e));
	}
	return OK;
}

/* Rules between keys. */
static enum err rules_check(const struct config *c, struct error *e)
{
	if (!*c->api_tls_cert != !*c->api_tls_key)
		return fail(e, ERR_CONFIG, "api_tls_cert and api_tls_key go together");
	if (!*c->store_tls_cert != !*c->store_tls_key)
		return fail(e, ERR_CONFIG, "store_tls_cert and store_tls_key go together");
	if (*c->store_device_listen && !*c->store_device_url)
		return fail(e, ERR_CONFIG, "store_device_listen needs store_device_url");
	if (*c->store_device_listen && strncmp(c->store_device_url, "https:", 6) == 0 && !*c->store_tls_cert)
		return fail(e, ERR_CONFIG, "an https store_device_url needs store_tls_cert");
	if (c->limit_max_per_minute_max >= 0 && c->limit_max_per_minute_min > c->limit_max_per_minute_max)
		return fail(e, ERR_CONFIG,
			    "limit_max_per_minute_min is larger than limit_max_per_minute_max");
	return OK;
}

static enum err snapshot_read(struct snapshot *s, struct arena *scratch, const char *path, struct error *e)
{
	char *text = NULL;

	s->values = defaults;
	if (path) {
		TRY(file_read(scratch, path, &text, e));
		TRY(text_read(s, scratch, text, path, e));
	}
	TRY(environment_read(s, scratch, e));
	return rules_check(&s->values, e);
}

/* At a reload: what cannot change while the process runs must be what it was. */
static enum err reload_check(const struct config *old, const struct config *new, struct error *e)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!keys[i].reloadable && !same(old, new, &keys[i]))
			return fail(e, ERR_CONFIG, "%s cannot change without a restart", keys[i].name);
	return OK;
}

static void snapshot_free(struct snapshot *s)
{
	arena_free(&s->texts);
	free(s);
}

/* A snapshot that is not in force yet. */
static enum err snapshot_new(const char *path, struct error *e, struct snapshot **ret)
{
	struct snapshot *s = calloc(1, sizeof *s);
	struct arena scratch;
	enum err err;

	ensure(s != NULL);
	arena_init(&s->texts);
	arena_init(&scratch);
	err = snapshot_read(s, &scratch, path, e);
	arena_free(&scratch);
	if (err == OK)
		*ret = s;
	else
		snapshot_free(s);
	return err;
}

enum err config_check(const char *path, struct error *e)
{
	struct snapshot *s;

	TRY(snapshot_new(path, e, &s));
	snapshot_free(s);
	return OK;
}

enum err config_load(const char *path, struct error *e)
{
	struct snapshot *s;
	enum err err = OK;

	TRY(snapshot_new(path, e, &s));
	if (newest)
		err = reload_check(&newest->values, &s->values, e);
	if (err != OK) {
		snapshot_free(s);
		return err;
	}
	s->older = newest;
	newest = s;
	atomic_store(&in_force, &s->values);
	return OK;
}

void config_free(void)
{
	atomic_store(&in_force, &defaults);
	while (newest) {
		struct snapshot *s = newest;

		newest = s->older;
		snapshot_free(s);
	}
}

/* ---- printing ---- */

static void key_print(struct buf *out, const struct key *k, const struct config *c)
{
	buf_addf(out, "\n# %s\n# ", k->doc);
	if (k->kind == INTEGER)
		buf_addf(out, "%lld to %lld %s; ", (long long)k->min, (long long)k->max, k->unit);
	if (k->kind == BOOLEAN)
		buf_adds(out, "true or false; ");
	buf_addf(out, "default: %s; %s.\n%s =", *k->def ? k->def : "nothing",
		 k->reloadable ? "a reload changes it" : "needs a restart", k->name);
	if (c && k->secret)
		buf_adds(out, " ***");
	else if (!c)
		buf_addf(out, "%s%s", *k->def ? " " : "", k->def);
	else if (k->kind == TEXT)
		buf_addf(out, "%s%s", *text_at(c, k) ? " " : "", text_at(c, k));
	else if (k->kind == INTEGER)
		buf_addf(out, " %lld", (long long)int_at(c, k));
	else
		buf_adds(out, bool_at(c, k) ? " true" : " false");
	buf_addc(out, '\n');
}

void config_print(struct buf *out, bool current)
{
	buf_adds(out, "# Configuration of otad: \"key = value\" lines; a comment has a line of its own. "
		      "Unknown keys and\n"
		      "# keys given twice are refused. The environment variable " ENV_PREFIX
		      "<KEY IN CAPITALS> beats the file.\n");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		key_print(out, &keys[i], current ? config_now() : NULL);
}
