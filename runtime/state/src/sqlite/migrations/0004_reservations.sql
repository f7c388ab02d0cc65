-- Money set aside for model calls under way: one row for each execution (executions.seq) whose agent has a daily budget.
CREATE TABLE reservations (
    execution  INTEGER NOT NULL PRIMARY KEY,
    agent      TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    amount     INTEGER NOT NULL
) STRICT;
CREATE INDEX reservations_agent ON reservations (agent);
