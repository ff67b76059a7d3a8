/* SPDX-License-Identifier: Apache-2.0 */
#include "api/credential_wait.h"

#include "engine/base/clock.h"
#include "storage/device.h"

#include <poll.h>

#define WAIT_MS 1000
#define POLL_MS 4

/* The change is committed, so nothing that goes wrong here is an error of the call. */
static enum err wait_delivered(struct call *c, void *arg)
{
	const int64_t *change_id = arg;
	int64_t until = clock_boot_ms() + WAIT_MS, left = 1;

	db_set_deadline(c->db, WAIT_MS);
	c->env->wake_credentials(c->env->wake_ctx);
	while (clock_boot_ms() < until) {
		if (store_credentials_left(c->db, change_id, 1, &left) != OK) {
			error_clear(c->error);
			return OK;
		}
		if (left == 0)
			return OK;
		(void)poll(NULL, 0, POLL_MS);
	}
	return OK;
}

void credential_wait(struct call *c, int64_t change_id)
{
	int64_t *arg = ARENA_NEW(c->arena, int64_t);

	*arg = change_id;
	c->after_commit = wait_delivered;
	c->after_commit_arg = arg;
}
