//! When a lane's commits wait for the disk.

use sqlx::{PgConnection, Row};

use super::fault::{Fault, Job};

/// What the lane's present connection waits for.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// The server's own word for it, which an operator may have chosen: a copy's disk, too, for one.
    usual: String,
    /// Whether commits on this connection go without it.
    light: bool,
}

impl Disk {
    /// There is a new connection. What went lightly over the one before is not known to be on the disk.
    pub(super) async fn anew(&mut self, conn: &mut PgConnection) -> Job<()> {
        let row = sqlx::query("SELECT current_setting('synchronous_commit')").fetch_one(conn).await?;
        *self = Self { usual: row.try_get(0)?, light: false };
        Ok(())
    }

    /// From here on commits do not wait.
    pub(super) async fn lighten(&mut self, conn: &mut PgConnection) -> Job<()> {
        sqlx::query("SELECT set_config('synchronous_commit', 'off', false)").execute(conn).await?;
        self.light = true;
        Ok(())
    }

    /// Waits as usual again, beginning with a commit that waits for everything before it, whatever that was: one that wrote
    /// nothing of its own would wait for nothing.
    pub(super) async fn settle(&mut self, conn: &mut PgConnection) -> Job<()> {
        if !std::mem::take(&mut self.light) {
            return Err(Fault::Lost("another connection had to be made meanwhile".to_owned()));
        }
        const SQL: &str =
            "SELECT set_config('synchronous_commit', $1, false), pg_logical_emit_message(true, 'greenroom', '')";
        sqlx::query(SQL).bind(&self.usual).execute(conn).await?;
        Ok(())
    }
}
