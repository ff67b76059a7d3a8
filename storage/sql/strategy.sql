-- Strategies of dynamic jobs; see storage/strategy.h. State numbers are those of engine/states.def.

-- name: strategy_add
-- in: bigint bigint
-- out:
-- Of job $1, swept for the first time at $2.
insert into strategy (job_id, product_id, firmware_id, module, group_id, sweep_ms)
select j.id, j.product_id, j.firmware_id, f.module, j.group_id, $2::bigint
from job j join firmware f on f.id = j.firmware_id
where j.id = $1::bigint;

-- name: strategy_of_firmware
-- in: bigint
-- out: job_id
select job_id from strategy where firmware_id = $1::bigint;

-- name: strategy_modes_differ
-- in: bigint bool int
-- out: job_id
-- A strategy of group $1 with other modes.
select s.job_id from strategy s join job j on j.id = s.job_id
where s.group_id = $1::bigint and (j.multi_module <> $2::bool or j.overwrite_mode <> $3::int)
limit 1;

-- name: strategy_end
-- in: bigint bigint
-- out:
-- The caller has locked the job.
with gone as (
	delete from strategy where job_id = $1::bigint returning job_id
)
update job_run r set strategy_ended = true, ended_ms = $2::bigint, modified_ms = $2
from gone where r.job_id = gone.job_id;

-- name: strategy_sweep_next
-- in: bigint
-- out: job_id sweep_ms
-- One that is due at $1, or later than any would be unless the clock was set back. DynamicMode 2 has reports only.
select s.job_id, s.sweep_ms
from strategy s
join job j on j.id = s.job_id
join job_run r on r.job_id = s.job_id
where (s.sweep_ms <= $1::bigint or s.sweep_ms > $1 + 660000) and j.dynamic_mode = 1 and r.making = 3
order by s.job_id limit 1;

-- name: strategy_sweep
-- in: bigint
-- out:
-- Puts down the devices that strategy $1 would give their first task. Holds no lock that a call wants.
with s as (
	select s.*, j.src_versions, j.multi_module, f.type, f.src_version, f.dest_version
	from strategy s join job j on j.id = s.job_id join firmware f on f.id = s.firmware_id
	where s.job_id = $1::bigint
), inside as (
	select d.id from s join device d on d.product_id = s.product_id where s.group_id is null
	union all
	select v.device_id from s join device_group_device v on v.group_id = s.group_id
)
insert into strategy_check (product_id, device_id, module, reported_ms)
select s.product_id, d.id, '', 0
from s
cross join inside
join device d on d.id = inside.id and d.product_id = s.product_id and not d.disabled
left join device_module m on m.device_id = d.id and m.module = s.module
where m.version is distinct from s.dest_version and (s.type = 0 or m.version = s.src_version)
  and (s.group_id is not null or m.version = any (s.src_versions))
  and not exists (select from task t where t.job_id = s.job_id and t.device_id = d.id and t.dynamic)
  and not exists (select from active_task a where a.device_id = d.id and (not s.multi_module or a.module in ('', s.module)));

-- name: strategy_swept
-- in: bigint bigint bigint
-- out:
-- Unless somebody has asked for another one meanwhile ($2: when this one was due).
update strategy set sweep_ms = $3::bigint where job_id = $1::bigint and sweep_ms = $2::bigint;

-- name: strategy_product_next
-- in: bigint
-- out: product_id
-- The next product above $1 with devices to be looked at.
select product_id from strategy_check where product_id > $1::bigint order by product_id limit 1;

-- name: strategy_list
-- in: bigint
-- out: job_id module dest_version diff_version dynamic_mode by_group src_versions created_ms made
select s.job_id, s.module, f.dest_version, case when f.type = 1 then f.src_version end as diff_version, j.dynamic_mode,
       s.group_id is not null as by_group, j.src_versions, j.created_ms, r.making = 3 as made
from strategy s
join job j on j.id = s.job_id
join job_run r on r.job_id = s.job_id
join firmware f on f.id = s.firmware_id
where s.product_id = $1::bigint
order by s.job_id desc;

-- name: strategy_checks
-- in: bigint int
-- out: id
select id from strategy_check where product_id = $1::bigint order by id limit $2::int;

-- name: strategy_facts
-- in: bigint bigint[]
-- out: check_id device_id reported reported_ms job_id version member matches hold
-- The checks $2 of product $1 with every strategy that they may concern, the newest first; which one matches is decided
-- by engine/strategy.h. hold: 0 the device has
-- nothing unfinished in the way, 2 it has, 1 what it has counts as canceled by a bulk order that is not written yet.
select c.id as check_id, c.device_id, nullif(c.module, '') as reported, c.reported_ms, s.job_id, m.version,
       s.group_id is not null and exists (select from device_group_device v
		where v.group_id = s.group_id and v.device_id = d.id) as member,
       (select count(*) from task t where t.job_id = s.job_id and t.device_id = c.device_id and t.dynamic) as matches,
       coalesce(h.hold, 0) as hold
from unnest($2::bigint[]) as u(id)
join strategy_check c on c.id = u.id
join device d on d.id = c.device_id and not d.disabled
join strategy s on s.product_id = $1::bigint and (c.module = '' or c.module = s.module)
join job j on j.id = s.job_id
left join device_module m on m.device_id = d.id and m.module = s.module
left join lateral (
	select max(case when n.state < 5 then 2 else 1 end) as hold
	from active_task a join task_now n on n.job_id = a.job_id and n.seq = a.seq
	where a.device_id = d.id and (not j.multi_module or a.module in ('', s.module))
) h on true
where s.group_id is not null or m.version = any (j.src_versions)
order by c.device_id, c.id, s.job_id desc;

-- name: strategy_alive
-- in: bigint
-- out: job_id
select job_id from strategy where job_id = $1::bigint;

-- name: strategy_make
-- in: bigint bigint[] text[] bigint
-- out:
-- A task of job $1 for each of the devices $2 of versions $3. The caller holds the locks of the product and the job,
-- and nothing is in the devices' way.
with job_now as (
	select j.id, r.made_seq, r.order_no, coalesce(j.timeout_min, 0) as timeout_min,
	       case when j.need_confirm then 1 else 2 end as state, case when j.multi_module then f.module else '' end as key
	from job j join job_run r on r.job_id = j.id join firmware f on f.id = j.firmware_id
	where j.id = $1::bigint
), made as (
	insert into task (job_id, seq, device_id, state, order_no, timeout_min, src_version, created_ms, modified_ms, dynamic)
	select j.id, j.made_seq + u.n, u.device_id, j.state, j.order_no, j.timeout_min, u.version, $4::bigint, $4, true
	from job_now j cross join unnest($2::bigint[], $3::text[]) with ordinality as u(device_id, version, n)
	returning seq, device_id
), active as (
	insert into active_task (device_id, module, job_id, seq)
	select m.device_id, j.key, j.id, m.seq from job_now j cross join made m
), logged as (
	insert into task_event (at_ms, job_id, seq, to_seq, from_state, to_state, why)
	select $4, j.id, j.made_seq + 1, j.made_seq + cardinality($2), 0, j.state, 1 from job_now j
)
update job_run r set made_seq = r.made_seq + cardinality($2), chosen = r.chosen + cardinality($2),
	n_confirm = r.n_confirm + case when j.state = 1 then cardinality($2) else 0 end,
	n_queued = r.n_queued + case when j.state = 2 then cardinality($2) else 0 end, modified_ms = $4
from job_now j where r.job_id = j.id;

-- name: strategy_checked
-- in: bigint[]
-- out:
delete from strategy_check where id = any ($1::bigint[]);
