/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd wants to hear of a service of Type=notify; nothing happens under another supervisor. Main
 * thread. */
#ifndef OTAD_NOTIFY_H
#define OTAD_NOTIFY_H

#include "engine/base/base.h"

/* "READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1"; several lines in one call are allowed. */
void notify_send(const char *state);
/* Time between two WATCHDOG=1: half of what the unit asks for; -1 when it asks for none. */
int64_t notify_watchdog_ms(void);

#endif
