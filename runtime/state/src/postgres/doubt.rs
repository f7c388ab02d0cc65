//! Claims that reached nobody.
//!
//! When a connection breaks while a claim is made, it may have been committed: the execution would be running on this
//! node and nobody would be at it, for as long as the node lives. So each claim names its call, a lane remembers the
//! calls whose answer was lost or not awaited any more, and gives back what they claimed.

use std::{collections::VecDeque, time::Duration};

use sqlx::PgConnection;
use tokio::time::Instant;

use super::{fault::Job, options::Now};

/// For how long a claim is looked for: longer than a server takes to give up a statement whose client has gone.
const FOR: Duration = Duration::from_secs(30);
/// How often.
const EVERY: Duration = Duration::from_secs(2);
/// The most claims in doubt. Beyond it the oldest is forgotten: its execution waits for the node's next start.
const MOST: usize = 10_000;

/// The claims of one lane that may have been made for nobody.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    claims: VecDeque<(i64, Instant)>,
    looked: Option<Instant>,
}

impl Doubts {
    /// When they are to be looked for; `None` while there are none.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.claims.is_empty() { None } else { Some(self.looked.map_or_else(Instant::now, |looked| looked + EVERY)) }
    }

    pub(super) fn add(&mut self, claim: Option<i64>) {
        if let Some(claim) = claim {
            if self.claims.len() == MOST {
                self.claims.pop_front();
            }
            self.claims.push_back((claim, Instant::now() + FOR));
        }
    }

    /// Gives back what the calls in doubt have claimed. It never began, so it is no crash.
    pub(super) async fn give_back(&mut self, conn: &mut PgConnection, now: Now) -> Job<()> {
        const SQL: &str = "UPDATE executions SET status = 'queued', available_at = now_ms($1), claim = NULL \
             WHERE status = 'running' AND claim = ANY($2)";
        if self.claims.is_empty() {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let claims: Vec<i64> = self.claims.iter().map(|(claim, _)| *claim).collect();
        let given = sqlx::query(SQL).bind(now).bind(claims).execute(conn).await?.rows_affected();
        if given > 0 {
            tracing::warn!(
                executions = given,
                "Executions were claimed over a connection that broke, and are queued again."
            );
        }
        let at = Instant::now();
        self.claims.retain(|(_, until)| *until > at);
        Ok(())
    }
}
