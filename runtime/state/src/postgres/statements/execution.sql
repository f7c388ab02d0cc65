-- An execution with its journal: a row for each step, or one for none. The payloads are in the first row only. Columns as in
-- the list of executions (its sums are made from the steps), then those of a step.
SELECT e.seq, e.id, e.agent, e.event_id, e.event_type, e.trace_id, e.status, e.attempt, e.epoch, e.crashes, e.node,
    e.priority, e.source, e.error_code, e.error_message, e.created_at, e.started_at, e.finished_at, e.available_at,
    NULL::bigint, NULL::bigint,
    CASE WHEN row_number() OVER (ORDER BY s.attempt, s.seq) = 1 THEN e.event ELSE ''::bytea END,
    CASE WHEN row_number() OVER (ORDER BY s.attempt, s.seq) = 1 THEN e.output END,
    s.attempt, s.seq, s.kind, s.name, s.status, s.effect, s.request_hash, s.idempotency_key, s.intended_at,
    s.duration_ms, s.cost, s.replays, s.usage, s.result
FROM executions e LEFT JOIN steps s ON s.execution = e.seq
WHERE e.id = $1 ORDER BY s.attempt, s.seq
