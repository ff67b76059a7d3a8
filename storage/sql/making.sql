-- Making the tasks of a job: choosing the candidates in one statement, deciding conflicts in chunks.
-- State numbers are those of engine/states.def: 1 CONFIRM, 2 QUEUED, 6 FAILED, 7 CANCELED.

-- name: making_next
-- in: bigint
-- out: job_id product_id making made_seq chosen selection need_confirm overwrite_mode multi_module module firmware_id created_ms
-- The oldest job above $1 whose tasks are not all made; jobs are made in the order of their creation.
select r.job_id, j.product_id, r.making, r.made_seq, r.chosen,
       case when j.kind = 3 and j.group_id is not null then 'DYNAMIC GROUP' else j.target_selection end as selection, j.need_confirm,
       j.overwrite_mode, j.multi_module, f.module, j.firmware_id, j.created_ms
from job_run r
join live_job l on l.job_id = r.job_id
join job j on j.id = r.job_id
join firmware f on f.id = j.firmware_id
where r.making < 3 and r.job_id > $1::bigint
order by r.job_id limit 1;

-- name: making_room
-- in: bigint
-- out: set first_device last_device
-- A million devices are joined and ranked in memory (128 MiB each) instead of on disk: to the end of the transaction. The ids
-- of product $1's devices lie between these.
select set_config('work_mem', '128MB', true) as set,
       coalesce((select min(id) from device where product_id = $1::bigint), 0) as first_device,
       coalesce((select max(id) from device where product_id = $1), 0) as last_device;

-- The candidates of job $1, of product $2 and module $3, created at $4, chosen at $5, with ids from $6 to $7, as rows in the
-- order of their devices (task_of).

-- name: making_choose_all
-- in: bigint bigint text bigint bigint bigint bigint
-- out:
-- ALL, and what matches a dynamic job (kind 3) by its version.
insert into task (job_id, seq, device_id, state, timeout_min, src_version, created_ms, modified_ms, dynamic)
select j.id, row_number() over (order by c.device_id), c.device_id, case when j.need_confirm then 1 else 2 end,
       coalesce(j.timeout_min, 0), c.version, j.created_ms, j.created_ms, nullif(j.kind = 3, false)
from job j cross join job_candidate($1::bigint, $2::bigint, $3::text, $4::bigint, $5::bigint, $6::bigint, $7::bigint) c
where j.id = $1;

-- name: making_choose_gray
-- in: bigint bigint text bigint bigint bigint bigint bytea
-- out:
-- GRAY: the share of the candidates with the smallest SHA-256(FirmwareId, NUL, DeviceName), first 8 bytes; $8 is what
-- stands before the name: repeatable, and a larger percentage contains the smaller one (rules §3). Exact, at least one.
with ranked as (
	select c.device_id, c.version, count(*) over () as n, row_number() over (
		order by substring(sha256($8::bytea || convert_to(c.name, 'UTF8')) for 8), c.device_id) as rank
	from job_candidate($1::bigint, $2::bigint, $3::text, $4::bigint, $5::bigint, $6::bigint, $7::bigint) c
)
insert into task (job_id, seq, device_id, state, timeout_min, src_version, created_ms, modified_ms)
select j.id, row_number() over (order by c.device_id), c.device_id, case when j.need_confirm then 1 else 2 end,
       coalesce(j.timeout_min, 0), c.version, j.created_ms, j.created_ms
from job j cross join ranked c
where j.id = $1 and c.rank <= greatest(c.n * j.gray_milli / 100000, 1);

-- name: making_choose_listed
-- in: bigint bigint text bigint bigint bigint bigint
-- out:
-- SPECIFIC: the devices that were named.
insert into task (job_id, seq, device_id, state, timeout_min, src_version, created_ms, modified_ms)
select j.id, row_number() over (order by c.device_id), c.device_id, case when j.need_confirm then 1 else 2 end,
       coalesce(j.timeout_min, 0), c.version, j.created_ms, j.created_ms
from job j
join job_target g on g.job_id = j.id
cross join lateral unnest(g.device_ids) as named(id)
join job_candidate($1::bigint, $2::bigint, $3::text, $4::bigint, $5::bigint, $6::bigint, $7::bigint) c on c.device_id = named.id
where j.id = $1;

-- name: making_choose_group
-- in: bigint bigint text bigint bigint bigint bigint
-- out:
-- GROUP: the devices of the group, of the groups above it and of those below it.
with member as (
	select distinct m.device_id
	from job j join device_group_member m on m.group_id in (select device_group_family(j.group_id))
	where j.id = $1
)
insert into task (job_id, seq, device_id, state, timeout_min, src_version, created_ms, modified_ms)
select j.id, row_number() over (order by c.device_id), c.device_id, case when j.need_confirm then 1 else 2 end,
       coalesce(j.timeout_min, 0), c.version, j.created_ms, j.created_ms
