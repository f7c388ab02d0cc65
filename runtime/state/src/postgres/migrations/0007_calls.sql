-- Calls of other agents. `execution` is executions.seq of the caller, `step` the step of its attempt that the end of the call
-- settles, `callee` the execution that answers. They are deleted with their caller.
CREATE TABLE calls (
    callee       bytea PRIMARY KEY,
    execution    bigint NOT NULL REFERENCES executions (seq) ON DELETE CASCADE,
    called_at    bigint NOT NULL,
    deadline_at  bigint NOT NULL,
    ended_at     bigint,
    attempt      integer NOT NULL,
    step         integer NOT NULL,
    agent        text COLLATE "C" NOT NULL,
    status       text NOT NULL
);
CREATE INDEX calls_execution ON calls (execution);
CREATE INDEX calls_open ON calls (deadline_at) WHERE status = 'open';
