-- Runs of plans, as people see them. `execution` is executions.seq of the coordinator, `told` how many of the run's news were
-- sent, `stuck_at` when it was told that the run is past its deadline.
CREATE TABLE plan_runs (
    seq          INTEGER PRIMARY KEY,
    execution    INTEGER NOT NULL,
    agent        TEXT NOT NULL,
    status       TEXT NOT NULL,
    version      INTEGER NOT NULL,
    told         INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    finished_at  INTEGER,
    deadline_at  INTEGER,
    stuck_at     INTEGER,
    body         ANY NOT NULL
) STRICT;
CREATE UNIQUE INDEX plan_runs_execution ON plan_runs (execution);
CREATE INDEX plan_runs_due ON plan_runs (deadline_at) WHERE finished_at IS NULL AND stuck_at IS NULL;

-- They are deleted with their execution.
CREATE TRIGGER plan_runs_gone AFTER DELETE ON executions BEGIN
    DELETE FROM plan_runs WHERE execution = old.seq;
END;
