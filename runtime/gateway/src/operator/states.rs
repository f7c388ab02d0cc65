//! `/v1/agents/{id}/state` and what belongs to it: an operator looks at an agent's state, and sets it back.

use std::sync::Arc;

use axum::{Json, extract::State};
use greenroom_contract::{
    AgentId,
    page::{Page, PageRequest},
    port::{
        llm::Message,
        memory::Memory,
        state::{Checkpoint, CheckpointKey, ConversationRow, NewState, NewStates},
    },
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    Doors,
    http::{Id, Params, Problem, ask, ask_page},
};

/// How many of its memories a state is shown with.
const MEMORIES: u32 = 1000;
/// How many conversations one request sets back or exports.
const MOST_CONVERSATIONS: usize = 10_000;

/// The state of one conversation.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    agent: AgentId,
    /// Empty is the agent's own.
    conversation: String,
    /// 0 when there is none.
    version: u64,
    messages: u64,
    /// Variables, and under `conversation` the summary of what is not in view any more, and for how many messages it stands.
    data: Value,
    /// What the agent keeps in mind, over all its conversations.
    memories: Vec<ShownMemory>,
}

#[derive(Debug, Serialize)]
struct ShownMemory {
    key: String,
    text: String,
    at: Timestamp,
}

/// A message and its place.
#[derive(Debug, Serialize)]
pub(super) struct Numbered {
    /// From 0.
    number: u64,
    #[serde(flatten)]
    message: Message,
}

/// What was set back.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    pub(super) agent: AgentId,
    /// The conversations that were set, at their new versions.
    pub(super) conversations: Vec<DoneConversation>,
    /// Whether what the agent keeps in mind was set, too.
    pub(super) memories: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct DoneConversation {
    pub(super) conversation: String,
    pub(super) version: u64,
    pub(super) messages: u64,
}

pub(super) async fn conversations(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<Page<ConversationRow>>, Problem> {
    let page = params.only(&["limit", "cursor"])?.page()?;
    let first = page.cursor.is_none();
    let found = ask_page(doors.state.conversations(&agent, page)).await?;
    if first && found.items.is_empty() {
        check_known(&doors, &agent)?;
    }
    Ok(Json(found))
}

pub(super) async fn show(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<Shown>, Problem> {
    let conversation = params.only(&["conversation"])?.one("conversation")?.unwrap_or_default();
    let key = CheckpointKey { agent, conversation };
    let Checkpoint { version, data, length, .. } = ask("the store", doors.state.checkpoint(&key, 0)).await?;
    let CheckpointKey { agent, conversation } = key;
    if version == 0 {
        check_known(&doors, &agent)?;
    }
    let memories = ask("the store", doors.state.memories(&agent, MEMORIES)).await?;
    let memories = memories.into_iter().map(|Memory { key, text, at }| ShownMemory { key, text, at }).collect();
    Ok(Json(Shown { agent, conversation, version, messages: length, data, memories }))
}

/// Newest first.
pub(super) async fn messages(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<Page<Numbered>>, Problem> {
    let params = params.only(&["conversation", "limit", "cursor"])?;
    let limit = params.page()?.limit;
    let before: Option<u64> = params.one("cursor")?;
    let key = CheckpointKey { agent, conversation: params.one("conversation")?.unwrap_or_default() };
    let found = ask("the store", doors.state.transcript(&key, before, limit)).await?;
    if found.version == 0 {
        check_known(&doors, &key.agent)?;
    }
    let items = (found.first..).zip(found.messages).map(|(number, message)| Numbered { number, message });
    let mut items: Vec<Numbered> = items.collect();
    items.reverse();
    let next_cursor = (found.first > 0).then(|| found.first.to_string());
    Ok(Json(Page { items, next_cursor }))
}

/// One conversation, the agent's own if none is named, or all of them, and what it keeps in mind if that is asked for.
pub(super) async fn reset(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<Done>, Problem> {
    let params = params.only(&["conversation", "all", "memories", "version"])?;
    let wanted: Option<u64> = params.one("version")?;
    let forget = params.one("memories")?.unwrap_or(false);
    let scope = Scope::read(&params)?;
    if wanted.is_some() && matches!(scope, Scope::All) {
        return Err(Problem::bad_request(
            "bad_parameter",
            "a version is one conversation's; it cannot stand beside all",
        ));
    }
    let rows = scope.conversations(&doors, &agent).await?;
    if rows.is_empty() {
        check_known(&doors, &agent)?;
    }
    let empty = |row: &ConversationRow| NewState {
        conversation: row.conversation.clone(),
        replaces: wanted.unwrap_or(row.version),
        data: Value::Null,
        messages: Vec::new(),
    };
    let states: Vec<NewState> = rows.iter().map(empty).collect();
    let conversations = states.iter().map(|state| DoneConversation {
        conversation: state.conversation.clone(),
        version: state.replaces + 1,
        messages: 0,
    });
    let done = Done { agent: agent.clone(), conversations: conversations.collect(), memories: forget };
    let states = NewStates { agent: agent.clone(), states, memories: forget.then(Vec::new) };
    ask("the store", doors.state.set_states(states)).await?;
    for row in &rows {
        tracing::warn!(
            %agent, conversation = row.conversation, version = row.version, messages = row.messages,
            "An operator reset the state of a conversation."
        );
    }
    if forget {
        tracing::warn!(%agent, "An operator made the agent forget what it kept in mind.");
    }
    Ok(Json(done))
}

/// Which conversations are meant.
pub(super) enum Scope {
    One(String),
    All,
}

impl Scope {
    /// By `conversation` and `all`; without either the agent's own.
    pub(super) fn read(params: &Params) -> Result<Self, Problem> {
        match (params.one("conversation")?, params.one::<bool>("all")?.unwrap_or(false)) {
            (Some(_), true) => Err(Problem::bad_request(
                "bad_parameter",
                "conversation and all exclude each other: name one, or take all",
            )),
            (None, true) => Ok(Self::All),
            (one, false) => Ok(Self::One(one.unwrap_or_default())),
        }
    }

    /// Those of them that there are, as they are now.
    pub(super) async fn conversations(&self, doors: &Doors, agent: &AgentId) -> Result<Vec<ConversationRow>, Problem> {
        let mut found = Vec::new();
        match self {
            Self::One(conversation) => {
                let key = CheckpointKey { agent: agent.clone(), conversation: conversation.clone() };
                let transcript = ask("the store", doors.state.transcript(&key, None, 0)).await?;
                if transcript.version > 0 {
                    found.push(ConversationRow {
                        conversation: key.conversation,
                        version: transcript.version,
                        messages: transcript.length,
                        updated_at: doors.clock.now(),
                    });
                }
            }
            Self::All => {
                let mut cursor = None;
                loop {
                    let page =
                        ask("the store", doors.state.conversations(agent, PageRequest { limit: 500, cursor })).await?;
                    found.extend(page.items);
                    if found.len() > MOST_CONVERSATIONS {
                        let why =
                            format!("{agent} has more than {MOST_CONVERSATIONS} conversations; take them one by one");
                        return Err(Problem::invalid(why));
                    }
                    cursor = page.next_cursor;
                    if cursor.is_none() {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }
}

/// What is left of an agent that is gone can be looked at; nothing is known of one that never was.
pub(super) fn check_known(doors: &Doors, agent: &AgentId) -> Result<(), Problem> {
    match doors.operator.agents().iter().any(|view| view.name == *agent) {
        true => Ok(()),
        false => Err(Problem::not_found(format!("agent {:?}", agent.as_str()))),
    }
}
