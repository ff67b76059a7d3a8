-- The audit trail: append-only (rules §7).

-- name: audit_add
-- in: bigint bigint text text text text text
-- out:
insert into audit (at_ms, account_id, key_id, action, request_id, target, result)
values ($1::bigint, $2::bigint, $3::text, $4::text, $5::text, $6::text, $7::text);
