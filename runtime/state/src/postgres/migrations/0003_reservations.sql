-- Money set aside for model calls under way: one row for each execution (executions.seq) whose agent has a daily budget.
CREATE TABLE reservations (
    execution  bigint NOT NULL PRIMARY KEY,
    agent      text COLLATE "C" NOT NULL,
    attempt    integer NOT NULL,
    seq        integer NOT NULL,
    amount     bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX reservations_agent ON reservations (agent);
