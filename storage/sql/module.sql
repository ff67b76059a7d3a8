-- Modules of products, and the versions that devices reported of theirs; see storage/module.h.

-- name: module_counts
-- in: bigint text
-- out: n taken
-- Modules of product $1, and whether one of them has the name $2 in any case.
select count(*) as n, coalesce(bool_or(lower(name) = lower($2::text)), false) as taken
from module where product_id = $1::bigint;

-- name: module_add
-- in: bigint text text text bigint
-- out:
insert into module (product_id, name, alias, description, created_ms, modified_ms)
values ($1::bigint, $2::text, $3::text, $4::text, $5::bigint, $5);

-- name: module_update
-- in: bigint text text text bigint
-- out: id
-- null: stays as it is.
update module set alias = coalesce($3::text, alias), description = coalesce($4::text, description),
	modified_ms = $5::bigint
where product_id = $1::bigint and name = $2::text
returning id;

-- name: module_in_use
-- in: bigint text
-- out: there used
select exists (select from module where product_id = $1::bigint and name = $2::text) as there,
       exists (select from firmware where product_id = $1 and module = $2 and deleted_ms is null) as used;

-- name: module_delete
-- in: bigint text
-- out:
delete from module where product_id = $1::bigint and name = $2::text;

-- name: module_list
-- in: bigint
-- out: name alias description created_ms modified_ms
-- Newest first.
select name, alias, description, created_ms, modified_ms from module where product_id = $1::bigint order by id desc;

-- name: module_versions_count
-- in: bigint
-- out: n
select count(*) as n from device_module where device_id = $1::bigint;

-- name: module_versions
-- in: bigint bigint bigint
-- out: module version
select module, version from device_module where device_id = $1::bigint order by module offset $2::bigint limit $3::bigint;