from job j
cross join member
join job_candidate($1::bigint, $2::bigint, $3::text, $4::bigint, $5::bigint, $6::bigint, $7::bigint) c on c.device_id = member.device_id
where j.id = $1;

-- name: making_choose_dynamic_group
-- in: bigint bigint text bigint bigint bigint bigint
-- out:
-- A dynamic job by group: the members of now.
with member as (
	select v.device_id from job j join device_group_device v on v.group_id = j.group_id where j.id = $1
)
insert into task (job_id, seq, device_id, state, timeout_min, src_version, created_ms, modified_ms, dynamic)
select j.id, row_number() over (order by c.device_id), c.device_id, case when j.need_confirm then 1 else 2 end,
       coalesce(j.timeout_min, 0), c.version, j.created_ms, j.created_ms, true
from job j
cross join member
join job_candidate($1::bigint, $2::bigint, $3::text, $4::bigint, $5::bigint, $6::bigint, $7::bigint) c on c.device_id = member.device_id
where j.id = $1;

-- name: making_chosen
-- in: bigint int bigint
-- out:
-- The candidates are written: $2 rows. Only while nobody ended the job meanwhile. Versions that no other job may be
-- judged by go.
with done as (
	delete from job_choosing where job_id = $1
), forgotten as (
	delete from version_before where not exists (
		select from job_choosing c where c.job_id <> $1 and c.created_ms < until_ms)
)
update job_run set chosen = $2::int, making = 2, modified_ms = $3::bigint where job_id = $1::bigint and making = 1;

