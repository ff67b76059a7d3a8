/* SPDX-License-Identifier: Apache-2.0 */
#include "api/credential_wait.h"

#include "engine/base/clock.h"
#include "storage/device.h"

#include <poll.h>

#define WAIT_MS 1000
#define POLL_MS 4

void credential_await(const struct api_env *env, struct db *db, int64_t change_id)
{
	int64_t until = clock_boot_ms() + WAIT_MS;
	bool waits = true;

	db_set_deadline(db, WAIT_MS);
	env->wake_credentials(env->wake_ctx);
	while (waits && clock_boot_ms() < until) {
		if (store_credential_waits(db, change_id, &waits) != OK) {
			error_clear(db_error(db));
			return;
		}
		if (waits)
			(void)poll(NULL, 0, POLL_MS);
	}
}

/* The change is committed, so nothing that goes wrong here is an error of the call. */
static enum err wait_delivered(struct call *c, void *arg)
{
	const int64_t *change_id = arg;

	credential_await(c->env, c->db, *change_id);
	return OK;
}

void credential_wait(struct call *c, int64_t change_id)
{
	int64_t *arg = ARENA_NEW(c->arena, int64_t);

	*arg = change_id;
	c->after_commit = wait_delivered;
	c->after_commit_arg = arg;
}
