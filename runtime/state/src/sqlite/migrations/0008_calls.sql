-- Calls of other agents. `execution` is executions.seq of the caller, `step` the step of its attempt that the end of the call
-- settles, `callee` the execution that answers.
CREATE TABLE calls (
    callee       BLOB PRIMARY KEY NOT NULL,
    execution    INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    step         INTEGER NOT NULL,
    agent        TEXT NOT NULL,
    status       TEXT NOT NULL,
    called_at    INTEGER NOT NULL,
    deadline_at  INTEGER NOT NULL,
    ended_at     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_execution ON calls (execution);
CREATE INDEX calls_open ON calls (deadline_at) WHERE status = 'open';

-- They are deleted with their caller.
CREATE TRIGGER calls_gone AFTER DELETE ON executions BEGIN
    DELETE FROM calls WHERE execution = old.seq;
END;
