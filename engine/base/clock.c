/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

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

#define BOOT_ID_LEN 36
static char boot_id[BOOT_ID_LEN + 1];

static void boot_id_read(void)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	ensure(fd >= 0 && read(fd, boot_id, BOOT_ID_LEN) == BOOT_ID_LEN);
	(void)close(fd);
}

const char *clock_boot_id(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	ensure(pthread_once(&once, boot_id_read) == 0);
	return boot_id;
}

void clock_set_offset(int64_t offset_ms)
{
	atomic_store(&offset, offset_ms);
	atomic_store(&offset_known, true);
}

void clock_bound_offset(int64_t least_ms, int64_t most_ms)
{
	int64_t now;

	(void)clock_now(); /* there is an offset from here on */
	now = atomic_load(&offset);
	if (now < least_ms || now > most_ms)
		clock_set_offset(now < least_ms ? least_ms : most_ms);
}

/* Test builds: OTAD_TEST_CLOCK names a file of 8 bytes, milliseconds that clock_now() runs ahead. Tests move a
 * campaign's time with it; durations (clock_boot_*) stay real. */
static int64_t test_ahead_ms(void)
{
	static _Atomic(const _Atomic int64_t *) map;
	static const _Atomic int64_t none;
	const _Atomic int64_t *p = atomic_load(&map);

	if (!OTAD_TEST_HOOKS)
		return 0;
	if (!p) {
		const char *path = getenv("OTAD_TEST_CLOCK"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
		int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		void *m = fd >= 0 ? mmap(NULL, sizeof *p, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

		if (fd >= 0)
			(void)close(fd);
		p = m != MAP_FAILED ? m : &none;
		atomic_store(&map, p);
	}
	return atomic_load(p);
}

utc_ms clock_now(void)
{
	if (!atomic_load(&offset_known))
		clock_set_offset(read_us(CLOCK_REALTIME) / 1000 - clock_boot_ms());
	return clock_boot_ms() + atomic_load(&offset) + test_ahead_ms();
}
