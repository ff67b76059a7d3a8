-- What the API shows of devices (view device_shown). Every statement with rows of devices has the same columns; lists
-- are newest first, and find the ids of a page before they look at anything else.

-- name: device_view
-- in: bigint
-- out: id product_key product_name node_type name nickname secret created_ms modified_ms version status ip active_ms online_ms changed_ms
select id, product_key, product_name, node_type, name, nickname, secret, created_ms, modified_ms, version, status, ip,
	active_ms, online_ms, changed_ms
from device_shown where id = $1::bigint;

-- name: device_view_named
-- in: bigint text[]
-- out: id product_key product_name node_type name nickname secret created_ms modified_ms version status ip active_ms online_ms changed_ms
-- Devices of product $1 in the order of their names in $2; names that it does not have are left out.
select v.id, v.product_key, v.product_name, v.node_type, v.name, v.nickname, v.secret, v.created_ms, v.modified_ms, v.version,
	v.status, v.ip, v.active_ms, v.online_ms, v.changed_ms
from unnest($2::text[]) with ordinality as u(name, n)
join device d on d.product_id = $1::bigint and d.name = u.name
join device_shown v on v.id = d.id
order by u.n;

-- name: device_view_of
-- in: bigint bigint[]
-- out: id product_key product_name node_type name nickname secret created_ms modified_ms version status ip active_ms online_ms changed_ms
-- The same by keys, of account $1.
select v.id, v.product_key, v.product_name, v.node_type, v.name, v.nickname, v.secret, v.created_ms, v.modified_ms, v.version,
	v.status, v.ip, v.active_ms, v.online_ms, v.changed_ms
from unnest($2::bigint[]) with ordinality as u(id, n)
join device_shown v on v.id = u.id and v.account_id = $1::bigint
order by u.n;

-- name: device_page_below
-- in: bigint bigint bigint
-- out: id product_key product_name node_type name nickname secret created_ms modified_ms version status ip active_ms online_ms changed_ms
-- Devices of product $1 below id $2.
select v.id, v.product_key, v.product_name, v.node_type, v.name, v.nickname, v.secret, v.created_ms, v.modified_ms, v.version,
	v.status, v.ip, v.active_ms, v.online_ms, v.changed_ms
from (
	select id from device where product_id = $1::bigint and id < $2::bigint
	order by id desc limit $3::bigint) k
join device_shown v on v.id = k.id
order by v.id desc;

-- name: device_status_count
-- in: bigint bigint bigint text
-- out: n
-- Devices of instance $2, or only those of product $3, that have status $4, or any.
select coalesce(sum(case $4::text when 'UNACTIVE' then n_unactive when 'OFFLINE' then n_offline when 'ONLINE' then n_online
	when 'DISABLE' then n_disabled else n_unactive + n_offline + n_online + n_disabled end), 0) as n
from product p
join device_tally t on t.group_id = 0 and t.product_id = p.id
where p.account_id = $1::bigint and p.instance_id = $2::bigint and ($3::bigint is null or p.id = $3);

-- name: device_status_page
-- in: bigint bigint bigint text bigint bigint
-- out: id product_key product_name node_type name nickname secret created_ms modified_ms version status ip active_ms online_ms changed_ms
-- The same devices. Reads only the blocks that the page is in.
with tally as (
	select product_id, block, n, sum(n) over (order by block desc) - sum(n) over (partition by block) as before
	from (
		select t.product_id, t.block, sum(case $4::text when 'UNACTIVE' then n_unactive when 'OFFLINE' then n_offline
			when 'ONLINE' then n_online when 'DISABLE' then n_disabled
			else n_unactive + n_offline + n_online + n_disabled end)::int as n
		from product p
		join device_tally t on t.group_id = 0 and t.product_id = p.id
		where p.account_id = $1::bigint and p.instance_id = $2::bigint and ($3::bigint is null or p.id = $3)
		group by t.product_id, t.block) c
	where n > 0
), part as materialized (
	select product_id, block, before, sum(n) over (partition by block) as n from tally
), k as (
	select d.id
	from part cross join lateral (
		select d.id
		from device d
		left join device_session s on s.device_id = d.id and s.device_id >= part.block << 11 and s.device_id < (part.block + 1) << 11
		where d.product_id = part.product_id and d.id >= part.block << 11 and d.id < (part.block + 1) << 11
		  and ($4 is null or device_status(d.disabled, s.active_ms, s.online) = $4)
		offset 0) d
	where part.before + part.n > $5::bigint and part.before < $5 + $6::bigint
	order by d.id desc offset $5 - (select min(before) from part where before + n > $5) limit $6
)
select v.id, v.product_key, v.product_name, v.node_type, v.name, v.nickname, v.secret, v.created_ms, v.modified_ms, v.version,
	v.status, v.ip, v.active_ms, v.online_ms, v.changed_ms
