/* SPDX-License-Identifier: Apache-2.0 */
/* Making the tasks of a job, in resumable steps, and writing bulk orders into rows. For the maker thread, on
 * its own connection; each call is one transaction. Design: docs/architecture.md, "Making tasks". */
#ifndef STORAGE_MAKING_H
#define STORAGE_MAKING_H

#include "engine/job.h"
#include "storage/db.h"

struct making {
	int64_t job_id, product_id, firmware_id;
	enum job_making making;
	int32_t made_seq, chosen;
	const char *selection; /* ALL, SPECIFIC, GRAY, GROUP, DYNAMIC GROUP */
	const char *module;
	bool need_confirm, multi_module;
	int overwrite_mode;
	utc_ms created_ms;
};

/* The oldest job above after_job_id whose tasks are not all made. ERR_NOT_FOUND (error untouched): none. */
enum err store_making_next(struct db *db, int64_t after_job_id, struct making *ret) MUST_USE;
/* First step: writes all candidates as rows that nobody sees yet. m->making and m->chosen are brought up to
 * date. May take seconds for a large product; holds no lock meanwhile. */
enum err store_making_choose(struct db *db, struct making *m, utc_ms now) MUST_USE;
/* Second step, again and again: decides the next `rows` of them. m->made_seq and m->making move on. A job that
 * was ended meanwhile: m->making becomes MAKING_DONE. */
enum err store_making_chunk(struct db *db, struct making *m, int32_t rows, utc_ms now) MUST_USE;

/* Writes the next `rows` rows of the oldest open bulk order. ERR_NOT_FOUND (error untouched): none is open.
 * Tasks that are made later get the order when they are made. */
enum err store_order_write(struct db *db, int32_t rows) MUST_USE;

#endif
