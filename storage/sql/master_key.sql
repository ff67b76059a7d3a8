-- The master key that this database's secrets are sealed under.

-- name: master_key_check
-- in: bytea
-- out: sealed
-- The text that was sealed first: $1 when there is none yet.
insert into master_key_check (sealed) values ($1::bytea)
on conflict (one) do update set one = true
returning sealed;
