-- What is old is found by when it ended, and what was deleted is still recognised. With `seq` each has a place of its own
-- in that order, from which the next look goes on.
CREATE INDEX executions_finished ON executions (finished_at, seq) WHERE finished_at IS NOT NULL;
CREATE INDEX dead_letters_waiting ON dead_letters (execution_id) WHERE replayed_at IS NULL;
CREATE INDEX dead_letters_replayed ON dead_letters (replayed_at) WHERE replayed_at IS NOT NULL;
-- Written in the order of time, and asked for only by what deletes: a summary of pages will do.
CREATE INDEX usage_bucket ON usage USING brin (bucket) WITH (pages_per_range = 16);

-- The names of executions that are deleted, written a minute before they go: a duplicate of their event must not run
-- again. While `waits`, the execution is still there.
CREATE TABLE swept (
    at     bigint NOT NULL,
    waits  boolean NOT NULL,
    id     bytea NOT NULL PRIMARY KEY
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX swept_at ON swept USING brin (at) WITH (pages_per_range = 16);
CREATE INDEX swept_waits ON swept (at) WHERE waits;

-- A fifth of a large table, which is the default, is too much to let lie before the vacuum comes.
ALTER TABLE executions SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE steps SET (autovacuum_vacuum_scale_factor = 0.05);
