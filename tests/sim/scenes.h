/* SPDX-License-Identifier: Apache-2.0 */
/* Short courses of events with a known end, each in a world and a process of its own; the model follows as elsewhere.
 * A scene ends the process when something comes out otherwise. */
#ifndef SIM_SCENES_H
#define SIM_SCENES_H

#include <stddef.h>

struct scene {
	const char *name;
	void (*play)(void);
};
extern const struct scene scenes[];
extern const size_t n_scenes;

#endif
