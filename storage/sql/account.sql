-- Accounts and their instances (rules §7).

-- name: account_add
-- in: text bigint
-- out: 
insert into account (name, created_ms) values ($1::text, $2::bigint) on conflict (name) do nothing;

-- name: account_by_name
-- in: text
-- out: id
select id from account where name = $1::text;

-- name: account_lock
-- in: bigint
-- out: id
select id from account where id = $1::bigint for no key update;

-- name: instance_add_default
-- in: bigint text bigint
-- out: 
insert into instance (account_id, instance_id, is_default, created_ms)
values ($1::bigint, $2::text, true, $3::bigint)
on conflict (account_id) where is_default do nothing;

-- name: instance_default
-- in: bigint
-- out: id instance_id
select id, instance_id from instance where account_id = $1::bigint and is_default;

-- name: instance_by_id
-- in: bigint text
-- out: id
select id from instance where account_id = $1::bigint and instance_id = $2::text;
