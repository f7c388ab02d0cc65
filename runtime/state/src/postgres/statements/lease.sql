-- Takes outbox rows of a kind that are due. A row is taken by whoever comes first if it is nobody's; else by its owner, unless that has it
-- in hand; else, where asked for what is lost, by others once its lease or its owner's is over. A reply waits for the earlier
-- ones to the same address; an event for an earlier one under its topic that has failed, unless that fails for ever.
WITH due AS MATERIALIZED (
    SELECT o.id FROM outbox o
    WHERE NOT o.published AND o.kind = $6 AND o.available_at <= now_ms($1)
        AND (o.lease_owner IS NULL
            OR o.lease_owner = $2 AND (o.lease_until IS NULL OR o.lease_until < now_ms($1))
            OR $5 AND o.lease_owner <> $2 AND (o.lease_until < now_ms($1)
                OR EXISTS (SELECT 1 FROM nodes n WHERE n.node = o.lease_owner AND n.lease_until < now_ms($1))
                OR o.lease_until IS NULL AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.node = o.lease_owner)))
        AND (o.order_key IS NULL OR NOT EXISTS (
            SELECT 1 FROM outbox earlier WHERE earlier.order_key = o.order_key AND earlier.id < o.id))
        AND (o.kind <> 'event' OR NOT EXISTS (
            SELECT 1 FROM outbox earlier
            WHERE earlier.topic = o.topic AND earlier.id < o.id AND NOT earlier.published AND earlier.kind = 'event'
                AND earlier.attempts > 0 AND earlier.attempts <= 50))
    ORDER BY o.id LIMIT $4 FOR UPDATE OF o SKIP LOCKED
)
UPDATE outbox o SET lease_owner = $2, lease_until = now_ms($1) + $3 FROM due WHERE o.id = due.id
RETURNING o.id, o.kind, o.mandatory, o.attempts, o.trace_id, o.body
