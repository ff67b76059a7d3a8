-- Partitions of task_event, push_log, audit (months) and nonce (hours): made ahead, dropped when old, but for audit. Called
-- every few minutes by every process; one of them does the work, nobody waits longer than lock_timeout. The default
-- partitions catch what arrives when nobody has called for long; a range that has rows there is left to them.

-- true when it made the partition.
create function partition_make(parent text, part text, from_ms bigint, to_ms bigint) returns boolean
language plpgsql as $$
declare
	caught boolean;
begin
	if to_regclass(part) is not null then
		return false;
	end if;
	execute format('select exists (select from %I where at_ms >= $1 and at_ms < $2)', parent || '_rest')
		into caught using from_ms, to_ms;
	if caught then
		return false;
	end if;
	-- Attaching locks the parent less than "partition of" does.
	execute format('create table %I (like %I including defaults)', part, parent);
	execute format('alter table %I attach partition %I for values from (%s) to (%s)', parent, part, from_ms, to_ms);
	return true;
end $$;

-- Drops the partitions of `parent` that end at or before cutoff. Their names end with their start as `pattern`, so
-- names compare as times do; the default partition sorts behind all of them.
create function partition_drop(parent text, pattern text, width interval, cutoff timestamptz) returns int
language plpgsql set timezone = 'UTC' as $$
declare
	last text := parent || '_' || to_char(cutoff - width, pattern);
	part text;
	n int := 0;
begin
	for part in
		select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
		where i.inhparent = parent::regclass and c.relname <= last
		order by c.relname
	loop
		execute format('drop table %I', part);
		n := n + 1;
	end loop;
	return n;
end $$;

-- Number of partitions made and dropped; 0 also when another process is at it or a lock was not to be had. With the
-- rights of the tables' owner, since otad's role makes and drops no table.
create function partitions_maintain(now_ms bigint, event_days int) returns int
language plpgsql security definer set search_path = public, pg_temp set timezone = 'UTC' as $$
declare
	parent text;
	at timestamptz := to_timestamp(now_ms / 1000.0);
	start timestamptz;
	n int := 0;
begin
	if not pg_try_advisory_xact_lock(726583, 2) then
		return 0;
	end if;
	perform set_config('lock_timeout', '200ms', true);
	for i in 0..1 loop
		start := date_trunc('month', at) + i * interval '1 month';
		foreach parent in array array['task_event', 'push_log', 'audit'] loop
			n := n + partition_make(parent, parent || '_' || to_char(start, 'YYYY_MM'),
				(extract(epoch from start) * 1000)::bigint,
				(extract(epoch from start + interval '1 month') * 1000)::bigint)::int;
		end loop;
	end loop;
	for i in 0..3 loop
		start := date_trunc('hour', at) + i * interval '1 hour';
		n := n + partition_make('nonce', 'nonce_' || to_char(start, 'YYYY_MM_DD_HH24'),
			(extract(epoch from start) * 1000)::bigint,
			(extract(epoch from start + interval '1 hour') * 1000)::bigint)::int;
	end loop;
	n := n + partition_drop('task_event', 'YYYY_MM', '1 month', at - event_days * interval '1 day');
	n := n + partition_drop('push_log', 'YYYY_MM', '1 month', at - event_days * interval '1 day');
	n := n + partition_drop('nonce', 'YYYY_MM_DD_HH24', '1 hour', at - interval '35 minutes');
	delete from nonce_rest where at_ms < now_ms - 2100000;
	delete from task_event_rest where at_ms < now_ms - event_days * 86400000::bigint;
	delete from push_log_rest where at_ms < now_ms - event_days * 86400000::bigint;
	delete from notice where at_ms < now_ms - event_days * 86400000::bigint; -- the broker was away all the time
	return n;
exception when lock_not_available then
	return 0;
end $$;

revoke all on function partition_make(text, text, bigint, bigint), partition_drop(text, text, interval, timestamptz),
	partitions_maintain(bigint, int) from public;
