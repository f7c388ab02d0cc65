-- Deletes executions whose names were kept a minute ago or earlier: a delivery that could not see the name yet has ended
-- since, for no statement takes so long.
WITH old AS MATERIALIZED (
    SELECT e.seq FROM executions e JOIN swept s ON s.id = e.id
    WHERE e.finished_at < $2 AND s.at <= now_ms($1) - $4
        AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.event_id = e.event_id)
        AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.execution_id = e.id)
        AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.execution_id = e.id AND d.replayed_at IS NULL)
    ORDER BY e.finished_at LIMIT $3
),
journal AS (
    DELETE FROM steps s USING old WHERE s.execution = old.seq
)
DELETE FROM executions e USING old WHERE e.seq = old.seq
