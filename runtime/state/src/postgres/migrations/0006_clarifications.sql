-- Questions to people. `execution` is executions.seq, `step` the step of its attempt that the answer settles. They are
-- deleted with their execution.
CREATE TABLE clarifications (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution    bigint NOT NULL REFERENCES executions (seq) ON DELETE CASCADE,
    asked_at     bigint NOT NULL,
    expires_at   bigint,
    answered_at  bigint,
    attempt      integer NOT NULL,
    step         integer NOT NULL,
    id           bytea NOT NULL,
    agent        text COLLATE "C" NOT NULL,
    purpose      text NOT NULL,
    status       text NOT NULL,
    answered_by  text,
    question     bytea NOT NULL,
    answer       bytea
);
CREATE UNIQUE INDEX clarifications_id ON clarifications (id);
CREATE INDEX clarifications_execution ON clarifications (execution);
CREATE INDEX clarifications_open ON clarifications (expires_at) WHERE status = 'open';
