-- Takes the agent's first unfinished row, if that one is due, and its turn: whom the queue does not lead to waits. No skipping here: whoever has it locked is asked what it is now.
WITH first AS MATERIALIZED (
    SELECT seq FROM executions WHERE agent = $2 AND finished_at IS NULL ORDER BY seq LIMIT least($4, 1)
),
-- Its turn began when the one before it ended.
before AS MATERIALIZED (
    SELECT p.finished_at FROM executions p WHERE p.agent = $2 AND p.seq < (SELECT seq FROM first)
    ORDER BY p.seq DESC LIMIT 1
)
UPDATE executions e SET status = 'running', node = $3, claim = $5, epoch = e.epoch + 1,
    attempt = greatest(e.attempt, 1), crashes = e.crashes + (e.status = 'running')::int,
    started_at = coalesce(e.started_at, now_ms($1))
FROM first WHERE e.seq = first.seq
    -- In this form because it names no index of all that is queued or runs: the planner would go through those.
    AND CASE e.status
        WHEN 'queued' THEN e.available_at <= now_ms($1) AND ($7 OR e.node = $3
            OR e.node IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM nodes n WHERE n.node = e.node AND n.lease_until >= now_ms($1))
            OR greatest(e.available_at, (SELECT finished_at FROM before)) <= now_ms($1) - $8)
        WHEN 'running' THEN $6 AND e.node <> $3 AND NOT EXISTS (
            SELECT 1 FROM nodes n WHERE n.node = e.node AND n.lease_until >= now_ms($1))
        END
RETURNING e.seq, e.id, e.version, e.epoch, e.attempt, e.crashes, e.priority, e.event
