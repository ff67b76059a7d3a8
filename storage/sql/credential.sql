-- The feed of credentials to the broker: changes out of the outbox, the full set, the position reached.

-- name: credential_changes
-- in: int
-- out: id product_key device_name secret may_login
-- At most $1 changes that somebody waits for, oldest first, with what is true of the device now.
select c.id, c.product_key, c.device_name, d.secret, d.id is not null and not d.disabled as may_login
from (select * from credential_change where not bulk order by id limit $1::int) c
left join product p on p.product_key = c.product_key
left join device d on d.product_id = p.id and d.name = c.device_name
order by c.id;

-- name: credential_changes_all
-- in: int
-- out: id product_key device_name secret may_login
-- The same of any changes: those of an import are left.
select c.id, c.product_key, c.device_name, d.secret, d.id is not null and not d.disabled as may_login
from (select * from credential_change order by id limit $1::int) c
left join product p on p.product_key = c.product_key
left join device d on d.product_id = p.id and d.name = c.device_name
order by c.id;

-- name: credential_page
-- in: bigint int
-- out: id product_key device_name secret
-- The full set, by pages: devices above id $1.
select d.id, p.product_key, d.name as device_name, d.secret
from device d join product p on p.id = d.product_id
where d.id > $1::bigint and not d.disabled
order by d.id limit $2::int;

-- name: credential_position
-- in: int
-- out: position
select position from credential_feed where shard = $1::int;

-- name: credential_delivered
-- in: bigint[]
-- out:
delete from credential_change where id = any ($1::bigint[]);

-- name: credential_reached
-- in: int bigint
-- out:
insert into credential_feed (shard, position) values ($1::int, $2::bigint)
on conflict (shard) do update set position = excluded.position;
