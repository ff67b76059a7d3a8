-- The engine's tick: what it reads, and what it writes back in one transaction. State numbers are those of
-- engine/states.def: 5 SUCCEEDED, 6 FAILED, 7 CANCELED.

-- ---- jobs --------------------------------------------------------------------------------------------------

-- name: tick_live_jobs
-- in:
-- out: job_id status paused tasks max_per_minute rescan_no settings_no
-- tasks: seq of the last task that exists.
select r.job_id, r.status, r.paused, r.made_seq as tasks, r.max_per_minute, r.rescan_no, r.settings_no
from live_job l join job_run r on r.job_id = l.job_id
order by r.job_id;

-- name: tick_job
-- in: bigint
-- out: kind product_key firmware_id module src_version dest_version type sign_method udi retry_interval retry_count need_push download_mqtt tag_keys tag_values settings_no
select j.kind, p.product_key, f.id as firmware_id, f.module, f.src_version, f.dest_version, f.type, f.sign_method, f.udi,
       j.retry_interval, j.retry_count, j.need_push, j.download_mqtt, j.tag_keys, j.tag_values, r.settings_no
from job j
join job_run r on r.job_id = j.id
join product p on p.id = j.product_id
join firmware f on f.id = j.firmware_id
where j.id = $1::bigint;

-- name: tick_job_files
-- in: bigint
-- out: n object_key name size md5 sha256
select n, object_key, name, size, md5, sha256 from firmware_file where firmware_id = $1::bigint order by n;

-- ---- devices -----------------------------------------------------------------------------------------------

-- name: tick_devices
-- in: text[] text[]
-- out: product_key name device_id
-- The offset keeps the subquery whole: a join that is planned while the table is empty reads all devices of the product
-- for each name, until the plan is made anew.
select p.product_key, d.name, d.id as device_id
from unnest($1::text[], $2::text[]) as u(product_key, name)
join product p on p.product_key = u.product_key
cross join lateral (select name, id from device where product_id = p.id and name = u.name offset 0) d;

-- name: tick_active
-- in: bigint[]
-- out: device_id module job_id seq state
-- The unfinished tasks of these devices, each once however often its device is named.
select a.device_id, a.module, a.job_id, a.seq, t.state
from active_task a join task t on t.job_id = a.job_id and t.seq = a.seq
where a.device_id = any ($1::bigint[])
order by a.device_id, a.module;

-- ---- feeding -----------------------------------------------------------------------------------------------

-- name: tick_walk
-- in: bigint int int int
-- out: seq device_id state push_conn push_ms repushes retry_ms
-- Tasks that can be pushed, of the $4 rows of job $1 behind $2, not above $3.
select t.seq, t.device_id, t.state, t.push_conn, t.push_ms, t.repushes, t.retry_ms
from task t
where t.job_id = $1::bigint and t.seq > $2::int and t.seq <= $3::int and t.seq <= $2 + $4::int and t.state in (2, 3, 4)
order by t.seq;

-- name: tick_timers
-- in: bigint bigint int
-- out: due_ms job_id seq kind
-- Due from $1 to $2. What fired before $1 need not be read again: it lies in the index until it is vacuumed.
select due_ms, job_id, seq, kind from timer where due_ms >= $1::bigint and due_ms <= $2::bigint
order by due_ms, job_id, seq, kind limit $3::int;

-- ---- under the jobs' locks ----------------------------------------------------------------------------------

-- name: tick_lock_free
-- in: bigint[]
-- out: job_id
-- Those of the jobs whose lock is to be had at once.
select job_id from job_run where job_id = any ($1::bigint[]) order by job_id for no key update skip locked;

-- name: tick_runs
-- in: bigint[]
-- out: job_id status paused tasks order_no max_per_minute settings_no
select job_id, status, paused, made_seq as tasks, order_no, max_per_minute, settings_no
from job_run where job_id = any ($1::bigint[]) order by job_id;

-- name: tick_orders
-- in: bigint[]
-- out: job_id no state_mask reason why at_ms
select job_id, no, state_mask, reason, why, at_ms from job_order where job_id = any ($1::bigint[]) order by job_id, no;

-- name: tick_tasks
-- in: bigint[] int[]
-- out: job_id seq device_id state order_no progress retries pushes repushes timeout_min push_conn push_ms timeout_ms retry_ms verdict_ms pending_version fail_ms fail_desc src_version task_desc modified_ms
select t.job_id, t.seq, t.device_id, t.state, t.order_no, t.progress, t.retries, t.pushes, t.repushes, t.timeout_min, t.push_conn,
       t.push_ms, t.timeout_ms, t.retry_ms, t.verdict_ms, t.pending_version, t.fail_ms, t.fail_desc, t.src_version, t.task_desc,
       t.modified_ms
