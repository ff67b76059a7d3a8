-- The tasks of a device in a job. A static job has its tasks in the order of their devices, each once: they are found by
-- halving, and no index is written while a million of them are made. Devices join a dynamic job as they come to match,
-- some again and again: those have an index.
alter table task add column dynamic boolean; -- of a dynamic job; null: of a static one
update task set dynamic = true where job_id in (select id from job where kind = 3);
drop index task_device;
create index task_device on task (job_id, device_id) where dynamic;

create function task_of(of_job bigint, of_device bigint) returns table (seq int)
language plpgsql stable rows 1 as $$
declare
	low  int := 0; -- tasks up to here are of smaller devices
	high int;      -- this one and those behind it are not
	middle int;
	that bigint;
begin
	select r.made_seq + 1 into high from job_run r where r.job_id = of_job;
	return query select t.seq from task t
		where t.job_id = of_job and t.device_id = of_device and t.dynamic and t.seq < high;
	if found then
		return;
	end if;
	while high - low > 1 loop
		middle := low + (high - low) / 2;
		select t.device_id into that from task t where t.job_id = of_job and t.seq = middle;
		if that < of_device then
			low := middle;
		else
			high := middle;
		end if;
	end loop;
	return query select t.seq from task t where t.job_id = of_job and t.seq = high and t.device_id = of_device;
end $$;
