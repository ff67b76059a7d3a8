-- Objects of the package store.

-- name: store_objects_used
-- in: text[] bigint
-- out: object_key
-- Which of these objects a package uses that exists, or existed at $2 (links to it may be out still).
select distinct ff.object_key
  from unnest($1::text[]) as k(object_key)
  join firmware_file ff on ff.object_key = k.object_key
  join firmware f on f.id = ff.firmware_id
 where f.deleted_ms is null or f.deleted_ms > $2::bigint;
