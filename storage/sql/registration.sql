-- Dynamic registration: a device gets a new secret, or is registered, on the word of its product's secret.

-- name: registration_product
-- in: text
-- out: id account_id secret dynamic_register
select id, account_id, secret, dynamic_register from product where product_key = $1::text;

-- name: registration_device
-- in: bigint text
-- out: id disabled reset_ms
-- Locked until the end of the transaction: what is read of it later is true of it then.
select id, disabled, reset_ms from device where product_id = $1::bigint and name = $2::text for update;

-- name: registration_used
-- in: bigint bigint
-- out: used
-- Has it logged in since $2?
select exists (select from device_session where device_id = $1::bigint and online_ms >= $2::bigint) as used;

-- name: registration_secret
-- in: bigint bytea
-- out: change_id
with d as (
	update device set secret = $2::bytea where id = $1::bigint
	returning id, product_id, name
)
insert into credential_change (product_key, device_name, device_id)
select p.product_key, d.name, d.id from d join product p on p.id = d.product_id
returning id as change_id;

-- name: registration_reset
-- in: bigint bigint
-- out:
update device set reset_ms = $2::bigint where id = $1::bigint;

-- name: registration_mode
-- in: bigint smallint
-- out: change_id
-- No row when it is so already.
with p as (
	update product set dynamic_register = $2::smallint where id = $1::bigint and dynamic_register <> $2
	returning product_key
)
insert into credential_change (product_key, device_name, device_id)
select '$register', product_key, 0 from p
returning id as change_id;
