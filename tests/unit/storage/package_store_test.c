/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/package_store.h"

#include "engine/base/clock.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW 1795385783791LL
#define BASE "http://127.0.0.1:8081"

static char dir[] = "/tmp/otad-store-XXXXXX";
static const struct seal_key master = { .bytes = { 1, 2, 3 } };
static struct arena arena;
static struct error error;
static struct package_store *store;

static void tear_down(void)
{
	struct arena a;
	const char *cmd;

	arena_init(&a);
	cmd = arena_printf(&a, "rm -rf %s", dir);
	package_store_close(store);
	(void)!system(cmd);
	arena_free(&a);
	arena_free(&arena);
}

static void set_up(void)
{
	CHECK(mkdtemp(dir) != NULL);
	arena_init(&arena);
	error_init(&error, &arena);
	CHECK(package_store_open(arena_printf(&arena, "%s/a/b", dir), &master, &error, &store) == OK);
	package_store_set_url(store, BASE, "");
	(void)atexit(tear_down);
}

static struct upload_form form(enum object_kind kind, const char *suffix)
{
	return package_store_form(store, &arena, kind, 7, suffix, NOW);
}

static enum err check(const struct upload_form *f, utc_ms now, struct form_grant *ret)
{
	error_clear(&error);
	return package_store_check_form(store, &error, f->key, f->policy, f->access_key_id, f->signature, now,
					ret);
}

static enum err put_at(const struct upload_form *f, const char *content, utc_ms now)
{
	struct form_grant grant;
	struct object_writer *w = NULL;

	CHECK_INT(check(f, NOW, &grant), OK);
	TRY(object_create(store, &error, f->key, &grant, &w));
	for (const char *p = content; *p; p++)
		CHECK_INT(object_write(w, &error, p, 1), OK);
	return object_commit(w, &error, now, NULL);
}

static void form_is_good_for_a_minute(void)
{
	struct upload_form f;
	struct form_grant grant;

	set_up();
	f = form(OBJECT_PACKAGE, "tar.gz");
	CHECK_STR(f.host, BASE);
	CHECK_STR(f.url, arena_printf(&arena, BASE "/%s", f.key));
	CHECK(strncmp(f.key, "ota/", 4) == 0 && strcmp(f.key + strlen(f.key) - 7, ".tar.gz") == 0);
	CHECK_INT(check(&f, NOW, &grant), OK);
	CHECK_INT(grant.max_bytes, 1048576000);
	CHECK_INT(grant.kind, OBJECT_PACKAGE);
	CHECK_INT(check(&f, NOW + 59999, &grant), OK);
	CHECK_INT(check(&f, NOW + 60000, &grant), ERR_FORBIDDEN);
	f = form(OBJECT_DEVICE_LIST, "csv");
	CHECK_INT(check(&f, NOW, &grant), OK);
	CHECK_INT(grant.kind, OBJECT_DEVICE_LIST);
	CHECK_INT(grant.max_bytes, STORE_LIST_BYTES);
}

/* Every altered byte of every field. */
static void form_tampered(void)
{
	struct upload_form f;
	struct form_grant grant;

	set_up();
	f = form(OBJECT_PACKAGE, "bin");
	for (int field = 0; field < 4; field++) {
		const char **at = field == 0   ? &f.key
				  : field == 1 ? &f.policy
				  : field == 2 ? &f.signature
					       : &f.access_key_id;
		const char *good = *at;

		for (size_t i = 0; i < strlen(good); i++) {
			char *bad = arena_strdup(&arena, good);

			bad[i] = bad[i] == 'A' ? 'B' : 'A';
			*at = bad;
			CHECK(check(&f, NOW, &grant) != OK);
		}
		*at = arena_printf(&arena, "%sx", good);
		CHECK(check(&f, NOW, &grant) != OK);
		*at = "";
		CHECK(check(&f, NOW, &grant) != OK);
		*at = good;
		CHECK_INT(check(&f, NOW, &grant), OK);
	}
}

