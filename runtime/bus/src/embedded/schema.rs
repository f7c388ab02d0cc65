//! The tables.

use greenroom_sqlite::Migration;

/// The bus's tables, for [`greenroom_sqlite::Database::open`].
pub const MIGRATIONS: &[Migration] = &[Migration { component: "bus", version: 1, sql: V1 }];

// A message has a row for each queue that took it: settling one queue's copy never waits for another's.
// `event_id` is null in the dead letters, where one event may have died in several queues, and for bytes that are no event.
const V1: &str = "
CREATE TABLE bus_queues (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    sharing INTEGER NOT NULL,
    retired INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE bus_bindings (
    queue INTEGER NOT NULL,
    pattern TEXT NOT NULL,
    PRIMARY KEY (queue, pattern)
) STRICT, WITHOUT ROWID;

CREATE TABLE bus_messages (
    id INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    event_id BLOB,
    rejections INTEGER NOT NULL DEFAULT 0,
    published_at INTEGER NOT NULL,
    death TEXT,
    body BLOB NOT NULL
) STRICT;

-- The row id follows by itself, so this is the order of delivery.
CREATE INDEX bus_messages_in_order ON bus_messages (queue, priority);
CREATE UNIQUE INDEX bus_messages_once ON bus_messages (queue, event_id) WHERE event_id IS NOT NULL;

CREATE TABLE bus_health (one INTEGER PRIMARY KEY CHECK (one = 1), checked_at INTEGER NOT NULL) STRICT;
";
