-- The store of an embedded node. Times are milliseconds since the Unix epoch, ids are 16 bytes, payloads are JSON text
-- or, above 1 MiB, compressed (codec.rs): hence ANY. Small columns stand first, so that a scan does not touch payloads.

-- One row per process; its executions are its own until lease_until.
CREATE TABLE nodes (
    node         TEXT NOT NULL PRIMARY KEY,
    lease_until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per agent and event. `seq` is the order of arrival.
CREATE TABLE executions (
    seq            INTEGER PRIMARY KEY,
    id             BLOB NOT NULL,
    event_id       BLOB NOT NULL,
    agent          TEXT NOT NULL,
    version        TEXT NOT NULL,
    status         TEXT NOT NULL,
    attempt        INTEGER NOT NULL,
    epoch          INTEGER NOT NULL,
    crashes        INTEGER NOT NULL DEFAULT 0,
    priority       INTEGER NOT NULL,
    node           TEXT,
    available_at   INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    started_at     INTEGER,
    finished_at    INTEGER,
    trace_id       TEXT NOT NULL,
    event_type     TEXT NOT NULL,
    source         TEXT NOT NULL,
    error_code     TEXT,
    error_message  TEXT,
    event          ANY NOT NULL,
    output         ANY
) STRICT;
CREATE UNIQUE INDEX executions_id ON executions (id);
CREATE INDEX executions_event ON executions (event_id);
CREATE INDEX executions_agent ON executions (agent);
CREATE INDEX executions_trace ON executions (trace_id);
CREATE INDEX executions_queued ON executions (agent, priority DESC, seq, available_at) WHERE status = 'queued';
CREATE INDEX executions_running ON executions (agent, node) WHERE status = 'running';
CREATE INDEX executions_unfinished ON executions (agent) WHERE finished_at IS NULL;

-- The journal. `execution` is executions.seq.
CREATE TABLE steps (
    execution        INTEGER NOT NULL,
    attempt          INTEGER NOT NULL,
    seq              INTEGER NOT NULL,
    kind             TEXT NOT NULL,
    name             TEXT NOT NULL,
    status           TEXT NOT NULL,
    effect           TEXT NOT NULL,
    request_hash     TEXT NOT NULL,
    idempotency_key  TEXT NOT NULL,
    intended_at      INTEGER NOT NULL,
    settled_at       INTEGER,
    duration_ms      INTEGER,
    cost             INTEGER,
    replays          INTEGER NOT NULL DEFAULT 0,
    usage            TEXT,
    result           ANY,
    PRIMARY KEY (execution, attempt, seq)
) STRICT;

-- What goes out. `published` rows wait only for the receiver's inbox. AUTOINCREMENT, because a late answer about a row
-- that is gone must not meet another row under its number.
CREATE TABLE outbox (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    kind          TEXT NOT NULL,
    event_id      BLOB,
    execution_id  BLOB,
    agent         TEXT,
    topic         TEXT NOT NULL,
    mandatory     INTEGER NOT NULL,
    published     INTEGER NOT NULL DEFAULT 0,
    order_key     INTEGER,
    attempts      INTEGER NOT NULL DEFAULT 0,
    available_at  INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    lease_owner   TEXT,
    lease_until   INTEGER,
    trace_id      TEXT NOT NULL,
    last_error    TEXT,
    body          ANY NOT NULL
) STRICT;
CREATE UNIQUE INDEX outbox_event ON outbox (event_id, topic) WHERE event_id IS NOT NULL;
CREATE INDEX outbox_execution ON outbox (execution_id) WHERE execution_id IS NOT NULL;
CREATE INDEX outbox_due ON outbox (id) WHERE published = 0;
CREATE INDEX outbox_order ON outbox (order_key) WHERE order_key IS NOT NULL;

-- The latest state of each conversation of an agent; its messages are stored once and counted by `length`.
CREATE TABLE agent_state (
    id            INTEGER PRIMARY KEY,
    agent         TEXT NOT NULL,
    conversation  TEXT NOT NULL,
    version       INTEGER NOT NULL,
    length        INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    data          ANY NOT NULL,
    UNIQUE (agent, conversation)
) STRICT;
CREATE TABLE messages (
    state  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    body   ANY NOT NULL,
    PRIMARY KEY (state, seq)
) STRICT;

CREATE TABLE agent_versions (
    agent       TEXT NOT NULL,
    version     TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    spec        ANY NOT NULL,
    PRIMARY KEY (agent, version)
) STRICT;

-- What each agent spent, by quarter of an hour: every time zone's midnight is one's beginning.
CREATE TABLE usage (
    agent        TEXT NOT NULL,
    bucket       INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    input        INTEGER NOT NULL,
    output       INTEGER NOT NULL,
    cache_read   INTEGER NOT NULL,
    cache_write  INTEGER NOT NULL,
    reasoning    INTEGER NOT NULL,
    estimated    INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    PRIMARY KEY (agent, bucket)
) STRICT, WITHOUT ROWID;

-- What could not be done. `hash` is of queue and body, for letters that came from the bus.
CREATE TABLE dead_letters (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    agent           TEXT,
    queue           TEXT NOT NULL,
    execution_id    BLOB,
    trace_id        TEXT,
    reason_code     TEXT NOT NULL,
    reason_message  TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    node            TEXT,
    first_at        INTEGER NOT NULL,
    dead_at         INTEGER NOT NULL,
    replayed_at     INTEGER,
    replayed_as     TEXT,
    hash            BLOB,
    body            ANY NOT NULL
) STRICT;
CREATE UNIQUE INDEX dead_letters_hash ON dead_letters (hash) WHERE hash IS NOT NULL;

-- One row that the health check writes, so that a full or read-only disk shows before work meets it.
CREATE TABLE probe (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    at  INTEGER NOT NULL
) STRICT;