static void object_lives(void)
{
	struct upload_form f;
	struct object_info info;
	char *text = NULL;
	size_t len = 0;

	set_up();
	f = form(OBJECT_PACKAGE, "bin");
	CHECK_INT(package_store_find(store, &arena, OBJECT_PACKAGE, 7, f.url, NOW, &info), ERR_NOT_FOUND);
	CHECK_INT(put_at(&f, "hello", NOW), OK);
	CHECK_INT(package_store_find(store, &arena, OBJECT_PACKAGE, 7, f.url, NOW, &info), OK);
	CHECK_STR(info.key, f.key);
	CHECK_INT(info.size, 5);
	CHECK_INT(info.uploaded_ms, NOW);
	CHECK_STR(info.md5, "5d41402abc4b2a76b9719d911017c592");
	CHECK_STR(info.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
	CHECK_INT(package_store_read(store, &arena, &error, f.key, 5, &text, &len), OK);
	CHECK_STR(text, "hello");
	CHECK_INT(package_store_read(store, &arena, &error, f.key, 4, &text, &len), ERR_FORMAT);
	/* another account, another kind, another host, more text */
	CHECK_INT(package_store_find(store, &arena, OBJECT_PACKAGE, 8, f.url, NOW, &info), ERR_NOT_FOUND);
	CHECK_INT(package_store_find(store, &arena, OBJECT_DEVICE_LIST, 7, f.url, NOW, &info), ERR_NOT_FOUND);
	CHECK_INT(package_store_find(store, &arena, OBJECT_PACKAGE, 7,
				     arena_printf(&arena, "http://127.0.0.1:80/%s", f.key), NOW, &info),
		  ERR_NOT_FOUND);
	CHECK_INT(package_store_find(store, &arena, OBJECT_PACKAGE, 7, arena_printf(&arena, "%s?x", f.url),
				     NOW, &info),
		  ERR_NOT_FOUND);
	/* the 60 minutes, and who knows better */
	CHECK_INT(package_store_find(store, &arena, OBJECT_PACKAGE, 7, f.url, NOW + 3600000, &info), OK);
	CHECK_INT(package_store_find(store, &arena, OBJECT_PACKAGE, 7, f.url, NOW + 3600001, &info),
		  ERR_NOT_FOUND);
	CHECK_INT(package_store_info(store, &arena, f.key, &info), OK);
	package_store_delete(store, f.key);
	CHECK_INT(package_store_info(store, &arena, f.key, &info), ERR_NOT_FOUND);
}

static void object_replaced_until_it_was_looked_up(void)
{
	struct upload_form f, g;
	struct object_info info;

	set_up();
	f = form(OBJECT_PACKAGE, "bin");
	CHECK_INT(put_at(&f, "one", NOW), OK);
	CHECK_INT(put_at(&f, "two!", NOW + 1000), OK);
	CHECK_INT(put_at(&f, "late", NOW + 60000), ERR_OBJECT_EXISTS);
	CHECK_INT(put_at(&f, "two!", NOW + 60000), OK); /* the same again changes nothing */
	CHECK_INT(package_store_find(store, &arena, OBJECT_PACKAGE, 7, f.url, NOW, &info), OK);
	CHECK_INT(info.size, 4);
	CHECK_INT(info.uploaded_ms, NOW + 1000);
	CHECK_INT(put_at(&f, "three", NOW + 2000), ERR_OBJECT_EXISTS);
	CHECK_INT(package_store_info(store, &arena, f.key, &info), OK);
	CHECK_INT(info.size, 4);
	g = form(OBJECT_PACKAGE, "bin");
	CHECK(strcmp(f.key, g.key) != 0);
	CHECK_INT(put_at(&g, "", NOW), OK);
}

static int entries(const char *path)
{
	const char *cmd = arena_printf(&arena, "find %s/a/b/%s -type f | wc -l", dir, path);
	FILE *p = popen(cmd, "r");
	char line[32] = "";

	CHECK(p != NULL && fgets(line, sizeof line, p) != NULL);
	(void)pclose(p);
	return line[0] - '0';
}

static void writer_keeps_its_limit_and_leaves_nothing(void)
{
	struct upload_form f;
	struct form_grant grant;
	struct object_writer *w = NULL;

	set_up();
	f = form(OBJECT_PACKAGE, "bin");
	CHECK_INT(check(&f, NOW, &grant), OK);
	grant.max_bytes = 4;
	CHECK_INT(object_create(store, &error, f.key, &grant, &w), OK);
	CHECK_INT(object_write(w, &error, "1234", 4), OK);
	CHECK_INT(entries("tmp"), 1);
	CHECK_INT(object_write(w, &error, "5", 1), ERR_BODY_TOO_LARGE);
	object_abort(w);
	CHECK_INT(entries("tmp"), 0);
	CHECK_INT(put_at(&f, "x", NOW), OK);
	CHECK_INT(entries("tmp"), 0);
	CHECK_INT(entries("ota"), 2);
}

static void keys_never_lead_out(void)
{
	static const char id[] = "0123456789abcdef0123456789abcdef";
	set_up();
	const char *bad[] = {
		"",
		"ota",
		"ota/",
		"../etc/passwd",
		"/etc/passwd",
		"ota/../../../etc/passwd",
		"ota/0123456789abcdef/../0123456789abcdef0123456789ab.bin",
		"ota/%2e%2e/x.bin",
		arena_printf(&arena, "ota/0123456789abcdeF/%s.bin", id),
		arena_printf(&arena, "ota/0123456789abcdef/%s.", id),
		arena_printf(&arena, "ota/0123456789abcdef/%s", id),
		arena_printf(&arena, "ota/0123456789abcdef/%s.bin-meta", id),
		arena_printf(&arena, "ota/0123456789abcdef/%s.a/b", id),
		arena_printf(&arena, "ota/0123456789abcdef/%s.bin.", id),
		arena_printf(&arena, "ota/0123456789abcdef/%s.123456789", id),
		arena_printf(&arena, "ota/0123456789abcdef/%s.a.b.c", id),
		arena_printf(&arena, "/ota/0123456789abcdef/%s.bin", id),
	};
	int fd = -1;
	int64_t size;
	struct object_info info;
	struct form_grant grant = { .max_bytes = 1 };
	struct object_writer *w = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_INT(package_store_open_object(store, bad[i], &fd, &size), ERR_NOT_FOUND);
		CHECK_INT(package_store_info(store, &arena, bad[i], &info), ERR_NOT_FOUND);
		error_clear(&error);
		CHECK_INT(object_create(store, &error, bad[i], &grant, &w), ERR_FORBIDDEN);
		package_store_delete(store, bad[i]);
	}
}

