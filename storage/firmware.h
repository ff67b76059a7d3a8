/* SPDX-License-Identifier: Apache-2.0 */
/* Packages: what CreateOTAFirmware made, its files and its verification. Strings live in the unit's arena. */
#ifndef STORAGE_FIRMWARE_H
#define STORAGE_FIRMWARE_H

#include "engine/job.h"
#include "storage/db.h"

#define FIRMWARE_FILES_MAX 20

struct firmware_file {
	const char *object_key;	  /* key in the package store; a whole URL for a file of another store */
	const char *name;	  /* "" in a package of one file */
	int64_t size;		  /* bytes */
	const char *md5, *sha256; /* lower-case hex; "" when a file of another store was declared without */
};

struct firmware {
	int64_t id; /* given by the database */
	int64_t account_id, product_id;
	const char *name, *description; /* never NULL */
	bool differential;
	const char *module;	 /* "default" = the whole device */
	const char *src_version; /* "" for a full package that has none */
	const char *dest_version;
	bool sha256; /* signed by SHA256, not MD5 */
	enum firmware_status status;
	const char *udi; /* never NULL */
	utc_ms created_ms, modified_ms;
	size_t n_files;
	const struct firmware_file *files;
	/* Only read: */
	const char *product_key, *product_name;
	int verify_percent; /* tasks of its last verification that have ended */
	int64_t bytes;	    /* of all files */
};

/* May f be added? The caller holds store_account_lock until it is. limit: packages of an account, 0 = none. ERR_MODULE_NOT_FOUND, ERR_FIRMWARE_COUNT,
 * ERR_FIRMWARE_NAME_EXISTS, ERR_FIRMWARE_VERSION_EXISTS. */
enum err store_firmware_check(struct db *db, const struct firmware *f, int64_t limit) MUST_USE;
/* Inserts f and its files; sets f->id. */
enum err store_firmware_create(struct db *db, struct firmware *f) MUST_USE;
/* ERR_FIRMWARE_NOT_FOUND unless the account has such a package; deleted ones are not found. */
enum err store_firmware_get(struct db *db, int64_t account_id, int64_t firmware_id,
			    struct firmware *ret) MUST_USE;
/* A page of the account's packages, newest first, without those that are deleted. product_id 0: of all products;
 * dest_version NULL: any; from counts from 0. Of the files only n_files and the first one's digests are read;
 * verify_percent is not. */
enum err store_firmware_page(struct db *db, int64_t account_id, int64_t product_id, const char *dest_version,
			     int64_t from, int64_t count, const struct firmware **ret, size_t *ret_n,
			     int64_t *ret_total) MUST_USE;
/* Key of the package's product. ERR_FIRMWARE_NOT_FOUND_OTA, which only ModifyOTAFirmware answers. */
enum err store_firmware_product(struct db *db, int64_t account_id, int64_t firmware_id, int64_t *ret) MUST_USE;
/* Changes what is not NULL; later pushes of its jobs carry a new udi. ERR_FIRMWARE_NAME_EXISTS. The account is locked,
 * as for a new package. */
enum err store_firmware_modify(struct db *db, int64_t account_id, int64_t firmware_id, const char *name,
			       const char *description, const char *udi, utc_ms now) MUST_USE;
/* Key of the package's product. ERR_FIRMWARE_NOT_FOUND unless the account has or had such a package. */
enum err store_firmware_owned(struct db *db, int64_t account_id, int64_t firmware_id, int64_t *ret_product_id) MUST_USE;
/* Marks the package as deleted; its jobs stay readable, its files are removed by the sweep of the package
 * store when no link to them is good any more. ERR_FIRMWARE_NOT_FOUND; ERR_FIRMWARE_DELETE while a job of it
 * has not ended. */
enum err store_firmware_delete(struct db *db, int64_t account_id, int64_t firmware_id, utc_ms now) MUST_USE;
/* Does a package that exists use this object of the package store? */
enum err store_firmware_object_used(struct db *db, const char *object_key, bool *ret) MUST_USE;

#endif
