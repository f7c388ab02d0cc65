-- Takes outbox rows that are due. A reply waits for the earlier ones to the same address. A leased row comes free with
-- its lease; one of another node where asked for only, and then with its node's lease, too.
WITH due AS MATERIALIZED (
    SELECT o.id FROM outbox o
    WHERE NOT o.published AND o.available_at <= now_ms($1)
        AND (o.lease_until IS NULL OR o.lease_until < now_ms($1) AND ($5 OR o.lease_owner = $2)
            OR $5 AND o.lease_owner <> $2 AND EXISTS (
            SELECT 1 FROM nodes n WHERE n.node = o.lease_owner AND n.lease_until < now_ms($1)))
        AND (o.order_key IS NULL OR NOT EXISTS (
            SELECT 1 FROM outbox earlier WHERE earlier.order_key = o.order_key AND earlier.id < o.id))
    ORDER BY o.id LIMIT $4 FOR UPDATE OF o SKIP LOCKED
)
UPDATE outbox o SET lease_owner = $2, lease_until = now_ms($1) + $3 FROM due WHERE o.id = due.id
RETURNING o.id, o.kind, o.mandatory, o.attempts, o.trace_id, o.body
