/* SPDX-License-Identifier: Apache-2.0 */
/* Field tables: one row per parameter or answer member. The same rows decode, validate, encode (JSON and
 * XML) and print OpenAPI: what is not in a table can be neither read nor sent. The member's C type is checked
 * by the compiler (_Generic in the macros). */
#ifndef API_FIELD_H
#define API_FIELD_H

#include "engine/base/err.h"

/* Values that may be absent. */
struct opt_int {
	bool set;
	int64_t v;
};
struct opt_bool {
	bool set, v;
};
/* Lists; empty when absent. */
struct str_list {
	size_t n;
	const char *const *v;
};
struct obj_list {
	size_t n;
	const void *v; /* array of the structs that the row's `of` table describes */
};

enum field_kind {
	FIELD_STR,      /* const char *: NULL = absent. As a parameter "" counts as absent (api.md §2.2) */
	FIELD_INT,      /* struct opt_int, 32 bits on the wire */
	FIELD_LONG,     /* struct opt_int, 64 bits */
	FIELD_BOOL,     /* struct opt_bool */
	FIELD_STRS,     /* struct str_list: Name.N in; out: {"<item>":[..]} */
	FIELD_OBJS,     /* struct obj_list: Name.N.Field in; out: {"<item>":[{..}]}, or a bare array if item is NULL */
	FIELD_OBJ,      /* out only: pointer to a struct, NULL = absent */
};

enum {
	OPTIONAL = 0,
	REQUIRED = 1,
	LATE = 2,       /* limits are checked by the handler, with field_check */
	OMIT_EMPTY = 4, /* out: a list without elements is left out; otherwise it is sent as an empty one */
};

struct field {
	const char *name; /* on the wire; NULL ends the table */
	enum field_kind kind;
	size_t offset;
	const char *doc;
	int flags;
	/* Limits; the row's err is answered when one is broken (default ERR_INVALID_PARAM with the name). */
	int64_t min, max;        /* FIELD_INT, FIELD_LONG; no limit when both are 0 */
	const char *one_of;      /* FIELD_STR, FIELD_INT: allowed values, separated by blanks */
	int64_t min_chars, max_chars; /* FIELD_STR, items of FIELD_STRS: characters (code points), 0 = no limit */
	const char *chars;       /* ASCII characters allowed besides letters and digits; NULL = anything */
	int64_t max_items;       /* FIELD_STRS, FIELD_OBJS; 0 = no limit; broken: ERR_LIST_TOO_LONG */
	enum err err;
	const char *alias;       /* another accepted name of a parameter (api.md §12 row 15) */
	const char *item;        /* out: element name inside the wrapper */
	const struct field *of;  /* FIELD_OBJ, FIELD_OBJS: the element's table */
	size_t of_size;          /* FIELD_OBJS, in and out: sizeof the element */
};

/* A row whose member must have the C type of its kind: a wrong one does not compile. What follows the name:
 * the text for the documentation, then designated members, if any. */
#define FIELD_(kind_, ctype, type, member, name_, ...) \
	{ .name = (name_), .kind = (kind_), \
	  .offset = offsetof(type, member) + 0 * sizeof(_Generic(&((type *)0)->member, ctype *: (char)0)), \
	  .doc = __VA_ARGS__ }
#define STR(type, member, name, ...) FIELD_(FIELD_STR, const char *, type, member, name, __VA_ARGS__)
#define INT(type, member, name, ...) FIELD_(FIELD_INT, struct opt_int, type, member, name, __VA_ARGS__)
#define LONG(type, member, name, ...) FIELD_(FIELD_LONG, struct opt_int, type, member, name, __VA_ARGS__)
#define BOOL(type, member, name, ...) FIELD_(FIELD_BOOL, struct opt_bool, type, member, name, __VA_ARGS__)
#define STRS(type, member, name, ...) FIELD_(FIELD_STRS, struct str_list, type, member, name, __VA_ARGS__)
#define OBJS(type, member, name, ...) FIELD_(FIELD_OBJS, struct obj_list, type, member, name, __VA_ARGS__)
/* member is a `const void *` that points to the struct described by .of */
#define OBJ(type, member, name, ...) FIELD_(FIELD_OBJ, const void *, type, member, name, __VA_ARGS__)
#define FIELD_END { .name = NULL }
/* Example:
 *	static const struct field verify_in[] = {
 *		STR (struct verify_in, firmware_id, "FirmwareId", "Package to verify.", .flags = REQUIRED),
 *		STRS(struct verify_in, names, "TargetDeviceName", "Devices.", .flags = REQUIRED, .max_items = 10,
 *		     .alias = "TargetDeviceNames"),
 *		INT (struct verify_in, timeout, "TimeoutInMinutes", "Time limit.", .min = 1, .max = 1440,
 *		     .err = ERR_TIMEOUT, .flags = LATE),
 *		FIELD_END
 *	};
 */

/* One decoded request parameter: valid UTF-8, in the arena. */
struct param {
	const char *name, *value;
};

/* Fills the struct at `to` (zeroed by the caller) from the parameters: presence and conversion of every row,
 * and the limits of every row that is not LATE; the first offence in table order wins and names its parameter.
 * Names match exactly, else with the first letter in upper case (api.md §1.2). Unknown parameters are ignored. */
enum err fields_decode(const struct field *table, const struct param *params, size_t n, void *to,
		       struct error *e) MUST_USE;
/* Checks the limits of the row called `name`. A name that is not in the table is a bug. */
enum err field_check(const struct field *table, const void *in, const char *name, struct error *e) MUST_USE;

#endif
