/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in and out; the only yajl user. Writing is compact and keeps the order of the calls, which the
 * devices' parsers depend on (device-protocol.md §2.4). */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "engine/base/buf.h"

/* ---- writing ---- */
struct json_out; /* appends to a buf */
struct json_out *json_new(struct arena *a, struct buf *to);
/* Indented, for files that people read and merge. */
struct json_out *json_new_pretty(struct arena *a, struct buf *to);
void json_object(struct json_out *j);
void json_object_end(struct json_out *j);
void json_array(struct json_out *j);
void json_array_end(struct json_out *j);
void json_key(struct json_out *j, const char *key);
/* s is valid UTF-8. */
void json_string(struct json_out *j, const char *s);
void json_int(struct json_out *j, int64_t n);
void json_bool(struct json_out *j, bool v);
/* key and value in one call; of an object or array, its beginning. */
void json_put_object(struct json_out *j, const char *key);
void json_put_array(struct json_out *j, const char *key);
void json_put_string(struct json_out *j, const char *key, const char *s);
void json_put_int(struct json_out *j, const char *key, int64_t n);
void json_put_bool(struct json_out *j, const char *key, bool v);

/* ---- reading ---- */
struct json; /* a value; lives in the arena it was parsed into */
/* NULL when text is not one JSON value. With lenient, commas before a closing bracket are skipped first
 * (a real device SDK sends them, device-protocol.md §5.2), and so are a byte order mark and NULs at the end. Nesting deeper than 32 is refused. */
const struct json *json_parse(struct arena *a, const char *text, size_t len, bool lenient);
/* For files that people write: the line, from 1 on, where the text stops being one JSON value, and why; comments as in C
 * are none of its business. 0: it is one. */
size_t json_wrong_line(struct arena *a, const char *text, size_t len, const char **ret_why);
/* All getters take NULL for v (and then find nothing), so that paths chain. */
const struct json *json_get(const struct json *v, const char *key);
/* The string, or NULL when v is not a string. */
const char *json_text(const struct json *v);
/* A number or a string of an integer, blanks around it and a fraction are dropped: devices send both. */
bool json_int_lenient(const struct json *v, int64_t *ret);
bool json_is_object(const struct json *v);
bool json_is_array(const struct json *v);
/* Scalars as text ("1" and 1 are both "1"), in the arena; NULL otherwise. */
const char *json_scalar(struct arena *a, const struct json *v);
size_t json_length(const struct json *v);
const struct json *json_at(const struct json *v, size_t i);
/* Members of an object, 0 when it is none; name and value of the i-th, in the order of the text. */
size_t json_members(const struct json *v);
const char *json_member(const struct json *v, size_t i, const struct json **ret_value);

#endif
