/* SPDX-License-Identifier: Apache-2.0 */
/* The way in for devices whose names and secrets are burnt in already. */
#ifndef OTACTL_IMPORT_H
#define OTACTL_IMPORT_H

#include "cmd/otactl/ctl.h"

/* otactl device import PRODUCTKEY FILE.csv */
enum err device_import(struct ctl *c) MUST_USE;

#endif
