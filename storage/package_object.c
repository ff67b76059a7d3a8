/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the package store.
 *
 *   <dir>/ota/<account hash>/<id>.<suffix>        the object
 *   <dir>/ota/<account hash>/<id>.<suffix>-meta   its digests; the object exists when this file exists
 *   <dir>/tmp/<random>                            half-written files
 *
 * Every open below the directory is of one name without a slash, relative to an open directory, with
 * O_NOFOLLOW: no symbolic link and no ".." can lead out. An object that was looked up loses its write
 * permission, which is the mark that it must not be replaced any more; lookups and commits exclude each other
 * by flock on the account's directory, so it also holds between processes that share the store. */
#include "storage/package_store_priv.h"

#include "engine/base/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define META_SUFFIX "-meta"
#define META_MAX 1024
#define TEMP_LEN 24
#define MODE_DIR 0750
#define MODE_NEW 0640
#define MODE_PINNED 0440

struct object_writer {
	struct package_store *s;
	struct object_path path;
	struct form_grant grant;
	int fd;
	char temp[TEMP_LEN + 1];
	struct digest_ctx *md5, *sha256;
	int64_t size;
};

struct meta_name {
	char text[OBJECT_NAME_MAX + sizeof META_SUFFIX];
};

static struct meta_name meta_name(const struct object_path *p)
{
	struct meta_name m;
	size_t len = strlen(p->name);

	memcpy(m.text, p->name, len);
	memcpy(m.text + len, META_SUFFIX, sizeof META_SUFFIX);
	return m;
}

static enum err io_failed(struct error *e, const char *what)
{
	const char *why = strerrordesc_np(errno);

	return fail(e, ERR_IO, "package store: %s: %s", what, why ? why : "unknown error");
}

/* ---- directories ---- */

