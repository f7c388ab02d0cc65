-- Deletes executions whose names were kept a minute ago or earlier: a delivery that could not see the name yet has ended
-- since, for no statement takes so long. Each name that is looked at waits no longer: one whose execution may not go now is
-- dropped, and kept again once it may, so that it never stands before the others.
WITH looked AS MATERIALIZED (
    SELECT s.id FROM swept s WHERE s.waits AND s.at <= now_ms($1) - $4 ORDER BY s.at LIMIT $3
),
judged AS MATERIALIZED (
    SELECT l.id, old.seq FROM looked l LEFT JOIN LATERAL (
        SELECT e.seq FROM executions e
        WHERE e.id = l.id AND e.finished_at < $2
            AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.event_id = e.event_id)
            AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.execution_id = e.id)
            AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.execution_id = e.id AND d.replayed_at IS NULL)
    ) old ON true
),
kept AS (
    UPDATE swept s SET waits = false FROM judged j WHERE s.id = j.id AND j.seq IS NOT NULL
),
dropped AS (
    DELETE FROM swept s USING judged j WHERE s.id = j.id AND j.seq IS NULL
),
journal AS (
    DELETE FROM steps s USING judged j WHERE s.execution = j.seq
),
reserved AS (
    DELETE FROM reservations r USING judged j WHERE r.execution = j.seq
),
gone AS (
    DELETE FROM executions e USING judged j WHERE e.seq = j.seq
)
SELECT count(*), count(seq) FROM judged
