//! Agents' states from outside: shown, and set anew as a whole.

use std::sync::Arc;

use greenroom_contract::{
    AgentId, BoxFuture,
    clock::to_millis,
    page::{Page, PageRequest},
    port::state::{AgentStates, CheckpointKey, ConversationRow, NewState, NewStates, Result, Transcript},
};
use sqlx::PgConnection;

use super::{
    ask::{calling, key},
    columns::Columns,
    fault::Job,
    inbox::IN_TURN,
    options::Now,
    store::PostgresState,
};
use crate::{
    codec::{self, Stored},
    page::List,
    refusal::{busy_state, corrupt, int, stale_state},
};

const CONVERSATIONS: List = List('c');

async fn list(store: &PostgresState, agent: AgentId, page: PageRequest) -> Result<Page<ConversationRow>> {
    const SQL: &str = "SELECT id, conversation, version, length, updated_at FROM agent_state \
         WHERE agent = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    let wanted = CONVERSATIONS.wanted(&page)?;
    let (below, rows) = (wanted.below, wanted.rows);
    let call = calling::<Vec<(i64, ConversationRow)>, _>(move |conn, _| {
        let agent = agent.clone();
        Box::pin(async move {
            let query = sqlx::query(SQL).bind(agent.as_str()).bind(below).bind(i64::from(rows));
            let shown = query.fetch_all(conn).await?;
            let shown = shown.iter().map(|row| {
                let shown = ConversationRow {
                    conversation: row.get_at(1)?,
                    version: row.count(2)?,
                    messages: row.count(3)?,
                    updated_at: row.time(4)?,
                };
                Ok((row.get_at(0)?, shown))
            });
            shown.collect()
        })
    });
    Ok(CONVERSATIONS.page(store.read(call).await?, rows))
}

async fn transcript(store: &PostgresState, of: CheckpointKey, before: Option<u64>, limit: u32) -> Result<Transcript> {
    // One statement, and so one view: the state may be set anew at any moment.
    const SQL: &str = "SELECT version, length, least(coalesce($3, length), length), ARRAY( \
             SELECT body FROM messages WHERE state = s.id AND seq < least(coalesce($3, s.length), s.length) \
             ORDER BY seq DESC LIMIT $4) \
         FROM agent_state s WHERE agent = $1 AND conversation = $2";
    type Found = (u64, u64, u64, Vec<Vec<u8>>);
    let what = format!("the state of {}", of.agent);
    let call = calling::<Option<Found>, _>(move |conn, _| {
        let of = of.clone();
        Box::pin(async move {
            let query = sqlx::query(SQL).bind(of.agent.as_str()).bind(&of.conversation);
            let query = query.bind(before.map(int)).bind(i64::from(limit));
            let Some(row) = query.fetch_optional(conn).await? else { return Ok(None) };
            Ok(Some((row.count(0)?, row.count(1)?, row.count(2)?, row.get_at(3)?)))
        })
    });
    let Some((version, length, end, newest_first)) = store.read(call).await? else { return Ok(Transcript::default()) };
    let first = end - newest_first.len() as u64;
    let messages = newest_first.into_iter().rev().map(Stored::from_bytes).map(codec::decode_json);
    Ok(Transcript { version, length, first, messages: messages.collect::<Result<_, _>>().map_err(corrupt(what))? })
}

/// A state, ready to be written.
struct Prepared {
    conversation: String,
    replaces: u64,
    data: Vec<u8>,
    messages: Vec<Vec<u8>>,
}

impl Prepared {
    fn new(agent: &AgentId, state: NewState) -> Result<Self> {
        let NewState { conversation, replaces, data, messages } = state;
        let what = format!("the state of {agent}");
        let data = codec::encode_json(&data).map_err(corrupt(&what))?.into_bytes();
        let messages = messages.iter().map(|message| codec::encode_json(message).map(Stored::into_bytes));
        let messages = messages.collect::<Result<_, _>>().map_err(corrupt(&what))?;
        Ok(Self { conversation, replaces, data, messages })
    }

