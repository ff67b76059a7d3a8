-- Nonces of changing calls (rules §7).

-- name: nonce_lock
-- in: bigint text
-- out: locked
-- One holder of this nonce at a time, to the end of its transaction; the look-up is a statement of its own, so
-- that it sees what the holder before committed.
select true as locked
from (select pg_advisory_xact_lock(hashtextextended($1::bigint || '|' || $2::text, 7317))) l;

-- name: nonce_seen
-- in: bigint text bigint
-- out: seen
-- Over all partitions: a nonce is good once, wherever its first use was filed.
select exists (
	select 1 from nonce where key_id = $1::bigint and nonce = $2::text and at_ms >= $3::bigint
) as seen;

-- name: nonce_add
-- in: bigint text bigint
-- out:
insert into nonce (key_id, nonce, at_ms) values ($1::bigint, $2::text, $3::bigint);
