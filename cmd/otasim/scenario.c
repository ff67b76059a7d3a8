/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otasim/scenario.h"

#include "cmd/otasim/profile.h"
#include "engine/base/json.h"
#include "engine/base/parse.h"

#include <string.h>

#define DURATION_S_MAX (7 * 86400)
#define DEVICES_MAX 1000000
#define PLAN_PARAMS_MAX (PARAMS_MAX - 6)

struct reader {
	struct arena *arena;
	const char *error; /* the first one */
};

enum value_kind {
	VALUE_TEXT,
	VALUE_NUMBER,
	VALUE_PERCENT, /* at most 3 decimals */
	VALUE_FLAG,
	VALUE_CURVE,
	VALUE_CUT,	/* "close" or "silence" */
	VALUE_PROFILES, /* names and their percent */
	VALUE_PARAMS,	/* names and their values */
	VALUE_OBJECT,	/* a section */
	VALUE_LIST	/* of a section's */
};

struct section;
struct key_row {
	const char *key;
	enum value_kind kind;
	size_t offset;	  /* in the struct of the section */
	int64_t min, max; /* of a number, or of a curve's values */
	const struct section *section;
	size_t counter;	  /* offset of the length of a list */
	const char *need; /* "" where it may be left out, else what the page says of that */
	const char *doc;
};

/* An object of the file, and where it goes. */
struct section {
	const char *name;
	size_t size; /* of an entry of a list */
	const struct key_row *rows;
	size_t n;
};

/* clang-format off */
#define F(member) offsetof(struct scenario, member)
#define ROWS(rows) (rows), ARRAY_LEN(rows)
#define REQUIRED "required"

static const struct key_row device_rows[] = {
	{ "count",             VALUE_NUMBER,   F(count), 1, DEVICES_MAX, NULL, 0, "", "How many. They are registered in a new product, unless `--devices` names a list; then so many of the list. Absent: the whole list." },
	{ "version",           VALUE_TEXT,     F(fleet.version), 0, VERSION_MAX_LEN, NULL, 0, "", "What they report until their first update (those of a list: unless the list says it)." },
	{ "profiles",          VALUE_PROFILES, F(fleet), 0, 0, NULL, 0, "", "SDK generations and their percent, 100 together, for example `{\"c-link-3.2\": 60, \"node\": 40}`. Default: all `paho`." },
	{ "online",            VALUE_CURVE,    F(online), 0, DEVICES_MAX, NULL, 0, REQUIRED, "How many are to be connected, over time. Rising: further ones log in. Falling: those that came last are switched off." },
	{ "logins_per_s",      VALUE_NUMBER,   F(fleet.connect_rate), 1, 100000, NULL, 0, "", "Logins a second at most, whatever `online` or the end of a cut asks for." },
	{ "leave_when_done",   VALUE_FLAG,     F(leave_when_done), 0, 0, NULL, 0, "", "A device disconnects for good when its update has ended, well or not, and makes room for one that has not come yet: many devices with few connections. Retries do not reach it any more." },
	{ "download",          VALUE_FLAG,     F(fleet.download), 0, 0, NULL, 0, "", "Really download and check the digest. false: take a push as downloaded." },
	{ "download_kib_s",    VALUE_NUMBER,   F(fleet.download_kbps), 0, 10000000, NULL, 0, "", "KiB a second of each download; 0: as fast as it goes." },
	{ "downloads_at_once", VALUE_NUMBER,   F(fleet.downloads_max), 1, 20000, NULL, 0, "", "Downloads at a time; the others wait." },
	{ "progress_reports",  VALUE_NUMBER,   F(fleet.steps), 1, 100, NULL, 0, "", "Progress reports of a download, spread evenly." },
	{ "flash_ms",          VALUE_NUMBER,   F(fleet.delay_ms), 0, 3600000, NULL, 0, "", "From the end of the download to the new version, on average; half as much to one and a half times as much." },
	{ "reboot",            VALUE_FLAG,     F(fleet.reboot), 0, 0, NULL, 0, "", "Reconnect after flashing and report the new version then." },
	{ "pull_every_s",      VALUE_NUMBER,   F(fleet.pull_every_s), 0, 1000000, NULL, 0, "", "Ask for an update so often; 0: wait for pushes." },
	{ "flap_percent",      VALUE_PERCENT,  F(fleet.flap_milli), 0, 0, NULL, 0, "", "Devices that lose their connection again and again." },
	{ "flap_every_s",      VALUE_NUMBER,   F(fleet.flap_every_s), 1, 100000, NULL, 0, "", "How often they do, on average." },
	{ "duplicates_percent", VALUE_PERCENT, F(fleet.duplicate_milli), 0, 0, NULL, 0, "", "Devices that send every report twice." },
	{ "any_port",          VALUE_FLAG,     F(fleet.any_port), 0, 0, NULL, 0, "", "Let `c-link-3.2`, which cannot read a port in a URL, do so: the package server need not be at port 80." },
};
static const struct section device_section = { "devices", 0, ROWS(device_rows) };

