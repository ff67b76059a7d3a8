/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of the calls that create and change jobs, one function per row of api §11.9 (the numbers in the
 * comments), in a table that gives their order. Ranges stand in the field tables (job_create.c), configurable
 * limits here. */
#include "api/actions/job_in.h"
#include "engine/base/parse.h"
#include "engine/devicelist.h"
#include "engine/ids.h"
#include "engine/strategy.h"
#include "engine/text.h"
#include "storage/group.h"
#include "storage/package_store.h"
#include "storage/product.h"
#include "storage/strategy.h"

#include <string.h>

#define SCHEDULE_MIN_MS (5 * MS_PER_MINUTE)
#define SCHEDULE_MAX_MS (7 * MS_PER_DAY)
#define FINISH_MIN_MS MS_PER_HOUR
#define FINISH_MAX_MS (30 * MS_PER_DAY)
#define MQTT_BYTES_MAX (16LL * 1024 * 1024)

static enum err refuse(struct creation *n, enum err err, const char *param)
{
	return fail_param(n->c->error, err, param);
}

static enum err field(struct creation *n, const char *name)
{
	return field_check(n->c->action->in, n->in, name, n->c->error);
}

static bool selects(const struct creation *n, const char *selection)
{
	return strcmp(n->job.selection, selection) == 0;
}

/* 3 */
static enum err check_package(struct creation *n)
{
	int64_t id;

	if (!id_parse(ID_FIRMWARE, n->in->firmware_id, &id, NULL))
		return refuse(n, ERR_FIRMWARE_NOT_FOUND, NULL);
	TRY(store_job_firmware(n->c->db, n->c->account_id, id, n->job.kind != JOB_STATIC, &n->fw));
	n->job.firmware_id = id;
	return OK;
}

/* 4, 5 */
static enum err check_product(struct creation *n)
{
	struct product p;

	TRY(store_product_find(n->c->db, n->c->account_id, n->in->product_key, &p));
	if (p.id != n->fw.product_id)
		return refuse(n, ERR_FIRMWARE_PRODUCT, NULL);
	n->job.product_id = p.id;
	return OK;
}

/* 6, upgrade */
static enum err check_verified(struct creation *n)
{
	if (n->fw.status != FIRMWARE_NO_VERIFICATION && n->fw.status != FIRMWARE_VERIFIED)
		return refuse(n, ERR_FIRMWARE_NOT_VERIFIED, NULL);
	return OK;
}

/* 6, verification */
static enum err check_verifiable(struct creation *n)
{
	if (n->fw.status == FIRMWARE_VERIFYING)
		return refuse(n, ERR_VERIFY_RUNNING, NULL);
	if (n->fw.status != FIRMWARE_UNVERIFIED && n->fw.status != FIRMWARE_VERIFY_FAILED)
		return refuse(n, ERR_VERIFY, NULL);
	return OK;
}

/* 7 */
static enum err check_selection(struct creation *n)
{
	TRY(field(n, "TargetSelection"));
	n->job.selection = n->in->target_selection;
	return OK;
}

/* 7, dynamic */
static enum err check_selection_dynamic(struct creation *n)
{
	const char *selection = n->in->target_selection;

	if (!selection || strcmp(selection, "ALL") == 0)
		return OK;
	if (strcmp(selection, "GRAY") == 0)
		return refuse(n, ERR_DYNAMIC_GRAY, NULL);
	return refuse(n, strcmp(selection, "SPECIFIC") == 0 ? ERR_DYNAMIC_SPECIFIC : ERR_TARGET_SELECTION,
		      NULL);
}

/* 8 */
static enum err check_targets(struct creation *n)
{
	bool named = n->in->names.n > 0, listed = n->in->list_url != NULL;

