-- Tasks that calls move one by one; see storage/task_move.h. State numbers are those of engine/states.def.

-- name: move_rescan
-- in: bigint[] bigint
-- out:
-- Tasks of these jobs became due elsewhere than in the engine.
update job_run set rescan_no = rescan_no + 1, modified_ms = $2::bigint where job_id = any ($1::bigint[]);

-- name: move_devices
-- in: bigint[]
-- out: device_id name
select id as device_id, name from device where id = any ($1::bigint[]) order by id;

-- name: move_rivals
-- in: bigint int[] bool text
-- out: job_id seq device_id module
select a.job_id, a.seq, a.device_id, a.module
from task t
join active_task a on a.device_id = t.device_id and (not $3::bool or a.module in ('', $4::text))
where t.job_id = $1::bigint and t.seq = any ($2::int[]) and (a.job_id, a.seq) <> (t.job_id, t.seq);

-- name: move_hold
-- in: bigint int[] text
-- out: seq
insert into active_task (device_id, module, job_id, seq)
select device_id, $3::text, job_id, seq from task
where job_id = $1::bigint and seq = any ($2::int[])
order by device_id
on conflict (device_id, module) do nothing
returning seq;

-- name: move_versions
-- in: bigint[] text
-- out: version
select m.version
from unnest($1::bigint[]) with ordinality as u(device_id, n)
left join device_module m on m.device_id = u.device_id and m.module = $2::text
order by u.n;

-- name: move_reopen
-- in: bigint bigint
-- out:
with live as (
	insert into live_job (job_id) values ($1::bigint) on conflict do nothing
)
update job_run r set ended_ms = case when r.strategy_ended then r.ended_ms end, modified_ms = $2::bigint,
	status = case when r.status > 2 then w.status else r.status end,
	started_ms = case when r.status > 2 and w.status = 2 then coalesce(r.started_ms, $2) else r.started_ms end
from job j cross join lateral (select case when j.schedule_ms > $2 then 1 else 2 end as status) w
where r.job_id = $1 and j.id = $1;

-- name: move_of_devices
-- in: bigint bigint bigint text[]
-- out: job_id seq
-- Unfinished tasks of devices $4 of product $1 in jobs of package $2, in job $3 (null: in all).
select a.job_id, a.seq
from device d
join active_task a on a.device_id = d.id
join job j on j.id = a.job_id
where d.product_id = $1::bigint and d.name = any ($4::text[]) and j.firmware_id = $2::bigint
  and ($3::bigint is null or j.id = $3);

-- name: move_of_devices_any
-- in: bigint bigint bigint text[]
-- out: there
select exists (select from device d
	join job j on j.firmware_id = $2::bigint and ($3::bigint is null or j.id = $3)
	cross join lateral task_of(j.id, d.id)
	where d.product_id = $1::bigint and d.name = any ($4::text[])) as there;

-- name: move_making
-- in: bigint bigint
-- out: making
select exists (select from live_job l join job_run r on r.job_id = l.job_id join job j on j.id = l.job_id
	where j.firmware_id = $1::bigint and ($2::bigint is null or j.id = $2) and r.making < 3) as making;
