-- The lease of a shard's engine, compared by the database's clock. until_ms is that clock's time.

-- name: lease_take
-- in: int text bigint
-- out: epoch since_ms now_ms
-- Takes the lease of shard $1 for owner $2 if it is free, expired or this owner's; for $3 ms. One that ends later than
-- any that is taken now is of before the clock was set back, and counts as expired. The epoch grows with every change of
-- owner, and since_ms is the time of the last one; 0 when that is still to come.
insert into engine_lease as l (shard, owner, epoch, since_ms, until_ms)
select $1::int, $2::text, 1, now.ms, now.ms + $3::bigint
from (select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms) now
on conflict (shard) do update set
	owner = excluded.owner,
	epoch = case when l.owner = excluded.owner then l.epoch else l.epoch + 1 end,
	since_ms = case when l.owner <> excluded.owner then excluded.since_ms
		when l.since_ms > excluded.since_ms then 0 else l.since_ms end,
	until_ms = excluded.until_ms
where l.owner = excluded.owner
   or (extract(epoch from clock_timestamp()) * 1000)::bigint not between l.until_ms - 2 * $3 and l.until_ms
returning l.epoch, l.since_ms, (extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms;

-- name: lease_machine
-- in: text bigint
-- out: offset_ms
-- Of machine $1; the first one to ask says $2.
with first as (
	insert into machine (boot_id, offset_ms) values ($1::text, $2::bigint) on conflict do nothing returning offset_ms
)
select offset_ms from first union all select offset_ms from machine where boot_id = $1 limit 1;

-- name: lease_check
-- in: int text bigint
-- out: epoch
-- Inside a tick's transaction: still ours? Whoever takes over waits for this transaction.
select epoch from engine_lease where shard = $1::int and owner = $2::text and epoch = $3::bigint for share;

-- name: lease_give_back
-- in: int text
-- out:
update engine_lease set until_ms = 0 where shard = $1::int and owner = $2::text;
