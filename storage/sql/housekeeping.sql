-- Partitions made ahead and dropped when old (migrations/0002_housekeeping.sql).

-- name: partitions_maintain
-- in: bigint int
-- out: changed
select partitions_maintain($1::bigint, $2::int) as changed;
