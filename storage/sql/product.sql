-- Products, by ProductKey within an account.

-- name: product_count
-- in: bigint
-- out: n
select count(*) as n from product where account_id = $1::bigint;

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
-- out: id instance_id product_key name secret description node_type data_format commodity protocol net_type auth_type id2 validate_type created_ms
select id, instance_id, product_key, name, secret, description, node_type, data_format, commodity, protocol,
	net_type, auth_type, id2, validate_type, created_ms
from product where account_id = $1::bigint and product_key = $2::text;

-- name: product_by_name
-- in: bigint text
-- out: id
select id from product where account_id = $1::bigint and name = $2::text;