static const struct key_row failure_rows[] = {
#define FAILURE(name, step, word, key, doc) { key, VALUE_PERCENT, F(fleet.fail_milli[FAIL_##name]), 0, 0, NULL, 0, "", "The device " doc "." },
#include "cmd/otasim/failures.def"
#undef FAILURE
	{ "attempts",     VALUE_NUMBER,  F(fleet.fail_first), 0, 1000, NULL, 0, "", "A failing device fails so many times, then does well (for retries); 0: always." },
	{ "disconnect",   VALUE_PERCENT, F(fleet.drop_milli), 0, 0, NULL, 0, "", "No failure by itself: the device loses the network half-way through its download, comes back and resumes. Once for each version that it is told to install." },
	{ "disconnect_s", VALUE_NUMBER,  F(fleet.drop_s), 1, 100000, NULL, 0, "", "How long it is away." },
};
static const struct section failure_section = { "failures", 0, ROWS(failure_rows) };

#undef F
#define F(member) offsetof(struct cut, member)
static const struct key_row cut_rows[] = {
	{ "at_s",    VALUE_NUMBER,  F(at_s), 0, DURATION_S_MAX, NULL, 0, REQUIRED, "When it begins." },
	{ "for_s",   VALUE_NUMBER,  F(for_s), 1, DURATION_S_MAX, NULL, 0, REQUIRED, "How long it lasts." },
	{ "percent", VALUE_PERCENT, F(share_milli), 0, 0, NULL, 0, REQUIRED, "The part of the devices, by chance, other ones in every cut." },
	{ "how",     VALUE_CUT,     F(silent), 0, 0, NULL, 0, "", "`close`: connections break at once and nobody gets through until the end, as when a gateway dies. `silence`: packets vanish and nobody hears of it, as when the radio is gone; what was under way arrives afterwards." },
};
static const struct section cut_section = { "cuts[]", sizeof(struct cut), ROWS(cut_rows) };

#undef F
#define F(member) offsetof(struct campaign_plan, member)
static const struct key_row campaign_rows[] = {
	{ "at_s",        VALUE_NUMBER, F(at_s), 0, DURATION_S_MAX, NULL, 0, REQUIRED, "When the job is created (or watched from). Its package is uploaded before the start." },
	{ "per_minute",  VALUE_NUMBER, F(per_minute), 0, 1000000, NULL, 0, "", "MaximumPerMinute. Absent: what otad does without being told." },
	{ "package_kib", VALUE_NUMBER, F(package_kib), 1, 1024000, NULL, 0, "", "Size of the package, random bytes." },
	{ "params",      VALUE_PARAMS, F(params), 0, 0, NULL, 0, "", "Further parameters of CreateOTAStaticUpgradeJob, for example `{\"TargetSelection\": \"GRAY\", \"GrayPercent\": 10, \"TimeoutInMinutes\": 5}`. TargetSelection is ALL unless it is here. FirmwareId and ProductKey are otasim's." },
	{ "job",         VALUE_TEXT,   F(job), 0, 64, NULL, 0, "", "A job that exists already, by its JobId, instead of a new one." },
};
static const struct section campaign_section = { "campaigns[]", sizeof(struct campaign_plan), ROWS(campaign_rows) };