	if (!selects(n, "SPECIFIC"))
		return named || listed ? refuse(n, ERR_TARGETS_NOT_ALLOWED, NULL) : OK;
	if (named && listed)
		return refuse(n, ERR_TARGETS_NOT_ALLOWED, NULL);
	return named || listed ? OK : refuse(n, ERR_TARGETS_NULL, NULL);
}

/* The names of a device list file. */
static enum err list_read(struct creation *n)
{
	static const char param[] = "DnListFileUrl";
	const struct limits *l = &n->c->limits;
	struct object_info info;
	char *text;
	size_t len;
	enum err e;

	e = package_store_find(n->c->env->store, n->c->arena, OBJECT_DEVICE_LIST, n->c->account_id,
			       n->in->list_url, n->c->now, &info);
	if (e == ERR_NOT_FOUND)
		return refuse(n, ERR_FORMAT, param);
	TRY(e);
	if (info.size > l->list_bytes)
		return refuse(n, ERR_LIST_TOO_LONG, param);
	TRY(package_store_read(n->c->env->store, n->c->arena, n->c->error, info.key, (size_t)l->list_bytes,
			       &text, &len));
	switch (devicelist_parse(n->c->arena, text, len, (size_t)l->list_names, &n->names, &n->n_names)) {
	case DEVICELIST_MALFORMED:
		return refuse(n, ERR_FORMAT, param);
	case DEVICELIST_TOO_MANY:
		return refuse(n, ERR_LIST_TOO_LONG, param);
	case DEVICELIST_OK:
		break;
	}
	if (n->n_names == 0)
		return fail(n->c->error, ERR_FORMAT, "The file of %s names no device.", param);
	return OK;
}

/* 9 */
static enum err check_names(struct creation *n)
{
	const char *twice;

	if (!selects(n, "SPECIFIC"))
		return OK;
	if (n->in->list_url)
		return list_read(n);
	TRY(field(n, "TargetDeviceName"));
	if (n->job.kind != JOB_VERIFY && (int64_t)n->in->names.n > n->c->limits.target_names)
		return refuse(n, ERR_LIST_TOO_LONG, "TargetDeviceName");
	twice = devicelist_duplicate(n->c->arena, n->in->names.v, n->in->names.n);
	if (twice)
		return fail(n->c->error, ERR_FORMAT, "The parameter TargetDeviceName names %.64s twice.",
			    twice);
	n->names = n->in->names.v;
	n->n_names = n->in->names.n;
	return OK;
}

/* 10 */
static enum err check_devices(struct creation *n)
{
	int64_t *ids;

	if (!selects(n, "SPECIFIC"))
		return OK;
	TRY(store_job_devices(n->c->db, n->job.product_id, n->fw.module, n->names, n->n_names, &n->devices));
	ids = ARENA_ARRAY(n->c->arena, n->n_names, int64_t);
	for (size_t i = 0; i < n->n_names; i++)
		ids[i] = n->devices[i].id;
	n->job.targets = ids;
	n->job.n_targets = n->n_names;
	return OK;
}

static bool by_group(const struct creation *n)
{
	return selects(n, "GROUP") || (n->job.kind == JOB_DYNAMIC && (n->in->group_id || n->in->group_type));
}

/* 11, dynamic */
static enum err check_by_what(struct creation *n)
{
	return n->in->src_versions.n > 0 || by_group(n) ? OK : refuse(n, ERR_SRC_VERSIONS_NULL, NULL);
}

/* 11, 12 */
static enum err check_src_versions(struct creation *n)
{
	const struct str_list *src = &n->in->src_versions;

