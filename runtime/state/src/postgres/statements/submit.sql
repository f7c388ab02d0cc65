-- Writes many submissions whose event was never seen under its topic, neither on its way nor in any inbox. Answers with
-- those that it wrote. Who names a relay gives the row to it: leased, unless others under its topic wait or have failed; then
-- the relay takes it after them.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($3::bytea[], $4::bytea[], $5::text[], $6::text[], $7::boolean[], $8::text[], $9::bytea[],
        $10::text[])
    WITH ORDINALITY AS a (event_id, execution_id, agent, topic, mandatory, trace_id, body, node, ord)
)
INSERT INTO outbox (kind, event_id, execution_id, agent, topic, mandatory, trace_id, available_at, created_at, body,
    lease_owner, lease_until)
SELECT $2, a.event_id, a.execution_id, a.agent, a.topic, a.mandatory, a.trace_id, now_ms($1), now_ms($1), a.body,
    a.node,
    CASE WHEN a.node IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM outbox w
            WHERE w.topic = a.topic AND NOT w.published AND w.kind = 'event' AND w.lease_until IS NULL)
        AND NOT EXISTS (SELECT 1 FROM outbox f
            WHERE f.topic = a.topic AND NOT f.published AND f.kind = 'event' AND f.attempts > 0 AND f.attempts <= 50)
        THEN now_ms($1) + $11 END
FROM asked a
WHERE NOT EXISTS (SELECT 1 FROM executions e WHERE e.event_id = a.event_id AND e.event_type = a.topic)
    AND NOT EXISTS (SELECT 1 FROM swept s WHERE s.id = a.execution_id)
ORDER BY a.ord
ON CONFLICT DO NOTHING
RETURNING event_id, id, lease_until IS NOT NULL
