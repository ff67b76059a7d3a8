/* SPDX-License-Identifier: Apache-2.0 */
/* "Can log in from the moment of the answer" (rules §6): calls that change who may log in wait, after their
 * commit, until the broker has acknowledged the change. */
#ifndef API_CREDENTIAL_WAIT_H
#define API_CREDENTIAL_WAIT_H

#include "api/action.h"

/* Waits until the broker has acknowledged this row of credential_change, about a second at most. Outside of a
 * transaction; nothing that goes wrong here undoes the change. */
void credential_await(const struct api_env *env, struct db *db, int64_t change_id);
/* Lets the call wait for this row of credential_change, about a second at most: with the broker down the call
 * succeeds all the same, the broker gets every credential when it is back. */
void credential_wait(struct call *c, int64_t change_id);

#endif
