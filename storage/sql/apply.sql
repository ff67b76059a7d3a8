-- Batch registrations (ApplyId).

-- name: apply_add
-- in: bigint bigint int bigint
-- out: id
insert into device_apply (account_id, product_id, status, wanted, created_ms)
values ($1::bigint, $2::bigint, 'CREATE', $3::int, $4::bigint)
returning id;

-- name: apply_check
-- in: bigint bigint text[] text[] bigint
-- out: id
-- Notes named devices, and which of the names are taken.
insert into device_apply (account_id, product_id, status, wanted, names, nicknames, invalid, created_ms)
select $1::bigint, $2::bigint, case when t.taken = '{}' then 'CHECK_SUCCESS' else 'CHECK_FAILED' end, cardinality($3::text[]),
	$3, $4::text[], t.taken, $5::bigint
from (select array(select name from device where product_id = $2 and name = any ($3)) as taken) t
returning id;

-- name: apply_order
-- in: bigint
-- out: id
-- What was checked is to be made. No row when it is in another state.
update device_apply set status = 'CREATE' where id = $1::bigint and status = 'CHECK_SUCCESS' returning id;

-- name: apply_find
-- in: bigint bigint
-- out: id product_id status wanted named
select id, product_id, status, wanted, names is not null as named
from device_apply where account_id = $1::bigint and id = $2::bigint;

-- name: apply_names
-- in: bigint
-- out: name nickname taken
-- The names of a named order as they were given, and whether each was taken.
select u.name, u.nickname, i.name is not null as taken
from device_apply a
cross join unnest(a.names, a.nicknames) with ordinality as u(name, nickname, n)
left join unnest(a.invalid) as i(name) on i.name = u.name
where a.id = $1::bigint
order by u.n;

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
-- in: int
-- out: id product_id product_key wanted made names nicknames
-- One that still lacks devices and that nobody else is working on, with the next $1 names if it has some.
select a.id, a.product_id, p.product_key, a.wanted, a.made, a.names[a.made + 1 : a.made + $1::int] as names,
       a.nicknames[a.made + 1 : a.made + $1] as nicknames
from device_apply a join product p on p.id = a.product_id
where a.status = 'CREATE' and a.made < a.wanted
order by a.id limit 1
for no key update of a skip locked;

-- name: apply_advance
-- in: bigint int bigint text[]
-- out: 
-- $2 more are done; those of the names $4 that are not this order's devices were taken.
update device_apply a
set made = a.made + $2::int, made_ms = case when a.made + $2 >= a.wanted then $3::bigint end,
	invalid = a.invalid || array(
		select u.name from unnest($4::text[]) as u(name)
		where not exists (
			select from device d where d.product_id = a.product_id and d.name = u.name and d.apply_id = a.id))
where a.id = $1::bigint;

-- name: apply_finish
-- in: bigint
-- out: id
-- Those whose devices all can log in, or that have waited for the broker since $1 or longer.
update device_apply a set status = case when a.invalid = '{}' then 'CREATE_SUCCESS' else 'CREATE_FAILED' end
where a.id in (
	select o.id from device_apply o
	where o.status = 'CREATE' and o.made >= o.wanted
	  and (o.made_ms <= $1::bigint or not exists (
		select from credential_change c join device d on d.id = c.device_id where d.apply_id = o.id))
	for no key update skip locked)
returning a.id;

-- name: apply_forget
-- in: bigint
-- out:
-- Checks from before $1 that no devices were made of.
delete from device_apply where status in ('CHECK_SUCCESS', 'CHECK_FAILED') and created_ms < $1::bigint;

-- name: apply_open
-- in: 
-- out: n
select count(*) as n from device_apply where status = 'CREATE';