#undef F
#define F(member) offsetof(struct call_plan, member)
static const struct key_row call_rows[] = {
	{ "action",  VALUE_TEXT,    F(action), 0, 64, NULL, 0, REQUIRED, "Any action of api.md." },
	{ "percent", VALUE_PERCENT, F(share_milli), 0, 0, NULL, 0, REQUIRED, "Its part of the calls, exactly and evenly mixed; 100 together." },
	{ "params",  VALUE_PARAMS,  F(params), 0, 0, NULL, 0, "", "Its parameters. `$product`, `$device` (one of the fleet, by chance), `$job` (the newest campaign's), `$firmware` (likewise, or the first one's before it) and `$n` (a number that does not repeat) are filled in; nothing else may begin with `$`." },
};
static const struct section call_section = { "api.mix[]", sizeof(struct call_plan), ROWS(call_rows) };

#undef F
#define F(member) offsetof(struct scenario, member)
static const struct key_row api_rows[] = {
	{ "rate",        VALUE_CURVE,  F(api_rate), 0, 100000, NULL, 0, REQUIRED, "Calls a second, over time. They are made when they are due, however long others take." },
	{ "connections", VALUE_NUMBER, F(api_connections), 1, 1000, NULL, 0, "", "Calls at a time. One that is due while all are busy waits, and that counts as its latency." },
	{ "mix",         VALUE_LIST,   F(calls), 1, CALLS_MAX, &call_section, F(n_calls), REQUIRED, "What is called." },
};
static const struct section api_section = { "api", 0, ROWS(api_rows) };

static const struct key_row expect_rows[] = {
	{ "api_p99_ms",         VALUE_NUMBER,  F(expect.api_p99_ms), 0, 1000000, NULL, 0, "", "99 % of the calls are answered within this, counted from when they were due." },
	{ "api_errors_percent", VALUE_PERCENT, F(expect.api_errors_milli), 0, 0, NULL, 0, "", "At most so many calls are refused or get no answer." },
	{ "login_p99_ms",       VALUE_NUMBER,  F(expect.login_p99_ms), 0, 1000000, NULL, 0, "", "99 % of the logins take no longer than this." },
	{ "rate_used_percent",  VALUE_PERCENT, F(expect.rate_used_milli), 0, 0, NULL, 0, "", "Every campaign uses at least so much of its rate, between its first push and its last." },
	{ "done_s",             VALUE_NUMBER,  F(expect.done_s), 0, DURATION_S_MAX, NULL, 0, "", "All campaigns have ended by then." },
};
static const struct section expect_section = { "expect", 0, ROWS(expect_rows) };

static const struct key_row top_rows[] = {
	{ "title",      VALUE_TEXT,   F(title), 0, 200, NULL, 0, REQUIRED, "One line; the headline of the report." },
	{ "note",       VALUE_TEXT,   F(note), 0, 10000, NULL, 0, "", "What it is for, for the reader of the report." },
	{ "seed",       VALUE_NUMBER, F(fleet.seed), 0, INT64_MAX, NULL, 0, "", "All chance comes out of it: which device plays what, who is cut off, which device a call is about." },
	{ "duration_s", VALUE_NUMBER, F(duration_s), 1, DURATION_S_MAX, NULL, 0, REQUIRED, "The run ends then, or sooner: when there are campaigns, all of them have ended, and curves and cuts are over." },
	{ "devices",    VALUE_OBJECT, 0, 0, 0, &device_section, 0, REQUIRED, "The fleet." },
	{ "failures",   VALUE_OBJECT, 0, 0, 0, &failure_section, 0, "", "What devices do wrong, each in percent of the fleet. The same ones at every push." },
	{ "cuts",       VALUE_LIST,   F(cuts), 0, CUTS_MAX, &cut_section, F(n_cuts), "", "Network cuts." },
	{ "campaigns",  VALUE_LIST,   F(campaigns), 0, CAMPAIGNS_MAX, &campaign_section, F(n_campaigns), "", "Upgrade jobs." },
	{ "api",        VALUE_OBJECT, 0, 0, 0, &api_section, 0, "", "Load on the management API." },
	{ "expect",     VALUE_OBJECT, 0, 0, 0, &expect_section, 0, "", "What has to come true besides what always has to; else the exit status is 3." },
};
static const struct section top_section = { "", 0, ROWS(top_rows) };
#undef F
/* clang-format on */

