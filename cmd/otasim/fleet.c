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

bool fleet_add(struct sim *s, const char *pk, const char *name, const char *secret, const char *version)
{
	struct device *d;

	if (!*pk || !*name || !*secret || strlen(pk) > NAME_MAX_LEN || strlen(name) > NAME_MAX_LEN ||
	    strlen(version) > VERSION_MAX_LEN)
		return false;
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 1024;
		s->devices = realloc(s->devices, s->cap * sizeof *s->devices);
		ensure(s->devices);
	}
	d = &s->devices[s->n];
	*d = (struct device){ .sim = s,
			      .index = s->n,
			      .pk = arena_strdup(&s->arena, pk),
			      .name = arena_strdup(&s->arena, name),
			      .secret = arena_strdup(&s->arena, secret) };
	(void)snprintf(d->version, sizeof d->version, "%s", version);
	s->n++;
	return true;
}

bool fleet_read(struct sim *s)
{
	FILE *f = fopen(s->o.devices_file, "r");
	char *line = NULL, *field[FIELDS];
	size_t line_cap = 0, number = 0, most = s->scenario ? (size_t)s->scenario->count : 0;
	bool good = f != NULL;

	while (good && (most == 0 || s->n < most) && getline(&line, &line_cap, f) >= 0) {
		size_t n = fields_cut(line, field);

		number++;
		if ((n == 1 && !field[0][0]) || (number == 1 && strcmp(field[0], "product_key") == 0))
			continue;
		good = n >= 3 && fleet_add(s, field[0], field[1], field[2],
					   n > 3 && field[3][0] ? field[3] : s->o.version);
	}
	if (f)
		(void)fclose(f);
	free(line);
	if (!good || s->n == 0)
		(void)fprintf(stderr, "otasim: %s: line %zu: %s\n", s->o.devices_file, number,
			      f ? "not a device: product_key,device_name,secret[,version]"
				: "cannot be opened");
	if (good && s->n > 0 && s->n < most) {
		(void)fprintf(stderr, "otasim: %s has %zu devices, the scenario needs %zu\n",
			      s->o.devices_file, s->n, most);
		good = false;
	}
	return good && s->n > 0;
}

int64_t fleet_unheard(const struct sim *s)
{
	int64_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->devices[i].silent || (!s->devices[i].on && !s->devices[i].done);
	return n;
}

int64_t fleet_playing(const struct sim *s, const struct profile *p, int64_t *ret_ever)
{
	int64_t n = 0;

	*ret_ever = 0;
	for (size_t i = 0; i < s->n; i++) {
		bool plays = s->devices[i].profile == p;

		n += plays;
		*ret_ever += plays && s->devices[i].ever_online;
	}
	return n;
}
