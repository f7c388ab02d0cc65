-- When agents wake by themselves. A row without next_at rests.
CREATE TABLE schedules (
    agent         text COLLATE "C" NOT NULL PRIMARY KEY,
    anchor        bigint NOT NULL,
    next_at       bigint,
    paused_since  bigint,
    digest        text NOT NULL
) WITH (fillfactor = 50);

-- What became of each firing. `open`: it has fired, and is not known to be over.
CREATE TABLE firings (
    agent         text COLLATE "C" NOT NULL,
    due_at        bigint NOT NULL,
    decided_at    bigint NOT NULL,
    stands_for    integer NOT NULL,
    open          boolean NOT NULL,
    triggered     boolean NOT NULL,
    status        text NOT NULL,
    event_id      bytea NOT NULL,
    execution_id  bytea NOT NULL,
    trace_id      text NOT NULL,
    PRIMARY KEY (agent, due_at)
);
CREATE INDEX firings_open ON firings (agent) WHERE open;
CREATE INDEX firings_waiting ON firings (agent, due_at) WHERE status = 'waiting';
CREATE INDEX firings_decided ON firings (decided_at);
