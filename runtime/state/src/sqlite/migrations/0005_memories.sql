-- What agents keep in mind: short texts under keys, of each agent apart.
CREATE TABLE memories (
    agent  TEXT NOT NULL,
    key    TEXT NOT NULL,
    at     INTEGER NOT NULL,
    text   TEXT NOT NULL,
    PRIMARY KEY (agent, key)
) STRICT, WITHOUT ROWID;
