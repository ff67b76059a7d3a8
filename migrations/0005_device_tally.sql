-- How many devices have which status: per block of ids (block n: devices 2048 n .. 2048 n + 2047), per product
-- (group_id 0) and per static group. For counts, and for lists to go to the page that is asked for. Kept by the triggers
-- below, whoever changes devices, sessions or members. The row of (0, product, block) is also the lock of the status of
-- its devices: a change of it looks at what else it depends on behind that lock, and so sees the change before.
create table device_tally (
	group_id     bigint not null,
	product_id   bigint not null,
	block        bigint not null,
	n_unactive   int not null,
	n_offline    int not null,
	n_online     int not null,
	n_disabled   int not null,    -- with those of the next column
	n_disabled_active int not null, -- that had connected
	primary key (group_id, product_id, block)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500); -- as task_tally

-- What a device counts as, 1 .. 5 in the order of the columns; online while it is disabled is about to be cut off.
create function device_tally_state(disabled boolean, online boolean) returns int
language sql immutable as $$
	select case when disabled then case when online is null then 4 else 5 end
	            when online is null then 1 when online then 3 else 2 end
$$;

-- Locks the status of devices; all that a transaction changes in one go, or it might deadlock. (PL/pgSQL, since it keeps
-- its plans; functions in SQL are planned with every call.)
create function device_tally_lock(ids bigint[]) returns void language plpgsql as $$
begin
	perform from device_tally
	where group_id = 0
	  and (product_id, block) in (select distinct product_id, id >> 11 from device where id = any (ids))
	order by product_id, block
	for no key update;
end $$;

-- Devices that went from one state to another, and all groups they are in; null: they came, or are gone.
create function device_tally_move(ids bigint[], products bigint[], was int[], now int[]) returns void
language plpgsql as $$
begin
	insert into device_tally as t
	select g.id, m.product_id, m.device_id >> 11,
	       count(*) filter (where behind = 1) - count(*) filter (where before = 1),
	       count(*) filter (where behind = 2) - count(*) filter (where before = 2),
	       count(*) filter (where behind = 3) - count(*) filter (where before = 3),
	       count(*) filter (where behind in (4, 5)) - count(*) filter (where before in (4, 5)),
	       count(*) filter (where behind = 5) - count(*) filter (where before = 5)
	from unnest(ids, products, was, now) as m(device_id, product_id, before, behind)
	cross join lateral (
		select 0 as id union all select group_id from device_group_member where device_id = m.device_id) g
	where m.before is distinct from m.behind
	group by 1, 2, 3
	order by 1, 2, 3
	on conflict (group_id, product_id, block) do update set
		n_unactive = t.n_unactive + excluded.n_unactive, n_offline = t.n_offline + excluded.n_offline,
		n_online = t.n_online + excluded.n_online, n_disabled = t.n_disabled + excluded.n_disabled,
		n_disabled_active = t.n_disabled_active + excluded.n_disabled_active;
end $$;

create function device_tally_made() returns trigger language plpgsql as $$
begin
	perform device_tally_move(array_agg(id), array_agg(product_id), array_agg(null::int),
		array_agg(device_tally_state(disabled, null)))
	from made;
	return null;
end $$;
create trigger device_tally_made after insert on device referencing new table as made
	for each statement execute function device_tally_made();

-- A device takes its session and its memberships with it.
create function device_tally_gone() returns trigger language plpgsql as $$
begin
	perform device_tally_lock(array[old.id]);
	delete from device_group_member where device_id = old.id;
	perform device_tally_move(array[old.id], array[old.product_id], array[device_tally_state(old.disabled,
		(select online from device_session where device_id = old.id))], array[null::int]);
	delete from device_session where device_id = old.id;
	return old;
end $$;
create trigger device_tally_gone before delete on device
	for each row execute function device_tally_gone();

create function device_tally_disabled() returns trigger language plpgsql as $$
declare
	was boolean;
begin
	perform device_tally_lock(array[new.id]);
	select online into was from device_session where device_id = new.id;
	perform device_tally_move(array[new.id], array[new.product_id], array[device_tally_state(old.disabled, was)],
		array[device_tally_state(new.disabled, was)]);
	return null;
end $$;
create trigger device_tally_disabled after update of disabled on device
	for each row when (old.disabled <> new.disabled) execute function device_tally_disabled();

