-- The store of a cluster. Times are milliseconds since the Unix epoch, ids are 16 bytes, payloads are JSON in UTF-8 or,
-- above 1 MiB, compressed (codec.rs): hence bytea. Small columns stand first.

-- The present moment: the database's, unless the caller brings one (tests do). Inlined by the planner.
CREATE FUNCTION now_ms(given bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT coalesce(given, floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint) $$;

-- One row per process; its executions are its own until lease_until.
CREATE TABLE nodes (
    node         text COLLATE "C" NOT NULL PRIMARY KEY,
    lease_until  bigint NOT NULL
) WITH (fillfactor = 50);

-- One row per agent and event. `seq` is the order of arrival; `claim` names the call that claimed it last.
CREATE TABLE executions (
    seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    available_at   bigint NOT NULL,
    created_at     bigint NOT NULL,
    started_at     bigint,
    finished_at    bigint,
    epoch          bigint NOT NULL,
    claim          bigint,
    attempt        integer NOT NULL,
    crashes        integer NOT NULL DEFAULT 0,
    priority       smallint NOT NULL,
    id             bytea NOT NULL,
    event_id       bytea NOT NULL,
    status         text NOT NULL,
    agent          text COLLATE "C" NOT NULL,
    version        text NOT NULL,
    node           text COLLATE "C",
    trace_id       text NOT NULL,
    event_type     text NOT NULL,
    source         text NOT NULL,
    error_code     text,
    error_message  text,
    event          bytea NOT NULL,
    output         bytea
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX executions_id ON executions (id);
CREATE INDEX executions_event ON executions (event_id);
CREATE INDEX executions_agent ON executions (agent, seq);
CREATE INDEX executions_trace ON executions (trace_id);
CREATE INDEX executions_queued ON executions (agent, priority DESC, seq) WHERE status = 'queued';
CREATE INDEX executions_running ON executions (agent) WHERE status = 'running';
CREATE INDEX executions_unfinished ON executions (agent, seq) WHERE finished_at IS NULL;

-- The journal. `execution` is executions.seq.
CREATE TABLE steps (
    execution        bigint NOT NULL,
    attempt          integer NOT NULL,
    seq              integer NOT NULL,
    replays          integer NOT NULL DEFAULT 0,
    intended_at      bigint NOT NULL,
    settled_at       bigint,
    duration_ms      bigint,
    cost             bigint,
    kind             text NOT NULL,
    name             text NOT NULL,
    status           text NOT NULL,
    effect           text NOT NULL,
    request_hash     text NOT NULL,
    idempotency_key  text NOT NULL,
    usage            bytea,
    result           bytea,
    PRIMARY KEY (execution, attempt, seq)
) WITH (fillfactor = 70);

-- What goes out. `published` rows wait only for the receiver's inbox.
CREATE TABLE outbox (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_key     bigint,
    available_at  bigint NOT NULL,
    created_at    bigint NOT NULL,
    lease_until   bigint,
    attempts      integer NOT NULL DEFAULT 0,
    mandatory     boolean NOT NULL,
    published     boolean NOT NULL DEFAULT false,
    kind          text NOT NULL,
    event_id      bytea,
    execution_id  bytea,
    agent         text COLLATE "C",
    topic         text NOT NULL,
    lease_owner   text COLLATE "C",
    trace_id      text NOT NULL,
    last_error    text,
    body          bytea NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE UNIQUE INDEX outbox_event ON outbox (event_id, topic) WHERE event_id IS NOT NULL;
CREATE INDEX outbox_execution ON outbox (execution_id) WHERE execution_id IS NOT NULL;
CREATE INDEX outbox_due ON outbox (id) WHERE NOT published;
CREATE INDEX outbox_order ON outbox (order_key, id) WHERE order_key IS NOT NULL;
CREATE INDEX outbox_trace ON outbox (trace_id);

-- The latest state of each conversation of an agent; its messages are stored once and counted by `length`.
CREATE TABLE agent_state (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version       bigint NOT NULL,
    length        bigint NOT NULL,
    updated_at    bigint NOT NULL,
    agent         text COLLATE "C" NOT NULL,
    conversation  text COLLATE "C" NOT NULL,
    data          bytea NOT NULL,
    UNIQUE (agent, conversation)
) WITH (fillfactor = 70);
CREATE TABLE messages (
    state  bigint NOT NULL,
    seq    bigint NOT NULL,
    body   bytea NOT NULL,
    PRIMARY KEY (state, seq)
);

CREATE TABLE agent_versions (
    agent       text COLLATE "C" NOT NULL,
    version     text NOT NULL,
    created_at  bigint NOT NULL,
    spec        bytea NOT NULL,
    PRIMARY KEY (agent, version)
);

-- What each agent spent, by quarter of an hour: every time zone's midnight is one's beginning. Each connection that writes
-- counts in a lane of its own: in one row the commits of a busy agent would wait for each other.
CREATE TABLE usage (
    agent        text COLLATE "C" NOT NULL,
    bucket       bigint NOT NULL,
    lane         smallint NOT NULL,
    calls        bigint NOT NULL,
    input        bigint NOT NULL,
    output       bigint NOT NULL,
    cache_read   bigint NOT NULL,
    cache_write  bigint NOT NULL,
    reasoning    bigint NOT NULL,
    estimated    boolean NOT NULL,
    cost         bigint NOT NULL,
    PRIMARY KEY (agent, bucket, lane)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- What could not be done. `hash` is of queue and body, for letters that came from the bus.
CREATE TABLE dead_letters (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_at        bigint NOT NULL,
    dead_at         bigint NOT NULL,
    replayed_at     bigint,
    attempts        integer NOT NULL,
    agent           text COLLATE "C",
    queue           text NOT NULL,
    execution_id    bytea,
    trace_id        text,
    reason_code     text NOT NULL,
    reason_message  text NOT NULL,
    node            text COLLATE "C",
    replayed_as     text,
    hash            bytea,
    body            bytea NOT NULL
);
CREATE UNIQUE INDEX dead_letters_hash ON dead_letters (hash) WHERE hash IS NOT NULL;

-- Agents that an operator holds back, on every node and over restarts.
CREATE TABLE paused_agents (
    agent  text COLLATE "C" NOT NULL PRIMARY KEY,
    since  bigint NOT NULL
);

-- One row that the health check writes, so that a full disk or a standby shows before work meets it.
CREATE TABLE probe (
    id  integer PRIMARY KEY CHECK (id = 1),
    at  bigint NOT NULL
) WITH (fillfactor = 50);
