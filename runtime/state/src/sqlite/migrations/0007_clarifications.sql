-- Questions to people. `execution` is executions.seq, `step` the step of its attempt that the answer settles.
CREATE TABLE clarifications (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL,
    execution    INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    step         INTEGER NOT NULL,
    agent        TEXT NOT NULL,
    purpose      TEXT NOT NULL,
    status       TEXT NOT NULL,
    asked_at     INTEGER NOT NULL,
    expires_at   INTEGER,
    answered_at  INTEGER,
    answered_by  TEXT,
    question     ANY NOT NULL,
    answer       ANY
) STRICT;
CREATE UNIQUE INDEX clarifications_id ON clarifications (id);
CREATE INDEX clarifications_execution ON clarifications (execution);
CREATE INDEX clarifications_open ON clarifications (expires_at) WHERE status = 'open';

-- They are deleted with their execution.
CREATE TRIGGER clarifications_gone AFTER DELETE ON executions BEGIN
    DELETE FROM clarifications WHERE execution = old.seq;
END;
