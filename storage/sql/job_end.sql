-- The end of jobs; see storage/job_end.h. Status numbers are those of engine/states.def.

-- name: job_lock
-- in: bigint[]
-- out: job_id
-- The lock of jobs: ascending, all at once. A LATER statement reads the state.
select job_id from job_run where job_id = any ($1::bigint[]) order by job_id for no key update;

-- name: job_settle
-- in: bigint[] bigint text
-- out: job_id
-- $3: the TaskDesc of the finish time, which ends a job as COMPLETED even if it canceled every task.
with done as (
	select r.job_id, r.status, j.kind, j.firmware_id, j.finish_ms, r.n_succeeded, r.n_failed, r.n_canceled,
	       exists (select from job_order o where o.job_id = r.job_id and o.reason = $3::text) as by_time
	from job_run r join job j on j.id = r.job_id
	where r.job_id = any ($1::bigint[]) and r.status in (1, 2) and r.making = 3
	  and (j.kind <> 3 or r.strategy_ended)
	  and r.n_confirm = 0 and r.n_queued = 0 and r.n_notified = 0 and r.n_in_progress = 0
), verdict as (
	select d.*, case when d.kind = 3 or (d.n_succeeded = 0 and d.n_failed = 0 and d.n_canceled > 0 and not d.by_time)
			then 4 else 3 end as ends_as
	from done d
), ended as (
	update job_run r set status = v.ends_as,
		ended_ms = case when v.kind = 3 then r.ended_ms when v.by_time then coalesce(least(v.finish_ms, $2::bigint), $2)
			else $2 end,
		modified_ms = $2
	from verdict v
	where r.job_id = v.job_id and (v.status = 2 or v.ends_as = 4)
	returning r.job_id
), unlisted as (
	delete from live_job l using ended where l.job_id = ended.job_id
), verified as (
	update firmware f set modified_ms = $2,
		status = case when v.n_succeeded > 0 and v.n_failed = 0 and v.n_canceled = 0 then 1 else 3 end
	from verdict v join ended on ended.job_id = v.job_id
	where v.kind = 1 and f.id = v.firmware_id and f.status = 2
)
select job_id from ended;
