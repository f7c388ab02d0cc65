-- Sets money aside if it fits, and says what was spent, what others hold, and whether it was. One statement, so that a price
-- is seen where it was reserved or where it was spent, never in both or neither.
-- `coalesce` keeps the planner from walking the index of all that are unfinished: each is looked up by its number.
WITH held AS MATERIALIZED (
    SELECT r.execution, r.amount, r.attempt, r.seq, e.seq IS NOT NULL AS goes_on
    FROM reservations r LEFT JOIN executions e ON e.seq = r.execution AND coalesce(e.finished_at, 0) = 0
    WHERE r.agent = $1
),
sums AS MATERIALIZED (
    SELECT
        (SELECT coalesce(sum(cost), 0)::bigint FROM usage WHERE agent = $1 AND bucket >= $2) AS spent,
        (SELECT coalesce(sum(h.amount), 0)::bigint FROM held h WHERE h.goes_on AND h.execution <> $3
            AND NOT EXISTS (SELECT 1 FROM steps s WHERE s.execution = h.execution AND s.attempt = h.attempt
                AND s.seq = h.seq AND s.status <> 'intended')) AS reserved
),
over AS (
    DELETE FROM reservations r USING held h WHERE r.execution = h.execution AND NOT h.goes_on
),
reserve AS (
    INSERT INTO reservations (execution, agent, attempt, seq, amount)
    SELECT $3, $1, $4, $5, $6 FROM sums WHERE spent::numeric + reserved + $6 <= $7
    ON CONFLICT (execution) DO UPDATE SET agent = excluded.agent, attempt = excluded.attempt, seq = excluded.seq,
        amount = excluded.amount
    RETURNING execution
)
SELECT spent, reserved, EXISTS (SELECT 1 FROM reserve) FROM sums
