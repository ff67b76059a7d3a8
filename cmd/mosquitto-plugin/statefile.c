/* SPDX-License-Identifier: Apache-2.0 */
#include "statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUT_MAX ((size_t)16 << 20) /* far above what comes between two flushes */
#define PIECE_BYTES 131072	   /* written anew per tick */
#define GROWTH_MIN ((size_t)4 << 20)
#define RETRY_MS 10000

static void load_line(struct creds *t, const struct link_line *l)
{
	struct cred *c = creds_find(t, l->pk, strlen(l->pk), l->dn, strlen(l->dn));

	if (c)
		creds_remove(t, c);
	if (l->verb == LINK_CRED && strlen(l->pk) <= UINT8_MAX && strlen(l->dn) <= UINT8_MAX)
		(void)creds_add(t, l->pk, l->dn, l->secret);
}

/* true: every line was read; *ret_position as the last of them has it. */
static bool load(FILE *in, struct creds *t, int64_t *ret_position)
{
	bool ended = false, good = true;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	*ret_position = 0;
	while (good && (len = getline(&line, &cap, in)) > 0) {
		struct link_line l;

		good = line[len - 1] == '\n' && strlen(line) == (size_t)len;
		if (!good)
			break;
		line[len - 1] = '\0';
		good = link_parse(line, &l);
		if (!good)
			break;
		if (l.verb == LINK_CRED || l.verb == LINK_CRED_DEL)
			load_line(t, &l);
		if (l.verb == LINK_CRED_END || l.verb == LINK_CRED_POS)
			*ret_position = l.position;
		ended |= l.verb == LINK_CRED_END;
	}
	free(line);
	good = good && ended && !ferror(in);
	if (!good)
		*ret_position = 0;
	return good;
}

bool statefile_open(struct statefile *f, const char *path, struct creds *t, int64_t *ret_position)
{
	struct stat st;
	FILE *in;

	*f = (struct statefile){ .fd = -1, .temp_fd = -1 };
	buf_init(&f->out, OUT_MAX);
	buf_init(&f->temp, OUT_MAX);
	*ret_position = 0;
	if (!path)
		return true;
	f->path = strdup(path);
	ensure(f->path != NULL && asprintf(&f->temp_path, "%s.new", path) > 0);
	in = fopen(path, "re");
	if (!in && errno != ENOENT)
		return false;
	f->stale = !in || !load(in, t, ret_position);
	if (in)
		(void)fclose(in);
	f->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (f->fd < 0 || fstat(f->fd, &st) < 0 || fchmod(f->fd, 0600) < 0)
		return false;
	f->bytes = (size_t)st.st_size;
	f->base_bytes = f->bytes / 2; /* some of it is history, and nobody knows how much */
	return true;
}

void statefile_add(struct statefile *f, const struct link_line *l)
{
	if (f->fd >= 0)
		link_add(&f->out, l);
	if (f->temp_fd >= 0)
		link_add(&f->temp, l);
}

static bool write_out(int fd, struct buf *b, size_t *bytes)
{
	size_t done = 0;

	if (b->overflow) { /* cannot be: then the file would lack something */
		errno = ENOBUFS;
		return false;
	}
	while (done < b->len) {
		ssize_t n = write(fd, b->data + done, b->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	*bytes += b->len;
	buf_clear(b);
	return true;
}

static void drop_temp(struct statefile *f)
{
	if (f->temp_fd >= 0)
		(void)close(f->temp_fd);
	f->temp_fd = -1;
	buf_clear(&f->temp);
}

bool statefile_flush(struct statefile *f)
{
	if (f->fd < 0 || f->out.len == 0)
		return true;
	if (!f->stale && write_out(f->fd, &f->out, &f->bytes))
		return true;
	/* Half a line may stand at its end: nothing may follow. What is missing stands in the table. */
	buf_clear(&f->out);
	if (f->stale)
		return true;
	f->stale = true;
	return false;
}

static bool begin_anew(struct statefile *f)
{
	f->temp_fd = open(f->temp_path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->temp_fd < 0 || fchmod(f->temp_fd, 0600) < 0)
		return false;
	buf_clear(&f->temp);
	f->temp_bytes = 0;
	f->bucket = 0;
	link_add(&f->temp, &(struct link_line){ .verb = LINK_CRED_BEGIN });
	return true;
}

static void add_device(void *ctx, struct cred *c)
{
	struct buf *to = ctx;

	link_add(to,
		 &(struct link_line){
			 .verb = LINK_CRED, .pk = cred_pk(c), .dn = cred_dn(c), .secret = cred_secret(c) });
}

/* Changes made since begin_anew stand in temp, too, in their order: a device that changed is written as it is
 * now, before or after its change, and one that went is not written again. */
static bool write_piece(struct statefile *f, const struct creds *t, int64_t position)
{
	bool more = true;

	while (more && f->temp.len < PIECE_BYTES)
		more = creds_walk(t, &f->bucket, 64, add_device, &f->temp);
	if (!more)
		link_add(&f->temp, &(struct link_line){ .verb = LINK_CRED_END, .position = position });
	if (!write_out(f->temp_fd, &f->temp, &f->temp_bytes))
		return false;
	if (more)
		return true;
	if (rename(f->temp_path, f->path) < 0)
		return false;
	(void)close(f->fd);
	f->fd = f->temp_fd;
	f->temp_fd = -1;
	f->bytes = f->base_bytes = f->temp_bytes;
	f->stale = false;
	buf_clear(&f->out);
	return true;
}

bool statefile_tick(struct statefile *f, const struct creds *t, int64_t position, int64_t now_boot_ms)
{
	bool due = f->stale || f->bytes > 2 * f->base_bytes + GROWTH_MIN;

	if (f->fd < 0 || (f->temp_fd < 0 && (!due || now_boot_ms < f->retry_boot_ms)))
		return true;
	if (statefile_flush(f) && (f->temp_fd >= 0 || begin_anew(f)) && write_piece(f, t, position))
		return true;
	drop_temp(f);
	f->stale = true;
	f->retry_boot_ms = now_boot_ms + RETRY_MS;
	return false;
}

void statefile_close(struct statefile *f)
{
	(void)statefile_flush(f);
	drop_temp(f);
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
	buf_free(&f->out);
	buf_free(&f->temp);
	free(f->path);
	free(f->temp_path);
}
