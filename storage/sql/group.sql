-- Device groups, static and dynamic; who is in which: view device_group_device. Groups are added and deleted under
-- the account's lock (account_lock), which makes the counts exact.

-- name: group_count
-- in: bigint
-- out: n
select count(*) as n from device_group where account_id = $1::bigint and deleted_ms is null;

-- name: group_place
-- in: bigint
-- out: level children
-- Where a group below $1 would be: the level of $1, from 1, and how many it has below it already.
with recursive up as (
	select id, parent_id from device_group where id = $1::bigint
	union
	select g.id, g.parent_id from device_group g join up on g.id = up.parent_id
)
select (select count(*) from up) as level,
       (select count(*) from device_group where parent_id = $1 and deleted_ms is null) as children;

-- name: group_add
-- in: bigint bigint text bigint text text text bigint text text[] text[] text[] text[] text[]
-- out: id
-- No row when the name is taken.
insert into device_group (account_id, instance_id, group_id, parent_id, kind, name, description, created_ms, expression,
	like_product_keys, like_names, like_statuses, tag_keys, like_tags)
values ($1::bigint, $2::bigint, $3::text, $4::bigint, $5::text, $6::text, $7::text, $8::bigint, $9::text,
	$10::text[], $11::text[], $12::text[], $13::text[], $14::text[])
on conflict (account_id, name) where deleted_ms is null do nothing
returning id;

-- name: group_find
-- in: bigint text text
-- out: id group_id kind name description expression parent_id created_ms
select id, group_id, kind, name, description, expression, parent_id, created_ms
from device_group
where account_id = $1::bigint and group_id = $2::text and ($3::text is null or kind = $3) and deleted_ms is null;

-- name: group_by_id
-- in: bigint
-- out: id group_id kind name description expression parent_id created_ms
select id, group_id, kind, name, description, expression, parent_id, created_ms
from device_group where id = $1::bigint and deleted_ms is null;

-- name: group_describe
-- in: bigint text
-- out:
update device_group set description = $2::text where id = $1::bigint;

-- name: group_hold
-- in: bigint
-- out: id
-- Keeps the group from being deleted until the transaction ends.
select id from device_group where id = $1::bigint and deleted_ms is null for key share;

-- name: group_lock_whole
-- in: bigint
-- out: id
-- Against group_hold.
select id from device_group where id = $1::bigint and deleted_ms is null for update;

-- name: group_uses
-- in: bigint
-- out: children jobs
-- What keeps a group from being deleted.
select (select count(*) from device_group where parent_id = $1::bigint and deleted_ms is null) as children,
       (select count(*) from live_job l join job j on j.id = l.job_id where j.group_id = $1) as jobs;

-- name: group_delete
-- in: bigint bigint
-- out:
with m as (
	delete from device_group_member where group_id = $1::bigint
), t as (
	delete from device_group_tag where group_id = $1
)
update device_group set deleted_ms = $2::bigint where id = $1;

-- name: group_counts
-- in: bigint bigint
-- out: devices active online
-- Devices of group $1, or only those of product $2: see device_group_tally; those of a group that has none one by one.
select coalesce(sum(n_unactive + n_offline + n_online + n_disabled), 0) as devices,
       coalesce(sum(n_offline + n_online + n_disabled_active), 0) as active, coalesce(sum(n_online), 0) as online
from (
	select t.n_unactive, t.n_offline, t.n_online, t.n_disabled, t.n_disabled_active
	from device_group_tally t where t.group_id = $1::bigint and ($2::bigint is null or t.product_id = $2)
	union all
	select (state = 1)::int, (state = 2)::int, (state = 3)::int, (state >= 4)::int, (state = 5)::int
	from (
		select (select device_tally_state(f.disabled, s.online)
			from (select) one left join device_session s on s.device_id = f.device_id) as state
		from device_group_found($1, '', '~') f
		where ($2 is null or f.product_id = $2) and exists (select from device_group where id = $1 and not tallied)
		offset 0) c
) u;

-- name: group_page_count
-- in: bigint bigint text text bigint
-- out: n
select count(*) as n from device_group
where account_id = $1::bigint and instance_id = $2::bigint and kind = $3::text and deleted_ms is null
  and ($4::text is null or name = $4) and ($5::bigint is null or parent_id = $5);

-- name: group_page
-- in: bigint bigint text text bigint bigint bigint
-- out: id group_id kind name description expression parent_id created_ms
-- Newest first.
select id, group_id, kind, name, description, expression, parent_id, created_ms
from device_group
where account_id = $1::bigint and instance_id = $2::bigint and kind = $3::text and deleted_ms is null
  and ($4::text is null or name = $4) and ($5::bigint is null or parent_id = $5)
