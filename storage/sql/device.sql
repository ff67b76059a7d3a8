-- Devices: made, found, deleted. Every change of what may log in leaves a row in credential_change, in the same
-- transaction; the row goes when the broker has it.

-- name: device_add
-- in: bigint text text text bytea bigint
-- out: id change_id
-- Into product $1 (ProductKey $2). No row when the name exists.
with d as (
	insert into device (product_id, name, nickname, secret, created_ms)
	values ($1::bigint, $3::text, $4::text, $5::bytea, $6::bigint)
	on conflict (product_id, name) do nothing
	returning id, name
), c as (
	insert into credential_change (product_key, device_name, device_id)
	select $2::text, name, id from d
	returning id, device_id
)
select d.id, c.id as change_id from d join c on c.device_id = d.id;

-- name: devices_add
-- in: bigint text text[] bytea[] text[] bigint bigint text[]
-- out: added
-- Many at once; names that exist are left as they are. $5: versions, null = not known; $6: batch; null =
-- an import, whose credentials give way to others; $8: nicknames, null = none.
with new as (
	select n.name, n.secret, n.version, n.nickname
	from unnest($3::text[], $4::bytea[], $5::text[], $8::text[]) as n(name, secret, version, nickname)
), d as (
	insert into device (product_id, name, secret, nickname, apply_id, created_ms)
	select $1::bigint, name, secret, nickname, $6::bigint, $7::bigint from new
	on conflict (product_id, name) do nothing
	returning id, name
), c as (
	insert into credential_change (product_key, device_name, device_id, bulk)
	select $2::text, name, id, $6 is null from d
), m as (
	insert into device_module (device_id, module, version, reported_ms, modified_ms)
	select d.id, 'default', new.version, $7, $7 from d join new on new.name = d.name
	where new.version is not null
	on conflict do nothing
)
select count(*) as added from d;

-- name: device_find_id
-- in: bigint bigint
-- out: id product_id product_key name
select d.id, d.product_id, p.product_key, d.name
from device d join product p on p.id = d.product_id
where d.id = $2::bigint and p.account_id = $1::bigint;

-- name: device_find_name
-- in: bigint text text
-- out: id product_id product_key name
select d.id, d.product_id, p.product_key, d.name
from device d join product p on p.id = d.product_id
where p.product_key = $2::text and p.account_id = $1::bigint and d.name = $3::text;

-- name: device_delete
-- in: bigint bigint
-- out: change_id
-- No row when it is gone already. Its session and memberships go by a trigger.
with d as (
	delete from device where id = $1::bigint returning id, product_id, name
), gone as (
	insert into device_deleted (device_id, product_id, name, deleted_ms)
	select id, product_id, name, $2::bigint from d
)
insert into credential_change (product_key, device_name, device_id)
select p.product_key, d.name, d.id from d join product p on p.id = d.product_id
returning id as change_id;

-- name: device_forget
-- in: bigint
-- out:
-- What the engine wrote of a device that this transaction deleted; a statement of its own, so that it sees what was
-- written while the deletion waited.
delete from device_module where device_id = $1::bigint;

-- name: device_set_disabled
-- in: bigint bool bigint
-- out: change_id
-- No row when it is so already.
with d as (
	update device set disabled = $2::bool, modified_ms = $3::bigint, status_ms = $3
	where id = $1::bigint and disabled <> $2
	returning id, product_id, name
)
insert into credential_change (product_key, device_name, device_id)
select p.product_key, d.name, d.id from d join product p on p.id = d.product_id
returning id as change_id;

-- name: device_nicknames
-- in: bigint[] text[] bigint
-- out:
update device d set nickname = u.nickname, modified_ms = $3::bigint
from (
	select distinct on (id) id, nickname
	from unnest($1::bigint[], $2::text[]) with ordinality as w(id, nickname, n)
	order by id, n desc) u
where d.id = u.id and d.nickname is distinct from u.nickname;

-- name: credential_change_waits
-- in: bigint
-- out: waits
select exists (select from credential_change where id = $1::bigint) as waits;
