//! The tables, step by step.

use greenroom_contract::port::state::Error;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::fault::Job;

/// The steps, in order. A released step is never edited: a change is a new step.
const STEPS: &[&str] = &[
    include_str!("migrations/0001_state.sql"),
    include_str!("migrations/0002_retention.sql"),
    include_str!("migrations/0003_reservations.sql"),
    include_str!("migrations/0004_memories.sql"),
    include_str!("migrations/0005_schedules.sql"),
    include_str!("migrations/0006_clarifications.sql"),
    include_str!("migrations/0007_calls.sql"),
    include_str!("migrations/0008_cards.sql"),
    include_str!("migrations/0009_plan_runs.sql"),
    include_str!("migrations/0010_order.sql"),
];

/// Brings `schema` up to date, in one transaction. However many nodes start at once, one does it and the others wait.
/// One that a later version wrote is refused.
pub(super) async fn migrate(conn: &mut PgConnection, schema: &str) -> Job<()> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('greenroom ' || $1, 0))";
    // Asked first, because even an `IF NOT EXISTS` wants the right to create.
    const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)";
    const TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (version integer PRIMARY KEY, \
         applied_at timestamptz NOT NULL DEFAULT now())";
    let mut tx = conn.begin().await?;
    // Others may be at it for longer than a statement may otherwise wait.
    sqlx::raw_sql("SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'").execute(&mut *tx).await?;
    sqlx::query(LOCK).bind(schema).execute(&mut *tx).await?;
    // An index on a large table takes as long as it takes.
    sqlx::raw_sql("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
    if !sqlx::query_scalar::<_, bool>(EXISTS).bind(schema).fetch_one(&mut *tx).await? {
        // The name was checked when the options were read.
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&mut *tx).await?;
    }
    sqlx::raw_sql(TABLE).execute(&mut *tx).await?;
    let found: Option<i32> = sqlx::query_scalar("SELECT max(version) FROM migrations").fetch_one(&mut *tx).await?;
    let found = usize::try_from(found.unwrap_or(0)).unwrap_or(0);
    if found > STEPS.len() {
        let newest = STEPS.len();
        let what = format!(
            "the schema {schema:?} was written by a later version (it is at {found}, this build knows {newest}); use that version"
        );
        return Err(Error::Corrupt { what }.into());
    }
    for (version, step) in (1_i32..).zip(STEPS).skip(found) {
        sqlx::raw_sql(*step).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO migrations (version) VALUES ($1)").bind(version).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}
