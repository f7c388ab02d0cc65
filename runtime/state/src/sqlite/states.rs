//! Agents' states from outside: shown, and set anew as a whole.

use greenroom_contract::{
    AgentId, BoxFuture,
    clock::{from_millis, to_millis},
    page::{Page, PageRequest},
    port::state::{AgentStates, CheckpointKey, ConversationRow, NewState, NewStates, Result, Transcript},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    columns::count,
    job::{Job, refuse, run},
    store::SqliteState,
};
use crate::{
    codec::{self, Stored},
    page::List,
    refusal::{busy_state, corrupt, int, stale_state},
};

const CONVERSATIONS: List = List('c');

async fn list(store: &SqliteState, agent: AgentId, page: PageRequest) -> Result<Page<ConversationRow>> {
    const SQL: &str = "SELECT id, conversation, version, length, updated_at FROM agent_state \
         WHERE agent = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3 + 0";
    let wanted = CONVERSATIONS.wanted(&page)?;
    let rows = store
        .read(move |conn| {
            let mut statement = conn.prepare_cached(SQL)?;
            let rows = statement.query_map(params![agent.as_str(), wanted.below, wanted.rows], |row| {
                let shown = ConversationRow {
                    conversation: row.get(1)?,
                    version: count(row, 2)?,
                    messages: count(row, 3)?,
                    updated_at: from_millis(row.get(4)?),
                };
                Ok((row.get::<_, i64>(0)?, shown))
            })?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })
        .await?;
    Ok(CONVERSATIONS.page(rows, wanted.rows))
}

async fn transcript(store: &SqliteState, key: CheckpointKey, before: Option<u64>, limit: u32) -> Result<Transcript> {
    const STATE: &str = "SELECT id, version, length FROM agent_state WHERE agent = ?1 AND conversation = ?2";
    const MESSAGES: &str = "SELECT body FROM messages WHERE state = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3 + 0";
    let what = format!("the state of {}", key.agent);
    let found = store
        .read(move |conn| {
            // One view: the state may be set anew between the two questions.
            let view = conn.unchecked_transaction()?;
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, count(row, 1)?, count(row, 2)?));
            let state = view.prepare_cached(STATE)?.query_row(params![key.agent.as_str(), key.conversation], read);
            let Some((id, version, length)) = state.optional()? else { return Ok(None) };
            let end = before.unwrap_or(length).min(length);
            let messages: Vec<Stored> = view
                .prepare_cached(MESSAGES)?
                .query_map(params![id, int(end), limit], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Some((version, length, end, messages)))
        })
        .await?;
    let Some((version, length, end, newest_first)) = found else { return Ok(Transcript::default()) };
    let first = end - newest_first.len() as u64;
    let messages = newest_first.into_iter().rev().map(codec::decode_json).collect::<Result<_, _>>();
    Ok(Transcript { version, length, first, messages: messages.map_err(corrupt(what))? })
}

/// A state, ready to be written.
struct Prepared {
    conversation: String,
    replaces: u64,
    data: Stored,
    messages: Vec<Stored>,
}

impl Prepared {
    fn new(agent: &AgentId, state: NewState) -> Result<Self> {
        let NewState { conversation, replaces, data, messages } = state;
        let what = format!("the state of {agent}");
        let data = codec::encode_json(&data).map_err(corrupt(&what))?;
        let messages = messages.iter().map(codec::encode_json).collect::<Result<_, _>>().map_err(corrupt(&what))?;
        Ok(Self { conversation, replaces, data, messages })
    }

    fn write(&self, conn: &Connection, agent: &str, now: i64) -> Job<()> {
        const FIRST: &str = "INSERT INTO agent_state (agent, conversation, version, length, updated_at, data) \
             VALUES (?1, ?2, 1, ?3, ?4, ?5) ON CONFLICT (agent, conversation) DO NOTHING RETURNING id";
        const NEXT: &str = "UPDATE agent_state SET version = version + 1, length = ?3, updated_at = ?4, data = ?5 \
             WHERE agent = ?1 AND conversation = ?2 AND version = ?6 RETURNING id";
        const MESSAGE: &str = "INSERT INTO messages (state, seq, body) VALUES (?1, ?2, ?3)";
        let length = int(self.messages.len() as u64);
        let id = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let written = if self.replaces == 0 {
            let first = params![agent, self.conversation, length, now, self.data];
            conn.prepare_cached(FIRST)?.query_row(first, id).optional()?
        } else {
            let next = params![agent, self.conversation, length, now, self.data, int(self.replaces)];
            conn.prepare_cached(NEXT)?.query_row(next, id).optional()?
        };
        let Some(state) = written else { return refuse(stale_state(agent, self.replaces)) };
        run(conn, "DELETE FROM messages WHERE state = ?1", [state])?;
        for (seq, message) in (0_i64..).zip(&self.messages) {
            run(conn, MESSAGE, params![state, seq, message])?;
        }
        Ok(())
    }
}

async fn set(store: &SqliteState, states: NewStates) -> Result<()> {
    const BUSY: &str = "SELECT EXISTS (SELECT 1 FROM executions e INDEXED BY executions_unfinished \
         WHERE agent = ?1 AND finished_at IS NULL AND (status <> 'queued' OR EXISTS ( \
             SELECT 1 FROM steps s WHERE s.execution = e.seq AND s.attempt = e.attempt)))";
    const KEEP: &str = "INSERT INTO memories (agent, key, at, text) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (agent, key) DO UPDATE SET at = excluded.at, text = excluded.text";
    let NewStates { agent, states, memories } = states;
    let states = states.into_iter().map(|state| Prepared::new(&agent, state)).collect::<Result<Vec<_>>>()?;
    let now = store.now();
    store
        .write(move |conn| {
            let agent = agent.as_str();
            if conn.prepare_cached(BUSY)?.query_row([agent], |row| row.get(0))? {
                return refuse(busy_state(agent));
            }
            for state in &states {
                state.write(conn, agent, now)?;
            }
            if let Some(memories) = &memories {
                run(conn, "DELETE FROM memories WHERE agent = ?1", [agent])?;
                for memory in memories {
                    run(conn, KEEP, params![agent, memory.key, to_millis(memory.at), memory.text])?;
                }
            }
            Ok(())
        })
        .await
}

impl AgentStates for SqliteState {
    fn conversations(&self, agent: &AgentId, page: PageRequest) -> BoxFuture<'_, Result<Page<ConversationRow>>> {
        Box::pin(list(self, agent.clone(), page))
    }

    fn transcript(&self, key: &CheckpointKey, before: Option<u64>, limit: u32) -> BoxFuture<'_, Result<Transcript>> {
        Box::pin(transcript(self, key.clone(), before, limit))
    }

    fn set_states(&self, states: NewStates) -> BoxFuture<'_, Result<()>> {
        Box::pin(set(self, states))
    }
}
