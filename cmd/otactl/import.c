/* SPDX-License-Identifier: Apache-2.0 */
/* Reads lines of name,secret[,version] and stores them in chunks, each a transaction of its own. A name that
 * exists is left as it is, so a run that broke off is just repeated. A bad line is reported and costs no
 * other. */
#include "cmd/otactl/import.h"

#include "engine/base/clock.h"
#include "engine/base/config.h"
#include "engine/base/parse.h"
#include "storage/device.h"
#include "storage/product.h"
#include "storage/txn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CHUNK_ROWS 5000U
#define SLOTS 16384U /* power of two, over three times the rows */
#define LINE_BYTES 512
#define FIELDS 3
#define SECRET_MAX 64
#define VERSION_MAX 64
#define BAD_SHOWN 100
#define CHUNK_MS 60000
#define PLAIN_LINE_ROWS 50000

struct import {
	struct ctl *ctl;
	FILE *file;
	struct seal_key master;
	struct product product;
	struct arena arena; /* of the current chunk */
	struct device_import *rows;
	size_t n_rows;
	uint32_t *slots; /* row + 1 by hash of its name: finds names that stand twice in the chunk */
	int64_t line_no, n_read, n_added, n_bad, n_twice;
	int64_t started_ms, said_rows;
};

/* ---- lines ---- */

static void bad_line(struct import *im, const char *why)
{
	im->n_bad++;
	if (im->n_bad <= BAD_SHOWN)
		(void)fprintf(stderr, "%sline %lld: %s\n", ctl_terminal() ? "\r\033[K" : "",
			      (long long)im->line_no, why);
	if (im->n_bad == BAD_SHOWN)
		(void)fputs("further bad lines are only counted\n", stderr);
}

/* Blanks and one pair of quotes around a field mean nothing. */
static char *field_trim(char *s)
{
	size_t len;

	s += strspn(s, " \t");
	len = strlen(s);
	while (len && strchr(" \t\r", s[len - 1]))
		s[--len] = '\0';
	if (len >= 2 && s[0] == '"' && s[len - 1] == '"') {
		s[len - 1] = '\0';
		s++;
	}
	return s;
}

/* Number of fields; more than FIELDS are counted, not kept. */
static int fields_split(char *line, char *field[FIELDS])
{
	int n = 0;

	while (line) {
		char *comma = strchr(line, ',');

		if (comma)
			*comma++ = '\0';
		if (n < FIELDS)
			field[n] = field_trim(line);
		n++;
		line = comma;
	}
	return n;
}

static const char *row_check(const char *name, const char *secret, const char *version)
{
	size_t len = strlen(name);

	if (len < 4 || len > 32 || !text_of(name, "-_@.:"))
		return "a name has 4 to 32 letters, digits and - _ @ . :";
	if (strlen(secret) > SECRET_MAX || !text_of(secret, "-_.+/="))
		return "a secret has 1 to 64 letters, digits and - _ . + / =";
	if (*version && (strlen(version) > VERSION_MAX || !text_of(version, ".-_")))
		return "a version has 1 to 64 letters, digits and . - _";
	return NULL;
}

static uint32_t name_hash(const char *s)
{
	uint32_t h = 2166136261U; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619U;
	return h;
}

/* false: the chunk has this name already. */
static bool name_is_new(struct import *im, const char *name)
{
	uint32_t i = name_hash(name) & (SLOTS - 1);

	for (; im->slots[i]; i = (i + 1) & (SLOTS - 1))
		if (strcmp(im->rows[im->slots[i] - 1].name, name) == 0)
			return false;
	im->slots[i] = (uint32_t)im->n_rows + 1;
	return true;
}

static void row_add(struct import *im, const char *name, const char *secret, const char *version)
{
	if (!name_is_new(im, name)) {
		im->n_twice++;
		return;
	}
	im->rows[im->n_rows++] = (struct device_import){
		.name = arena_strdup(&im->arena, name),
		.secret = arena_strdup(&im->arena, secret),
		.version = *version ? arena_strdup(&im->arena, version) : NULL,
	};
}

static bool is_heading(const struct import *im, const char *first)
{
	return im->line_no == 1 && (strcasecmp(first, "name") == 0 || strcasecmp(first, "DeviceName") == 0);
}

