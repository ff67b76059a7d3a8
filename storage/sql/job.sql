-- Jobs for the management API; see storage/job.h. Status and state numbers are those of engine/states.def.

-- name: job_firmware
-- in: bigint bigint
-- out: product_id type src_version dest_version module status files size
-- The package of a new job. KEY SHARE keeps it from being deleted (which takes FOR UPDATE) until the job is there.
select f.product_id, f.type, f.src_version, f.dest_version, f.module, f.status,
       (select count(*) from firmware_file x where x.firmware_id = f.id) as files,
       (select coalesce(sum(x.size), 0)::bigint from firmware_file x where x.firmware_id = f.id) as size
from firmware f where f.id = $1::bigint and f.account_id = $2::bigint and f.deleted_ms is null
for key share of f;

-- name: job_firmware_alone
-- in: bigint bigint
-- out: product_id type src_version dest_version module status files size
-- The same for a verification or a dynamic job, of which a package has one at a time.
select f.product_id, f.type, f.src_version, f.dest_version, f.module, f.status,
       (select count(*) from firmware_file x where x.firmware_id = f.id) as files,
       (select coalesce(sum(x.size), 0)::bigint from firmware_file x where x.firmware_id = f.id) as size
from firmware f where f.id = $1::bigint and f.account_id = $2::bigint and f.deleted_ms is null
for no key update of f;

-- name: job_named_devices
-- in: bigint text[] text
-- out: id disabled version
-- Devices of product $1 by name, in id order, with the version that they have of module $3.
select d.id, d.disabled, m.version
from unnest($2::text[]) as n(name)
join device d on d.product_id = $1::bigint and d.name = n.name
left join device_module m on m.device_id = d.id and m.module = $3::text
order by d.id;

-- name: job_unknown_name
-- in: bigint text[]
-- out: name
select n.name from unnest($2::text[]) as n(name)
where not exists (select from device d where d.product_id = $1::bigint and d.name = n.name) limit 1;

-- name: job_candidate_near
-- in: bigint text text text[] text bigint
-- out: id
-- A device of product $1 that an ALL or GRAY job of module $2 would update to $3: of one of the versions $4
-- ('{}': any), and for a differential package of exactly $5 (null: a full one). Looks at the first 500 devices
-- only, one by one: a few milliseconds, and nearly always enough.
select d.id
from (
	select id from device
	where product_id = $1::bigint and not disabled and ms_past(created_ms, $6::bigint) <= $6
	order by name limit 500
) d cross join lateral (
	select (select m.version from device_module m where m.device_id = d.id and m.module = $2::text) as version offset 0
) v
where v.version is distinct from $3::text
  and ($4::text[] = '{}' or v.version = any ($4))
  and ($5::text is null or v.version = $5)
limit 1;

-- name: job_candidate
-- in: bigint text text text[] text bigint
-- out: id
-- The same among all devices of the product, as a join.
select d.id
from device d left join device_module m on m.device_id = d.id and m.module = $2::text
where d.product_id = $1::bigint and not d.disabled and ms_past(d.created_ms, $6::bigint) <= $6
  and m.version is distinct from $3::text
  and ($4::text[] = '{}' or m.version = any ($4))
  and ($5::text is null or m.version = $5)
limit 1;

-- name: job_group_candidate
-- in: bigint text text text bigint bigint
-- out: id
-- The same for a GROUP job: devices of group $5, of the groups above it and of those below it.
select d.id
from device_group_member x
join device d on d.id = x.device_id
left join device_module m on m.device_id = d.id and m.module = $2::text
where x.group_id in (select device_group_family($5::bigint))
  and d.product_id = $1::bigint and not d.disabled and ms_past(d.created_ms, $6::bigint) <= $6
  and m.version is distinct from $3::text and ($4::text is null or m.version = $4)
limit 1;

-- name: job_insert
-- in: bigint bigint bigint smallint text text[] int text bigint smallint bigint bigint int int int int smallint bool bool bool bool text[] text[] bigint
-- out: id
insert into job (account_id, product_id, firmware_id, kind, target_selection, src_versions, gray_milli, gray_text,
	group_id, dynamic_mode, schedule_ms, finish_ms, retry_interval, retry_count, timeout_min, max_per_minute,
	overwrite_mode, need_push, need_confirm, download_mqtt, multi_module, tag_keys, tag_values, created_ms, modified_ms)
values ($1::bigint, $2::bigint, $3::bigint, $4::smallint, $5::text, $6::text[], $7::int, $8::text,
	$9::bigint, $10::smallint, $11::bigint, $12::bigint, $13::int, $14::int, $15::int, $16::int,
	$17::smallint, $18::bool, $19::bool, $20::bool, $21::bool, $22::text[], $23::text[], $24::bigint, $24)
returning id;

-- name: job_start
-- in: bigint smallint int bigint bigint bigint bigint[] smallint
-- out: 
-- What goes with job $1: its run in status $2 with $3 pushes a minute, made at $4; timers for the start $5 and
-- the finish $6 (null: none); the devices $7 of a SPECIFIC job (null: not SPECIFIC); $8: how far its tasks are made.
with run as (
	insert into job_run (job_id, status, making, max_per_minute, started_ms, modified_ms)
	values ($1::bigint, $2::smallint, $8::smallint, $3::int, case when $5::bigint is null then $4::bigint end, $4)
), live as (
	insert into live_job (job_id) values ($1)
), choosing as (
	insert into job_choosing (job_id, created_ms) select $1, $4 where $8 = 1
), timers as (
	insert into timer (due_ms, job_id, seq, kind)
	select u.due_ms, $1, 0, u.kind from (values ($5, 4::smallint), ($6::bigint, 5::smallint)) as u(due_ms, kind)
	where u.due_ms is not null
)
insert into job_target (job_id, device_ids) select $1, $7::bigint[] where $7 is not null;