order by id desc offset $6::bigint limit $7::bigint;

-- name: group_of_device
-- in: bigint
-- out: id group_id kind name description expression parent_id created_ms
-- The static and the dynamic groups that device $1 is in, newest first.
select g.id, g.group_id, g.kind, g.name, g.description, g.expression, g.parent_id, g.created_ms
from device_group_device v join device_group g on g.id = v.group_id
where v.device_id = $1::bigint
order by g.id desc;

-- ---- devices -----------------------------------------------------------------------------------------------

-- name: group_lock
-- in: bigint
-- out: id
select id from device_group where id = $1::bigint and deleted_ms is null for no key update;

-- name: group_lock_devices
-- in: bigint text[] text[]
-- out: id
-- Those of the pairs of ProductKey and DeviceName that are devices of account $1.
select d.id
from device d
where d.id in (
	select x.id
	from unnest($2::text[], $3::text[]) as u(product_key, name)
	join product p on p.product_key = u.product_key and p.account_id = $1::bigint
	join device x on x.product_id = p.id and x.name = u.name)
order by d.id
for no key update;

-- name: group_members_of
-- in: bigint bigint[] int
-- out: members inside full
-- Of the devices $2: how many are in group $1, and how many others are in $3 groups or more already.
select (select coalesce(sum(n_unactive + n_offline + n_online + n_disabled), 0) from device_tally where group_id = $1::bigint) as members,
       (select count(*) from device_group_member where group_id = $1 and device_id = any ($2::bigint[])) as inside,
       (select count(*) from (
		select from device_group_member where device_id = any ($2) group by device_id
		having count(*) >= $3::int and not bool_or(group_id = $1)) f) as full;

-- name: group_members_add
-- in: bigint bigint[] int
-- out:
insert into device_group_member (group_id, device_id)
select $1::bigint, u.id
from unnest($2::bigint[]) as u(id)
where (select count(*) from device_group_member m where m.device_id = u.id) < $3::int
on conflict do nothing;

-- name: group_members_remove
-- in: bigint bigint[]
-- out:
delete from device_group_member where group_id = $1::bigint and device_id = any ($2::bigint[]);

-- name: group_devices_count
-- in: bigint text text text text
-- out: n in_blocks
-- Devices of group $1, only those of ProductKey $2, of name $3, with names that begin with $4 (no name has a character
-- above 'z'), of status $5. in_blocks:
-- group_devices_in_blocks is to list them.
select case when q.in_blocks then (
	select coalesce(sum(case $5::text when 'UNACTIVE' then n_unactive when 'OFFLINE' then n_offline when 'ONLINE' then n_online
		when 'DISABLE' then n_disabled else n_unactive + n_offline + n_online + n_disabled end), 0)
	from device_group_tally t
	where t.group_id = $1::bigint
	  and ($2::text is null or t.product_id = (select p.id from product p where p.product_key = $2))
) else (
	select count(*)
	from device_group_found($1, coalesce($3, $4, ''), coalesce($3, $4, '') || '~') f
	where ($2 is null or f.product_id = (select p.id from product p where p.product_key = $2)) and ($3 is null or f.name = $3)
	  and case when $5 is null then true else (
		select device_status(f.disabled, s.active_ms, s.online)
		from (select) one left join device_session s on s.device_id = f.device_id) = $5 end
) end as n, q.in_blocks
from (select coalesce(bool_and(tallied), false) and $3::text is null and $4::text is null as in_blocks
      from device_group where id = $1) q;

-- name: group_devices
-- in: bigint text text text text bigint bigint bigint
-- out: id product_key product_name category_key node_type name nickname status active_ms online_ms
-- The same devices, newest first, below id $6.
select d.id, d.product_key, d.product_name, d.category_key, d.node_type, d.name, d.nickname, d.status, d.active_ms,
       d.online_ms
from (
	select f.device_id
	from device_group_found($1::bigint, coalesce($3::text, $4::text, ''), coalesce($3, $4, '') || '~') f
	where f.device_id < $6::bigint
	  and ($2::text is null or f.product_id = (select p.id from product p where p.product_key = $2)) and ($3 is null or f.name = $3)
	  and case when $5::text is null then true else (
		select device_status(f.disabled, s.active_ms, s.online)
		from (select) one left join device_session s on s.device_id = f.device_id) = $5 end
	order by f.device_id desc offset $7::bigint limit $8::bigint) k
join device_shown d on d.id = k.device_id
order by d.id desc;

