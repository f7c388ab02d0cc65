-- Keeps the names of executions that can be deleted, looking at so many from a place on. Says how many it looked at, and
-- the place of the last. `OFFSET 0` leaves the planner, which may know empty tables only, no other way than to look each up.
WITH looked AS MATERIALIZED (
    SELECT e.finished_at, e.seq, e.id, e.event_id FROM executions e
    WHERE e.finished_at < $2 AND (e.finished_at, e.seq) > ($4, $5)
    ORDER BY e.finished_at, e.seq LIMIT $3
),
named AS (
    INSERT INTO swept (at, waits, id)
    SELECT now_ms($1), true, l.id FROM looked l
    WHERE NOT EXISTS (SELECT 1 FROM outbox o WHERE o.event_id = l.event_id OFFSET 0)
        AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.execution_id = l.id OFFSET 0)
        AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.execution_id = l.id AND d.replayed_at IS NULL
            OFFSET 0)
    ORDER BY l.finished_at, l.seq
    ON CONFLICT (id) DO NOTHING
)
SELECT (SELECT count(*) FROM looked), finished_at, seq FROM looked ORDER BY finished_at DESC, seq DESC LIMIT 1
