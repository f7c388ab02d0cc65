-- Takes many deliveries into the inbox. Answers with the ids of those that are new.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::smallint[],
        $9::text[], $10::text[], $11::text[], $12::bytea[])
    WITH ORDINALITY AS a (id, event_id, agent, version, node, claim, priority, trace_id, event_type, source, event, ord)
),
new AS (
    INSERT INTO executions (id, event_id, agent, version, status, attempt, epoch, claim, priority, node, available_at,
        created_at, started_at, trace_id, event_type, source, event)
    SELECT id, event_id, agent, version, CASE WHEN node IS NULL THEN 'queued' ELSE 'running' END,
        (node IS NOT NULL)::int, (node IS NOT NULL)::int, claim, priority, node, now_ms($1),
        now_ms($1), CASE WHEN node IS NOT NULL THEN now_ms($1) END, trace_id, event_type, source, event
    FROM asked a WHERE NOT EXISTS (SELECT 1 FROM swept s WHERE s.id = a.id) ORDER BY ord
    ON CONFLICT (id) DO NOTHING
    RETURNING id
),
-- The receiver of a command is its agent. A command to a queue that is no agent's has arrived with its first inbox.
-- The relay settles the same rows: both take them in the order of their ids.
arrived AS MATERIALIZED (
    SELECT o.id FROM asked a
    JOIN outbox o ON o.event_id = a.event_id AND o.mandatory AND (o.agent = a.agent OR o.agent IS NULL)
    ORDER BY o.id FOR UPDATE OF o
),
gone AS (
    DELETE FROM outbox o USING arrived WHERE o.id = arrived.id
)
SELECT id FROM new
