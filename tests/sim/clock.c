/* SPDX-License-Identifier: Apache-2.0 */
/* In place of engine/base/clock.c: a clock that stands still until the simulation moves it. Linked before the
 * library, so that the library's own is never taken. The journal's thread reads it too. */
#include "tests/sim/sim.h"

#include "engine/base/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SHOWN_LEN 20

static _Atomic int64_t boot_us = US_PER_SECOND, ahead_ms;
static char *shown; /* to the database; NULL: nowhere */

static void show(void)
{
	char digits[SHOWN_LEN + 1];

	(void)snprintf(digits, sizeof digits, "%0*lld", SHOWN_LEN,
		       (long long)((SIM_EPOCH_MS + atomic_load(&ahead_ms)) * US_PER_MS + atomic_load(&boot_us)));
	memcpy(shown, digits, SHOWN_LEN);
}

void sim_clock_show(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	ensure(fd >= 0 && ftruncate(fd, SHOWN_LEN) == 0);
	shown = mmap(NULL, SHOWN_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ensure(shown != MAP_FAILED);
	(void)close(fd);
	show();
}

int64_t sim_now_us(void)
{
	return atomic_load(&boot_us);
}

void sim_clock_set(int64_t to_us)
{
	if (to_us <= atomic_load(&boot_us))
		return;
	atomic_store(&boot_us, to_us);
	if (shown)
		show();
}

void sim_clock_jump(int64_t by_ms)
{
	atomic_fetch_add(&ahead_ms, by_ms);
	if (shown)
		show();
}

utc_ms sim_utc(int64_t at_us)
{
	return SIM_EPOCH_MS + atomic_load(&ahead_ms) + at_us / US_PER_MS;
}

int64_t sim_boot_us(utc_ms at)
{
	return (at - SIM_EPOCH_MS - atomic_load(&ahead_ms)) * US_PER_MS;
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
	return sim_utc(sim_now_us());
}

/* The database's clock is this one. */
void clock_set_offset(int64_t offset_ms)
{
	(void)offset_ms;
}

void clock_bound_offset(int64_t least_ms, int64_t most_ms)
{
	(void)least_ms;
	(void)most_ms;
}