static void symbolic_links_are_not_followed(void)
{
	struct upload_form f;
	int fd = -1;
	int64_t size;

	set_up();
	f = form(OBJECT_PACKAGE, "bin");
	CHECK_INT(put_at(&f, "x", NOW), OK);
	CHECK_INT(package_store_open_object(store, f.key, &fd, &size), OK);
	CHECK_INT(size, 1);
	(void)close(fd);
	CHECK(unlink(arena_printf(&arena, "%s/a/b/%s", dir, f.key)) == 0);
	CHECK(symlink("/etc/passwd", arena_printf(&arena, "%s/a/b/%s", dir, f.key)) == 0);
	CHECK_INT(package_store_open_object(store, f.key, &fd, &size), ERR_NOT_FOUND);
}

static const char *sign(const char *key)
{
	return package_store_sign(store, &arena, key, 12, 345678, 3, NOW + 86400000);
}

/* path and query of a URL of ours, as a request has them */
static enum err check_url(const char *url, utc_ms now)
{
	char *path = arena_strdup(&arena, url + strlen(BASE)), *query = strchr(path, '?');
	const char *key = NULL;

	if (query)
		*query++ = '\0';
	return package_store_check_url(store, &arena, path, query ? query : "", now, &key);
}

static void url_tampered(void)
{
	const char *key, *url, *good;

	set_up();
	key = form(OBJECT_PACKAGE, "bin").key;
	url = sign(key);
	CHECK_INT(check_url(url, NOW), OK);
	CHECK_INT(check_url(url, NOW + 86400000 - 1000), OK);
	CHECK_INT(check_url(url, NOW + 86400000), ERR_FORBIDDEN);
	good = url + strlen(BASE);
	for (size_t i = strlen(BASE); url[i]; i++)
		for (int c = '!'; c <= '~'; c++) {
			char *bad = arena_strdup(&arena, url);

			if (bad[i] == (char)c)
				continue;
			bad[i] = (char)c;
			CHECK_INT(check_url(bad, NOW), ERR_FORBIDDEN);
		}
	for (size_t len = 1; len < strlen(good); len++)
		CHECK_INT(check_url(arena_strndup(&arena, url, strlen(BASE) + len), NOW), ERR_FORBIDDEN);
	CHECK_INT(check_url(arena_printf(&arena, "%s&x=1", url), NOW), ERR_FORBIDDEN);
	CHECK_INT(check_url(arena_printf(&arena, BASE "/x%s", good), NOW), ERR_FORBIDDEN);
	CHECK_INT(check_url(BASE "/", NOW), ERR_FORBIDDEN);
}

