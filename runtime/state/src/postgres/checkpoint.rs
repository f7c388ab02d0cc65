//! The agents' own: the state of each conversation, and the versions of each definition. A state is written by a finish.

use greenroom_contract::{
    AgentId,
    port::state::{Checkpoint, CheckpointKey, NewCheckpoint, Result},
};
use serde_json::Value;

use super::{
    ask::{calling, key},
    columns::Columns,
    store::PostgresState,
};
use crate::{
    codec::{self, Stored},
    refusal::corrupt,
};

/// A new version of an agent's state, ready to be written.
pub(super) struct Prepared {
    pub(super) key: CheckpointKey,
    pub(super) replaces: u64,
    pub(super) data: Vec<u8>,
    pub(super) append: Vec<Vec<u8>>,
}

impl Prepared {
    pub(super) fn new(checkpoint: NewCheckpoint) -> Result<Self> {
        let NewCheckpoint { key, replaces, data, append } = checkpoint;
        let what = format!("the state of {}", key.agent);
        let data = codec::encode_json(&data).map_err(corrupt(&what))?.into_bytes();
        let append = append
            .iter()
            .map(|message| codec::encode_json(message).map(Stored::into_bytes))
            .collect::<Result<_, _>>()
            .map_err(corrupt(&what))?;
        Ok(Self { key, replaces, data, append })
    }
}

pub(super) async fn read(store: &PostgresState, wanted: CheckpointKey, messages: u32) -> Result<Checkpoint> {
    // One statement, and so one view: a later version may be committed at any moment.
    const SQL: &str = "SELECT version, length, data, ARRAY( \
             SELECT body FROM messages WHERE state = s.id AND seq < s.length ORDER BY seq DESC LIMIT $3) \
         FROM agent_state s WHERE agent = $1 AND conversation = $2";
    struct Found {
        version: u64,
        length: u64,
        data: Stored,
        newest_first: Vec<Vec<u8>>,
    }
    let what = format!("the state of {}", wanted.agent);
    let call = calling::<Option<Found>, _>(move |conn, _| {
        let wanted = wanted.clone();
        Box::pin(async move {
            let query = sqlx::query(SQL).bind(wanted.agent.as_str()).bind(&wanted.conversation);
            let Some(row) = query.bind(i64::from(messages)).fetch_optional(conn).await? else { return Ok(None) };
            Ok(Some(Found {
                version: row.count(0)?,
                length: row.count(1)?,
                data: row.stored(2)?,
                newest_first: row.get_at(3)?,
            }))
        })
    });
    let Some(found) = store.read(call).await? else { return Ok(Checkpoint::default()) };
    let messages = found.newest_first.into_iter().rev().map(Stored::from_bytes);
    Ok(Checkpoint {
        version: found.version,
        length: found.length,
        data: codec::decode_json(found.data).map_err(corrupt(&what))?,
        messages: messages.map(codec::decode_json).collect::<Result<_, _>>().map_err(corrupt(&what))?,
    })
}

pub(super) async fn version_of(store: &PostgresState, of: CheckpointKey) -> Result<u64> {
    const SQL: &str = "SELECT version FROM agent_state WHERE agent = $1 AND conversation = $2";
    let call = calling::<u64, _>(move |conn, _| {
        let of = of.clone();
        Box::pin(async move {
            let query = sqlx::query(SQL).bind(of.agent.as_str()).bind(&of.conversation);
            query.fetch_optional(conn).await?.map_or(Ok(0), |row| row.count(0))
        })
    });
    store.read(call).await
}

/// Most agents are started with the version that is their newest already: then nothing is written.
pub(super) async fn save_version(store: &PostgresState, agent: AgentId, version: String, spec: Value) -> Result<()> {
    const SQL: &str = "INSERT INTO agent_versions (agent, version, created_at, spec) VALUES ($2, $3, now_ms($1), $4) \
         ON CONFLICT (agent, version) DO UPDATE SET created_at = excluded.created_at \
         WHERE EXISTS (SELECT 1 FROM agent_versions n WHERE n.agent = excluded.agent \
             AND (n.created_at, n.version) > (agent_versions.created_at, agent_versions.version))";
    let spec = codec::encode_json(&spec).map_err(corrupt(format_args!("a version of {agent}")))?.into_bytes();
    let lane = key(agent.as_str());
    let call = calling::<(), _>(move |conn, now| {
        let (agent, version, spec) = (agent.clone(), version.clone(), spec.clone());
        Box::pin(async move {
            sqlx::query(SQL).bind(now).bind(agent.as_str()).bind(version).bind(spec).execute(conn).await?;
            Ok(())
        })
    });
    store.statement(lane, call).await
}

pub(super) async fn version(store: &PostgresState, agent: AgentId, version: String) -> Result<Option<Value>> {
    const SQL: &str = "SELECT spec FROM agent_versions WHERE agent = $1 AND version = $2";
    let what = format!("version {version} of {agent}");
    let call = calling::<Option<Stored>, _>(move |conn, _| {
        let (agent, version) = (agent.clone(), version.clone());
        Box::pin(async move {
            let found = sqlx::query(SQL).bind(agent.as_str()).bind(version).fetch_optional(conn).await?;
            found.map(|row| row.stored(0)).transpose()
        })
    });
    store.read(call).await?.map(codec::decode_json).transpose().map_err(corrupt(what))
}

pub(super) async fn versions(store: &PostgresState, agent: AgentId) -> Result<Vec<Value>> {
    const SQL: &str =
        "SELECT spec FROM agent_versions WHERE agent = $1 ORDER BY created_at DESC, version DESC LIMIT 100";
    let what = format!("a version of {agent}");
    let call = calling::<Vec<Stored>, _>(move |conn, _| {
        let agent = agent.clone();
        Box::pin(async move {
            sqlx::query(SQL).bind(agent.as_str()).fetch_all(conn).await?.iter().map(|row| row.stored(0)).collect()
        })
    });
    let specs = store.read(call).await?;
    specs.into_iter().map(|spec| codec::decode_json(spec).map_err(corrupt(&what))).collect()
}
