-- Service accounts and the notifications that they read; see storage/service.h.

-- name: service_add
-- in: bigint text text bigint
-- out: id
-- No row when the name is taken.
insert into service_account (account_id, name, secret_sha256, created_ms)
values ($1::bigint, $2::text, $3::text, $4::bigint)
on conflict (name) do nothing
returning id;

-- name: service_set_disabled
-- in: bigint text bool
-- out: id
update service_account set disabled = $3::bool where account_id = $1::bigint and name = $2::text returning id;

-- name: service_list
-- in: bigint
-- out: name disabled created_ms
select name, disabled, created_ms from service_account where account_id = $1::bigint order by name;

-- name: service_waiting
-- in: text
-- out: waiting
-- Has the broker still to be told of the account's last change?
select exists (select from credential_change where product_key = '$service' and device_name = $1::text) as waiting;

-- name: notice_page
-- in: int
-- out: id kind at_ms product_key device_id device_name module detail job_id seq status firmware_id src_version dest_version
-- The oldest, with what they tell. Of a device that is gone the name is remembered.
select n.id, n.kind, n.at_ms, p.product_key, w.device_id, coalesce(d.name, x.name) as device_name,
       coalesce(n.module, f.module) as module, n.detail, n.job_id, n.seq, n.status, j.firmware_id, t.src_version,
       f.dest_version
from (select * from notice order by id limit $1::int) n
left join job j on j.id = n.job_id
left join firmware f on f.id = j.firmware_id
left join task t on t.job_id = n.job_id and t.seq = n.seq
cross join lateral (select coalesce(n.device_id, t.device_id) as device_id) w
left join device d on d.id = w.device_id
left join device_deleted x on x.device_id = w.device_id
left join product p on p.id = coalesce(j.product_id, d.product_id, x.product_id)
order by n.id;

-- name: notice_drop
-- in: bigint[]
-- out:
delete from notice where id = any ($1::bigint[]);