	if (src->n == 0)
		return OK;
	if ((!selects(n, "ALL") && !selects(n, "GRAY")) || by_group(n))
		return refuse(n, ERR_SRC_VERSIONS_NOT_ALLOWED, NULL);
	if (src->n > JOB_SRC_VERSIONS_MAX)
		return refuse(n, ERR_SRC_VERSIONS_COUNT, NULL);
	for (size_t i = 0; i < src->n; i++)
		if (!text_is_version(src->v[i]))
			return refuse(n, ERR_SRC_VERSION_FORMAT, NULL);
	if (devicelist_duplicate(n->c->arena, src->v, src->n))
		return refuse(n, ERR_FORMAT, n->src_param);
	for (size_t i = 0; i < src->n; i++)
		if (strcmp(src->v[i], n->fw.dest_version) == 0)
			return refuse(n, ERR_SRC_DEST_EQUAL, NULL);
	n->job.src_versions = src->v;
	n->job.n_src_versions = src->n;
	return OK;
}

/* 13 */
static enum err check_differential(struct creation *n)
{
	const struct str_list *src = &n->in->src_versions;

	if (!n->fw.differential || src->n == 0)
		return OK;
	if (src->n > 1)
		return refuse(n, ERR_SRC_VERSION_ONE, NULL);
	return strcmp(src->v[0], n->fw.src_version) == 0 ? OK : refuse(n, ERR_JOB_SRC_VERSION, NULL);
}

/* 14. Names in a file are filtered instead (api §5.2). */
static enum err check_device_versions(struct creation *n)
{
	if (!n->fw.differential || !selects(n, "SPECIFIC") || n->in->list_url)
		return OK;
	for (size_t i = 0; i < n->n_names; i++) {
		const char *version = n->devices[i].version;

		if (!version)
			return refuse(n, ERR_DEVICE_NO_VERSION, NULL);
		/* A device that has the update already is a matter of row 15. */
		if (strcmp(version, n->fw.src_version) != 0 && strcmp(version, n->fw.dest_version) != 0)
			return refuse(n, ERR_SRC_VERSION_MISMATCH, NULL);
	}
	return OK;
}

static bool at_dest(const struct creation *n, const struct job_device *d)
{
	return d->version && strcmp(d->version, n->fw.dest_version) == 0;
}

/* 15, verification; other jobs pass over such devices (api §12 row 7). */
static enum err check_not_at_dest(struct creation *n)
{
	for (size_t i = 0; i < n->n_names; i++)
		if (at_dest(n, &n->devices[i]))
			return refuse(n, ERR_DEVICE_AT_DEST, NULL);
	return OK;
}

/* 16 */
static enum err check_gray(struct creation *n)
{
	const char *text = n->in->gray_percent;
	int64_t milli;

	if (!selects(n, "GRAY"))
		return OK;
	if (!text)
		return refuse(n, ERR_GRAY_NULL, NULL);
	if (text[0] == '-' && parse_percent(text + 1, &milli))
		return refuse(n, ERR_GRAY_RANGE, NULL);
	if (!parse_percent(text, &milli))
		return refuse(n, ERR_GRAY_FORMAT, NULL);
	if (milli < 1 || milli > 100 * 1000)
		return refuse(n, ERR_GRAY_RANGE, NULL);
	n->job.gray_text = text;
	n->job.gray_milli = milli;
	return OK;
}

/* 17 */
static enum err check_group(struct creation *n)
{
	const char *type = n->job.kind == JOB_DYNAMIC ? GROUP_DYNAMIC : GROUP_STATIC;
	struct group g;

	if (!by_group(n))
		return OK;
	if (!n->in->group_id)
		return refuse(n, ERR_GROUP_NULL, NULL);
	if (!n->in->group_type || strcmp(n->in->group_type, type) != 0)
		return refuse(n, ERR_FORMAT, "GroupType");
	TRY(store_group_find(n->c->db, n->c->account_id, n->in->group_id, type, &g));
	TRY(store_group_hold(n->c->db, g.id));
	n->job.group_id = g.id;
	return OK;
}

/* 18 */
static enum err check_schedule(struct creation *n)
{
	utc_ms at = n->in->schedule_ms.v, now = n->c->now;

