//! The tables, step by step.

use greenroom_sqlite::Migration;

/// The store's schema, to be given to [`Database::open`](greenroom_sqlite::Database::open) with the bus adapter's.
/// A released step is never edited: a change is a new step.
pub const MIGRATIONS: &[Migration] = &[
    Migration { component: "state", version: 1, sql: include_str!("migrations/0001_state.sql") },
    Migration { component: "state", version: 2, sql: include_str!("migrations/0002_paused.sql") },
    Migration { component: "state", version: 3, sql: include_str!("migrations/0003_retention.sql") },
    Migration { component: "state", version: 4, sql: include_str!("migrations/0004_reservations.sql") },
    Migration { component: "state", version: 5, sql: include_str!("migrations/0005_memories.sql") },
    Migration { component: "state", version: 6, sql: include_str!("migrations/0006_schedules.sql") },
    Migration { component: "state", version: 7, sql: include_str!("migrations/0007_clarifications.sql") },
    Migration { component: "state", version: 8, sql: include_str!("migrations/0008_calls.sql") },
    Migration { component: "state", version: 9, sql: include_str!("migrations/0009_cards.sql") },
    Migration { component: "state", version: 10, sql: include_str!("migrations/0010_plan_runs.sql") },
    Migration { component: "state", version: 11, sql: include_str!("migrations/0011_order.sql") },
];
