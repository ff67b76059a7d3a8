/* SPDX-License-Identifier: Apache-2.0 */
/* In place of engine/base/clock.c: a clock that stands still until the simulation moves it. Linked before the
 * library, so that the library's own is never taken. The journal's thread reads it too. */
#include "tests/sim/sim.h"

#include "engine/base/clock.h"

#include <stdatomic.h>

static _Atomic int64_t boot_us = US_PER_SECOND;

int64_t sim_now_us(void)
{
	return atomic_load(&boot_us);
}

void sim_clock_set(int64_t to_us)
{
	if (to_us > atomic_load(&boot_us))
		atomic_store(&boot_us, to_us);
}

int64_t clock_boot_us(void)
{
	return sim_now_us();
}

int64_t clock_boot_ms(void)
{
	return sim_now_us() / US_PER_MS;
}

const char *clock_boot_id(void)
{
	return "sim";
}

utc_ms clock_now(void)
{
	return SIM_EPOCH_MS + clock_boot_ms();
}

/* The database's clock is the machine's: it says nothing here. */
void clock_set_offset(int64_t offset_ms)
{
	(void)offset_ms;
}

void clock_bound_offset(int64_t least_ms, int64_t most_ms)
{
	(void)least_ms;
	(void)most_ms;
}
