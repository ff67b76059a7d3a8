-- What the operator's tool shows and no API call does. Never used by the daemon.

-- name: report_accounts
-- in:
-- out: name created_ms n_instances n_keys n_products
select a.name, a.created_ms,
       (select count(*) from instance i where i.account_id = a.id) as n_instances,
       (select count(*) from access_key k where k.account_id = a.id and not k.disabled) as n_keys,
       (select count(*) from product p where p.account_id = a.id and p.deleted_ms is null) as n_products
from account a order by a.name;

-- name: report_instances
-- in: bigint
-- out: instance_id is_default created_ms
select instance_id, is_default, created_ms from instance where account_id = $1::bigint order by id;

-- name: report_instance_add
-- in: bigint text bigint
-- out: id
insert into instance (account_id, instance_id, is_default, created_ms)
values ($1::bigint, $2::text, false, $3::bigint) on conflict (instance_id) do nothing returning id;

-- name: report_keys
-- in: bigint
-- out: key_id name role disabled created_ms
select key_id, name, role, disabled, created_ms from access_key where account_id = $1::bigint order by id;

-- name: report_jobs
-- in: bigint bigint bool int
-- out: job_id account product_key firmware dest_version selection kind status strategy_ended paused making chosen made_seq max_per_minute need_push n_confirm n_queued n_notified n_in_progress n_succeeded n_failed n_canceled created_ms schedule_ms finish_ms started_ms ended_ms
-- Newest first. $1: one job, or null; $2: of one account, or null; $3: only those that have not ended.
select j.id as job_id, a.name as account, p.product_key, f.name as firmware, f.dest_version,
       j.target_selection as selection, j.kind, r.status, r.strategy_ended, r.paused, r.making, r.chosen, r.made_seq, r.max_per_minute,
       j.need_push, r.n_confirm, r.n_queued, r.n_notified, r.n_in_progress, r.n_succeeded, r.n_failed, r.n_canceled,
       j.created_ms, j.schedule_ms, j.finish_ms, r.started_ms, r.ended_ms
from job j
join job_run r on r.job_id = j.id
join account a on a.id = j.account_id
join product p on p.id = j.product_id
join firmware f on f.id = j.firmware_id
where ($1::bigint is null or j.id = $1) and ($2::bigint is null or j.account_id = $2)
  and (not $3::bool or r.status < 3)
order by j.id desc limit $4::int;

-- name: report_pace
-- in: bigint
-- out: pushes first_ms last_ms worst worst_ms worst_limit excess
-- Pushes of a job by the log of moves, those that were never handed to the broker (why 16) taken out, and the fullest
-- 60 seconds. When a push entered the broker is not known, only that it was between its claim and its acknowledgement.
-- Let s be the last claim among the pushes that entered within [x, x + 60 s): all of them were claimed by s and
-- acknowledged after x > s - 60 s. So no 60 seconds had more than the most, over all claims s, that were claimed by s
-- and acknowledged after s - 60 s. worst_limit: the highest limit in force in the minute before worst_ms; excess: by
-- how much any such number is above its limit.
with moves as (
	select at_ms, seq, why, lead(why) over (partition by seq order by no) as next_why
	from task_event where job_id = $1::bigint and why in (3, 16)
), push as (
	select count(*) as pushes, min(at_ms) as first_ms, max(at_ms) as last_ms
	from moves where why = 3 and next_why is distinct from 16
), step as (
	select claimed_ms as t, n, per_minute, true as claim from push_log where job_id = $1
	union all
	select at_ms + 60000, -n, null, false from push_log where job_id = $1
	union all -- on their way
	select b.claimed_ms, count(*)::int, max(u.per_minute), true
	from push_batch b cross join unnest(b.job_ids, b.limits) as u(job_id, per_minute)
	where b.acked_ms is null and u.job_id = $1
	group by b.id
), filled as (
	select t, claim, sum(n) over (order by t, claim rows unbounded preceding) as n,
	       max(per_minute) over (order by t range between 60000 preceding and current row) as per_minute
	from step
), worst as (
	select max(n) as n, (array_agg(t order by n desc, t))[1] as t, (array_agg(per_minute order by n desc, t))[1] as per_minute,
	       max(n - per_minute) as excess
	from filled where claim
)
select p.pushes, p.first_ms, p.last_ms, coalesce(w.n, 0)::bigint as worst, w.t as worst_ms, w.per_minute as worst_limit,
       coalesce(w.excess, 0)::bigint as excess
from push p cross join worst w;

-- name: report_pause
-- in: bigint bool bigint
-- out:
-- The caller has locked the job. Resuming asks the engine to look at the tasks anew.
update job_run set paused = $2::bool, modified_ms = $3::bigint,
	rescan_no = rescan_no + case when $2 then 0 else 1 end
where job_id = $1::bigint;

-- name: report_job_account
-- in: bigint
-- out: account_id
select account_id from job where id = $1::bigint;

-- name: report_device
-- in: text text
-- out: device_id account nickname disabled created_ms known online conn ip active_ms online_ms changed_ms
select d.id as device_id, a.name as account, coalesce(d.nickname, '') as nickname, d.disabled, d.created_ms,
       s.device_id is not null as known, coalesce(s.online, false) as online, coalesce(s.conn, 0) as conn,
       coalesce(s.ip, '') as ip, coalesce(s.active_ms, 0) as active_ms, coalesce(s.online_ms, 0) as online_ms,
       coalesce(s.changed_ms, 0) as changed_ms
from device d
join product p on p.id = d.product_id
join account a on a.id = p.account_id
left join device_session s on s.device_id = d.id
where p.product_key = $1::text and d.name = $2::text;

-- name: report_device_modules
-- in: bigint
-- out: module version reported_ms prev_version
select module, version, reported_ms, coalesce(prev_version, '') as prev_version
from device_module where device_id = $1::bigint order by module;

-- name: report_device_tasks
-- in: bigint
-- out: module job_id seq state progress retries pushes repushes push_conn push_ms timeout_ms retry_ms verdict_ms fail_desc task_desc status paused need_push max_per_minute schedule_ms n_queued dest_version
select a.module, t.job_id, t.seq, n.state, t.progress, t.retries, t.pushes, t.repushes, t.push_conn, t.push_ms,
       t.timeout_ms, t.retry_ms, t.verdict_ms, coalesce(t.fail_desc, '') as fail_desc, n.task_desc, r.status, r.paused,
       j.need_push, r.max_per_minute, j.schedule_ms, r.n_queued, f.dest_version
from active_task a
join task t on t.job_id = a.job_id and t.seq = a.seq
join task_now n on n.job_id = t.job_id and n.seq = t.seq
join job_run r on r.job_id = a.job_id
join job j on j.id = a.job_id
join firmware f on f.id = j.firmware_id
where a.device_id = $1::bigint order by a.module;

-- name: report_device_events
-- in: bigint bigint int
-- out: at_ms from_state to_state why detail
-- The log of a task. Making a range of tasks is logged once.
select at_ms, from_state, to_state, why, coalesce(detail, '') as detail
from task_event where job_id = $1::bigint and seq <= $2::bigint and to_seq >= $2
order by no desc limit $3::int;
