//! What agents keep in mind. It is written by a finish.

use greenroom_contract::{
    AgentId,
    clock::from_millis,
    port::{
        memory::{Memory, Remember},
        state::Result,
    },
};
use rusqlite::{Connection, params};

use super::{
    job::{Job, run},
    journal::Held,
    store::SqliteState,
};

/// Keeps or forgets one thing, of the agent whose execution is held.
pub(super) fn write(remember: &Remember, conn: &Connection, held: &Held, now: i64) -> Job<()> {
    const KEEP: &str = "INSERT INTO memories (agent, key, at, text) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (agent, key) DO UPDATE SET at = excluded.at, text = excluded.text";
    const FORGET: &str = "DELETE FROM memories WHERE agent = ?1 AND key = ?2";
    match &remember.text {
        Some(text) => run(conn, KEEP, params![held.agent, remember.key, now, text])?,
        None => run(conn, FORGET, params![held.agent, remember.key])?,
    };
    Ok(())
}

pub(super) async fn read(store: &SqliteState, agent: AgentId, limit: u32) -> Result<Vec<Memory>> {
    const SQL: &str = "SELECT key, text, at FROM memories WHERE agent = ?1 ORDER BY at DESC, key LIMIT ?2";
    store
        .read(move |conn| {
            let mut statement = conn.prepare_cached(SQL)?;
            let found = statement.query_map(params![agent.as_str(), limit], |row| {
                Ok(Memory { key: row.get(0)?, text: row.get(1)?, at: from_millis(row.get(2)?) })
            })?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
}
