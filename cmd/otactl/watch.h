/* SPDX-License-Identifier: Apache-2.0 */
/* Follows a job until it ends. */
#ifndef OTACTL_WATCH_H
#define OTACTL_WATCH_H

#include "cmd/otactl/ctl.h"

/* A line that is drawn anew on a terminal; elsewhere one line whenever something has changed. */
enum err watch_run(struct ctl *c, int64_t job_id, int64_t interval_ms) MUST_USE;

#endif
