-- Ends many attempts, each with its last outcome, its checkpoint and what it sends, and says of each whether it may: a
-- refused one changes nothing. After the verdicts come the rows that were leased to a relay.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($2::bytea[], $3::bigint[],
        $4::int[], $5::int[], $6::text[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bytea[],
        $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::boolean[],
        $17::text[], $18::bytea[], $19::text[], $20::text[], $21::bigint[],
        $22::text[], $23::text[], $24::bigint[], $25::bytea[], $26::bigint[])
    WITH ORDINALITY AS a (id, epoch,
        settle_attempt, settle_seq, status, duration_ms, cost, usage, result,
        input, output, cache_read, cache_write, reasoning, estimated,
        ending, answer, error_code, error_message, wait_ms,
        state_agent, conversation, replaces, data, added, ord)
),
-- Until the commit nobody else claims, cancels or ends what is held. The planner plans for empty tables, too, and is given
-- no choice: whether an execution runs is asked afterwards, else it goes through the index of all that run; and the places of
-- steps come along, so that each step is looked up by its whole key.
held AS MATERIALIZED (
    SELECT e.seq AS execution, e.agent, e.attempt, e.status, a.ord, a.settle_attempt, a.settle_seq
    FROM asked a JOIN executions e ON e.id = a.id AND e.epoch = a.epoch
    ORDER BY e.seq FOR NO KEY UPDATE OF e
),
states AS MATERIALIZED (
    SELECT st.version, a.ord
    FROM asked a JOIN agent_state st ON st.agent = a.state_agent AND st.conversation = a.conversation
    ORDER BY st.agent, st.conversation FOR NO KEY UPDATE OF st
),
checked AS MATERIALIZED (
    SELECT h.execution, h.agent, h.attempt, h.ord, h.settle_attempt, h.settle_seq, s.status = 'intended' AS fresh,
        s.kind = 'llm' AND a.status = 'settled' AS called,
        CASE
            WHEN a.settle_attempt <> h.attempt THEN 'attempt'
            WHEN a.settle_seq IS NOT NULL AND s.seq IS NULL THEN 'no step'
            -- The same outcome once more is a write whose answer was lost; another one is somebody else's.
            WHEN s.status <> 'intended' AND (s.status <> a.status OR s.result <> a.result) THEN 'fenced'
            WHEN a.state_agent <> h.agent THEN 'foreign state'
            WHEN a.state_agent IS NOT NULL AND coalesce(st.version, 0) <> a.replaces THEN 'stale state'
            ELSE 'ok'
        END AS verdict
    FROM held h JOIN asked a ON a.ord = h.ord AND h.status = 'running'
    LEFT JOIN states st ON st.ord = h.ord
    LEFT JOIN steps s ON s.execution = h.execution AND s.attempt = h.settle_attempt AND s.seq = h.settle_seq
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
-- Two first versions at once meet at the unique key: the statement fails and is tried again, when one of them is stale.
first_state AS (
    INSERT INTO agent_state (agent, conversation, version, length, updated_at, data)
    SELECT a.state_agent, a.conversation, 1, a.added, now_ms($1), a.data
    FROM checked c JOIN asked a ON a.ord = c.ord
    WHERE c.verdict = 'ok' AND a.replaces = 0
    RETURNING id, agent, conversation, 0::bigint AS before
),
next_state AS (
    UPDATE agent_state st SET version = st.version + 1, length = st.length + a.added, updated_at = now_ms($1),
        data = a.data
    FROM checked c JOIN asked a ON a.ord = c.ord
    WHERE c.verdict = 'ok' AND a.replaces > 0 AND st.agent = a.state_agent AND st.conversation = a.conversation
    RETURNING st.id, st.agent, st.conversation, st.length - a.added AS before
),
appended AS (
    INSERT INTO messages (state, seq, body)
    SELECT st.id, st.before + m.place, m.body
    FROM unnest($37::bigint[], $38::bigint[], $39::bytea[]) AS m (ord, place, body)
    JOIN asked a ON a.ord = m.ord
    JOIN (SELECT * FROM first_state UNION ALL SELECT * FROM next_state) AS st
        ON st.agent = a.state_agent AND st.conversation = a.conversation
),
sent AS (
    -- An event that waits under the same topic already is not written again.
    INSERT INTO outbox (kind, event_id, execution_id, agent, topic, mandatory, order_key, trace_id, available_at,
        created_at, body, lease_owner, lease_until)
    SELECT o.kind, o.event_id, o.execution_id, o.agent, o.topic, o.mandatory, o.order_key, o.trace_id, now_ms($1),
        now_ms($1), o.body, o.node,
        -- As in `submit.sql`.
        CASE WHEN o.node IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM outbox w
                WHERE w.topic = o.topic AND NOT w.published AND w.kind = 'event' AND w.lease_until IS NULL)
            AND NOT EXISTS (SELECT 1 FROM outbox f
                WHERE f.topic = o.topic AND NOT f.published AND f.kind = 'event' AND f.attempts > 0 AND f.attempts <= 50)
            THEN now_ms($1) + $41 END
    FROM unnest($27::bigint[], $28::text[], $29::bytea[], $30::bytea[], $31::text[], $32::text[], $33::boolean[],
        $34::bigint[], $35::text[], $36::bytea[], $40::text[])
        WITH ORDINALITY AS o (ord, kind, event_id, execution_id, agent, topic, mandatory, order_key, trace_id, body,
            node, place)
    JOIN checked c ON c.ord = o.ord
    WHERE c.verdict = 'ok' ORDER BY o.place
    ON CONFLICT DO NOTHING
    RETURNING id, event_id, topic, lease_until
),
-- Of several words about one key the last counts, also over the ends that are written together.
minded AS (
    SELECT DISTINCT ON (c.agent, m.key) c.agent, m.key, m.body
    FROM unnest($42::bigint[], $43::text[], $44::text[]) WITH ORDINALITY AS m (ord, key, body, place)
    JOIN checked c ON c.ord = m.ord
    WHERE c.verdict = 'ok' ORDER BY c.agent, m.key, m.place DESC
),
remembered AS (
    INSERT INTO memories (agent, key, at, text)
    SELECT agent, key, now_ms($1), body FROM minded WHERE body IS NOT NULL ORDER BY agent, key
    ON CONFLICT (agent, key) DO UPDATE SET at = excluded.at, text = excluded.text
),
forgotten AS (
    DELETE FROM memories m USING minded n WHERE n.body IS NULL AND m.agent = n.agent AND m.key = n.key
),
ended AS (
    UPDATE executions e SET status = a.ending, attempt = e.attempt + (a.ending = 'queued')::int,
        available_at = CASE WHEN a.ending = 'queued' THEN now_ms($1) + a.wait_ms ELSE e.available_at END,
        finished_at = CASE WHEN a.ending <> 'queued' THEN now_ms($1) END,
        output = a.answer, error_code = a.error_code, error_message = a.error_message
    FROM checked c JOIN asked a ON a.ord = c.ord
    WHERE c.verdict = 'ok' AND e.seq = c.execution
)
SELECT coalesce(c.verdict, 'fenced'), c.attempt, c.agent, NULL::bigint, NULL::bytea, NULL::text, a.ord
FROM asked a LEFT JOIN checked c ON c.ord = a.ord
UNION ALL
SELECT NULL, NULL, NULL, id, event_id, topic, NULL FROM sent WHERE lease_until IS NOT NULL
ORDER BY ord
