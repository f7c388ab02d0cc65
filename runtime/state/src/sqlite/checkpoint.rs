//! The agents' own: the state of each conversation, and the versions of each definition.

use greenroom_contract::{
    AgentId,
    port::state::{Checkpoint, CheckpointKey, NewCheckpoint, Result},
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::{
    columns::count,
    job::{Job, refuse, run},
    journal::Held,
    store::SqliteState,
};
use crate::{
    codec::{self, Stored},
    refusal::{corrupt, foreign_state, int, stale_state},
};

/// A new version of an agent's state, ready to be written.
pub(super) struct Prepared {
    key: CheckpointKey,
    replaces: u64,
    data: Stored,
    append: Vec<Stored>,
}

impl Prepared {
    pub(super) fn new(checkpoint: NewCheckpoint) -> Result<Self> {
        let NewCheckpoint { key, replaces, data, append } = checkpoint;
        let what = format!("the state of {}", key.agent);
        let data = codec::encode_json(&data).map_err(corrupt(&what))?;
        let append = append.iter().map(codec::encode_json).collect::<Result<_, _>>().map_err(corrupt(&what))?;
        Ok(Self { key, replaces, data, append })
    }

    /// Writes the version if it follows the one that it replaces.
    pub(super) fn write(&self, conn: &Connection, held: &Held, now: i64) -> Job<()> {
        const FIRST: &str = "INSERT INTO agent_state (agent, conversation, version, length, updated_at, data) \
             VALUES (?1, ?2, 1, ?3, ?4, ?5) ON CONFLICT (agent, conversation) DO NOTHING RETURNING id, length";
        const NEXT: &str = "UPDATE agent_state SET version = version + 1, length = length + ?3, updated_at = ?4, \
             data = ?5 WHERE agent = ?1 AND conversation = ?2 AND version = ?6 RETURNING id, length";
        const MESSAGE: &str = "INSERT INTO messages (state, seq, body) VALUES (?1, ?2, ?3)";
        let CheckpointKey { agent, conversation } = &self.key;
        if agent.as_str() != held.agent {
            return refuse(foreign_state(&held.agent, agent.as_str()));
        }
        let added = int(self.append.len() as u64);
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let written = if self.replaces == 0 {
            let first = params![agent.as_str(), conversation, added, now, self.data];
            conn.prepare_cached(FIRST)?.query_row(first, read).optional()?
        } else {
            let next = params![agent.as_str(), conversation, added, now, self.data, int(self.replaces)];
            conn.prepare_cached(NEXT)?.query_row(next, read).optional()?
        };
        let Some((state, length)) = written else {
            return refuse(stale_state(agent.as_str(), self.replaces));
        };
        for (seq, message) in (length - added..).zip(&self.append) {
            run(conn, MESSAGE, params![state, seq, message])?;
        }
        Ok(())
    }
}

pub(super) async fn read(store: &SqliteState, key: CheckpointKey, messages: u32) -> Result<Checkpoint> {
    // Only what the version counts, should a later one be committed between the two questions.
    const STATE: &str = "SELECT id, version, length, data FROM agent_state WHERE agent = ?1 AND conversation = ?2";
    const MESSAGES: &str = "SELECT body FROM messages WHERE state = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3 + 0";
    struct Found {
        version: u64,
        length: u64,
        data: Stored,
        messages: Vec<Stored>,
    }
    let what = format!("the state of {}", key.agent);
    let found = store
        .read(move |conn| {
            let state = conn
                .prepare_cached(STATE)?
                .query_row(params![key.agent.as_str(), key.conversation], |row| {
                    let (version, length, data) = (count(row, 1)?, count(row, 2)?, row.get(3)?);
                    Ok((row.get::<_, i64>(0)?, Found { version, length, data, messages: Vec::new() }))
                })
                .optional()?;
            let Some((id, mut found)) = state else { return Ok(None) };
            found.messages = conn
                .prepare_cached(MESSAGES)?
                .query_map(params![id, int(found.length), messages], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Some(found))
        })
        .await?;
    let Some(found) = found else { return Ok(Checkpoint::default()) };
    let newest_first = found.messages.into_iter();
    Ok(Checkpoint {
        version: found.version,
        length: found.length,
        data: codec::decode_json(found.data).map_err(corrupt(&what))?,
        messages: newest_first.rev().map(codec::decode_json).collect::<Result<_, _>>().map_err(corrupt(&what))?,
    })
}

/// Most agents are started with the version that is their newest already: then nothing is written.
pub(super) async fn save_version(store: &SqliteState, agent: AgentId, version: String, spec: Value) -> Result<()> {
    const SQL: &str = "INSERT INTO agent_versions (agent, version, created_at, spec) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (agent, version) DO UPDATE SET created_at = excluded.created_at \
         WHERE EXISTS (SELECT 1 FROM agent_versions AS n WHERE n.agent = excluded.agent \
             AND (n.created_at, n.version) > (agent_versions.created_at, agent_versions.version))";
    let now = store.now();
    let spec = codec::encode_json(&spec).map_err(corrupt(format_args!("a version of {agent}")))?;
    store.write(move |conn| Ok(run(conn, SQL, params![agent.as_str(), version, now, spec]).map(drop)?)).await
}

pub(super) async fn version(store: &SqliteState, agent: AgentId, version: String) -> Result<Option<Value>> {
    const SQL: &str = "SELECT spec FROM agent_versions WHERE agent = ?1 AND version = ?2";
    let what = format!("version {version} of {agent}");
    let spec: Option<Stored> = store
        .read(move |conn| {
            let found = conn.prepare_cached(SQL)?.query_row([agent.as_str(), &version], |row| row.get(0));
            Ok(found.optional()?)
        })
        .await?;
    spec.map(codec::decode_json).transpose().map_err(corrupt(what))
}

pub(super) async fn versions(store: &SqliteState, agent: AgentId) -> Result<Vec<Value>> {
    const SQL: &str =
        "SELECT spec FROM agent_versions WHERE agent = ?1 ORDER BY created_at DESC, version DESC LIMIT 100";
    let what = format!("a version of {agent}");
    let specs: Vec<Stored> = store
        .read(move |conn| {
            let mut statement = conn.prepare_cached(SQL)?;
            let specs = statement.query_map([agent.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            Ok(specs)
        })
        .await?;
    specs.into_iter().map(|spec| codec::decode_json(spec).map_err(corrupt(&what))).collect()
}
