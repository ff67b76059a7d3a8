-- Packages; see storage/firmware.h. Numbers are those of engine/states.def and enum firmware_status.

-- name: firmware_check
-- in: bigint bigint text text smallint text text
-- out: module_there count name_taken version_taken
-- For a package of account $1 and product $2: name $3, module $4, type $5, versions $6 to $7.
select $4::text = 'default' or exists (select from module m where m.product_id = $2::bigint and m.name = $4) as module_there,
       (select count(*) from firmware f where f.account_id = $1::bigint and f.deleted_ms is null) as count,
       exists (select from firmware f where f.account_id = $1 and f.name = $3::text and f.deleted_ms is null) as name_taken,
       exists (select from firmware f where f.product_id = $2 and f.module = $4 and f.type = $5::smallint
		and (f.type = 0 or f.src_version = $6::text) and f.dest_version = $7::text
		and f.deleted_ms is null) as version_taken;

-- name: firmware_insert
-- in: bigint bigint text text smallint text text text text smallint text bigint
-- out: id
insert into firmware (account_id, product_id, name, description, type, module, src_version, dest_version, sign_method,
	status, udi, created_ms, modified_ms)
values ($1::bigint, $2::bigint, $3::text, $4::text, $5::smallint, $6::text, $7::text, $8::text, $9::text,
	$10::smallint, $11::text, $12::bigint, $12)
returning id;

-- name: firmware_files_insert
-- in: bigint text[] text[] bigint[] text[] text[]
-- out: 
insert into firmware_file (firmware_id, n, object_key, name, size, md5, sha256)
select $1::bigint, u.n, u.object_key, u.name, u.size, u.md5, u.sha256
from unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
	with ordinality as u(object_key, name, size, md5, sha256, n);

-- name: firmware_get
-- in: bigint bigint
-- out: product_id name description type module src_version dest_version sign_method status udi created_ms modified_ms product_key product_name ended total
-- ended of total: tasks of the last verification, 0 of 0 when there was none or its tasks are not made yet.
select f.product_id, f.name, f.description, f.type, f.module, f.src_version, f.dest_version, f.sign_method, f.status,
       f.udi, f.created_ms, f.modified_ms, p.product_key, p.name as product_name,
       coalesce(v.ended, 0) as ended, coalesce(v.total, 0) as total
from firmware f
join product p on p.id = f.product_id
left join lateral (
	select r.n_succeeded + r.n_failed + r.n_canceled as ended,
	       greatest(r.chosen, r.n_confirm + r.n_queued + r.n_notified + r.n_in_progress + r.n_succeeded + r.n_failed
			+ r.n_canceled) as total
	from job j join job_run r on r.job_id = j.id
	where j.firmware_id = f.id and j.kind = 1
	order by j.id desc limit 1
) v on true
where f.id = $1::bigint and f.account_id = $2::bigint and f.deleted_ms is null;

-- name: firmware_page
-- in: bigint bigint text bigint bigint
-- out: id product_id name description type module src_version dest_version sign_method status udi created_ms modified_ms product_key product_name files bytes md5 sha256
-- Packages of account $1, of product $2 (null: of all) that bring version $3 (null: any), newest first; md5 and sha256
-- of the first file.
select f.id, f.product_id, f.name, f.description, f.type, f.module, f.src_version, f.dest_version, f.sign_method, f.status,
       f.udi, f.created_ms, f.modified_ms, p.product_key, p.name as product_name, x.files, x.bytes, x.md5, x.sha256
from firmware f
join product p on p.id = f.product_id
cross join lateral (
	select count(*) as files, sum(size)::bigint as bytes, (array_agg(md5 order by n))[1] as md5,
	       (array_agg(sha256 order by n))[1] as sha256
	from firmware_file where firmware_id = f.id
) x
where f.account_id = $1::bigint and f.deleted_ms is null
  and ($2::bigint is null or f.product_id = $2) and ($3::text is null or f.dest_version = $3)
order by f.id desc offset $4::bigint limit $5::bigint;

-- name: firmware_count
-- in: bigint bigint text
-- out: n
select count(*) as n from firmware f
where f.account_id = $1::bigint and f.deleted_ms is null
  and ($2::bigint is null or f.product_id = $2) and ($3::text is null or f.dest_version = $3);

-- name: firmware_product
-- in: bigint bigint
-- out: product_id
select product_id from firmware where id = $1::bigint and account_id = $2::bigint and deleted_ms is null;

-- name: firmware_name_taken
-- in: bigint bigint text
-- out: taken
-- By another package than $1 of account $2?
select exists (select from firmware
	where account_id = $2::bigint and name = $3::text and id <> $1::bigint and deleted_ms is null) as taken;

-- name: firmware_live_jobs
-- in: bigint
-- out: job_id
select l.job_id from live_job l join job j on j.id = l.job_id where j.firmware_id = $1::bigint;

-- name: firmware_renew_jobs
-- in: bigint[]
-- out:
-- The engine reads the settings of these jobs anew.
update job_run set settings_no = settings_no + 1 where job_id = any ($1::bigint[]);

-- name: firmware_modify
-- in: bigint text text text bigint
-- out:
-- null: stays as it is.
update firmware set name = coalesce($2::text, name), description = coalesce($3::text, description),
	udi = coalesce($4::text, udi), modified_ms = $5::bigint
where id = $1::bigint;

-- name: firmware_files
-- in: bigint
-- out: object_key name size md5 sha256
select object_key, name, size, md5, sha256 from firmware_file where firmware_id = $1::bigint order by n;

-- name: firmware_owned
-- in: bigint bigint
-- out: product_id
select product_id from firmware where id = $1::bigint and account_id = $2::bigint;

-- name: firmware_lock
-- in: bigint bigint
-- out: id
-- Against jobs that are being created (which hold KEY SHARE). A LATER statement looks for jobs.
select id from firmware where id = $1::bigint and account_id = $2::bigint and deleted_ms is null for update;

-- name: firmware_busy
-- in: bigint
-- out: busy
select exists (select from job j join job_run r on r.job_id = j.id
	where j.firmware_id = $1::bigint and r.status in (1, 2)) as busy;

-- name: firmware_delete
-- in: bigint bigint
-- out: 
update firmware set deleted_ms = $2::bigint, modified_ms = $2 where id = $1::bigint;

-- name: firmware_object_used
-- in: text
-- out: used
select exists (select from firmware_file x join firmware f on f.id = x.firmware_id
	where x.object_key = $1::text and f.deleted_ms is null) as used;
