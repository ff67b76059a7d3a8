/* SPDX-License-Identifier: Apache-2.0 */
/* Roles of the database. The tables belong to the one that migrations run as; otad and otactl work as another, whose only
 * rights are those of migrations/grants.sql. An installation with one role for both works, too, but less guarded. */
#ifndef STORAGE_ROLE_H
#define STORAGE_ROLE_H

#include "storage/db.h"

/* migrations/grants.sql */
extern const char grants_sql[];

/* The connection's role, quoted as an identifier. In the arena. */
enum err store_role(struct db *db, const char **ret) MUST_USE;
/* Has it the rights of the tables' owner: is it the owner, a member of it, or a superuser? */
enum err store_role_is_owner(struct db *db, bool *ret) MUST_USE;
/* On a connection of the owner, after store_migrate: `role`, as of store_role, has the rights that it is meant to have, and
 * no others on these tables. */
enum err store_role_grant(struct db *db, const char *role) MUST_USE;

#endif