-- name: job_update
-- in: bigint text[] int int text[] text[] bigint
-- out: 
-- New source versions may match devices that have been there all the time.
with changed as (
	update job set src_versions = $2::text[], timeout_min = $3::int, tag_keys = $5::text[], tag_values = $6::text[],
		modified_ms = $7::bigint
	where id = $1::bigint
	returning id
), swept as (
	update strategy set sweep_ms = 0
	where job_id = $1 and (select j.src_versions from job j where j.id = $1) <> $2
)
update job_run r set max_per_minute = $4::int, settings_no = settings_no + 1, modified_ms = $7
from changed where r.job_id = changed.id;

-- name: job_verifying
-- in: bigint bigint
-- out: 
update firmware set status = 2, modified_ms = $2::bigint where id = $1::bigint;

-- name: job_get
-- in: bigint[] bigint[]
-- out: id account_id product_id firmware_id kind target_selection src_versions gray_milli gray_text dynamic_mode schedule_ms finish_ms retry_interval retry_count timeout_min created_max overwrite_mode need_push need_confirm download_mqtt multi_module tag_keys tag_values created_ms modified_ms status max_per_minute started_ms ended_ms product_key product_name firmware_name dest_version module group_id group_name no
-- For storage/gather.h. Each pair is looked up by its key, whatever the tables hold. The arrays stand in selects of their
-- own so that the planner does not count them: it would plan anew for every number of pairs.
select s.*, w.no
from unnest((select $1::bigint[]), (select $2::bigint[])) with ordinality as w(id, account_id, no)
cross join lateral (select * from job_shown where id = w.id and account_id = w.account_id offset 0) s;

-- name: job_page
-- in: bigint bigint bigint
-- out: id account_id product_id firmware_id kind target_selection src_versions gray_milli gray_text dynamic_mode schedule_ms finish_ms retry_interval retry_count timeout_min created_max overwrite_mode need_push need_confirm download_mqtt multi_module tag_keys tag_values created_ms modified_ms status max_per_minute started_ms ended_ms product_key product_name firmware_name dest_version module group_id group_name
select * from job_shown where firmware_id = $1::bigint
order by id desc offset $2::bigint limit $3::bigint;

-- name: job_count
-- in: bigint
-- out: n
select count(*) as n from job where firmware_id = $1::bigint;

-- name: job_page_device
-- in: bigint bigint bigint bigint
-- out: id account_id product_id firmware_id kind target_selection src_versions gray_milli gray_text dynamic_mode schedule_ms finish_ms retry_interval retry_count timeout_min created_max overwrite_mode need_push need_confirm download_mqtt multi_module tag_keys tag_values created_ms modified_ms status max_per_minute started_ms ended_ms product_key product_name firmware_name dest_version module group_id group_name
-- Those that have a task of device $4.
select s.* from job_shown s
where s.firmware_id = $1::bigint
  and exists (select from task_of(s.id, $4::bigint))
order by s.id desc offset $2::bigint limit $3::bigint;

-- name: job_count_device
-- in: bigint bigint
-- out: n
select count(*) as n from job j
where j.firmware_id = $1::bigint
  and exists (select from task_of(j.id, $2::bigint));

-- name: job_now
-- in: bigint
-- out: status making n_confirm n_queued n_notified n_in_progress n_succeeded n_failed n_canceled
select status, making, n_confirm, n_queued, n_notified, n_in_progress, n_succeeded, n_failed, n_canceled
from job_run where job_id = $1::bigint;

-- name: job_order_add
-- in: bigint int text bigint
-- out: 
-- Bulk order: tasks in a state of mask $2 count as CANCELED from here on; never before the job's last move.
with run as (
	update job_run set order_no = order_no + 1, modified_ms = greatest($4::bigint, ms_past(modified_ms, $4)),
		n_canceled = n_canceled + case when $2::int & 2 = 0 then 0 else n_confirm end
			+ case when $2 & 4 = 0 then 0 else n_queued end + case when $2 & 8 = 0 then 0 else n_notified end
			+ case when $2 & 16 = 0 then 0 else n_in_progress end,
		n_confirm = case when $2 & 2 = 0 then n_confirm else 0 end,
		n_queued = case when $2 & 4 = 0 then n_queued else 0 end,
		n_notified = case when $2 & 8 = 0 then n_notified else 0 end,
		n_in_progress = case when $2 & 16 = 0 then n_in_progress else 0 end
	where job_id = $1::bigint
	returning order_no, modified_ms
)
insert into job_order (job_id, no, state_mask, reason, at_ms) select $1, order_no, $2, $3::text, modified_ms from run;

-- name: job_end_planned
-- in: bigint bigint
-- out: 
-- A job that has not started is canceled as a whole; what is not made yet is made CANCELED.
with run as (
	update job_run set status = 4, ended_ms = $2::bigint, modified_ms = $2
	where job_id = $1::bigint and status = 1
	returning job_id, making
)
delete from live_job l using run where l.job_id = run.job_id and run.making = 3;

-- name: job_in_flight
-- in: bigint[]
-- out: in_flight epoch lease_ms
-- lease_ms grows as long as the engine of this epoch lives.
select exists (select from push_batch where acked_ms is null and job_ids && $1::bigint[]) as in_flight,
       coalesce(max(epoch), 0) as epoch, coalesce(max(until_ms), 0) as lease_ms
from engine_lease;
