/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a run with a scenario: verdicts on standard output, the page into its file. Called by main.c. */
#include "cmd/otasim/result.h"

#include <string.h>

#define PAGE_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* ---- words ---- */

const char *failure_key(enum failure f)
{
	static const char *const keys[] = {
#define FAILURE(name, step, word, key, doc) key,
#include "cmd/otasim/failures.def"
#undef FAILURE
	};

	return keys[f];
}

const char *failure_text(enum failure f)
{
	static const char *const texts[] = {
#define FAILURE(name, step, word, key, doc) doc,
#include "cmd/otasim/failures.def"
#undef FAILURE
	};

	return texts[f];
}

/* ---- writing ---- */

static bool file_write(const char *path, const struct buf *b)
{
	FILE *f = fopen(path, "w");
	bool good = f && !b->overflow && fwrite(b->data, 1, b->len, f) == b->len;

	if (f)
		good = fclose(f) == 0 && good;
	if (!good)
		(void)fprintf(stderr, "otasim: cannot write the report %s\n", path);
	return good;
}

bool result_write(struct load *l, bool *ret_met)
{
	struct arena a;
	struct verdicts v = { .arena = &a };
	struct buf page;
	bool good = true;

	arena_init(&a);
	verdicts_find(l, &v);
	for (size_t i = 0; i < v.n; i++)
		(void)printf("%-8s  %s: %s\n", verdict_word(v.v[i].kind), v.v[i].title, v.v[i].text);
	*ret_met = verdicts_worst(&v) == VERDICT_GOOD;
	if (l->sim->o.html_file) {
		buf_init(&page, PAGE_BYTES_MAX);
		page_print(l, &v, &a, &page);
		good = file_write(l->sim->o.html_file, &page);
		buf_free(&page);
	}
	arena_free(&a);
	return good;
}
