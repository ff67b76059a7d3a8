/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of all actions share: finding jobs and packages by their ids, and how ids, times and pages look in answers. */
#ifndef API_ACTIONS_SHOW_H
#define API_ACTIONS_SHOW_H

#include "api/action.h"
#include "engine/ids.h"
#include "storage/job.h"

/* Answers that are one object, Data; the row's `of` says which struct. */
struct data_out {
	const void *data;
};

/* The job of this JobId and of the caller's account; else ERR_JOB_ID. */
enum err job_find(struct call *c, const char *job_id, struct job_view *ret) MUST_USE;

/* Keys of the package of this FirmwareId, which may be deleted, and of its product; else ERR_FIRMWARE_NOT_FOUND. */
enum err firmware_find(struct call *c, const char *firmware_id, int64_t *ret_id, int64_t *ret_product_id) MUST_USE;
/* The same for a package that has to be of this product: ERR_PRODUCT_NOT_FOUND, ERR_FIRMWARE_PRODUCT. */
enum err firmware_find_of(struct call *c, const char *firmware_id, const char *product_key, int64_t *ret_id,
			  int64_t *ret_product_id) MUST_USE;

/* The vendor-shaped id of a key, in the arena. */
const char *show_id(struct arena *a, enum id_kind kind, int64_t key, int64_t seq);
/* "2019-11-04T06:22:19.566Z" in the arena; NULL (absent) for 0. */
const char *show_utc(struct arena *a, utc_ms t);
/* The same instant as "2019-11-04T06:22Z", as modules have it (api §2.5). */
const char *show_minute(struct arena *a, utc_ms t);
/* The same instant as "2019-11-04 14:22:19", China time (api §2.5). */
const char *show_local(struct arena *a, utc_ms t);
/* The same instant as "Wed, 20-Feb-2019 02:16:09 GMT" (api §2.5). */
const char *show_gmt_dashed(struct arena *a, utc_ms t);
/* The text; NULL (absent) when it is empty, or absent itself. */
const char *unless_empty(const char *text);
/* A number that is always there. */
struct opt_int show_int(int64_t v);
/* Absent when v is `unset`. */
struct opt_int show_int_unless(int64_t v, int64_t unset);
struct opt_bool show_bool(bool v);

#endif
