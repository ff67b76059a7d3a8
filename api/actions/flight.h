/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that give orders which stop pushes: they are answered when the order holds (storage/flight.h), with
 * ServiceUnavailable when that cannot be said in time. */
#ifndef API_ACTIONS_FLIGHT_H
#define API_ACTIONS_FLIGHT_H

#include "api/action.h"

/* After the commit: wakes the engine and the maker, and waits until no push of these jobs is on its way. The ids
 * stay the caller's, until the call is answered. */
void flight_await(struct call *c, const int64_t *job_ids, size_t n);

#endif
