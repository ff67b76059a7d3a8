-- Products, by ProductKey within an account.

-- name: product_count
-- in: bigint
-- out: n
select count(*) as n from product where account_id = $1::bigint and deleted_ms is null;

-- name: product_add
-- in: bigint bigint text text bytea text smallint smallint text text text text bool text smallint bigint
-- out: id
insert into product (account_id, instance_id, product_key, name, secret, description, node_type, data_format,
	commodity, protocol, net_type, auth_type, id2, category_key, validate_type, created_ms)
values ($1::bigint, $2::bigint, $3::text, $4::text, $5::bytea, $6::text, $7::smallint, $8::smallint,
	$9::text, $10::text, $11::text, $12::text, $13::bool, $14::text, $15::smallint, $16::bigint)
on conflict do nothing
returning id;

-- name: product_find
-- in: bigint text
-- out: id instance_id product_key name secret description node_type data_format commodity protocol net_type auth_type id2 category_key validate_type created_ms
select id, instance_id, product_key, name, secret, description, node_type, data_format, commodity, protocol,
	net_type, auth_type, id2, category_key, validate_type, created_ms
from product where account_id = $1::bigint and product_key = $2::text and deleted_ms is null;

-- name: product_by_name
-- in: bigint text
-- out: id
select id from product where account_id = $1::bigint and name = $2::text and deleted_ms is null;

-- name: product_hold
-- in: bigint
-- out: id
-- Keeps the product from being deleted until the transaction ends.
select id from product where id = $1::bigint and deleted_ms is null for key share;

-- name: product_devices
-- in: bigint
-- out: n
select coalesce(sum(n_unactive + n_offline + n_online + n_disabled), 0) as n
from device_tally where group_id = 0 and product_id = $1::bigint;

-- name: product_page_count
-- in: bigint bigint text
-- out: n
select count(*) as n from product
where account_id = $1::bigint and instance_id = $2::bigint and deleted_ms is null and ($3::text is null or commodity = $3);

-- name: product_page
-- in: bigint bigint text bigint bigint
-- out: product_key name description auth_type node_type data_format devices created_ms
-- Newest first.
select p.product_key, p.name, p.description, p.auth_type, p.node_type, p.data_format,
	(select coalesce(sum(n_unactive + n_offline + n_online + n_disabled), 0) from device_tally t
	 where t.group_id = 0 and t.product_id = p.id) as devices, p.created_ms
from (
	select * from product
	where account_id = $1::bigint and instance_id = $2::bigint and deleted_ms is null
	  and ($3::text is null or commodity = $3)
	order by id desc offset $4::bigint limit $5::bigint) p
order by p.id desc;

-- name: product_update
-- in: bigint text text
-- out: id
-- No row when another product has the name. Under account_lock.
update product p set name = $2::text, description = coalesce($3::text, p.description)
where p.id = $1::bigint
  and not exists (
	select from product o
	where o.account_id = p.account_id and o.name = $2 and o.id <> p.id and o.deleted_ms is null)
returning p.id;

-- name: product_lock_tasks
-- in: bigint
-- out: id
-- Against each other, and against product_lock; not against product_hold.
select id from product where id = $1::bigint for no key update;

-- name: product_lock
-- in: bigint
-- out: id
-- Against product_hold.
select id from product where id = $1::bigint and deleted_ms is null for update;

-- name: product_contents
-- in: bigint
-- out: devices packages applies
-- What keeps a product from being deleted; a look at the first of each is enough.
select exists (select from device where product_id = $1::bigint) as devices,
       exists (select from firmware where product_id = $1 and deleted_ms is null) as packages,
       exists (select from device_apply where product_id = $1 and status = 'CREATE') as applies;

-- name: product_delete
-- in: bigint bigint
-- out:
with t as (
	delete from device_tally where group_id = 0 and product_id = $1::bigint
)
update product set deleted_ms = $2::bigint where id = $1;