static struct scenario scenario_default(void)
{
	struct scenario c = { .fleet = options_default(),
			      .api_connections = 16,
			      .expect = { -1, -1, -1, -1, -1 } };

	c.fleet.any_port = true;
	return c;
}

static struct campaign_plan campaign_default(void)
{
	return (struct campaign_plan){ .per_minute = -1, .package_kib = 256 };
}

/* ---- errors ---- */

/* "devices.count: ..."; where may be "". */
static bool wrong(struct reader *r, const char *where, const char *fmt, ...) PRINTF(3, 4);
static bool wrong(struct reader *r, const char *where, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!r->error)
		r->error = arena_printf(r->arena, "%s%s%s", where, *where ? ": " : "",
					arena_vprintf(r->arena, fmt, ap));
	va_end(ap);
	return false;
}

static const char *place(struct reader *r, const char *where, const char *key)
{
	return *where ? arena_printf(r->arena, "%s.%s", where, key) : key;
}

/* ---- values ---- */

static bool text_read(struct reader *r, const char *where, const struct json *v, const struct key_row *k,
		      const char **at)
{
	const char *text = json_text(v);

	if (!text || !*text || strlen(text) > (size_t)k->max)
		return wrong(r, where, "must be a text of 1 to %lld characters", (long long)k->max);
	*at = arena_strdup(r->arena, text);
	return true;
}

static bool number_read(struct reader *r, const char *where, const struct json *v, int64_t min, int64_t max,
			int64_t *at)
{
	const char *text = json_text(v) ? NULL : json_scalar(r->arena, v);

	if (text && parse_i64(text, min, max, at))
		return true;
	return wrong(r, where, "must be a whole number from %lld to %lld", (long long)min, (long long)max);
}

static bool percent_read(struct reader *r, const char *where, const struct json *v, int64_t *at)
{
	const char *text = json_text(v) ? NULL : json_scalar(r->arena, v);
	int64_t milli;

	if (!text || !parse_percent(text, &milli) || milli > PERCENT_MILLI)
		return wrong(r, where, "must be a number from 0 to 100, with at most 3 decimals");
	*at = milli;
	return true;
}

static bool flag_read(struct reader *r, const char *where, const struct json *v, bool *at)
{
	const char *text = json_text(v) ? NULL : json_scalar(r->arena, v);

	return (text && parse_bool(text, at)) || wrong(r, where, "must be true or false");
}

static bool cut_read(struct reader *r, const char *where, const struct json *v, bool *at)
{
	const char *text = json_text(v);

	if (!text || (strcmp(text, "close") != 0 && strcmp(text, "silence") != 0))
		return wrong(r, where, "must be \"close\" or \"silence\"");
	*at = strcmp(text, "silence") == 0;
	return true;
}

static bool point_read(struct reader *r, const char *where, const struct json *v, const struct key_row *k,
		       struct curve *c)
{
	if (json_length(v) != 2)
		return wrong(r, where, "must be [seconds, value]");
	if (!number_read(r, where, json_at(v, 0), 0, DURATION_S_MAX, &c->p[c->n].at_s) ||
	    !number_read(r, where, json_at(v, 1), k->min, k->max, &c->p[c->n].value))
		return false;
	if (c->n == 0 && c->p[0].at_s != 0)
		return wrong(r, where, "the first point must be at 0 s");
	if (c->n > 0 && c->p[c->n].at_s < c->p[c->n - 1].at_s)
		return wrong(r, where, "is earlier than the point before it");
	c->n++;
	return true;
}

static bool curve_read(struct reader *r, const char *where, const struct json *v, const struct key_row *k,
		       struct curve *c)
{
	size_t n = json_length(v);

	if (n == 0 || n > CURVE_POINTS_MAX)
		return wrong(r, where, "must be a list of 1 to %d points [seconds, value]", CURVE_POINTS_MAX);
	for (size_t i = 0; i < n; i++)
		if (!point_read(r, arena_printf(r->arena, "%s[%zu]", where, i), json_at(v, i), k, c))
			return false;
	return true;
}