static void url_of_another_store_is_left_alone(void)
{
	static const char other[] = "https://cdn.example/fw/a.bin?v=1";

	set_up();
	CHECK_STR(package_store_sign(store, &arena, other, 1, 2, 3, NOW), other);
}

static void url_is_short_and_new(void)
{
	char base[STORE_URL_MAX + 1];
	const char *key, *url, *key_back = NULL;
	char *path, *query;

	set_up();
	key = form(OBJECT_PACKAGE, "abcdefgh.abcdefgh").key;
	CHECK(strcmp(package_store_sign(store, &arena, key, 1, 2, 3, NOW),
		     package_store_sign(store, &arena, key, 1, 2, 4, NOW)) != 0);
	memset(base, 'h', STORE_URL_MAX);
	memcpy(base, "http://", 7);
	base[40] = '/'; /* behind a proxy */
	base[STORE_URL_MAX] = '\0';
	package_store_set_url(store, base, "");
	url = package_store_sign(store, &arena, key, INT64_MAX, INT64_MAX, INT64_MAX, 253402300799000);
	CHECK(strlen(url) < 250);
	/* with and without the proxy's path */
	path = arena_strdup(&arena, url + 40);
	query = strchr(path, '?');
	*query++ = '\0';
	CHECK_INT(package_store_check_url(store, &arena, path, query, NOW, &key_back), OK);
	CHECK_STR(key_back, key);
	CHECK_INT(package_store_check_url(store, &arena, path + STORE_URL_MAX - 40, query, NOW, &key_back),
		  OK);
	CHECK_STR(key_back, key);
}

static int seen;
static void each(void *ctx, const char *key)
{
	CHECK_STR(key, (const char *)ctx);
	package_store_delete(store, key);
	seen++;
}

static void each_names_what_is_old(void)
{
	struct upload_form f, g;
	struct object_info info;

	set_up();
	f = form(OBJECT_PACKAGE, "bin");
	g = form(OBJECT_PACKAGE, "zip");
	CHECK_INT(put_at(&f, "old", NOW - 5000), OK);
	CHECK_INT(put_at(&g, "new", NOW), OK);
	package_store_each(store, NOW, each, arena_strdup(&arena, f.key));
	CHECK_INT(seen, 1);
	CHECK_INT(package_store_info(store, &arena, f.key, &info), ERR_NOT_FOUND);
	CHECK_INT(package_store_info(store, &arena, g.key, &info), OK);
}

static void clean_removes_what_a_crash_left(void)
{
	struct upload_form f;
	struct form_grant grant;
	struct object_writer *w = NULL;

	set_up();
	f = form(OBJECT_PACKAGE, "bin");
	CHECK_INT(check(&f, NOW, &grant), OK);
	CHECK_INT(object_create(store, &error, f.key, &grant, &w), OK);
	package_store_clean(store, clock_now() - 60000);
	CHECK_INT(entries("tmp"), 1);
	package_store_clean(store, clock_now() + 60000);
	CHECK_INT(entries("tmp"), 0);
	CHECK_INT(object_commit(w, &error, NOW, NULL), ERR_IO); /* its file is gone */
	CHECK_INT(entries("ota"), 0);
}

TESTS("storage/package_store", { "form_is_good_for_a_minute", form_is_good_for_a_minute },
      { "form_tampered", form_tampered }, { "object_lives", object_lives },
      { "object_replaced_until_it_was_looked_up", object_replaced_until_it_was_looked_up },
      { "writer_keeps_its_limit_and_leaves_nothing", writer_keeps_its_limit_and_leaves_nothing },
      { "keys_never_lead_out", keys_never_lead_out },
      { "symbolic_links_are_not_followed", symbolic_links_are_not_followed },
      { "url_tampered", url_tampered }, { "url_is_short_and_new", url_is_short_and_new },
      { "url_of_another_store_is_left_alone", url_of_another_store_is_left_alone },
      { "each_names_what_is_old", each_names_what_is_old },
      { "clean_removes_what_a_crash_left", clean_removes_what_a_crash_left })
