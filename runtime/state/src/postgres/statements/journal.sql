-- Settles and intends steps of many executions, and says of each whether it may: a refused one changes nothing.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($2::bytea[], $3::bigint[],
        $4::int[], $5::int[], $6::text[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bytea[],
        $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::boolean[],
        $17::int[], $18::int[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[])
    WITH ORDINALITY AS a (id, epoch,
        settle_attempt, settle_seq, status, duration_ms, cost, usage, result,
        input, output, cache_read, cache_write, reasoning, estimated,
        intend_attempt, intend_seq, kind, name, effect, request_hash, idempotency_key, ord)
),
-- Until the commit nobody else claims, cancels or ends what is held. The planner plans for empty tables, too, and is given
-- no choice: whether an execution runs is asked afterwards, else it goes through the index of all that run; and the places of
-- steps come along, so that each step is looked up by its whole key.
held AS MATERIALIZED (
    SELECT e.seq AS execution, e.agent, e.attempt, e.status, a.ord, a.settle_attempt, a.settle_seq,
        a.intend_attempt, a.intend_seq
    FROM asked a JOIN executions e ON e.id = a.id AND e.epoch = a.epoch
    ORDER BY e.seq FOR NO KEY UPDATE OF e
),
checked AS MATERIALIZED (
    SELECT h.execution, h.agent, h.attempt, h.ord, h.settle_attempt, h.settle_seq, s.status = 'intended' AS fresh,
        s.kind = 'llm' AND a.status = 'settled' AS called,
        CASE
            WHEN a.settle_attempt <> h.attempt OR a.intend_attempt <> h.attempt THEN 'attempt'
            WHEN a.settle_seq IS NOT NULL AND s.seq IS NULL THEN 'no step'
            -- The same outcome once more is a write whose answer was lost; another one is somebody else's.
            WHEN s.status <> 'intended' AND (s.status <> a.status OR s.result <> a.result) THEN 'fenced'
            WHEN i.status <> 'intended' OR i.request_hash <> a.request_hash THEN 'other call'
            ELSE 'ok'
        END AS verdict
    FROM held h JOIN asked a ON a.ord = h.ord AND h.status = 'running'
    LEFT JOIN steps s ON s.execution = h.execution AND s.attempt = h.settle_attempt AND s.seq = h.settle_seq
    LEFT JOIN steps i ON i.execution = h.execution AND i.attempt = h.intend_attempt AND i.seq = h.intend_seq
),
settled AS (
    UPDATE steps s SET status = a.status, settled_at = now_ms($1), duration_ms = a.duration_ms, cost = a.cost,
        usage = a.usage, result = a.result
    FROM checked c JOIN asked a ON a.ord = c.ord
    WHERE c.verdict = 'ok' AND c.fresh
        AND s.execution = c.execution AND s.attempt = c.settle_attempt AND s.seq = c.settle_seq
),
spent AS (
    INSERT INTO usage (agent, bucket, lane, calls, input, output, cache_read, cache_write, reasoning, estimated, cost)
    SELECT c.agent, now_ms($1) / 900000, pg_backend_pid() % 16, count(*) FILTER (WHERE c.called), coalesce(sum(a.input), 0)::bigint,
        coalesce(sum(a.output), 0)::bigint, coalesce(sum(a.cache_read), 0)::bigint,
        coalesce(sum(a.cache_write), 0)::bigint, coalesce(sum(a.reasoning), 0)::bigint,
        coalesce(bool_or(a.estimated), false), coalesce(sum(a.cost), 0)::bigint
    FROM checked c JOIN asked a ON a.ord = c.ord
    WHERE c.verdict = 'ok' AND c.fresh AND (c.called OR a.usage IS NOT NULL OR a.cost IS NOT NULL)
    GROUP BY c.agent ORDER BY c.agent
    ON CONFLICT (agent, bucket, lane) DO UPDATE SET calls = usage.calls + excluded.calls,
        input = usage.input + excluded.input, output = usage.output + excluded.output,
        cache_read = usage.cache_read + excluded.cache_read, cache_write = usage.cache_write + excluded.cache_write,
        reasoning = usage.reasoning + excluded.reasoning, estimated = usage.estimated OR excluded.estimated,
        cost = usage.cost + excluded.cost
),
intended AS (
    -- The same call intended again (its first try died with its process) keeps its row and its idempotency key.
    INSERT INTO steps (execution, attempt, seq, kind, name, status, effect, request_hash, idempotency_key, intended_at)
    SELECT c.execution, a.intend_attempt, a.intend_seq, a.kind, a.name, 'intended', a.effect, a.request_hash,
        a.idempotency_key, now_ms($1)
    FROM checked c JOIN asked a ON a.ord = c.ord
    WHERE c.verdict = 'ok' AND a.intend_seq IS NOT NULL
    ON CONFLICT (execution, attempt, seq) DO UPDATE SET intended_at = excluded.intended_at
)
-- Whether this commit waits for the disk.
SELECT coalesce(c.verdict, 'fenced'), c.attempt, c.agent,
    set_config('synchronous_commit', CASE WHEN $24 THEN 'off' ELSE current_setting('synchronous_commit') END, true)
FROM asked a LEFT JOIN checked c ON c.ord = a.ord ORDER BY a.ord
