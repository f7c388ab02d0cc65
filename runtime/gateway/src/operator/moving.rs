//! `/v1/agents/{id}/export` and `/import`: an agent's state leaves as a document, and comes back, here or elsewhere.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use greenroom_contract::{
    AgentId,
    port::{
        memory::Memory,
        state::{Checkpoint, CheckpointKey, NewState, NewStates, Transcript},
    },
};

use super::{
    archive::{Archive, Archived, KeptInMind},
    states::{Done, DoneConversation, Scope, check_known},
};
use crate::{
    Doors,
    http::{Id, Params, Problem, ask, large_json},
};

/// The most of an agent's messages that one document holds, in bytes.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// Room for what stands round them.
const FRAME: usize = 4 * 1024 * 1024;
/// How many messages are read at a time.
const PIECE: u32 = 500;
/// More than an agent keeps in mind.
const MEMORIES: u32 = 2000;
/// How often a conversation is read anew because it went on meanwhile.
const TRIES: u32 = 3;

/// One conversation, the agent's own if none is named, or with `all` every one; and what the agent keeps in mind.
pub(super) async fn export(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<Archive>, Problem> {
    let scope = Scope::read(&params.only(&["conversation", "all"])?)?;
    let rows = scope.conversations(&doors, &agent).await?;
    if rows.is_empty() {
        check_known(&doors, &agent)?;
    }
    let mut conversations = Vec::with_capacity(rows.len());
    let mut room = MOST_BYTES;
    for row in rows {
        let key = CheckpointKey { agent: agent.clone(), conversation: row.conversation };
        conversations.push(whole(&doors, key, &mut room).await?);
    }
    let memories = ask("the store", doors.state.memories(&agent, MEMORIES)).await?;
    let memories = memories.into_iter().map(KeptInMind::from).collect();
    tracing::warn!(%agent, conversations = conversations.len(), "An operator exported the agent's state.");
    Ok(Json(Archive::new(agent, doors.clock.now(), conversations, Some(memories))))
}

/// A conversation as it was at one version.
async fn whole(doors: &Doors, key: CheckpointKey, room: &mut usize) -> Result<Archived, Problem> {
    for _ in 0..TRIES {
        let Checkpoint { version, data, length, .. } = ask("the store", doors.state.checkpoint(&key, 0)).await?;
        let (mut newest_first, mut before, mut left) = (Vec::new(), length, *room);
        while before > 0 {
            let piece = ask("the store", doors.state.transcript(&key, Some(before), PIECE)).await?;
            let Transcript { version: found, first, mut messages, .. } = piece;
            if found != version || first >= before {
                break;
            }
            let bytes = serde_json::to_vec(&messages).map_or(0, |bytes| bytes.len());
            left = left.checked_sub(bytes).ok_or_else(|| {
                Problem::invalid(format!(
                    "the state has more than {} MiB; take its conversations one by one, or read them by state/messages",
                    MOST_BYTES / 1024 / 1024
                ))
            })?;
            messages.reverse();
            newest_first.extend(messages);
            before = first;
        }
        if before == 0 {
            *room = left;
            newest_first.reverse();
            return Ok(Archived { conversation: key.conversation, version, data, messages: newest_first });
        }
    }
    Err(Problem::conflict(format!("{} goes on talking while it is read; pause it first", key.agent)))
}

/// Sets the conversations of the document, and the memories if it has any, in place of whatever is there: that has to be
/// said (`replace=true`) where there is something.
pub(super) async fn import(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
    request: Request,
) -> Result<Json<Done>, Problem> {
    let replace = params.only(&["replace"])?.one("replace")?.unwrap_or(false);
    let archive: Archive = large_json(request, MOST_BYTES + FRAME).await?;
    archive.check().map_err(|(place, why)| Problem::invalid_at(&place, why))?;
    check_known(&doors, &agent)?;
    let mut states = Vec::with_capacity(archive.conversations.len());
    let mut conversations = Vec::with_capacity(archive.conversations.len());
    for Archived { conversation, data, messages, .. } in archive.conversations {
        let key = CheckpointKey { agent: agent.clone(), conversation };
        let found = ask("the store", doors.state.checkpoint(&key, 0)).await?;
        if !replace && (found.length > 0 || !found.data.is_null()) {
            return Err(Problem::conflict(format!(
                "{agent} has a state in the conversation {:?} (version {}, {} messages); say replace=true to lose it, and \
                 export it first if you may want it back",
                key.conversation, found.version, found.length
            )));
        }
        let (version, count) = (found.version + 1, messages.len() as u64);
        conversations.push(DoneConversation { conversation: key.conversation.clone(), version, messages: count });
        states.push(NewState { conversation: key.conversation, replaces: found.version, data, messages });
    }
    let memories: Option<Vec<Memory>> =
        archive.memories.map(|memories| memories.into_iter().map(Memory::from).collect());
    if memories.is_some() && !replace && !ask("the store", doors.state.memories(&agent, 1)).await?.is_empty() {
        return Err(Problem::conflict(format!(
            "{agent} keeps things in mind; say replace=true to lose them, or remove `memories` from the document"
        )));
    }
    let done = Done { agent: agent.clone(), conversations, memories: memories.is_some() };
    ask("the store", doors.state.set_states(NewStates { agent: agent.clone(), states, memories })).await?;
    for DoneConversation { conversation, version, messages } in &done.conversations {
        tracing::warn!(
            %agent, from = %archive.agent, conversation, version, messages,
            "An operator imported the state of a conversation."
        );
    }
    Ok(Json(done))
}
