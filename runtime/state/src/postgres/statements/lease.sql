-- Takes outbox rows that are due. A reply waits for the earlier ones to the same address; a leased row comes free with
-- its lease or with its node's.
WITH due AS MATERIALIZED (
    SELECT o.id FROM outbox o
    WHERE NOT o.published AND o.available_at <= now_ms($1)
        AND (o.lease_until IS NULL OR o.lease_until < now_ms($1) OR EXISTS (
            SELECT 1 FROM nodes n WHERE n.node = o.lease_owner AND n.lease_until < now_ms($1)))
        AND (o.order_key IS NULL OR NOT EXISTS (
            SELECT 1 FROM outbox earlier WHERE earlier.order_key = o.order_key AND earlier.id < o.id))
    ORDER BY o.id LIMIT $4 FOR UPDATE OF o SKIP LOCKED
)
UPDATE outbox o SET lease_owner = $2, lease_until = now_ms($1) + $3 FROM due WHERE o.id = due.id
RETURNING o.id, o.kind, o.mandatory, o.attempts, o.trace_id, o.body
