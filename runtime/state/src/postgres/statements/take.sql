-- Takes what is due: queued rows, and where asked for running rows whose node (not the claimant) has no lease any more.
WITH queued AS MATERIALIZED (
    SELECT seq, priority FROM executions
    WHERE agent = $2 AND status = 'queued' AND available_at <= now_ms($1)
    ORDER BY priority DESC, seq LIMIT $4 FOR UPDATE SKIP LOCKED
),
lost AS MATERIALIZED (
    SELECT e.seq, e.priority FROM executions e
    WHERE $6 AND e.agent = $2 AND e.status = 'running' AND e.node <> $3 AND NOT EXISTS (
        SELECT 1 FROM nodes n WHERE n.node = e.node AND n.lease_until >= now_ms($1))
    ORDER BY e.priority DESC, e.seq LIMIT $4 FOR UPDATE OF e SKIP LOCKED
),
due AS MATERIALIZED (
    SELECT seq FROM (SELECT * FROM queued UNION ALL SELECT * FROM lost) AS d ORDER BY priority DESC, seq LIMIT $4
)
UPDATE executions e SET status = 'running', node = $3, claim = $5, epoch = e.epoch + 1,
    attempt = greatest(e.attempt, 1), crashes = e.crashes + (e.status = 'running')::int,
    started_at = coalesce(e.started_at, now_ms($1))
FROM due WHERE e.seq = due.seq
RETURNING e.seq, e.id, e.version, e.epoch, e.attempt, e.crashes, e.priority, e.event