static void line_take(struct import *im, char *line)
{
	char *field[FIELDS] = { NULL, NULL, NULL };
	const char *version, *why;
	int n;

	if (im->line_no == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
		line += 3; /* byte order mark */
	line = line + strspn(line, " \t");
	if (*line == '\0' || *line == '\r')
		return;
	n = fields_split(line, field);
	if (is_heading(im, field[0]))
		return;
	im->n_read++;
	if (n < 2 || n > FIELDS) {
		bad_line(im, "wanted: name,secret or name,secret,version");
		return;
	}
	version = field[2] ? field[2] : "";
	why = row_check(field[0], field[1], version);
	if (why)
		bad_line(im, why);
	else
		row_add(im, field[0], field[1], version);
}

/* The next line, without its end; false at the end of the file. *ret_why: what makes it no line of text, or NULL. */
static bool line_read(struct import *im, char line[LINE_BYTES], const char **ret_why)
{
	size_t len = 0;
	int c = getc(im->file);

	*ret_why = NULL;
	if (c == EOF)
		return false;
	for (; c != '\n' && c != EOF; c = getc(im->file)) {
		if (c == '\0')
			*ret_why = "the line holds a NUL";
		else if (len == LINE_BYTES - 1)
			*ret_why = "the line is too long";
		else
			line[len++] = (char)c;
	}
	line[len] = '\0';
	im->line_no++;
	return true;
}

/* Reads until the chunk is full; false at the end of the file. */
static bool chunk_read(struct import *im)
{
	char line[LINE_BYTES];
	const char *why;

	while (im->n_rows < CHUNK_ROWS) {
		if (!line_read(im, line, &why))
			return false;
		if (why) {
			im->n_read++;
			bad_line(im, why);
		} else {
			line_take(im, line);
		}
	}
	return true;
}

/* ---- chunks ---- */

static enum err chunk_store(struct import *im)
{
	struct ctl *c = im->ctl;
	int64_t added = 0;
	int runs = 0;
	enum err err;

	if (im->n_rows == 0)
		return OK;
	do {
		db_begin_anew(c->db);
		db_set_deadline(c->db, CHUNK_MS);
		err = db_begin(c->db);
		if (err == OK)
			err = txn_end(c->db, store_devices_add(c->db, &im->master, im->product.id,
							       im->product.product_key, im->rows, im->n_rows, 0,
							       clock_now(), &added));
	} while (txn_again(err, ++runs));
	TRY(err);
	im->n_added += added;
	return OK;
}

static void progress_say(struct import *im, bool end)
{
	int64_t ms = i64_max(clock_boot_ms() - im->started_ms, 1);
	long long rate = (long long)(im->n_read * 1000 / ms);

	if (ctl_terminal())
		(void)printf("\r\033[K%lld lines, %lld added, %lld bad, %lld/s%s", (long long)im->n_read,
			     (long long)im->n_added, (long long)im->n_bad, rate, end ? "\n" : "");
	else if (!end && im->n_read - im->said_rows >= PLAIN_LINE_ROWS)
		(void)printf("%lld lines, %lld added, %lld/s\n", (long long)im->n_read,
			     (long long)im->n_added, rate);
	else
		return;
	im->said_rows = im->n_read;
	(void)fflush(stdout);
}

static enum err chunks_run(struct import *im)
{
	bool more = true;

	while (more) {
		im->rows = ARENA_ARRAY(&im->arena, CHUNK_ROWS, struct device_import);
		im->slots = ARENA_ARRAY(&im->arena, SLOTS, uint32_t);
		im->n_rows = 0;
		more = chunk_read(im);
		TRY(chunk_store(im));
		arena_reset(&im->arena);
		progress_say(im, !more);
	}
	return ferror(im->file) ? fail(im->ctl->error, ERR_IO, "the file cannot be read") : OK;
}

static enum err import_begin(struct import *im)
{
	struct ctl *c = im->ctl;
	int64_t account;

	TRY(ctl_account(c, &account));
	TRY(ctl_master(c, &im->master));
	TRY(store_product_find(c->db, account, c->args[0], &im->product));
	TRY(ctl_audit(c, account, "device import", c->args[0]));
	im->started_ms = clock_boot_ms();
	return OK;
}

enum err device_import(struct ctl *c)
{
	bool standard = strcmp(c->args[1], "-") == 0;
	struct import im = { .ctl = c };
	enum err err;

	TRY(import_begin(&im));
	im.file = standard ? stdin : fopen(c->args[1], "re");
	if (!im.file)
		return fail(c->error, ERR_IO, "%s: %s", c->args[1], strerror(errno));
	arena_init(&im.arena);
	(void)db_use_arena(c->db, &im.arena);
	err = chunks_run(&im);
	(void)db_use_arena(c->db, c->arena);
	arena_free(&im.arena);
	explicit_bzero(&im.master, sizeof im.master);
	if (!standard)
		(void)fclose(im.file);
	(void)printf("%lld lines: %lld added, %lld there already, %lld given twice, %lld bad\n",
		     (long long)im.n_read, (long long)im.n_added,
		     (long long)(im.n_read - im.n_added - im.n_twice - im.n_bad), (long long)im.n_twice,
		     (long long)im.n_bad);
	if (err != OK)
		(void)fputs("The import broke off; run it again to go on.\n", stderr);
	if (err == OK && im.n_bad)
		err = fail(c->error, ERR_FORMAT, "%lld bad lines were left out", (long long)im.n_bad);
	return err;
}
