/* SPDX-License-Identifier: Apache-2.0 */
/* The list of devices to play: product_key,device_name,secret[,version] a line, a header line tolerated. */
#include "cmd/otasim/sim.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS 4

/* Cuts the line at its commas; returns the number of fields. */
static size_t fields_cut(char *line, char *field[FIELDS])
{
	size_t n = 0;

	line[strcspn(line, "\r\n")] = '\0';
	for (char *at = line; at && n < FIELDS; n++) {
		char *comma = strchr(at, ',');

		field[n] = at;
		if (comma)
			*comma++ = '\0';
		at = comma;
	}
	return n;
}

static bool device_add(struct sim *s, char *field[FIELDS], size_t n_fields, size_t *cap)
{
	struct device *d;
	const char *version = n_fields > 3 && field[3][0] ? field[3] : s->o.version;

	if (n_fields < 3 || !field[0][0] || !field[1][0] || !field[2][0] || strlen(field[0]) > NAME_MAX_LEN ||
	    strlen(field[1]) > NAME_MAX_LEN || strlen(version) > VERSION_MAX_LEN)
		return false;
	if (s->n == *cap) {
		*cap = *cap ? *cap * 2 : 1024;
		s->devices = realloc(s->devices, *cap * sizeof *s->devices);
		ensure(s->devices);
	}
	d = &s->devices[s->n];
	*d = (struct device){ .index = s->n,
			      .pk = arena_strdup(&s->arena, field[0]),
			      .name = arena_strdup(&s->arena, field[1]),
			      .secret = arena_strdup(&s->arena, field[2]) };
	(void)snprintf(d->version, sizeof d->version, "%s", version);
	s->n++;
	return true;
}

bool fleet_read(struct sim *s)
{
	FILE *f = fopen(s->o.devices_file, "r");
	char *line = NULL, *field[FIELDS];
	size_t line_cap = 0, cap = 0, number = 0;
	bool good = f != NULL;

	while (good && getline(&line, &line_cap, f) >= 0) {
		size_t n = fields_cut(line, field);

		number++;
		if ((n == 1 && !field[0][0]) || (number == 1 && strcmp(field[0], "product_key") == 0))
			continue;
		good = device_add(s, field, n, &cap);
	}
	if (f)
		(void)fclose(f);
	free(line);
	if (!good || s->n == 0)
		(void)fprintf(stderr, "otasim: %s: line %zu: %s\n", s->o.devices_file, number,
			      f ? "not a device: product_key,device_name,secret[,version]"
				: "cannot be opened");
	return good && s->n > 0;
}