from k join device_shown v on v.id = k.id
order by v.id desc;

-- name: device_tags_count
-- in: bigint jsonb
-- out: n
select count(*) as n from device_tags where words @> device_tag_words($1::bigint, $2::jsonb);

-- name: device_tags_page
-- in: bigint jsonb bigint bigint
-- out: id product_key product_name node_type name nickname secret created_ms modified_ms version status ip active_ms online_ms changed_ms
-- Devices of instance $1 that have all of the tags $2, when they are few: all of them are read.
select v.id, v.product_key, v.product_name, v.node_type, v.name, v.nickname, v.secret, v.created_ms, v.modified_ms, v.version,
	v.status, v.ip, v.active_ms, v.online_ms, v.changed_ms
from (
	select device_id as id
	from (select device_id from device_tags where words @> device_tag_words($1::bigint, $2::jsonb) offset 0) t
	order by device_id desc offset $3::bigint limit $4::bigint) k
join device_shown v on v.id = k.id
order by v.id desc;

-- name: device_tags_page_near
-- in: bigint jsonb bigint bigint
-- out: id product_key product_name node_type name nickname secret created_ms modified_ms version status ip active_ms online_ms changed_ms
-- The same when they are many and the page is near: goes from the newest device to the page's end.
select v.id, v.product_key, v.product_name, v.node_type, v.name, v.nickname, v.secret, v.created_ms, v.modified_ms, v.version,
	v.status, v.ip, v.active_ms, v.online_ms, v.changed_ms
from (
	select t.device_id as id
	from (select device_id, words from device_tags order by device_id desc offset 0) t
	where t.words @> device_tag_words($1::bigint, $2::jsonb)
	offset $3::bigint limit $4::bigint) k
join device_shown v on v.id = k.id
order by v.id desc;

-- name: device_counts
-- in: bigint bigint
-- out: devices active online
-- Of account $1, or only of product $2.
select coalesce(sum(n_unactive + n_offline + n_online + n_disabled), 0) as devices,
       coalesce(sum(n_offline + n_online + n_disabled_active), 0) as active, coalesce(sum(n_online), 0) as online
from product p
join device_tally t on t.group_id = 0 and t.product_id = p.id
where p.account_id = $1::bigint and ($2::bigint is null or p.id = $2);

-- ---- tags --------------------------------------------------------------------------------------------------

-- name: device_tags_get
-- in: bigint
-- out: tags
select tags::text as tags from device_tags where device_id = $1::bigint;

-- name: device_tags_save
-- in: bigint jsonb int
-- out: device_id
-- Adds or overwrites; no row when there would be more than $3.
insert into device_tags as t (device_id, tags)
select d.id, $2::jsonb from device d where d.id = $1::bigint
on conflict (device_id) do update set tags = t.tags || excluded.tags
	where (select count(*) from jsonb_object_keys(t.tags || excluded.tags)) <= $3::int
returning device_id;

-- name: device_tags_remove
-- in: bigint text
-- out:
update device_tags set tags = tags - $2::text where device_id = $1::bigint and tags ? $2;