-- name: making_between
-- in: bigint int int
-- out: held
-- Whether a device between those of tasks $2+1 and $3 of job $1, which are in the order of their devices, is held: mostly
-- none is. The first one is asked for, not whether there is any: one that may be anywhere is looked for in the whole table.
-- (And not beyond the last: what was freed lies there until it is vacuumed, which somebody's old transaction holds up.)
select (select device_id from active_task
	where device_id >= (select device_id from task where job_id = $1::bigint and seq = $2::int + 1)
	  and device_id <= (select device_id from task where job_id = $1 and seq = $3::int)
	order by device_id limit 1) is not null as held;

-- name: making_conflict_jobs
-- in: bigint int int bool text
-- out: job_id
-- Jobs whose unfinished tasks are in the way of tasks $2+1 .. $3 of job $1. Under the product's lock this can only
-- shrink.
select distinct a.job_id
from task t join active_task a on a.device_id = t.device_id and (not $4::bool or a.module in ('', $5::text))
where t.job_id = $1::bigint and t.seq > $2::int and t.seq <= $3::int;

-- name: making_state
-- in: bigint
-- out: making made_seq order_no
select making, made_seq, order_no from job_run where job_id = $1::bigint;

-- name: making_order
-- in: bigint int
-- out: reason at_ms why
-- The first bulk order that covers tasks in the state that new ones start with.
select reason, at_ms, why from job_order
where job_id = $1::bigint and (state_mask >> $2::int) & 1 = 1
order by no limit 1;

-- name: making_conflicts
-- in: bigint int int bool text
-- out: seq device_id key other_job other_seq other_state other_desc row_state order_why other_ms
select t.seq, t.device_id, a.module as key, a.job_id as other_job, a.seq as other_seq, n.state as other_state,
       n.task_desc as other_desc, n.row_state, n.order_why, n.modified_ms as other_ms
from task t
join active_task a on a.device_id = t.device_id and (not $4::bool or a.module in ('', $5::text))
join task_now n on n.job_id = a.job_id and n.seq = a.seq
where t.job_id = $1::bigint and t.seq > $2::int and t.seq <= $3::int
order by t.seq, a.job_id;

-- name: making_end_others
-- in: bigint[] int[] text[] bigint[]
-- out:
-- Writes tasks as CANCELED: overwritten ones, and ones that a bulk order had canceled already, at its time.
update task t set state = 7, order_no = r.order_no, task_desc = u.reason, modified_ms = u.at_ms, timeout_ms = null,
	retry_ms = null, verdict_ms = null, pending_version = null
from unnest($1::bigint[], $2::int[], $3::text[], $4::bigint[]) as u(job_id, seq, reason, at_ms)
join job_run r on r.job_id = u.job_id
where t.job_id = u.job_id and t.seq = u.seq;

-- name: making_free
-- in: bigint[] text[]
-- out:
delete from active_task a using unnest($1::bigint[], $2::text[]) as u(device_id, module)
where a.device_id = u.device_id and a.module = u.module;

-- name: making_count_others
-- in: bigint[] int[] int[] int[] bigint
-- out:
-- Counters of jobs that lose $2 CONFIRM, $3 QUEUED and $4 NOTIFIED tasks to CANCELED.
update job_run r set n_confirm = r.n_confirm - u.c, n_queued = r.n_queued - u.q, n_notified = r.n_notified - u.n,
	n_canceled = r.n_canceled + u.c + u.q + u.n, modified_ms = $5::bigint
from unnest($1::bigint[], $2::int[], $3::int[], $4::int[]) as u(job_id, c, q, n)
where r.job_id = u.job_id;

-- name: making_fail
-- in: bigint int[] text[] bigint
-- out:
-- The key of the job comes with the seqs: to a planner that has never heard of a new job it has no tasks, and walking
-- through all of them for each of ours would cost nothing.
with u as materialized (
	select $1::bigint as job_id, u.seq, u.reason from unnest($2::int[], $3::text[]) as u(seq, reason)
)
update task t set state = 6, task_desc = u.reason, modified_ms = $4::bigint
from u where t.job_id = u.job_id and t.seq = u.seq;

-- name: making_cancel_chunk
-- in: bigint int int text int bigint
-- out:
update task set state = 7, task_desc = $4::text, order_no = $5::int, modified_ms = $6::bigint
where job_id = $1::bigint and seq > $2::int and seq <= $3::int;

-- name: making_activate
-- in: bigint int int text
-- out:
insert into active_task (device_id, module, job_id, seq)
select device_id, $4::text, job_id, seq from task
where job_id = $1::bigint and seq > $2::int and seq <= $3::int and state < 5
order by seq;

-- name: making_gone
-- in: bigint int int bigint text
-- out: seq
-- Tasks $2+1 .. $3 whose devices were deleted since they were chosen. Under the product's lock, which a deletion
-- takes too, this is the last word. As in making_between: mostly none between the first and the last was.
with gone as materialized (
	select t.job_id, t.seq from task t
	where t.job_id = $1::bigint and t.seq > $2::int and t.seq <= $3::int
	  and (select device_id from device_deleted
		where device_id >= (select device_id from task where job_id = $1 and seq = $2 + 1)
		  and device_id <= (select device_id from task where job_id = $1 and seq = $3)
		order by device_id limit 1) is not null
	  and exists (select from device_deleted x where x.device_id = t.device_id offset 0)
)
update task t set state = 7, task_desc = $5::text, modified_ms = $4::bigint
from gone where t.job_id = gone.job_id and t.seq = gone.seq
returning t.seq;

-- name: making_made
-- in: bigint int int int int int bool bigint
-- out:
-- Tasks up to $2 exist now: $3 in CONFIRM, $4 QUEUED, $5 FAILED, $6 CANCELED; $7: these were the last. A job that
-- was canceled before its start is over then.
with run as (
	update job_run set made_seq = $2::int, n_confirm = n_confirm + $3::int, n_queued = n_queued + $4::int,
		n_failed = n_failed + $5::int, n_canceled = n_canceled + $6::int,
		making = case when $7::bool then 3 else making end, modified_ms = $8::bigint
	where job_id = $1::bigint
	returning job_id, making, status
)
delete from live_job l using run where l.job_id = run.job_id and run.making = 3 and run.status > 2;

-- name: making_events
-- in: bigint[] bigint[] int[] int[] int[] int[] int[] text[]
-- out:
insert into task_event (at_ms, job_id, seq, to_seq, from_state, to_state, why, detail)
select u.* from unnest($1::bigint[], $2::bigint[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::text[]) as u;

-- name: order_next
-- in:
-- out: job_id no
select job_id, no from job_order where not done order by job_id, no limit 1;

-- name: order_state
-- in: bigint int
-- out: written_seq made_seq
select o.written_seq, r.made_seq
from job_order o join job_run r on r.job_id = o.job_id
where o.job_id = $1::bigint and o.no = $2::int;

-- name: order_write
-- in: bigint int int int
-- out: written
-- Writes order $2 of job $1 into the rows $3+1 .. $4 that it covers and frees their devices. As in making_fail, the key
-- of the job comes with the seqs.
with o as (
	select * from job_order where job_id = $1::bigint and no = $2::int
), hit as (
	select t.job_id, t.seq, t.device_id, t.state from task t, o
	where t.job_id = $1 and t.seq > $3::int and t.seq <= $4::int and t.order_no < o.no
	  and (o.state_mask >> t.state) & 1 = 1
), freed as (
	delete from active_task a using hit where a.device_id = hit.device_id and a.job_id = hit.job_id and a.seq = hit.seq
), logged as (
	insert into task_event (at_ms, job_id, seq, to_seq, from_state, to_state, why, detail)
	select o.at_ms, $1, hit.seq, hit.seq, hit.state, 7, o.why, o.reason
	from hit, o
), moved as (
	update task t set state = 7, order_no = o.no, task_desc = o.reason, modified_ms = o.at_ms, timeout_ms = null,
		retry_ms = null, verdict_ms = null, pending_version = null
	from hit, o where t.job_id = hit.job_id and t.seq = hit.seq
	returning 1
)
select count(*) as written from moved;

-- name: order_written
-- in: bigint int int bool
-- out:
update job_order set written_seq = $3::int, done = $4::bool where job_id = $1::bigint and no = $2::int;
