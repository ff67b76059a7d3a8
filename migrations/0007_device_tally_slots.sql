-- Registrations that come at the same time would wait for each other, each for the other's commit, at the row of the
-- product's newest block. A block may have several rows for everybody now, slots, of which it is the sum: who registers
-- takes one that nobody holds, or adds one. All other changes are made in slot 0, which each block has and which stays the
-- lock of its devices' status; its numbers may be below zero.
alter table device_tally add column slot int not null default 0;
alter table device_tally drop constraint device_tally_pkey, add primary key (group_id, product_id, block, slot);

create or replace function device_tally_lock(ids bigint[]) returns void language plpgsql as $$
begin
	perform from device_tally
	where group_id = 0 and slot = 0
	  and (product_id, block) in (select distinct product_id, id >> 11 from device where id = any (ids))
	order by product_id, block
	for no key update;
end $$;

-- Devices that went from one state to another within a group; null: they came, or are gone.
create function device_tally_add(groups bigint[], ids bigint[], products bigint[], was int[], now int[]) returns void
language plpgsql as $$
begin
	insert into device_tally as t (group_id, product_id, block, n_unactive, n_offline, n_online, n_disabled, n_disabled_active)
	select m.group_id, m.product_id, m.device_id >> 11,
	       count(*) filter (where behind = 1) - count(*) filter (where before = 1),
	       count(*) filter (where behind = 2) - count(*) filter (where before = 2),
	       count(*) filter (where behind = 3) - count(*) filter (where before = 3),
	       count(*) filter (where behind in (4, 5)) - count(*) filter (where before in (4, 5)),
	       count(*) filter (where behind = 5) - count(*) filter (where before = 5)
	from unnest(groups, ids, products, was, now) as m(group_id, device_id, product_id, before, behind)
	group by 1, 2, 3
	order by 1, 2, 3
	on conflict (group_id, product_id, block, slot) do update set
		n_unactive = t.n_unactive + excluded.n_unactive, n_offline = t.n_offline + excluded.n_offline,
		n_online = t.n_online + excluded.n_online, n_disabled = t.n_disabled + excluded.n_disabled,
		n_disabled_active = t.n_disabled_active + excluded.n_disabled_active;
end $$;

-- The same for everybody and for all groups that the devices are in.
create or replace function device_tally_move(ids bigint[], products bigint[], was int[], now int[]) returns void
language plpgsql as $$
begin
	perform device_tally_add(array_agg(g.id), array_agg(m.device_id), array_agg(m.product_id), array_agg(m.before),
		array_agg(m.behind))
	from unnest(ids, products, was, now) as m(device_id, product_id, before, behind)
	cross join lateral (
		select 0 as id union all select group_id from device_group_member where device_id = m.device_id) g
	where m.before is distinct from m.behind;
end $$;

create or replace function device_tally_members() returns trigger language plpgsql as $$
begin
	perform device_tally_lock(array_agg(device_id)) from changed;
	perform device_tally_add(array_agg(c.group_id), array_agg(d.id), array_agg(d.product_id),
		array_agg(case when tg_op = 'DELETE' then v.state end), array_agg(case when tg_op = 'INSERT' then v.state end))
	from changed c
	join device d on d.id = c.device_id
	left join device_session s on s.device_id = d.id
	cross join lateral (select device_tally_state(d.disabled, s.online) as state) v;
	return null;
end $$;

-- New devices are in no group and have no session. Two that begin a block wait for each other this once; then nobody does.
create or replace function device_tally_made() returns trigger language plpgsql as $$
declare
	m record;
begin
	for m in
		select product_id, id >> 11 as block, count(*) filter (where not disabled) as n_unactive,
		       count(*) filter (where disabled) as n_disabled
		from made group by 1, 2 order by 1, 2
	loop
		update device_tally t
		set n_unactive = t.n_unactive + m.n_unactive, n_disabled = t.n_disabled + m.n_disabled
		where t.group_id = 0 and t.product_id = m.product_id and t.block = m.block and t.slot = (
			select slot from device_tally where group_id = 0 and product_id = m.product_id and block = m.block
			order by slot limit 1 for no key update skip locked);
		continue when found;
		insert into device_tally as t (group_id, product_id, block, slot, n_unactive, n_offline, n_online, n_disabled,
			n_disabled_active)
		select 0, m.product_id, m.block, case when exists (
				select from device_tally where group_id = 0 and product_id = m.product_id and block = m.block and slot = 0)
			then pg_backend_pid() else 0 end, m.n_unactive, 0, 0, m.n_disabled, 0
		on conflict (group_id, product_id, block, slot) do update set
			n_unactive = t.n_unactive + excluded.n_unactive, n_disabled = t.n_disabled + excluded.n_disabled;
	end loop;
	return null;
end $$;

drop view device_group_tally;
create view device_group_tally as
select group_id, product_id, block, n_unactive, n_offline, n_online, n_disabled, n_disabled_active
from device_tally where group_id <> 0
union all
select g.id, t.product_id, t.block,
       case when 'UNACTIVE' like all (g.like_statuses) then sum(t.n_unactive)::int else 0 end,
       case when 'OFFLINE' like all (g.like_statuses) then sum(t.n_offline)::int else 0 end,
       case when 'ONLINE' like all (g.like_statuses) then sum(t.n_online)::int else 0 end,
       case when 'DISABLE' like all (g.like_statuses) then sum(t.n_disabled)::int else 0 end,
       case when 'DISABLE' like all (g.like_statuses) then sum(t.n_disabled_active)::int else 0 end
from device_group g
join product p on p.account_id = g.account_id and p.instance_id = g.instance_id
join device_tally t on t.group_id = 0 and t.product_id = p.id
where g.kind = 'LINK_PLATFORM_DYNAMIC' and g.deleted_ms is null and g.tallied
  and p.product_key like all (g.like_product_keys)
group by g.id, t.product_id, t.block;
