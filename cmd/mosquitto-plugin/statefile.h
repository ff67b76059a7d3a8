/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin's memory on disk, so that a restart of the broker needs no otad: the lines of
 * engine/brokerlink.h, `cred-begin 0`, every device, `cred-end POSITION`, then the changes as they came. When
 * the changes outgrow the devices it is written anew beside and renamed, a piece per tick. Mode 0600.
 *
 * Nothing is fsynced, which would stop the broker: the file survives the broker's death, and what a power
 * failure takes away is seen as an old or unknown position, whereupon otad sends the full set. The broker's
 * thread only. */
#ifndef PLUGIN_STATEFILE_H
#define PLUGIN_STATEFILE_H

#include "creds.h"
#include "engine/brokerlink.h"

struct statefile {
	char *path, *temp_path;
	int fd, temp_fd;	  /* -1: not open */
	struct buf out, temp;	  /* lines not yet written to either */
	size_t bytes, base_bytes; /* of the file now, and when it was last written anew */
	size_t temp_bytes, bucket;
	int64_t retry_boot_ms; /* after a failure: not before then */
	bool stale;	       /* the file lacks something: write it anew */
};

/* Fills the table from the file; *ret_position is 0 unless the file is whole. false: it exists but cannot be
 * read, errno tells why. path NULL: keep nothing. */
bool statefile_open(struct statefile *f, const char *path, struct creds *t, int64_t *ret_position);
/* Adds a line; statefile_flush hands it to the system. */
void statefile_add(struct statefile *f, const struct link_line *l);
/* false: it could not be written, errno tells why; the file will be written anew later. */
bool statefile_flush(struct statefile *f);
/* A piece of writing anew, if that is due. position as it may stand in the file now. false as above. */
bool statefile_tick(struct statefile *f, const struct creds *t, int64_t position, int64_t now_boot_ms);
void statefile_close(struct statefile *f);

#endif