from unnest($1::bigint[], $2::int[]) as u(job_id, seq)
join task t on t.job_id = u.job_id and t.seq = u.seq
order by t.job_id, t.seq;

-- ---- writing back -------------------------------------------------------------------------------------------

-- name: tick_write_numbers
-- in: bigint[] int[] smallint[] int[] smallint[] smallint[] int[] smallint[] bigint[] bigint[] bigint[] bigint[] bigint[] bigint[] bigint[]
-- out:
-- Tasks whose texts are as they were: nearly all.
update task t set state = u.state, order_no = u.order_no, progress = u.progress, retries = u.retries, pushes = u.pushes,
	repushes = u.repushes, push_conn = u.push_conn, push_ms = u.push_ms, timeout_ms = nullif(u.timeout_ms, 0),
	retry_ms = nullif(u.retry_ms, 0), verdict_ms = nullif(u.verdict_ms, 0), fail_ms = u.fail_ms, modified_ms = u.modified_ms
from unnest($1::bigint[], $2::int[], $3::smallint[], $4::int[], $5::smallint[], $6::smallint[], $7::int[], $8::smallint[],
	    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
	as u(job_id, seq, state, order_no, progress, retries, pushes, repushes, push_conn, push_ms, timeout_ms, retry_ms,
	     verdict_ms, fail_ms, modified_ms)
where t.job_id = u.job_id and t.seq = u.seq;

-- name: tick_write_tasks
-- in: bigint[] int[] smallint[] int[] smallint[] smallint[] int[] smallint[] bigint[] bigint[] bigint[] bigint[] bigint[] bigint[] bigint[] text[] text[] text[] text[]
-- out:
update task t set state = u.state, order_no = u.order_no, progress = u.progress, retries = u.retries, pushes = u.pushes,
	repushes = u.repushes, push_conn = u.push_conn, push_ms = u.push_ms, timeout_ms = nullif(u.timeout_ms, 0),
	retry_ms = nullif(u.retry_ms, 0), verdict_ms = nullif(u.verdict_ms, 0), fail_ms = u.fail_ms,
	modified_ms = u.modified_ms, pending_version = u.pending_version, fail_desc = u.fail_desc,
	src_version = u.src_version, task_desc = u.task_desc
from unnest($1::bigint[], $2::int[], $3::smallint[], $4::int[], $5::smallint[], $6::smallint[], $7::int[], $8::smallint[],
	    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::text[],
	    $17::text[], $18::text[], $19::text[])
	as u(job_id, seq, state, order_no, progress, retries, pushes, repushes, push_conn, push_ms, timeout_ms, retry_ms,
	     verdict_ms, fail_ms, modified_ms, pending_version, fail_desc, src_version, task_desc)
where t.job_id = u.job_id and t.seq = u.seq;

-- name: tick_free_devices
-- in: bigint[] bigint[] int[]
-- out:
delete from active_task a using unnest($1::bigint[], $2::bigint[], $3::int[]) as u(device_id, job_id, seq)
where a.device_id = u.device_id and a.job_id = u.job_id and a.seq = u.seq;

-- name: tick_set_timers
-- in: bigint[] bigint[] int[] smallint[]
-- out:
insert into timer (due_ms, job_id, seq, kind)
select * from unnest($1::bigint[], $2::bigint[], $3::int[], $4::smallint[])
on conflict do nothing;

-- name: tick_drop_timers
-- in: bigint[] bigint[] int[] smallint[]
-- out:
delete from timer t using unnest($1::bigint[], $2::bigint[], $3::int[], $4::smallint[]) as u(due_ms, job_id, seq, kind)
where t.due_ms = u.due_ms and t.job_id = u.job_id and t.seq = u.seq and t.kind = u.kind;

-- name: tick_count
-- in: bigint[] int[] int[] int[] int[] int[] int[] int[] bigint
-- out:
update job_run r set n_confirm = r.n_confirm + u.confirm, n_queued = r.n_queued + u.queued,
	n_notified = r.n_notified + u.notified, n_in_progress = r.n_in_progress + u.in_progress,
	n_succeeded = r.n_succeeded + u.succeeded, n_failed = r.n_failed + u.failed, n_canceled = r.n_canceled + u.canceled,
	modified_ms = $9::bigint
from unnest($1::bigint[], $2::int[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[])
	as u(job_id, confirm, queued, notified, in_progress, succeeded, failed, canceled)
where r.job_id = u.job_id;

-- name: tick_log
-- in: bigint[] bigint[] int[] smallint[] smallint[] text[] smallint[]
-- out:
insert into task_event (at_ms, job_id, seq, to_seq, from_state, to_state, why, detail)
select at_ms, job_id, seq, seq, from_state, to_state, why, detail
from unnest($1::bigint[], $2::bigint[], $3::int[], $4::smallint[], $5::smallint[], $6::text[], $7::smallint[])
	as u(at_ms, job_id, seq, to_state, why, detail, from_state);

-- name: tick_tell
-- in: bigint[] bigint[] int[] smallint[] smallint[] text[]
-- out:
-- Success and failure are notified. 9: timeout.
insert into notice (kind, at_ms, account_id, job_id, seq, status, detail)
select 1, m.at_ms, j.account_id, m.job_id, m.seq, m.to_state,
       case when m.to_state = 5 then 'success' when m.why = 9 then 'timeout' else coalesce(m.detail, '') end
from unnest($1::bigint[], $2::bigint[], $3::int[], $4::smallint[], $5::smallint[], $6::text[])
	as m(at_ms, job_id, seq, to_state, why, detail)
join job j on j.id = m.job_id
where exists (select from service_account a where a.account_id = j.account_id and not a.disabled)
order by m.at_ms;

-- name: tick_versions
-- in: bigint[] text[] text[] bigint[] bigint text bigint[] bigint
-- out:
-- A version is written only when it differs from the stored one, $6 only where there is none, those reported before $8
-- only when they are newer than the stored one; devices that are gone are left out. Those that a strategy may match by
-- this report, last heard at $7, are to be looked at; a change is notified, and the version that it makes forgotten is
-- kept where a job may be judged by it.
with reported as materialized (
	select d.id, d.product_id, u.module, u.version, u.reported_ms, u.heard_ms
	from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $7::bigint[])
		as u(device_id, module, version, reported_ms, heard_ms)
	join device d on d.id = u.device_id
), checks as (
	insert into strategy_check (product_id, device_id, module, reported_ms)
	select r.product_id, r.id, r.module, r.heard_ms from reported r
	where exists (select from strategy s join job j on j.id = s.job_id
		where s.product_id = r.product_id and s.module = r.module
		  and (s.group_id is not null or r.version = any (j.src_versions)))
), changed as (
	insert into device_module as m (device_id, module, version, reported_ms, modified_ms)
	select id, module, version, reported_ms, $5::bigint from reported
	on conflict (device_id, module) do update
	set prev_version = m.version, version = excluded.version, reported_ms = excluded.reported_ms,
	    modified_ms = excluded.modified_ms
	where m.version <> excluded.version and excluded.version <> $6::text
	  and (excluded.reported_ms >= $8::bigint or excluded.reported_ms > m.reported_ms)
	returning m.device_id, m.module, m.version, m.reported_ms
), kept as (
	insert into version_before (device_id, module, version, until_ms)
	select m.device_id, m.module, m.prev_version, m.reported_ms
	from changed c join device_module m on m.device_id = c.device_id and m.module = c.module -- as it was
	where m.reported_ms > (select min(created_ms) from job_choosing)
	on conflict do nothing -- one that it had within a millisecond
)
insert into notice (kind, at_ms, account_id, device_id, module, detail)
select 2, c.reported_ms, p.account_id, c.device_id, c.module, c.version
from changed c
join device d on d.id = c.device_id
join product p on p.id = d.product_id
where exists (select from service_account a where not a.disabled)
  and exists (select from service_account a where a.account_id = p.account_id and not a.disabled);

-- name: tick_sessions
-- in: bigint[] bool[] bigint[] text[] bigint[]
-- out:
-- The last that is known of each; of a connection that came and went in between its end. A device that is being deleted
-- is left out, and its deletion waits for what is written here: no row outlives its device. All tallies are locked at once:
-- the triggers of what is inserted and of what is updated would do it in two goes.
insert into device_session as s (device_id, online, conn, ip, active_ms, online_ms, changed_ms)
select d.id, u.online, u.conn, u.ip, u.at_ms, u.at_ms, u.at_ms
from device_tally_lock($1),
     unnest($1::bigint[], $2::bool[], $3::bigint[], $4::text[], $5::bigint[]) as u(device_id, online, conn, ip, at_ms)
join device d on d.id = u.device_id
for key share of d skip locked
on conflict (device_id) do update
set online = excluded.online, conn = excluded.conn,
    ip = case when excluded.online then excluded.ip else s.ip end,
    online_ms = case when excluded.conn <> s.conn then excluded.online_ms else s.online_ms end,
    changed_ms = case when excluded.online <> s.online or excluded.conn <> s.conn then excluded.changed_ms else s.changed_ms end
where s.online <> excluded.online or s.conn <> excluded.conn;

-- name: tick_session_rest
-- in: bigint[] bigint
-- out:
-- After a snapshot: whoever is not in it is offline.
update device_session set online = false, changed_ms = $2::bigint where online and device_id not in (select unnest($1::bigint[]));

-- name: tick_start_job
-- in: bigint bigint
-- out:
update job_run set status = 2, started_ms = $2::bigint, modified_ms = $2::bigint where job_id = $1::bigint and status = 1;

-- name: tick_finish_job
-- in: bigint bigint
-- out: no
-- The finish time as a bulk order over every unfinished task (mask: CONFIRM to IN_PROGRESS); 12: finish time.
with r as (
	update job_run set order_no = order_no + 1, status = 2, started_ms = coalesce(started_ms, $2::bigint),
		n_canceled = n_canceled + n_confirm + n_queued + n_notified + n_in_progress,
		n_confirm = 0, n_queued = 0, n_notified = 0, n_in_progress = 0, modified_ms = $2::bigint
	where job_id = $1::bigint and status in (1, 2)
	returning order_no
)
insert into job_order (job_id, no, state_mask, reason, why, at_ms)
select $1, order_no, 30, 'finish time reached', 12, $2 from r
returning no;

-- ---- pushes -------------------------------------------------------------------------------------------------

-- name: tick_batch
-- in: bigint bigint bigint[] int[] int[]
-- out:
insert into push_batch (id, claimed_ms, job_ids, seqs, limits)
values ($1::bigint, $2::bigint, $3::bigint[], $4::int[], $5::int[]);

-- name: tick_batches_unsent
-- in: bigint[] bigint[] int[]
-- out:
-- Pushes of jobs $2 and tasks $3 that were never handed over are taken out of their batches $1.
with kept as (
	select b.id, array_agg(u.job_id order by u.n) filter (where x.id is null) as job_ids,
	       array_agg(u.seq order by u.n) filter (where x.id is null) as seqs,
	       array_agg(u.per_minute order by u.n) filter (where x.id is null) as limits
	from push_batch b
	cross join unnest(b.job_ids, b.seqs, b.limits) with ordinality as u(job_id, seq, per_minute, n)
	left join unnest($1::bigint[], $2::bigint[], $3::int[]) as x(id, job_id, seq)
		on x.id = b.id and x.job_id = u.job_id and x.seq = u.seq
	where b.id = any ($1)
	group by b.id
)
update push_batch b set job_ids = coalesce(k.job_ids, '{}'), seqs = coalesce(k.seqs, '{}'), limits = coalesce(k.limits, '{}')
from kept k where b.id = k.id;

-- name: tick_batches_acked
-- in: bigint[] bigint
-- out:
-- What is left of them is a line per job in the log.
with acked as (
	update push_batch set acked_ms = $2::bigint where id = any ($1::bigint[]) and acked_ms is null
	returning claimed_ms, job_ids, limits
)
insert into push_log (at_ms, job_id, claimed_ms, n, per_minute)
select $2, u.job_id, a.claimed_ms, count(*), max(u.per_minute)
from acked a cross join unnest(a.job_ids, a.limits) as u(job_id, per_minute)
group by u.job_id, a.claimed_ms;

-- name: tick_batch_exists
-- in: bigint
-- out: id
select id from push_batch where id = $1::bigint;

-- name: tick_batches_recent
-- in: bigint
-- out: id acked_ms job_ids seqs
-- What the gates have to know: unacknowledged ones, and those acknowledged after $1.
select id, acked_ms, job_ids, seqs from push_batch where acked_ms is null or acked_ms > $1::bigint
order by coalesce(acked_ms, claimed_ms), id;

-- name: tick_batches_drop
-- in: bigint
-- out:
delete from push_batch where acked_ms < $1::bigint;

-- name: tick_forget_pushes
-- in: bigint[]
-- out:
-- Unfinished tasks whose push has an unknown outcome are due again.
update task t set push_conn = 0
from (select distinct u.job_id, u.seq from push_batch b, unnest(b.job_ids, b.seqs) as u(job_id, seq)
      where b.id = any ($1::bigint[])) as u
where t.job_id = u.job_id and t.seq = u.seq and t.state in (3, 4) and t.push_conn <> 0;

-- name: tick_batch_jobs
-- in: bigint[]
-- out: job_id
select distinct u.job_id from push_batch b, unnest(b.job_ids) as u(job_id) where b.id = any ($1::bigint[]) order by u.job_id;

-- ---- journal ------------------------------------------------------------------------------------------------

-- name: tick_position
-- in: text
-- out: position
select position from journal_position where journal_id = $1::text;

-- name: tick_set_position
-- in: text bigint bigint
-- out:
insert into journal_position (journal_id, position, modified_ms) values ($1::text, $2::bigint, $3::bigint)
on conflict (journal_id) do update set position = excluded.position, modified_ms = excluded.modified_ms;

-- name: tick_oldest_snapshot
-- in:
-- out: seconds
select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::bigint as seconds
from pg_stat_activity where coalesce(backend_xmin, backend_xid) is not null and pid <> pg_backend_pid();
