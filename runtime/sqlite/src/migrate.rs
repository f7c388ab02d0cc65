//! Versioned tables: each adapter brings its own ordered list.

use rusqlite::{Connection, OptionalExtension, params};

/// One step of an adapter's schema. Never edited once released: a change is a new step.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// The adapter, for example `state`.
    pub component: &'static str,
    /// Its position in the adapter's list, from 1.
    pub version: u32,
    /// The statements.
    pub sql: &'static str,
}

/// Applies what is missing, in one transaction. A file that a later version wrote is refused.
pub(crate) fn apply(conn: &mut Connection, migrations: &[Migration]) -> Result<(), Refusal> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (component TEXT NOT NULL, version INTEGER NOT NULL, \
         applied_at INTEGER NOT NULL DEFAULT (unixepoch()), PRIMARY KEY (component, version)) STRICT",
    )?;
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for migration in migrations {
        let newest =
            migrations.iter().filter(|m| m.component == migration.component).map(|m| m.version).max().unwrap_or(0);
        let found: u32 = tx
            .query_row("SELECT max(version) FROM migrations WHERE component = ?1", [migration.component], |row| {
                row.get::<_, Option<u32>>(0)
            })
            .optional()?
            .flatten()
            .unwrap_or(0);
        if found > newest {
            return Err(Refusal::TooNew { component: migration.component, found, newest });
        }
        if migration.version > found {
            tx.execute_batch(migration.sql)?;
            tx.execute(
                "INSERT INTO migrations (component, version) VALUES (?1, ?2)",
                params![migration.component, migration.version],
            )?;
        }
    }
    tx.commit()?;
    Ok(())
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(
        "was written by a later version (its {component} schema is {found}, this build knows {newest}); use that version"
    )]
    TooNew { component: &'static str, found: u32, newest: u32 },
}