	if (!n->in->schedule_ms.set)
		return OK;
	if (at <= now)
		return refuse(n, ERR_SCHEDULE_PAST, NULL);
	if (at < now + SCHEDULE_MIN_MS)
		return refuse(n, ERR_SCHEDULE_SOON, NULL);
	if (at > now + SCHEDULE_MAX_MS)
		return refuse(n, ERR_SCHEDULE_LATE, NULL);
	n->job.schedule_ms = at;
	return OK;
}

/* 19. Without a schedule the start is now (rules §3). */
static enum err check_finish(struct creation *n)
{
	utc_ms at = n->in->finish_ms.v, start = n->job.schedule_ms ? n->job.schedule_ms : n->c->now;

	if (!n->in->finish_ms.set)
		return OK;
	if (at <= start)
		return refuse(n, ERR_FINISH_BEFORE, NULL);
	if (at < start + FINISH_MIN_MS)
		return refuse(n, ERR_FINISH_EARLY, NULL);
	if (at > start + FINISH_MAX_MS)
		return refuse(n, ERR_FINISH_LATE, NULL);
	n->job.finish_ms = at;
	return OK;
}

/* 20 */
static enum err check_retry(struct creation *n)
{
	const struct opt_int *interval = &n->in->retry_interval, *count = &n->in->retry_count;

	TRY(field(n, "RetryInterval"));
	TRY(field(n, "RetryCount"));
	if (interval->set && !count->set)
		return refuse(n, ERR_RETRY_COUNT, NULL);
	if (count->set && !interval->set)
		return refuse(n, ERR_RETRY_INTERVAL, NULL);
	if (!interval->set)
		return OK;
	if (n->c->limits.retry_below_timeout && n->in->timeout_min.set && interval->v >= n->in->timeout_min.v)
		return refuse(n, ERR_RETRY_INTERVAL, NULL);
	n->job.retry_interval_min = interval->v;
	n->job.retry_count = count->v;
	return OK;
}

/* 21 */
static enum err check_timeout(struct creation *n)
{
	TRY(field(n, "TimeoutInMinutes"));
	if (n->in->timeout_min.set)
		n->job.timeout_min = n->in->timeout_min.v;
	return OK;
}

/* 22 */
static enum err check_rate(struct creation *n)
{
	const struct opt_int *rate = &n->in->max_per_minute;
	const struct limits *l = &n->c->limits;

	if (!rate->set)
		return OK;
	if (rate->v < l->max_per_minute_min || rate->v > l->max_per_minute_max)
		return refuse(n, ERR_MAX_PER_MINUTE, NULL);
	n->job.max_per_minute = rate->v;
	return OK;
}

/* 23 */
static enum err check_overwrite(struct creation *n)
{
	TRY(field(n, "OverwriteMode"));
	n->job.multi_module = n->in->multi_module.v;
	if (n->in->overwrite_mode.set)
		n->job.overwrite_mode = n->in->overwrite_mode.v;
	if (n->job.multi_module && n->job.overwrite_mode == 2)
		return refuse(n, ERR_OVERWRITE_MODE, NULL);
	if (n->job.kind == JOB_DYNAMIC && n->job.group_id != JOB_UNSET)
		return store_strategy_modes(n->c->db, n->job.group_id, n->job.multi_module,
					    n->job.overwrite_mode);
	return OK;
}

/* 24 */
static enum err check_dynamic_mode(struct creation *n)
{
	TRY(field(n, "DynamicMode"));
	n->job.dynamic_mode = n->in->dynamic_mode.set ? n->in->dynamic_mode.v : DYNAMIC_ALL;
	return OK;
}

/* 25 */
static enum err check_download(struct creation *n)
{
	static const char param[] = "DownloadProtocol";

	TRY(field(n, param));
	n->job.download_mqtt = n->in->download_protocol && strcmp(n->in->download_protocol, "MQTT") == 0;
	if (n->job.download_mqtt && (n->fw.files != 1 || n->fw.size > MQTT_BYTES_MAX))
		return fail(n->c->error, ERR_FORMAT, "%s MQTT needs a package of one file of at most 16 MB.",
			    param);
	return OK;
}