create function device_tally_session_made() returns trigger language plpgsql as $$
begin
	perform device_tally_lock(array_agg(device_id)) from changed;
	perform device_tally_move(array_agg(d.id), array_agg(d.product_id), array_agg(device_tally_state(d.disabled, null)),
		array_agg(device_tally_state(d.disabled, c.online)))
	from changed c join device d on d.id = c.device_id;
	return null;
end $$;
create trigger device_tally_session_made after insert on device_session referencing new table as changed
	for each statement execute function device_tally_session_made();

create function device_tally_session_changed() returns trigger language plpgsql as $$
begin
	perform device_tally_lock(array_agg(device_id)) from changed;
	perform device_tally_move(array_agg(d.id), array_agg(d.product_id), array_agg(device_tally_state(d.disabled, u.was)),
		array_agg(device_tally_state(d.disabled, u.online)))
	from ( -- no join: the engine's plans are pinned to nested loops
		select device_id, bool_or(o.was) as was, bool_or(o.online) as online
		from (select device_id, online as was, null::boolean as online from was
		      union all select device_id, null, online from changed) o
		group by device_id) u
	join device d on d.id = u.device_id
	where u.was <> u.online;
	return null;
end $$;
create trigger device_tally_session_changed after update on device_session
	referencing old table as was new table as changed
	for each statement execute function device_tally_session_changed();

create function device_tally_members() returns trigger language plpgsql as $$
begin
	perform device_tally_lock(array_agg(device_id)) from changed;
	insert into device_tally as t
	select c.group_id, d.product_id, d.id >> 11, sign * count(*) filter (where v.state = 1),
	       sign * count(*) filter (where v.state = 2), sign * count(*) filter (where v.state = 3),
	       sign * count(*) filter (where v.state in (4, 5)), sign * count(*) filter (where v.state = 5)
	from changed c
	join device d on d.id = c.device_id
	left join device_session s on s.device_id = d.id
	cross join lateral (select device_tally_state(d.disabled, s.online) as state) v
	cross join (select case when tg_op = 'INSERT' then 1 else -1 end as sign) x
	group by 1, 2, 3, sign
	order by 1, 2, 3
	on conflict (group_id, product_id, block) do update set
		n_unactive = t.n_unactive + excluded.n_unactive, n_offline = t.n_offline + excluded.n_offline,
		n_online = t.n_online + excluded.n_online, n_disabled = t.n_disabled + excluded.n_disabled,
		n_disabled_active = t.n_disabled_active + excluded.n_disabled_active;
	return null;
end $$;
create trigger device_tally_members_added after insert on device_group_member referencing new table as changed
	for each statement execute function device_tally_members();
create trigger device_tally_members_removed after delete on device_group_member referencing old table as changed
	for each statement execute function device_tally_members();

-- The tallies of all groups whose devices are told by them: of static ones, and of dynamic ones without terms on names
-- and tags.
alter table device_group add column tallied boolean not null
	generated always as (like_names = '{}' and tag_keys = '{}') stored;
create view device_group_tally as
select group_id, product_id, block, n_unactive, n_offline, n_online, n_disabled, n_disabled_active
from device_tally where group_id <> 0
union all
select g.id, t.product_id, t.block,
       case when 'UNACTIVE' like all (g.like_statuses) then t.n_unactive else 0 end,
       case when 'OFFLINE' like all (g.like_statuses) then t.n_offline else 0 end,
       case when 'ONLINE' like all (g.like_statuses) then t.n_online else 0 end,
       case when 'DISABLE' like all (g.like_statuses) then t.n_disabled else 0 end,
       case when 'DISABLE' like all (g.like_statuses) then t.n_disabled_active else 0 end
from device_group g
join product p on p.account_id = g.account_id and p.instance_id = g.instance_id
join device_tally t on t.group_id = 0 and t.product_id = p.id
where g.kind = 'LINK_PLATFORM_DYNAMIC' and g.deleted_ms is null and g.tallied
  and p.product_key like all (g.like_product_keys);

-- What was there before.
insert into device_tally
select g.id, d.product_id, d.id >> 11, count(*) filter (where v.state = 1), count(*) filter (where v.state = 2),
       count(*) filter (where v.state = 3), count(*) filter (where v.state in (4, 5)), count(*) filter (where v.state = 5)
from device d
left join device_session s on s.device_id = d.id
cross join lateral (select device_tally_state(d.disabled, s.online) as state) v
cross join lateral (select 0 as id union all select group_id from device_group_member where device_id = d.id) g
group by 1, 2, 3;