/* Has the i-th member's key been there before? */
static bool key_again(struct reader *r, const char *where, const struct json *v, size_t i)
{
	const struct json *value;
	const char *key = json_member(v, i, &value);

	for (size_t k = 0; k < i; k++)
		if (strcmp(json_member(v, k, &value), key) == 0)
			return !wrong(r, place(r, where, key), "is there twice");
	return false;
}

static bool profiles_read(struct reader *r, const char *where, const struct json *v, struct options *o)
{
	int64_t sum = 0;

	if (json_members(v) == 0 || json_members(v) > MIX_MAX)
		return wrong(r, where, "must be an object of profiles and their percent");
	for (o->n_mix = 0; o->n_mix < json_members(v); o->n_mix++) {
		const struct json *value;
		const char *name = json_member(v, o->n_mix, &value);

		if (key_again(r, where, v, o->n_mix))
			return false;
		o->mix[o->n_mix].profile = profile_find(name);
		if (!o->mix[o->n_mix].profile)
			return wrong(r, where, "%s is no profile; there are: %s", name, profile_names());
		if (!percent_read(r, arena_printf(r->arena, "%s.%s", where, name), value,
				  &o->mix[o->n_mix].share))
			return false;
		sum += o->mix[o->n_mix].share;
	}
	if (sum != PERCENT_MILLI)
		return wrong(r, where, "adds up to %g %%, must be 100", (double)sum / 1000);
	return true;
}

static bool params_read(struct reader *r, const char *where, const struct json *v, struct param_list *p)
{
	if (!json_is_object(v) || json_members(v) > PLAN_PARAMS_MAX)
		return wrong(r, where, "must be an object of at most %d parameters", PLAN_PARAMS_MAX);
	for (p->n = 0; p->n < json_members(v); p->n++) {
		const struct json *value;
		const char *name = json_member(v, p->n, &value);

		if (key_again(r, where, v, p->n))
			return false;
		p->v[p->n].name = arena_strdup(r->arena, name);
		p->v[p->n].value = json_scalar(r->arena, value);
		if (!p->v[p->n].value)
			return wrong(r, arena_printf(r->arena, "%s.%s", where, name),
				     "must be a text, a number, true or false (lists: Name.1, Name.2)");
	}
	return true;
}

/* ---- sections ---- */

static bool section_read(struct reader *r, const char *where, const struct json *v, const struct section *s,
			 void *base);

static bool list_read(struct reader *r, const char *where, const struct json *v, const struct key_row *k,
		      char *base)
{
	size_t n = json_length(v);

	if (!json_is_array(v) || n < (size_t)k->min || n > (size_t)k->max)
		return wrong(r, where, "must be a list of %lld to %lld objects", (long long)k->min,
			     (long long)k->max);
	for (size_t i = 0; i < n; i++) {
		char *entry = base + k->offset + i * k->section->size;

		if (k->section == &campaign_section)
			*(struct campaign_plan *)(void *)entry = campaign_default();
		if (!section_read(r, arena_printf(r->arena, "%s[%zu]", where, i), json_at(v, i), k->section,
				  entry))
			return false;
	}
	*(size_t *)(void *)(base + k->counter) = n;
	return true;
}

static bool value_read(struct reader *r, const char *where, const struct json *v, const struct key_row *k,
		       char *base)
{
	void *at = base + k->offset;

	switch (k->kind) {
	case VALUE_TEXT:
		return text_read(r, where, v, k, at);
	case VALUE_NUMBER:
		return number_read(r, where, v, k->min, k->max, at);
	case VALUE_PERCENT:
		return percent_read(r, where, v, at);
	case VALUE_FLAG:
		return flag_read(r, where, v, at);
	case VALUE_CURVE:
		return curve_read(r, where, v, k, at);
	case VALUE_CUT:
		return cut_read(r, where, v, at);
	case VALUE_PROFILES:
		return profiles_read(r, where, v, at);
	case VALUE_PARAMS:
		return params_read(r, where, v, at);
	case VALUE_OBJECT:
		return section_read(r, where, v, k->section, base);
	case VALUE_LIST:
		return list_read(r, where, v, k, base);
	}
	return false;
}

