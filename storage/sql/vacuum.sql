-- What keeps dead rows in the database. Read by the operator's tool; nothing here is changed.

-- name: vacuum_tables
-- in:
-- out: name rows dead starts_at enabled last_ms
-- Our tables, those with most dead rows first, and at how many autovacuum comes: by their own settings or the server's.
with own as (
	select c.oid, c.relname, greatest(c.reltuples, 0) as tuples,
	       (select jsonb_object_agg(option_name, option_value) from pg_options_to_table(c.reloptions)) as set
	from pg_class c
	where c.relkind = 'r' and c.relnamespace = (select relnamespace from pg_class where oid = 'device'::regclass)
)
select o.relname as name, s.n_live_tup as rows, s.n_dead_tup as dead,
       (coalesce(o.set->>'autovacuum_vacuum_threshold', current_setting('autovacuum_vacuum_threshold'))::float8
        + coalesce(o.set->>'autovacuum_vacuum_scale_factor', current_setting('autovacuum_vacuum_scale_factor'))::float8
          * o.tuples)::bigint as starts_at,
       coalesce(o.set->>'autovacuum_enabled', 'true')::bool as enabled,
       coalesce(extract(epoch from greatest(s.last_autovacuum, s.last_vacuum)) * 1000, 0)::bigint as last_ms
from own o join pg_stat_user_tables s on s.relid = o.oid
order by s.n_dead_tup desc, o.relname;

-- name: vacuum_server
-- in:
-- out: enabled sees_all prepared_s slot_xids oldest_xids freeze_xids
-- The server's switch; whether we see what sessions of other users do; how old the oldest prepared transaction is; how many
-- transactions the slots hold back; how many the oldest row of the database is away, and at how many it is frozen by force.
select current_setting('autovacuum')::bool and current_setting('track_counts')::bool as enabled,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all,
       (select coalesce(max(extract(epoch from clock_timestamp() - prepared)), 0)::bigint from pg_prepared_xacts) as prepared_s,
       (select coalesce(max(greatest(age(xmin), age(catalog_xmin))), 0)::bigint from pg_replication_slots) as slot_xids,
       (select age(datfrozenxid)::bigint from pg_database where datname = current_database()) as oldest_xids,
       current_setting('autovacuum_freeze_max_age')::bigint as freeze_xids;