static enum err tag_check(struct creation *n, const struct tag_in *t, size_t i, size_t *total)
{
	struct arena *a = n->c->arena;
	size_t chars;

	if (!t->key || !text_is_tag_key(t->key))
		return refuse(n, ERR_FORMAT, arena_printf(a, "%s.%zu.Key", n->tag_param, i + 1));
	chars = t->value ? utf8_count(t->value) : 0;
	if (chars < 1 || (int64_t)chars > n->c->limits.tag_value)
		return refuse(n, ERR_FORMAT, arena_printf(a, "%s.%zu.Value", n->tag_param, i + 1));
	*total += strlen(t->key) + chars;
	return OK;
}

/* 26 */
static enum err check_tags(struct creation *n)
{
	const struct tag_in *tags = n->in->tags.v;
	size_t total = 0, count = n->in->tags.n;
	const char **keys, **values;

	if (count > (size_t)n->c->limits.tags)
		return refuse(n, ERR_FORMAT, n->tag_param);
	keys = ARENA_ARRAY(n->c->arena, count, const char *);
	values = ARENA_ARRAY(n->c->arena, count, const char *);
	for (size_t i = 0; i < count; i++) {
		TRY(tag_check(n, &tags[i], i, &total));
		keys[i] = tags[i].key;
		values[i] = tags[i].value;
	}
	if (n->c->limits.tag_total > 0 && (int64_t)total > n->c->limits.tag_total)
		return refuse(n, ERR_FORMAT, n->tag_param);
	if (devicelist_duplicate(n->c->arena, keys, count))
		return refuse(n, ERR_TAG_DUPLICATED, NULL);
	n->job.tag_keys = keys;
	n->job.tag_values = values;
	n->job.n_tags = count;
	return OK;
}

/* 27 */
static enum err check_no_strategy(struct creation *n)
{
	return store_strategy_none(n->c->db, n->fw.id);
}

/* 28. Devices that will lose a conflict count. */
static enum err check_candidate(struct creation *n)
{
	if (!selects(n, "SPECIFIC"))
		return store_job_candidate(n->c->db, &n->job, &n->fw);
	for (size_t i = 0; i < n->n_names; i++) {
		const struct job_device *d = &n->devices[i];

		if (!d->disabled && !at_dest(n, d) &&
		    (!n->fw.differential || (d->version && strcmp(d->version, n->fw.src_version) == 0)))
			return OK;
	}
	return refuse(n, ERR_NO_DEVICE, NULL);
}

/* NULL ends a list. */
static enum err (*const upgrade_checks[])(struct creation *) = {
	check_package,	 check_product, check_verified,	    check_selection,	check_targets,
	check_names,	 check_devices, check_src_versions, check_differential, check_device_versions,
	check_gray,	 check_group,	check_schedule,	    check_finish,	check_retry,
	check_timeout,	 check_rate,	check_overwrite,    check_download,	check_tags,
	check_candidate, NULL,
};
static enum err (*const verify_checks[])(struct creation *) = {
	check_package,	   check_product,   check_verifiable,
	check_names,	   check_devices,   check_device_versions,
	check_not_at_dest, check_timeout,   check_download,
	check_tags,	   check_candidate, NULL,
};
static enum err (*const dynamic_checks[])(struct creation *) = {
	check_package,		 check_product,	 check_verified,
	check_selection_dynamic, check_by_what,	 check_src_versions,
	check_differential,	 check_group,	 check_retry,
	check_timeout,		 check_rate,	 check_overwrite,
	check_dynamic_mode,	 check_download, check_tags,
	check_no_strategy,	 NULL,
};
static enum err (*const *const checks[])(struct creation *) = {
	[JOB_VERIFY] = verify_checks, [JOB_STATIC] = upgrade_checks, [JOB_DYNAMIC] = dynamic_checks
};