/* The i-th member of an object. */
static bool member_read(struct reader *r, const char *where, const struct json *v, size_t i,
			const struct section *s, void *base)
{
	const struct json *value;
	const char *key = json_member(v, i, &value);

	if (key_again(r, where, v, i))
		return false;
	for (size_t k = 0; k < s->n; k++)
		if (strcmp(s->rows[k].key, key) == 0)
			return value_read(r, place(r, where, key), value, &s->rows[k], base);
	return wrong(r, place(r, where, key),
		     "is no key of a scenario (docs/scenario.md, otasim --scenario-keys)");
}

static bool section_read(struct reader *r, const char *where, const struct json *v, const struct section *s,
			 void *base)
{
	if (!json_is_object(v))
		return wrong(r, where, "must be an object");
	for (size_t i = 0; i < json_members(v); i++)
		if (!member_read(r, where, v, i, s, base))
			return false;
	for (size_t k = 0; k < s->n; k++)
		if (s->rows[k].need[0] && !json_get(v, s->rows[k].key))
			return wrong(r, place(r, where, s->rows[k].key), "is missing");
	return true;
}

/* ---- what several keys say together ---- */

static bool devices_check(struct reader *r, const struct scenario *c)
{
	const struct curve *o = &c->online;
	int64_t sum = 0;

	for (size_t i = 0; i < o->n; i++) {
		const char *where = arena_printf(r->arena, "devices.online[%zu]", i);

		if (c->count > 0 && o->p[i].value > c->count)
			return wrong(r, where, "%lld is more than the %lld devices of devices.count",
				     (long long)o->p[i].value, (long long)c->count);
		if (c->leave_when_done && i > 0 && o->p[i].value < o->p[i - 1].value)
			return wrong(r, where, "must not fall with devices.leave_when_done");
	}
	for (size_t i = 0; i < FAILURES; i++)
		sum += c->fleet.fail_milli[i];
	if (sum > PERCENT_MILLI)
		return wrong(r, "failures", "more than 100 %% of the devices would fail");
	if (c->leave_when_done && c->n_campaigns != 1)
		return wrong(r, "devices.leave_when_done", "goes with one campaign");
	return true;
}

static bool named(const char *const *names, const char *name)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names != NULL;
}

/* The parameters of every call are otasim's own (rpc_sign), and so are these of this one. */
static bool params_check(struct reader *r, const char *where, const struct param_list *p,
			 const char *const *own)
{
	static const char *const common[] = { "AccessKeyId",	  "Action",	     "Format",
					      "Signature",	  "SignatureMethod", "SignatureNonce",
					      "SignatureVersion", "Timestamp",	     "Version",
					      NULL };

	for (size_t i = 0; i < p->n; i++)
		if (named(common, p->v[i].name) || named(own, p->v[i].name))
			return wrong(r, arena_printf(r->arena, "%s.params.%s", where, p->v[i].name),
				     "is set by otasim itself");
	return true;
}

static bool campaign_params_check(struct reader *r, const char *where, const struct campaign_plan *p)
{
	static const char *const own[] = { "FirmwareId", "ProductKey", NULL };

	for (size_t i = 0; i < p->params.n; i++)
		if (p->per_minute >= 0 && strcmp(p->params.v[i].name, "MaximumPerMinute") == 0)
			return wrong(r, arena_printf(r->arena, "%s.params.MaximumPerMinute", where),
				     "is what per_minute says already");
	return params_check(r, where, &p->params, own);
}

static bool campaigns_check(struct reader *r, const struct scenario *c)
{
	struct campaign_plan fresh = campaign_default();

	for (size_t i = 0; i < c->n_campaigns; i++) {
		const struct campaign_plan *p = &c->campaigns[i];
		const char *where = arena_printf(r->arena, "campaigns[%zu]", i);

		if (p->job &&
		    (p->per_minute != fresh.per_minute || p->package_kib != fresh.package_kib || p->params.n))
			return wrong(
				r, where,
				"job exists already: per_minute, package_kib and params are for a new one");
		if (!campaign_params_check(r, where, p))
			return false;
	}
	return true;
}

