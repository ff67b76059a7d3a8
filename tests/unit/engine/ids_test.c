/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ids.h"
#include "harness.h"

#include <string.h>

static void round_trip(void)
{
	static const int64_t as[] = { 0, 1, 2, 255, 256, 1000003, ((int64_t)1 << 48) - 1 };
	static const int64_t bs[] = { 0, 1, 77, 1000000, UINT32_MAX };
	char id[ID_LEN + 1];
	int64_t a, b;

	for (int kind = ID_DEVICE; kind <= ID_GROUP; kind++)
		for (size_t i = 0; i < ARRAY_LEN(as); i++)
			for (size_t j = 0; j < ARRAY_LEN(bs); j++) {
				id_format((enum id_kind)kind, as[i], bs[j], id);
				CHECK_INT(strlen(id), ID_LEN);
				CHECK(id_parse((enum id_kind)kind, id, &a, &b));
				CHECK_INT(a, as[i]);
				CHECK_INT(b, bs[j]);
			}
}

static void shows_a_changed_character(void)
{
	char id[ID_LEN + 1], bad[ID_LEN + 1];
	int64_t a, b;

	id_format(ID_JOB, 4711, 0, id);
	for (size_t i = 0; i < ID_LEN; i++) {
		memcpy(bad, id, sizeof bad);
		bad[i] = bad[i] == 'x' ? 'y' : 'x';
		CHECK(!id_parse(ID_JOB, bad, &a, &b));
	}
}

static void tells_the_kinds_apart(void)
{
	char id[ID_LEN + 1];
	int64_t a, b;

	id_format(ID_JOB, 4711, 0, id);
	CHECK(!id_parse(ID_TASK, id, &a, &b));
	memcpy(id + 20, "010100", 6); /* the tail alone does not make a TaskId of it */
	CHECK(!id_parse(ID_TASK, id, &a, &b));
	CHECK(!id_parse(ID_JOB, "", &a, &b));
	CHECK(!id_parse(ID_JOB, "nosuchfirmware00000000000000", &a, &b));
}

static void request_ids_differ(void)
{
	char x[37], y[37];

	request_id_new(x);
	request_id_new(y);
	CHECK_INT(strlen(x), 36);
	CHECK(strcmp(x, y) != 0);
	CHECK_INT(x[14], '4');
}

TESTS("engine/ids", { "round_trip", round_trip }, { "shows_a_changed_character", shows_a_changed_character },
      { "tells_the_kinds_apart", tells_the_kinds_apart }, { "request_ids_differ", request_ids_differ })
