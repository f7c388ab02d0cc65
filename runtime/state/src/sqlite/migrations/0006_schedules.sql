-- When agents wake by themselves. A row without next_at rests.
CREATE TABLE schedules (
    agent         TEXT NOT NULL PRIMARY KEY,
    digest        TEXT NOT NULL,
    anchor        INTEGER NOT NULL,
    next_at       INTEGER,
    paused_since  INTEGER
) STRICT, WITHOUT ROWID;

-- What became of each firing. `open`: it has fired, and is not known to be over.
CREATE TABLE firings (
    agent         TEXT NOT NULL,
    due_at        INTEGER NOT NULL,
    decided_at    INTEGER NOT NULL,
    status        TEXT NOT NULL,
    open          INTEGER NOT NULL,
    triggered     INTEGER NOT NULL,
    stands_for    INTEGER NOT NULL,
    event_id      BLOB NOT NULL,
    execution_id  BLOB NOT NULL,
    trace_id      TEXT NOT NULL,
    PRIMARY KEY (agent, due_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX firings_open ON firings (agent) WHERE open = 1;
CREATE INDEX firings_waiting ON firings (agent, due_at) WHERE status = 'waiting';
CREATE INDEX firings_decided ON firings (decided_at);
