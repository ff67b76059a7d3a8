/* SPDX-License-Identifier: Apache-2.0 */
/* Orders that stop pushes hold from the moment that the call is answered (rules §4): after the commit nothing is
 * claimed under the old order any more, but what was claimed before may be on its way to the broker for a moment.
 * Such calls wait for it, at most a second. */
#ifndef API_ACTIONS_FLIGHT_H
#define API_ACTIONS_FLIGHT_H

#include "api/action.h"

/* After the commit: wakes the engine and the maker, and waits until no push of these jobs is on its way. The ids
 * stay the caller's, until the call is answered. */
void flight_await(struct call *c, const int64_t *job_ids, size_t n);

#endif