static int open_dir(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Makes the directory if need be and opens it; -1 with errno. */
static int make_dir(int at, const char *name)
{
	int fd = open_dir(at, name);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (mkdirat(at, name, MODE_DIR) != 0 && errno != EEXIST)
		return -1;
	if (fsync(at) != 0)
		return -1;
	return open_dir(at, name);
}

static void make_parents(const char *dir)
{
	char *copy = strdup(dir);

	ensure(copy != NULL);
	for (char *p = copy + 1; copy[0] && *p; p++)
		if (*p == '/') {
			*p = '\0';
			(void)mkdir(copy, MODE_DIR); /* what matters is whether the open succeeds */
			*p = '/';
		}
	(void)mkdir(copy, MODE_DIR);
	free(copy);
}

enum err object_dirs_open(struct package_store *s, const char *dir, struct error *e)
{
	int root;

	make_parents(dir);
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return io_failed(e, dir);
	s->objects_fd = make_dir(root, "ota");
	s->temp_fd = make_dir(root, "tmp");
	if (s->objects_fd < 0 || s->temp_fd < 0) {
		enum err err = io_failed(e, dir);

		(void)close(root);
		return err;
	}
	(void)close(root);
	return OK;
}

/* ---- the file beside an object ---- */

static bool read_all(int fd, char *to, size_t len)
{
	while (len) {
		ssize_t n = read(fd, to, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		len -= (size_t)n;
	}
	return true;
}

static bool write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static bool copy_digest(const struct json *doc, const char *key, char *to, size_t len)
{
	const char *text = json_text(json_get(doc, key));

	if (!text || strlen(text) != len)
		return false;
	memcpy(to, text, len + 1);
	return true;
}

/* The object's entry in its account's directory; false when it does not exist. key stays unset. */
static bool meta_read(int account_fd, const struct object_path *p, struct arena *a, struct object_info *ret)
{
	int fd = openat(account_fd, meta_name(p).text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct object_info info = { .key = NULL };
	const struct json *doc = NULL;
	struct stat st;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < META_MAX) {
		char *text = arena_alloc(a, (size_t)st.st_size + 1);

		if (read_all(fd, text, (size_t)st.st_size))
			doc = json_parse(a, text, (size_t)st.st_size, false);
	}
	(void)close(fd);
	if (!json_int_lenient(json_get(doc, "size"), &info.size) ||
	    !json_int_lenient(json_get(doc, "uploaded_ms"), &info.uploaded_ms) ||
	    !copy_digest(doc, "md5", info.md5, 32) || !copy_digest(doc, "sha256", info.sha256, 64))
		return false;
	*ret = info;
	return true;
}

static void meta_print(struct buf *out, struct arena *a, const struct object_path *p,
		       const struct object_info *info)
{
	struct json_out *j = json_new(a, out);

	json_object(j);
	json_put_string(j, "account", p->account);
	json_put_string(j, "kind", object_path_kind(p) == OBJECT_PACKAGE ? "package" : "device_list");
	json_put_int(j, "size", info->size);
	json_put_string(j, "md5", info->md5);
	json_put_string(j, "sha256", info->sha256);
	json_put_int(j, "uploaded_ms", info->uploaded_ms);
	json_object_end(j);
	buf_addc(out, '\n');
	ensure(!out->overflow);
}

/* ---- writing ---- */

/* Creates a file of a random name in tmp; -1 with errno. */
static int temp_create(struct package_store *s, char name[TEMP_LEN + 1])
{
	crypto_random_text(name, TEMP_LEN);
	return openat(s->temp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE_NEW);
}

/* Has somebody looked the object up? */
static bool is_pinned(int account_fd, const struct object_path *p)
{
	struct stat st;

	return fstatat(account_fd, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & S_IWUSR) == 0;
}

enum err object_create(struct package_store *s, struct error *e, const char *key,
		       const struct form_grant *grant, struct object_writer **ret)
{
	struct object_path path;
	struct object_writer *w;

	if (!object_path_parse(key, &path))
		return fail(e, ERR_FORBIDDEN, "The key is not one of this store.");
	w = calloc(1, sizeof *w);
	ensure(w != NULL);
	*w = (struct object_writer){ .s = s, .path = path, .grant = *grant };
	w->fd = temp_create(s, w->temp);
	if (w->fd < 0) {
		free(w);
		return io_failed(e, "a file cannot be made");
	}
	w->md5 = digest_new(DIGEST_MD5);
	w->sha256 = digest_new(DIGEST_SHA256);
	*ret = w;
	return OK;
}

enum err object_write(struct object_writer *w, struct error *e, const void *data, size_t len)
{
	if (w->size + (int64_t)len > w->grant.max_bytes)
		return fail_param(e, ERR_BODY_TOO_LARGE, NULL);
	digest_update(w->md5, data, len);
	digest_update(w->sha256, data, len);
	if (!write_all(w->fd, data, len))
		return io_failed(e, "a file cannot be written");
	w->size += (int64_t)len;
	return OK;
}

static void writer_free(struct object_writer *w)
{
	if (w->fd >= 0)
		(void)close(w->fd);
	digest_free(w->md5);
	digest_free(w->sha256);
	free(w);
}

void object_abort(struct object_writer *w)
{
	if (!w)
		return;
	(void)unlinkat(w->s->temp_fd, w->temp, 0);
	writer_free(w);
}

static enum err meta_write(struct object_writer *w, struct error *e, const struct object_info *info,
			   char temp[TEMP_LEN + 1])
{
	struct buf *text = buf_owned(e->arena, META_MAX);
	int fd = temp_create(w->s, temp);
	bool good;

	meta_print(text, e->arena, &w->path, info);
	if (fd < 0)
		return io_failed(e, "a file cannot be made");
	good = write_all(fd, buf_str(text), text->len) && fsync(fd) == 0;
	if (close(fd) != 0 || !good) {
		enum err err = io_failed(e, "a file cannot be written");

		(void)unlinkat(w->s->temp_fd, temp, 0);
		return err;
	}
	return OK;
}

/* Puts both files in their places, the locked directory being account_fd. At every moment a crash leaves
 * either a whole object with its digests, or none. */
static enum err object_place(struct object_writer *w, struct error *e, int account_fd, const char *meta_temp)
{
	const char *name = w->path.name;
	struct meta_name meta = meta_name(&w->path);

	if (unlinkat(account_fd, meta.text, 0) == 0 && fsync(account_fd) != 0)
		return io_failed(e, "the directory cannot be written");
	if (renameat(w->s->temp_fd, w->temp, account_fd, name) != 0)
		return io_failed(e, "a file cannot be renamed");
	if (fsync(account_fd) != 0 || renameat(w->s->temp_fd, meta_temp, account_fd, meta.text) != 0 ||
	    fsync(account_fd) != 0) {
		enum err err = io_failed(e, "the directory cannot be written");

		(void)unlinkat(account_fd, meta.text, 0);
		(void)unlinkat(account_fd, name, 0);
		return err;
	}
	return OK;
}

/* Decides what becomes of an object that exists, under the lock. */
static enum err object_replace(struct object_writer *w, struct error *e, const struct object_info *info,
			       int account_fd, utc_ms now)
{
	struct object_info old;
	char meta_temp[TEMP_LEN + 1];
	enum err err;

	if (meta_read(account_fd, &w->path, e->arena, &old)) {
		if (old.size == info->size && strcmp(old.sha256, info->sha256) == 0)
			return OK;
		if (now >= w->grant.good_until_ms || is_pinned(account_fd, &w->path))
			return fail_param(e, ERR_OBJECT_EXISTS, NULL);
	}
	TRY(meta_write(w, e, info, meta_temp));
	err = object_place(w, e, account_fd, meta_temp);
	if (err != OK)
		(void)unlinkat(w->s->temp_fd, meta_temp, 0);
	return err;
}

enum err object_commit(struct object_writer *w, struct error *e, utc_ms now, char ret_md5[33])
{
	struct object_info info = { .size = w->size, .uploaded_ms = now };
	unsigned char md[DIGEST_MAX];
	enum err err = OK;
	int account_fd = -1;

	digest_final(w->md5, md);
	hex_encode(md, 16, info.md5);
	digest_final(w->sha256, md);
	hex_encode(md, 32, info.sha256);
	if (fsync(w->fd) != 0)
		err = io_failed(e, "a file cannot be written");
	if (err == OK) {
		account_fd = make_dir(w->s->objects_fd, w->path.account);
		if (account_fd < 0 || flock(account_fd, LOCK_EX) != 0)
			err = io_failed(e, "the account's directory cannot be opened");
	}
	if (err == OK)
		err = object_replace(w, e, &info, account_fd, now);
	if (account_fd >= 0)
		(void)close(account_fd); /* unlocks */
	if (err == OK && ret_md5)
		memcpy(ret_md5, info.md5, sizeof info.md5);
	object_abort(w); /* its file is in its place, or not wanted */
	return err;
}

/* ---- looking ---- */

/* Takes the write permission away. false when the object itself is missing. */
static bool object_pin(int account_fd, const struct object_path *p)
{
	int fd = openat(account_fd, p->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool good;

	if (fd < 0)
		return false;
	good = fchmod(fd, MODE_PINNED) == 0;
	(void)close(fd);
	return good;
}

/* min_ms: uploaded at this time or later. */
static enum err object_look(struct package_store *s, struct arena *a, const char *key, utc_ms min_ms,
			    struct object_info *ret)
{
	struct object_path path;
	struct object_info info;
	int account_fd;
	bool found;

	if (!object_path_parse(key, &path))
		return ERR_NOT_FOUND;
	account_fd = open_dir(s->objects_fd, path.account);
	if (account_fd < 0)
		return ERR_NOT_FOUND;
	found = flock(account_fd, LOCK_SH) == 0 && meta_read(account_fd, &path, a, &info) &&
		info.uploaded_ms >= min_ms && object_pin(account_fd, &path);
	(void)close(account_fd);
	if (!found)
		return ERR_NOT_FOUND;
	info.key = arena_strdup(a, key);
	*ret = info;
	return OK;
}

enum err package_store_find(struct package_store *s, struct arena *a, enum object_kind kind,
			    int64_t account_id, const char *url, utc_ms now, struct object_info *ret)
{
	const char *key = package_store_key(s, a, kind, account_id, url);

	return key ? object_look(s, a, key, now - STORE_UNUSED_MS, ret) : ERR_NOT_FOUND;
}

enum err package_store_info(struct package_store *s, struct arena *a, const char *key,
			    struct object_info *ret)
{
	return object_look(s, a, key, INT64_MIN, ret);
}

enum err package_store_open_object(struct package_store *s, const char *key, int *ret_fd, int64_t *ret_size)
{
	struct object_path path;
	struct stat st;
	int account_fd, fd;

	if (!object_path_parse(key, &path))
		return ERR_NOT_FOUND;
	account_fd = open_dir(s->objects_fd, path.account);
	if (account_fd < 0)
		return ERR_NOT_FOUND;
	fd = openat(account_fd, path.name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	(void)close(account_fd);
	if (fd < 0)
		return ERR_NOT_FOUND;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return ERR_NOT_FOUND;
	}
	*ret_fd = fd;
	*ret_size = st.st_size;
	return OK;
}

enum err package_store_read(struct package_store *s, struct arena *a, struct error *e, const char *key,
			    size_t max_bytes, char **ret, size_t *ret_len)
{
	int64_t size = 0;
	int fd = -1;
	char *text;
	bool good;

	if (package_store_open_object(s, key, &fd, &size) != OK)
		return fail(e, ERR_NOT_FOUND, "the object does not exist");
	if (size > (int64_t)max_bytes) {
		(void)close(fd);
		return fail(e, ERR_FORMAT, "The file has more than %lld bytes.", (long long)max_bytes);
	}
	text = arena_alloc(a, (size_t)size + 1);
	good = read_all(fd, text, (size_t)size);
	(void)close(fd);
	if (!good)
		return io_failed(e, "an object cannot be read");
	*ret = text;
	*ret_len = (size_t)size;
	return OK;
}

void package_store_delete(struct package_store *s, const char *key)
{
	struct object_path path;
	int account_fd;

	if (!object_path_parse(key, &path))
		return;
	account_fd = open_dir(s->objects_fd, path.account);
	if (account_fd < 0)
		return;
	(void)unlinkat(account_fd, meta_name(&path).text, 0);
	(void)unlinkat(account_fd, path.name, 0);
	(void)close(account_fd);
}

/* ---- walking ---- */

/* Calls fn for every entry of a directory but . and .., with its open directory. */
static void dir_walk(int at, const char *name, void (*fn)(void *ctx, int dir_fd, const char *name), void *ctx)
{
	int fd = open_dir(at, name);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *d;

	if (!dir) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while ((d = readdir(dir)) != NULL) /* NOLINT(concurrency-mt-unsafe): a DIR of our own */
		if (d->d_name[0] != '.')
			fn(ctx, dirfd(dir), d->d_name);
	(void)closedir(dir);
}

struct each {
	utc_ms before;
	void (*fn)(void *ctx, const char *key);
	void *ctx;
	const char *account;
	struct arena arena;
};

static utc_ms mtime_ms(const struct stat *st)
{
	return (utc_ms)st->st_mtim.tv_sec * MS_PER_SECOND + st->st_mtim.tv_nsec / 1000000;
}

static void each_object(void *ctx, int dir_fd, const char *name)
{
	struct each *each = ctx;
	const char *key = arena_printf(&each->arena, "ota/%s/%s", each->account, name);
	struct object_path path;
	struct object_info info;
	struct stat st;
	utc_ms uploaded = INT64_MAX;

	if (object_path_parse(key, &path)) {
		if (meta_read(dir_fd, &path, &each->arena, &info))
			uploaded = info.uploaded_ms;
		else if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			uploaded = mtime_ms(&st); /* a crash kept it from getting its digests */
	}
	if (uploaded < each->before)
		each->fn(each->ctx, key);
	arena_reset(&each->arena);
}

static void each_account(void *ctx, int dir_fd, const char *name)
{
	struct each *each = ctx;

	each->account = name;
	dir_walk(dir_fd, name, each_object, each);
}

void package_store_each(struct package_store *s, utc_ms before, void (*fn)(void *ctx, const char *key),
			void *ctx)
{
	struct each each = { .before = before, .fn = fn, .ctx = ctx };

	arena_init(&each.arena);
	dir_walk(s->objects_fd, ".", each_account, &each);
	arena_free(&each.arena);
}

static void clean_temp(void *ctx, int dir_fd, const char *name)
{
	const utc_ms *before = ctx;
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && mtime_ms(&st) < *before)
		(void)unlinkat(dir_fd, name, 0);
}

void package_store_clean(struct package_store *s, utc_ms before)
{
	dir_walk(s->temp_fd, ".", clean_temp, &before);
}
