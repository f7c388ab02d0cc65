-- Runs of plans, as people see them. `execution` is executions.seq of the coordinator, `told` how many of the run's news were
-- sent, `stuck_at` when it was told that the run is past its deadline. They are deleted with their execution.
CREATE TABLE plan_runs (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution    bigint NOT NULL REFERENCES executions (seq) ON DELETE CASCADE,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL,
    finished_at  bigint,
    deadline_at  bigint,
    stuck_at     bigint,
    version      bigint NOT NULL,
    told         integer NOT NULL,
    agent        text COLLATE "C" NOT NULL,
    status       text NOT NULL,
    body         bytea NOT NULL
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX plan_runs_execution ON plan_runs (execution);
CREATE INDEX plan_runs_due ON plan_runs (deadline_at) WHERE finished_at IS NULL AND stuck_at IS NULL;
