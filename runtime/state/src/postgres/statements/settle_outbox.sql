-- What became of many outbox rows, dead ones apart. An inbox may be taking the same rows: both go by the order of ids.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::text[]) AS a (id, outcome, wait_ms, reason)
),
rows AS MATERIALIZED (
    SELECT o.id, o.mandatory, a.outcome, a.wait_ms, a.reason FROM asked a JOIN outbox o ON o.id = a.id
    ORDER BY o.id FOR UPDATE OF o
),
kept AS (
    -- Its relay publishes it again, should the bus have lost it.
    UPDATE outbox o SET published = true, lease_until = NULL
    FROM rows r WHERE o.id = r.id AND r.outcome = 'published' AND r.mandatory
),
again AS (
    UPDATE outbox o SET attempts = o.attempts + 1, available_at = now_ms($1) + r.wait_ms, last_error = r.reason,
        lease_owner = NULL, lease_until = NULL
    FROM rows r WHERE o.id = r.id AND r.outcome = 'retry'
)
DELETE FROM outbox o USING rows r
WHERE o.id = r.id AND (r.outcome = 'delivered' OR r.outcome = 'published' AND NOT r.mandatory)
