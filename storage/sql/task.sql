-- Tasks for the management API; see storage/task.h. State numbers are those of engine/states.def.

-- name: task_page_all
-- in: bigint bigint bigint
-- out: seq state task_desc progress src_version device_id device_name created_ms modified_ms timeout_min
-- Without a filter a page is a range of seq, which has no holes.
select t.seq, t.state, t.task_desc, t.progress, t.src_version, t.device_id,
       coalesce(d.name, x.name) as device_name, t.created_ms, t.modified_ms, t.timeout_min
from task_now t
left join device d on d.id = t.device_id
left join device_deleted x on x.device_id = t.device_id
where t.job_id = $1::bigint and t.seq > $2::bigint and t.seq <= $2 + $3::bigint
order by t.seq;

-- name: task_page_state
-- in: bigint bigint bigint int
-- out: seq state task_desc progress src_version device_id device_name created_ms modified_ms timeout_min
-- Reads only the blocks that the page is in. While a bulk order is being written the blocks do not count what it covers:
-- see task_page_ordered. The key of the job comes with the blocks: as in making_fail.
with tally as (
	select b.job_id, b.block, n, sum(n) over (order by b.block) - n as before
	from task_tally b cross join lateral (
		select (array[n_confirm, n_queued, n_notified, n_in_progress, n_succeeded, n_failed, n_canceled])[$4::int] as n) c
	where b.job_id = $1::bigint and n > 0
), part as materialized (
	select job_id, block, before from tally where before + n > $2::bigint and before < $2 + $3::bigint
), t as (
	select t.* from part cross join lateral (
		select * from task t
		where t.job_id = part.job_id and t.seq > part.block << 11 and t.seq <= (part.block + 1) << 11 and t.state = $4
		offset 0) t
	order by t.seq offset $2 - (select min(before) from part) limit $3
)
select t.seq, t.state::int, t.task_desc, t.progress, t.src_version, t.device_id, coalesce(d.name, x.name) as device_name,
       t.created_ms, t.modified_ms, t.timeout_min
from t
left join device d on d.id = t.device_id
left join device_deleted x on x.device_id = t.device_id
order by t.seq;

-- name: task_page_ordered
-- in: bigint bigint bigint int
-- out: seq state task_desc progress src_version device_id device_name created_ms modified_ms timeout_min
-- The same while bulk orders are being written: walks the job in order of seq until the page is full; the caller asks for
-- no more than there are. What task_now says, with the job's orders read once and not per row.
with o as materialized (
	select no, state_mask, reason, at_ms from job_order where job_id = $1::bigint and not done
), t as (
	select * from (
		select t.*, case when t.order_no < (select max(no) from o) then (
			select min(o.no) from o where o.no > t.order_no and (o.state_mask >> t.state) & 1 = 1) end as by
		from task t
		where t.job_id = $1 and t.seq <= (select made_seq from job_run where job_id = $1)
	) t
	where case when by is null then state else 7 end = $4::int
	order by seq offset $2::bigint limit $3::bigint
)
select t.seq, $4::int as state, coalesce(o.reason, t.task_desc) as task_desc, t.progress, t.src_version,
       t.device_id, coalesce(d.name, x.name) as device_name, t.created_ms, coalesce(o.at_ms, t.modified_ms) as modified_ms,
       t.timeout_min
from t
left join o on o.no = t.by
left join device d on d.id = t.device_id
left join device_deleted x on x.device_id = t.device_id
order by t.seq;

-- name: task_of_names
-- in: bigint bigint text[]
-- out: seq state task_desc progress src_version device_id device_name created_ms modified_ms timeout_min
-- The tasks of named devices of product $2; also of deleted ones, whose name may be another's by now.
with named as materialized (
	select $1::bigint as job_id, d.id, d.name from device d where d.product_id = $2::bigint and d.name = any ($3::text[])
	union all
	select $1, x.device_id, x.name from device_deleted x where x.product_id = $2 and x.name = any ($3)
)
select t.seq, t.state, t.task_desc, t.progress, t.src_version, t.device_id, n.name as device_name, t.created_ms,
       t.modified_ms, t.timeout_min
