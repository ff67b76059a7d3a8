/* SPDX-License-Identifier: Apache-2.0 */
#include "api/actions/page.h"

#include "api/actions/show.h"

static int64_t page_number(const struct page_in *in)
{
	return in->page.set ? in->page.v : 1;
}

int64_t page_size(const struct page_in *in)
{
	return in->size.set ? in->size.v : PAGE_SIZE_DEFAULT;
}

bool page_is_deep(const struct page_in *in)
{
	return page_number(in) * page_size(in) >= PAGE_DEEP_ENTRIES;
}

int64_t page_from(const struct page_in *in)
{
	return (page_number(in) - 1) * page_size(in);
}

struct page_out page_show(const struct page_in *in, int64_t total)
{
	return (struct page_out){
		.page = show_int(page_number(in)),
		.size = show_int(page_size(in)),
		.pages = show_int((total + page_size(in) - 1) / page_size(in)),
		.total = show_int(total),
	};
}

/* An IotId carries its check with it. */
const char *page_token(struct arena *a, int64_t last_id)
{
	return last_id ? show_id(a, ID_DEVICE, last_id, 0) : "";
}

enum err page_token_parse(struct call *c, const char *token, int64_t *ret_last_id)
{
	*ret_last_id = 0;
	if (token && !id_parse(ID_DEVICE, token, ret_last_id, NULL))
		return fail_param(c->error, ERR_FORMAT, "NextToken");
	return OK;
}
