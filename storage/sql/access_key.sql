-- Access keys (rules §7).

-- name: access_key_find
-- in: text
-- out: id account_id secret role disabled instance_id instance
-- With the account's default instance: its key and its IotInstanceId.
select k.id, k.account_id, k.secret, k.role, k.disabled, i.id as instance_id, i.instance_id as instance
from access_key k
left join instance i on i.account_id = k.account_id and i.is_default
where k.key_id = $1::text;

-- name: access_key_add
-- in: bigint text bytea text text bigint
-- out: id
insert into access_key (account_id, key_id, secret, name, role, created_ms)
values ($1::bigint, $2::text, $3::bytea, $4::text, $5::text, $6::bigint)
returning id;

-- name: access_key_disable
-- in: bigint text bool
-- out:
update access_key set disabled = $3::bool where account_id = $1::bigint and key_id = $2::text;
