-- Health and the database's clock.

-- name: db_clock
-- in: 
-- out: now_ms
select (extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms;
