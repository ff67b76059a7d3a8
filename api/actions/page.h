/* SPDX-License-Identifier: Apache-2.0 */
/* Paging of lists: CurrentPage and PageSize, and what an answer says of its page (api §2.4). */
#ifndef API_ACTIONS_PAGE_H
#define API_ACTIONS_PAGE_H

#include "api/action.h"

#define PAGE_SIZE_DEFAULT 10

struct page_in {
	struct opt_int page, size;
};
/* Rows of a table whose struct `type` has the page in its member `at`; most: largest PageSize, also as text.
 */
#define PAGE_IN_ROWS(type, at, flag, most, most_text, page_default, size_default)                     \
	INT(type, at.page, "CurrentPage", "Page, from 1." page_default, .flags = flag, .min = 1,      \
	    .max = INT32_MAX, .err = ERR_PAGE_PARAMS),                                                \
		INT(type, at.size, "PageSize", "Entries of a page, 1 to " most_text "." size_default, \
		    .flags = flag, .min = 1, .max = most, .err = ERR_PAGE_PARAMS)
#define PAGE_IN_FIELDS(type, at, most, most_text) \
	PAGE_IN_ROWS(type, at, OPTIONAL, most, most_text, " Default: 1.", " Default: 10.")
#define PAGE_IN_REQUIRED(type, at, most, most_text) PAGE_IN_ROWS(type, at, REQUIRED, most, most_text, "", "")

struct page_out {
	struct opt_int page, size, pages, total;
};
/* name: "Page" or "CurrentPage". */
#define PAGE_OUT_FIELDS(type, at, name)                                                  \
	INT(type, at.page, name, "This page.", .flags = OPTIONAL),                       \
		INT(type, at.size, "PageSize", "Entries of a page.", .flags = OPTIONAL), \
		INT(type, at.pages, "PageCount", "Pages in all.", .flags = OPTIONAL),    \
		INT(type, at.total, "Total", "Entries in all.", .flags = OPTIONAL)

/* Pages from here on have a quota of their own (api §1.11). */
#define PAGE_DEEP_ENTRIES 100000
#define PAGE_DEEP_QPS 2
bool page_is_deep(const struct page_in *in);

int64_t page_size(const struct page_in *in);
/* Entries before the page. */
int64_t page_from(const struct page_in *in);
/* No pages for an empty list. */
struct page_out page_show(const struct page_in *in, int64_t total);

/* NextToken of lists of devices, newest first: behind the device of this key. "" for 0: there is no more. */
const char *page_token(struct arena *a, int64_t last_id);
/* 0 for NULL (a call without a token); ERR_FORMAT for one that is none of ours. */
enum err page_token_parse(struct call *c, const char *token, int64_t *ret_last_id) MUST_USE;

#endif
