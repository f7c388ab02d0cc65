-- Keeps the names of executions that can be deleted.
INSERT INTO swept (at, id)
SELECT now_ms($1), e.id FROM executions e
WHERE e.finished_at < $2
    AND NOT EXISTS (SELECT 1 FROM swept s WHERE s.id = e.id)
    AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.event_id = e.event_id)
    AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.execution_id = e.id)
    AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.execution_id = e.id AND d.replayed_at IS NULL)
ORDER BY e.finished_at LIMIT $3
ON CONFLICT (id) DO NOTHING