static bool action_is_known(const char *action)
{
	static const char *const names[] = {
#define ACTION(name) #name,
#include "api/actions.def"
#undef ACTION
		NULL
	};

	return named(names, action);
}

/* Those that api_load.c fills in; a misspelt one would be sent as it stands, and refused for the whole of the
 * run. */
static bool words_check(struct reader *r, const char *where, const struct param_list *p)
{
	static const char *const words[] = { "$product", "$device", "$job", "$firmware", "$n", NULL };

	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].value[0] == '$' && !named(words, p->v[i].value))
			return wrong(r, arena_printf(r->arena, "%s.params.%s", where, p->v[i].name),
				     "%s is not filled in; there are: $product $device $job $firmware $n",
				     p->v[i].value);
	return true;
}

static bool call_check(struct reader *r, const char *where, const struct call_plan *k)
{
	static const char *const none[] = { NULL };

	if (!action_is_known(k->action))
		return wrong(r, arena_printf(r->arena, "%s.action", where), "%s is no action (docs/api.md)",
			     k->action);
	return params_check(r, where, &k->params, none) && words_check(r, where, &k->params);
}

static bool api_check(struct reader *r, const struct scenario *c)
{
	int64_t sum = 0, first_s = INT64_MAX;

	for (size_t i = 0; i < c->n_campaigns; i++)
		first_s = i64_min(first_s, c->campaigns[i].at_s);
	for (size_t i = 0; i < c->n_calls; i++) {
		const struct call_plan *k = &c->calls[i];
		bool job = params_use(&k->params, "$job");

		sum += k->share_milli;
		if (!call_check(r, arena_printf(r->arena, "api.mix[%zu]", i), k))
			return false;
		if (c->n_campaigns == 0 && (job || params_use(&k->params, "$firmware")))
			return wrong(r, "api.mix", "%s needs a campaign", k->action);
		if (job && curve_max_before(&c->api_rate, first_s) > 0)
			return wrong(r, "api.rate",
				     "must be 0 until the first campaign begins: %s is about its job",
				     k->action);
	}
	if (c->n_calls > 0 && sum != PERCENT_MILLI)
		return wrong(r, "api.mix", "adds up to %g %%, must be 100", (double)sum / 1000);
	return true;
}

static bool times_check(struct reader *r, const struct scenario *c)
{
	const char *late = "is after the end of the run, duration_s";

	if (curve_end_s(&c->online) > c->duration_s)
		return wrong(r, "devices.online", "%s", late);
	if (curve_end_s(&c->api_rate) > c->duration_s)
		return wrong(r, "api.rate", "%s", late);
	for (size_t i = 0; i < c->n_cuts; i++)
		if (c->cuts[i].at_s + c->cuts[i].for_s > c->duration_s)
			return wrong(r, arena_printf(r->arena, "cuts[%zu]", i), "%s", late);
	for (size_t i = 0; i < c->n_campaigns; i++)
		if (c->campaigns[i].at_s >= c->duration_s)
			return wrong(r, arena_printf(r->arena, "campaigns[%zu].at_s", i), "%s", late);
	return true;
}

static bool expect_check(struct reader *r, const struct scenario *c)
{
	const struct expectation *e = &c->expect;

	if (c->n_calls == 0 && (e->api_p99_ms >= 0 || e->api_errors_milli >= 0))
		return wrong(r, "expect", "api_p99_ms and api_errors_percent need an api");
	if (c->n_campaigns == 0 && (e->rate_used_milli >= 0 || e->done_s >= 0))
		return wrong(r, "expect", "rate_used_percent and done_s need a campaign");
	return true;
}

bool scenario_read(struct arena *a, const char *text, size_t len, struct scenario *ret,
		   const char **ret_error)
{
	struct reader r = { .arena = a };
	const struct json *v = json_parse(a, text, len, false);
	const char *why = "nested too deep, or with a NUL";
	size_t line = v ? 0 : json_wrong_line(a, text, len, &why);
	bool good = false;

	*ret = scenario_default();
	if (v)
		good = section_read(&r, "", v, &top_section, ret) && devices_check(&r, ret) &&
		       campaigns_check(&r, ret) && api_check(&r, ret) && times_check(&r, ret) &&
		       expect_check(&r, ret);
	else
		r.error = line > 0 ? arena_printf(a, "line %zu: %s", line, why) : why;
	*ret_error = r.error;
	return good;
}

