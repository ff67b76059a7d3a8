/* SPDX-License-Identifier: Apache-2.0 */
/* From what CreateOTAFirmware says of a file to a file of the package: found in our store, or declared as
 * being in another one, size and digest compared. */
#ifndef API_ACTIONS_FIRMWARE_FILE_H
#define API_ACTIONS_FIRMWARE_FILE_H

#include "api/action.h"
#include "storage/firmware.h"

/* One file as it was declared; texts may be NULL. */
struct file_in {
	const char *name, *url, *md5, *sign;
	struct opt_int size;
};

/* The file behind f->url. sha256: what f->sign is a digest by. ERR_FIRMWARE_URL_FORMAT, ERR_FIRMWARE_URL,
 * ERR_FIRMWARE_EMPTY, ERR_FIRMWARE_SIZE, ERR_FIRMWARE_SIGN, ERR_FIRMWARE_SIGN_METHOD. */
enum err firmware_file_find(struct call *c, const struct file_in *f, bool sha256,
			    struct firmware_file *ret) MUST_USE;
/* A link to the file, good for store_url_hours. */
const char *firmware_file_url(struct call *c, int64_t firmware_id, const struct firmware_file *f);

#endif
