-- Agents that an operator holds back, on every node and over restarts.
CREATE TABLE paused_agents (
    agent  TEXT NOT NULL PRIMARY KEY,
    since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
