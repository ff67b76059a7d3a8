-- Batch registrations (ApplyId).

-- name: apply_add
-- in: bigint bigint int bigint
-- out: id
insert into device_apply (account_id, product_id, status, wanted, created_ms)
values ($1::bigint, $2::bigint, 'CREATE', $3::int, $4::bigint)
returning id;

-- name: apply_find
-- in: bigint bigint
-- out: id product_id status wanted
select id, product_id, status, wanted from device_apply where account_id = $1::bigint and id = $2::bigint;

-- name: apply_count
-- in: bigint
-- out: n
select count(*) as n from device where apply_id = $1::bigint;

-- name: apply_page
-- in: bigint bigint bigint
-- out: id name secret product_key
select d.id, d.name, d.secret, p.product_key
from device d join product p on p.id = d.product_id
where d.apply_id = $1::bigint
order by d.id offset $2::bigint limit $3::bigint;

-- name: apply_claim
-- in: 
-- out: id product_id product_key wanted made
-- One that still lacks devices and that nobody else is working on.
select a.id, a.product_id, p.product_key, a.wanted, a.made
from device_apply a join product p on p.id = a.product_id
where a.status = 'CREATE' and a.made < a.wanted
order by a.id limit 1
for no key update of a skip locked;

-- name: apply_advance
-- in: bigint int bigint
-- out: 
update device_apply
set made = made + $2::int, made_ms = case when made + $2 >= wanted then $3::bigint end
where id = $1::bigint;

-- name: apply_finish
-- in: bigint
-- out: id
-- Those whose devices all can log in, or that have waited for the broker since $1 or longer.
update device_apply a set status = 'CREATE_SUCCESS'
where a.id in (
	select o.id from device_apply o
	where o.status = 'CREATE' and o.made >= o.wanted
	  and (o.made_ms <= $1::bigint or not exists (
		select from credential_change c join device d on d.id = c.device_id where d.apply_id = o.id))
	for no key update skip locked)
returning a.id;

-- name: apply_open
-- in: 
-- out: n
select count(*) as n from device_apply where status = 'CREATE';