bool params_use(const struct param_list *p, const char *word)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->v[i].value, word) == 0)
			return true;
	return false;
}

/* ---- the page ---- */

static void kind_print(struct buf *b, const struct key_row *k)
{
	switch (k->kind) {
	case VALUE_TEXT:
		buf_addf(b, "text, 1 to %lld characters", (long long)k->max);
		return;
	case VALUE_NUMBER:
		buf_addf(b, "number, %lld to ", (long long)k->min);
		if (k->max == INT64_MAX)
			buf_adds(b, "2^63 - 1");
		else
			buf_addf(b, "%lld", (long long)k->max);
		return;
	case VALUE_PERCENT:
		buf_adds(b, "percent");
		return;
	case VALUE_FLAG:
		buf_adds(b, "true, false");
		return;
	case VALUE_CURVE:
		buf_addf(b, "curve, values %lld to %lld", (long long)k->min, (long long)k->max);
		return;
	case VALUE_CUT:
		buf_adds(b, "`close`, `silence`");
		return;
	case VALUE_PROFILES:
	case VALUE_PARAMS:
		buf_adds(b, "object");
		return;
	case VALUE_OBJECT:
		buf_addf(b, "object: [%s](#%s)", k->section->name, k->section->name);
		return;
	case VALUE_LIST:
		buf_addf(b, "list of at most %lld objects: below", (long long)k->max);
		return;
	}
}

static void default_print(struct buf *b, const struct key_row *k, const char *base)
{
	const void *at = base + k->offset;

	if (k->need[0])
		buf_adds(b, k->need);
	else if (k->kind == VALUE_NUMBER && *(const int64_t *)at >= k->min)
		buf_addf(b, "%lld", (long long)*(const int64_t *)at);
	else if (k->kind == VALUE_PERCENT && *(const int64_t *)at >= 0)
		buf_addf(b, "%g", (double)*(const int64_t *)at / 1000);
	else if (k->kind == VALUE_FLAG)
		buf_adds(b, *(const bool *)at ? "true" : "false");
	else if (k->kind == VALUE_TEXT && *(const char *const *)at)
		buf_addf(b, "%s", *(const char *const *)at);
	else if (k->kind == VALUE_CUT)
		buf_adds(b, "close");
}

static void section_print(struct buf *b, const struct section *s, const void *defaults)
{
	buf_addf(b, "\n## %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
		 s->name[0] ? s->name : "The file");
	for (size_t i = 0; i < s->n; i++) {
		buf_addf(b, "| `%s` | ", s->rows[i].key);
		kind_print(b, &s->rows[i]);
		buf_adds(b, " | ");
		default_print(b, &s->rows[i], defaults);
		buf_addf(b, " | %s |\n", s->rows[i].doc);
	}
}

void scenario_print_keys(struct buf *out)
{
	struct scenario c = scenario_default();
	struct campaign_plan campaign = campaign_default();
	struct cut cut = { 0 };
	struct call_plan call = { 0 };
	const struct {
		const struct section *section;
		const void *defaults;
	} pages[] = { { &top_section, &c },	{ &device_section, &c },	  { &failure_section, &c },
		      { &cut_section, &cut },	{ &campaign_section, &campaign }, { &api_section, &c },
		      { &call_section, &call }, { &expect_section, &c } };

	buf_adds(out, "# Keys of a scenario\n\nMade by `otasim --scenario-keys` from "
		      "`cmd/otasim/scenario.c`; a test compares them. What it is for, and an\nexample: "
		      "load-testing.md.\n\nA scenario is a JSON object; comments as in C are allowed. "
		      "Unknown keys, keys given twice and values out of\nrange are refused. Times are "
		      "seconds since the start of the run. A curve is a list of points\n`[seconds, "
		      "value]`, the first at 0, with straight lines between them; two points at the same "
		      "time are a step,\nand the last value stays.\n");
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		section_print(out, pages[i].section, pages[i].defaults);
}