from named n cross join lateral task_of(n.job_id, n.id) o join task_now t on t.job_id = n.job_id and t.seq = o.seq
order by t.seq;

-- name: task_unfinished
-- in: bigint text int
-- out: job_id seq state src_version created_ms modified_ms firmware_id module dest_version product_name
-- Unfinished tasks of device $1, of module $2 (null: of all), in a state of mask $3; newest first.
select n.job_id, n.seq, n.state, n.src_version, n.created_ms, n.modified_ms, j.firmware_id, f.module, f.dest_version,
       p.name as product_name
from active_task a
join task_now n on n.job_id = a.job_id and n.seq = a.seq
join job j on j.id = a.job_id
join firmware f on f.id = j.firmware_id
join product p on p.id = j.product_id
where a.device_id = $1::bigint and ($2::text is null or f.module = $2) and ($3::int >> n.state) & 1 = 1
order by n.job_id desc, n.seq desc;

-- name: task_counts
-- in: bigint
-- out: n_confirm n_queued n_notified n_in_progress n_succeeded n_failed n_canceled ordered
-- ordered: a bulk order is being written.
select n_confirm, n_queued, n_notified, n_in_progress, n_succeeded, n_failed, n_canceled,
       exists (select from job_order where job_id = $1::bigint and not done) as ordered
from job_run where job_id = $1;

-- name: task_product_of_device
-- in: bigint
-- out: product_id
-- The product's lock: while it is held, nobody makes a task for the device.
select p.id as product_id from device d join product p on p.id = d.product_id
where d.id = $1::bigint
for no key update of p;

-- name: task_jobs_of_device
-- in: bigint
-- out: job_id
select distinct job_id from active_task where device_id = $1::bigint order by job_id;

-- name: task_cancel_of_device
-- in: bigint text bigint
-- out: 
-- Cancels what device $1 has, never before the job's last move; a task that a bulk order has canceled already keeps
-- that order's words.
with mine as (
	select a.job_id, a.seq, n.state, n.row_state, coalesce(n.order_why, 13) as why, r.order_no,
	       case when n.state = 7 then n.task_desc else $2::text end as task_desc,
	       case when n.state = 7 then n.modified_ms else greatest($3::bigint, ms_past(r.modified_ms, $3)) end as at_ms
	from active_task a
	join task_now n on n.job_id = a.job_id and n.seq = a.seq
	join job_run r on r.job_id = a.job_id
	where a.device_id = $1::bigint
), moved as (
	update task t set state = 7, order_no = m.order_no, task_desc = m.task_desc, modified_ms = m.at_ms,
		timeout_ms = null, retry_ms = null, verdict_ms = null, pending_version = null
	from mine m where t.job_id = m.job_id and t.seq = m.seq
), freed as (
	delete from active_task a where a.device_id = $1
), logged as (
	insert into task_event (at_ms, job_id, seq, to_seq, from_state, to_state, why, detail)
	select m.at_ms, m.job_id, m.seq, m.seq, m.row_state, 7, m.why, m.task_desc
	from mine m
), lost as (
	select job_id, count(*) filter (where state = 1) as c, count(*) filter (where state = 2) as q,
	       count(*) filter (where state = 3) as n, count(*) filter (where state = 4) as p
	from mine where state < 5 group by job_id
)
update job_run r set n_confirm = r.n_confirm - l.c, n_queued = r.n_queued - l.q, n_notified = r.n_notified - l.n,
	n_in_progress = r.n_in_progress - l.p, n_canceled = r.n_canceled + l.c + l.q + l.n + l.p,
	modified_ms = greatest($3, ms_past(r.modified_ms, $3))
from lost l where r.job_id = l.job_id;