    async fn write(&self, conn: &mut PgConnection, agent: &str, now: Now) -> Job<()> {
        const FIRST: &str = "INSERT INTO agent_state (agent, conversation, version, length, updated_at, data) \
             VALUES ($2, $3, 1, $4, now_ms($1), $5) ON CONFLICT (agent, conversation) DO NOTHING RETURNING id";
        const NEXT: &str = "UPDATE agent_state SET version = version + 1, length = $4, updated_at = now_ms($1), data = $5 \
             WHERE agent = $2 AND conversation = $3 AND version = $6 RETURNING id";
        const MESSAGES: &str = "INSERT INTO messages (state, seq, body) \
             SELECT $1, m.place - 1, m.body FROM unnest($2::bytea[]) WITH ORDINALITY AS m (body, place)";
        let query = sqlx::query(if self.replaces == 0 { FIRST } else { NEXT }).bind(now).bind(agent);
        let query = query.bind(&self.conversation).bind(int(self.messages.len() as u64)).bind(&self.data);
        let query = if self.replaces == 0 { query } else { query.bind(int(self.replaces)) };
        let Some(row) = query.fetch_optional(&mut *conn).await? else {
            return Err(stale_state(agent, self.replaces).into());
        };
        let state: i64 = row.get_at(0)?;
        sqlx::query("DELETE FROM messages WHERE state = $1").bind(state).execute(&mut *conn).await?;
        sqlx::query(MESSAGES).bind(state).bind(&self.messages).execute(conn).await?;
        Ok(())
    }
}

async fn set(store: &PostgresState, states: NewStates) -> Result<()> {
    // What works in order is claimed by its first row: who holds that, and its turn in the inbox, holds back every claim.
    const FIRST: &str =
        "SELECT seq FROM executions WHERE agent = $1 AND finished_at IS NULL ORDER BY seq LIMIT 1 FOR UPDATE";
    const BUSY: &str = "SELECT EXISTS (SELECT 1 FROM executions e WHERE agent = $1 AND finished_at IS NULL \
         AND (status <> 'queued' OR EXISTS ( \
             SELECT 1 FROM steps s WHERE s.execution = e.seq AND s.attempt = e.attempt)))";
    const KEEP: &str = "INSERT INTO memories (agent, key, at, text) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (agent, key) DO UPDATE SET at = excluded.at, text = excluded.text";
    let NewStates { agent, states, memories } = states;
    let states = states.into_iter().map(|state| Prepared::new(&agent, state)).collect::<Result<Vec<_>>>()?;
    let keys = states
        .iter()
        .map(|state| key(CheckpointKey { agent: agent.clone(), conversation: state.conversation.clone() }));
    let keys = std::iter::once(key(agent.as_str())).chain(keys).collect();
    let wanted = Arc::new((agent, states, memories));
    let call = calling::<(), _>(move |conn, now| {
        let wanted = Arc::clone(&wanted);
        Box::pin(async move {
            let (agent, states, memories) = &*wanted;
            let agent = agent.as_str();
            sqlx::query(IN_TURN).bind(agent).execute(&mut *conn).await?;
            sqlx::query(FIRST).bind(agent).execute(&mut *conn).await?;
            if sqlx::query(BUSY).bind(agent).fetch_one(&mut *conn).await?.get_at(0)? {
                return Err(busy_state(agent).into());
            }
            for state in states {
                state.write(conn, agent, now).await?;
            }
            if let Some(memories) = memories {
                sqlx::query("DELETE FROM memories WHERE agent = $1").bind(agent).execute(&mut *conn).await?;
                for memory in memories {
                    let query = sqlx::query(KEEP).bind(agent).bind(&memory.key).bind(to_millis(memory.at));
                    query.bind(&memory.text).execute(&mut *conn).await?;
                }
            }
            Ok(())
        })
    });
    store.transaction(keys, call).await
}

impl AgentStates for PostgresState {
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
