/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t offset;
static _Atomic bool offset_known;

static int64_t read_us(clockid_t id)
{
	struct timespec t;

	ensure(clock_gettime(id, &t) == 0);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_boot_us(void)
{
	return read_us(CLOCK_BOOTTIME);
}

int64_t clock_boot_ms(void)
{
	return clock_boot_us() / 1000;
}

void clock_set_offset(int64_t offset_ms)
{
	atomic_store(&offset, offset_ms);
	atomic_store(&offset_known, true);
}

utc_ms clock_now(void)
{
	if (!atomic_load(&offset_known))
		clock_set_offset(read_us(CLOCK_REALTIME) / 1000 - clock_boot_ms());
	return clock_boot_ms() + atomic_load(&offset);
}
