-- What is old is found by when it ended, and what was deleted is still recognised.
CREATE INDEX executions_finished ON executions (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX dead_letters_waiting ON dead_letters (execution_id) WHERE replayed_at IS NULL;
CREATE INDEX dead_letters_replayed ON dead_letters (replayed_at) WHERE replayed_at IS NOT NULL;
CREATE INDEX usage_bucket ON usage (bucket);

-- The names of executions that were deleted: a duplicate of their event must not run again.
CREATE TABLE swept (
    id  BLOB NOT NULL PRIMARY KEY,
    at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX swept_at ON swept (at);