-- name: group_devices_in_blocks
-- in: bigint text text text text bigint bigint bigint
-- out: id product_key product_name category_key node_type name nickname status active_ms online_ms
-- The same without names. (The group's kind is asked as a value, so that it is known before a device is read.)
-- Reads only the blocks that the page is in; of that of $6 nobody knows how many are below $6.
with tally as (
	select t.product_id, t.block, c.n, t.block = $6::bigint >> 11 as cut,
	       sum(c.n) filter (where t.block < $6 >> 11) over (order by t.block desc) as past,
	       sum(c.n) filter (where t.block < $6 >> 11) over (partition by t.block) as here
	from device_group_tally t
	cross join lateral (
		select case $5::text when 'UNACTIVE' then n_unactive when 'OFFLINE' then n_offline when 'ONLINE' then n_online
			when 'DISABLE' then n_disabled else n_unactive + n_offline + n_online + n_disabled end as n) c
	where t.group_id = $1::bigint and t.block <= $6 >> 11 and c.n > 0 and $3::text is null and $4::text is null
	  and ($2::text is null or t.product_id = (select p.id from product p where p.product_key = $2))
), part as materialized (
	select product_id, block, coalesce(past - here, 0) as before
	from tally
	where (cut or past > $7::bigint) and coalesce(past - here, 0) < $7 + $8::bigint
), k as (
	select d.id
	from part cross join lateral (
		select d.id
		from device_group_member m cross join lateral (select * from device where id = m.device_id offset 0) d
		where (select kind from device_group where id = $1) = 'LINK_PLATFORM' and m.group_id = $1
		  and m.device_id >= part.block << 11 and m.device_id < least((part.block + 1) << 11, $6)
		  and d.product_id = part.product_id
		  and case when $5 is null then true else (
			select device_status(d.disabled, s.active_ms, s.online)
			from (select) one left join device_session s on s.device_id = d.id) = $5 end
		union all
		select d.id
		from device d
		left join device_session s on s.device_id = d.id and s.device_id >= part.block << 11 and s.device_id < (part.block + 1) << 11
		cross join lateral (select device_status(d.disabled, s.active_ms, s.online) as status) v
		where (select kind from device_group where id = $1) = 'LINK_PLATFORM_DYNAMIC' and d.product_id = part.product_id
		  and d.id >= part.block << 11 and d.id < least((part.block + 1) << 11, $6)
		  and v.status like all ((select like_statuses from device_group where id = $1)::text[])
		  and ($5 is null or v.status = $5)) d
	order by d.id desc offset $7 - (select min(before) from part) limit $8
)
select d.id, d.product_key, d.product_name, d.category_key, d.node_type, d.name, d.nickname, d.status, d.active_ms,
       d.online_ms
from k join device_shown d on d.id = k.id
order by d.id desc;

-- ---- tags --------------------------------------------------------------------------------------------------

-- name: group_tags_set
-- in: bigint text[] text[]
-- out:
-- Exactly these tags.
with gone as (
	delete from device_group_tag where group_id = $1::bigint and key <> all ($2::text[])
)
insert into device_group_tag (group_id, key, value)
select $1, u.key, u.value from unnest($2, $3::text[]) as u(key, value)
on conflict (group_id, key) do update set value = excluded.value;

-- name: group_tags
-- in: bigint
-- out: key value
select key, value from device_group_tag where group_id = $1::bigint order by key;

-- name: group_by_tags_count
-- in: bigint bigint text[] text[]
-- out: n
select count(*) as n from device_group g
where g.account_id = $1::bigint and g.instance_id = $2::bigint and g.deleted_ms is null
  and not exists (
	select from unnest($3::text[], $4::text[]) as u(key, value)
	where u.key = 'abc' or not exists (
		select from device_group_tag t where t.group_id = g.id and t.key = u.key and t.value = u.value));

-- name: group_by_tags
-- in: bigint bigint text[] text[] bigint bigint
-- out: id group_id kind name description expression parent_id created_ms
-- Groups that have all of these tags, newest first; the key abc is never found (api §9).
select g.id, g.group_id, g.kind, g.name, g.description, g.expression, g.parent_id, g.created_ms
from device_group g
where g.account_id = $1::bigint and g.instance_id = $2::bigint and g.deleted_ms is null
  and not exists (
	select from unnest($3::text[], $4::text[]) as u(key, value)
	where u.key = 'abc' or not exists (
		select from device_group_tag t where t.group_id = g.id and t.key = u.key and t.value = u.value))
order by g.id desc offset $5::bigint limit $6::bigint;
