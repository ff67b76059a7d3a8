-- The feed of credentials to the broker: changes out of the outbox, the full set, the position reached.

-- name: credential_changes
-- in: int
-- out: id product_key device_name secret may_login plain
-- At most $1 changes that somebody waits for, oldest first, with what is true now: of a device, or a product whose
-- devices may register, its sealed secret, of anything else what the broker is told instead of one.
select c.id, c.product_key, c.device_name, coalesce(d.secret, r.secret) as secret,
       r.id is not null or d.id is not null and not d.disabled as may_login,
       coalesce(a.account_id || ':' || a.secret_sha256, q.account_id::text) as plain
from (select * from credential_change where not bulk order by id limit $1::int) c
left join device d on d.id = c.device_id
left join service_account a on c.product_key = '$service' and a.name = c.device_name and not a.disabled
left join product q on c.product_key = '$product' and q.product_key = c.device_name
left join product r on c.product_key = '$register' and r.product_key = c.device_name and r.dynamic_register > 0
order by c.id;

-- name: credential_changes_all
-- in: int
-- out: id product_key device_name secret may_login plain
-- The same of any changes: those of an import are left.
select c.id, c.product_key, c.device_name, coalesce(d.secret, r.secret) as secret,
       r.id is not null or d.id is not null and not d.disabled as may_login,
       coalesce(a.account_id || ':' || a.secret_sha256, q.account_id::text) as plain
from (select * from credential_change order by id limit $1::int) c
left join device d on d.id = c.device_id
left join service_account a on c.product_key = '$service' and a.name = c.device_name and not a.disabled
left join product q on c.product_key = '$product' and q.product_key = c.device_name
left join product r on c.product_key = '$register' and r.product_key = c.device_name and r.dynamic_register > 0
order by c.id;

-- name: credential_page
-- in: bigint int
-- out: id product_key device_name secret
-- The full set, by pages: devices above id $1.
select d.id, p.product_key, d.name as device_name, d.secret
from device d join product p on p.id = d.product_id
where d.id > $1::bigint and not d.disabled
order by d.id limit $2::int;

-- name: credential_page_other
-- in: text text int
-- out: product_key device_name plain secret
-- The rest of the full set: service accounts and products, above ($1, $2).
select product_key, device_name, plain, secret
from (
	select '$service' collate "C" as product_key, name as device_name,
	       account_id || ':' || secret_sha256 as plain, null::bytea as secret
	from service_account where not disabled
	union all
	select '$product', product_key, account_id::text, null from product
	union all
	select '$register', product_key, null, secret from product where dynamic_register > 0
) x
where (product_key, device_name) > ($1::text, $2::text)
order by product_key, device_name limit $3::int;

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