enum err job_check(struct call *c, const struct job_in *in, enum job_kind kind, struct job *ret)
{
	enum err (*const *check)(struct creation *) = checks[kind];
	struct creation n = {
		.c = c,
		.in = in,
		.src_param = "SrcVersion",
		.tag_param = "Tag",
		.job = { .account_id = c->account_id,
			 .kind = kind,
			 .selection = kind == JOB_DYNAMIC ? "ALL" : "SPECIFIC",
			 .gray_milli = JOB_UNSET,
			 .group_id = JOB_UNSET,
			 .dynamic_mode = JOB_UNSET,
			 .retry_interval_min = JOB_UNSET,
			 .retry_count = JOB_UNSET,
			 .timeout_min = JOB_UNSET,
			 .max_per_minute = c->limits.max_per_minute_default,
			 .overwrite_mode = 1,
			 .need_push = !in->need_push.set || in->need_push.v,
			 .need_confirm = in->need_confirm.v,
			 .created_ms = c->now,
			 .modified_ms = c->now },
	};

	for (; *check; check++)
		TRY((*check)(&n));
	*ret = n.job;
	return OK;
}

/* ---- UpdateOTAJob (api §5.4) ---- */

static enum err check_update_kind(struct creation *n)
{
	const char *type = n->job.kind == JOB_DYNAMIC ? "DYNAMIC" : "STATIC";

	if (strcmp(n->in->upgrade_type, type) != 0)
		return refuse(n, ERR_SELECTION_TYPE, NULL);
	if (strcmp(n->in->target_selection, n->job.selection) != 0)
		return fail(n->c->error, ERR_TARGET_SELECTION, "TargetSelection must be the job's: %s.",
			    n->job.selection);
	return OK;
}

static enum err check_update_status(struct creation *n)
{
	if (n->old->status == JOB_CANCELED)
		return refuse(n, ERR_JOB_CANCELED, NULL);
	if (n->old->status != JOB_IN_PROGRESS)
		return fail(n->c->error, ERR_JOB_ID,
			    "Only a job that is IN_PROGRESS can be changed: this one is %s.",
			    job_status_name(n->old->status));
	return OK;
}

static enum err check_update_src_versions(struct creation *n)
{
	if (n->in->src_versions.n > 0 && (n->job.kind != JOB_DYNAMIC || n->old->group_id))
		return refuse(n, ERR_SRC_VERSIONS_NOT_ALLOWED, NULL);
	TRY(store_job_firmware(n->c->db, n->c->account_id, n->job.firmware_id, false, &n->fw));
	TRY(check_src_versions(n));
	return check_differential(n);
}

/* The limit of a static job stays what it was. */
static enum err check_update_timeout(struct creation *n)
{
	int64_t before = n->job.timeout_min;

	TRY(check_timeout(n));
	if (n->job.kind != JOB_DYNAMIC)
		n->job.timeout_min = before;
	if (n->c->limits.retry_below_timeout && n->job.timeout_min != JOB_UNSET &&
	    n->job.retry_interval_min >= n->job.timeout_min)
		return refuse(n, ERR_TIMEOUT, NULL);
	return OK;
}

static enum err (*const update_checks[])(struct creation *) = {
	check_update_kind,
	check_update_status,
	check_update_src_versions,
	check_update_timeout,
	check_rate,
	check_tags,
	NULL,
};

enum err job_check_update(struct call *c, const struct job_in *in, const struct job_view *old,
			  struct job *ret)
{
	struct creation n = {
		.c = c,
		.in = in,
		.src_param = "SrcVersionList",
		.tag_param = "Tags",
		.old = old,
		.job = old->job,
	};

	n.job.modified_ms = c->now;
	for (enum err (*const *check)(struct creation *) = update_checks; *check; check++)
		TRY((*check)(&n));
	*ret = n.job;
	return OK;
}
