//! One call: made, waited for while it gives signs of life, and called off when it is given up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use greenroom_contract::{port::tool::Life, task};
use rmcp::{
    Peer, RoleClient,
    model::{CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ProgressToken, ServerResult},
    service::{PeerRequestOptions, RequestHandle, ServiceError},
};
use tokio::time::timeout;

/// How long telling the server may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// How the SDK answers for a server whose session it had to begin anew while calls were under way.
const NEW_SESSION: &str = "streamable HTTP session was re-initialized before the response arrived";

/// Whose progress is whose, for the calls of one connection.
#[derive(Clone, Default)]
pub(super) struct Signs(Arc<Mutex<HashMap<ProgressToken, Life>>>);

impl Signs {
    /// The server says that this call is getting on.
    pub(super) fn heard(&self, token: &ProgressToken) {
        if let Some(life) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token) {
            life.sign();
        }
    }

    fn expect(&self, token: ProgressToken, life: Life) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, life);
    }

    fn forget(&self, token: &ProgressToken) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }
}

/// How a call ended.
pub(super) enum End {
    /// The server answered.
    Answered(CallToolResult),
    /// It refuses the call, in these words: the tool was not run, or failed by the protocol's own means.
    Refused(String),
    /// There was no sign of life for so long; the server was told that nobody waits any more.
    Silent(Duration),
    /// It failed.
    Failed(ServiceError),
}

/// Calls, and waits as long as the silences are shorter than `silence`. Dropping the future calls the call off.
pub(super) async fn make(
    peer: &Peer<RoleClient>,
    signs: &Signs,
    params: CallToolRequestParams,
    silence: Duration,
    life: &Life,
) -> End {
    let request = CallToolRequest::new(params);
    let sent = peer.send_cancellable_request(ClientRequest::CallToolRequest(request), PeerRequestOptions::no_options());
    let mut under_way = match timeout(silence, sent).await {
        Ok(Ok(handle)) => UnderWay { handle: Some(handle), signs: signs.clone() },
        Ok(Err(error)) => return End::Failed(error),
        Err(_) => return End::Silent(silence),
    };
    let own = Life::default();
    let Some(handle) = &mut under_way.handle else { return End::Failed(ServiceError::TransportClosed) };
    signs.expect(handle.progress_token.clone(), own.clone());
    let ended = loop {
        tokio::select! {
            biased;
            answer = &mut handle.rx => break answer.unwrap_or(Err(ServiceError::TransportClosed)),
            () = own.heard() => life.sign(),
            () = tokio::time::sleep(silence) => {
                under_way.call_off("no answer came in time").await;
                return End::Silent(silence);
            }
        }
    };
    under_way.done();
    match ended {
        Ok(ServerResult::CallToolResult(result)) => End::Answered(result),
        // An answer without content looks like these to the SDK.
        Ok(ServerResult::EmptyResult(_) | ServerResult::TaskAckResult(_)) => End::Answered(CallToolResult::default()),
        Ok(ServerResult::InputRequiredResult(_)) => {
            End::Refused("the tool asks for more from a person, whom nobody can ask here".to_owned())
        }
        Ok(_) => End::Failed(ServiceError::UnexpectedResponse),
        Err(ServiceError::McpError(error)) if error.message == NEW_SESSION => {
            End::Failed(ServiceError::Cancelled { reason: Some(NEW_SESSION.to_owned()) })
        }
        Err(ServiceError::McpError(error)) => End::Refused(error.message.into_owned()),
        Err(error) => End::Failed(error),
    }
}

/// A call that was sent. Dropped before its end, it is called off.
struct UnderWay {
    handle: Option<RequestHandle<RoleClient>>,
    signs: Signs,
}

impl UnderWay {
    fn done(&mut self) -> Option<RequestHandle<RoleClient>> {
        let handle = self.handle.take()?;
        self.signs.forget(&handle.progress_token);
        Some(handle)
    }

    async fn call_off(&mut self, reason: &str) {
        if let Some(handle) = self.done() {
            call_off(handle, reason).await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // Outside of a runtime nobody is left who could tell the server.
        if let Some(handle) = self.done()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            task::spawn("mcp-call-off", call_off(handle, "the work was given up"));
        }
    }
}

async fn call_off(handle: RequestHandle<RoleClient>, reason: &str) {
    if !matches!(timeout(FAREWELL, handle.cancel(Some(reason.to_owned()))).await, Ok(Ok(()))) {
        tracing::debug!("A tool server could not be told that a call was given up.");
    }
}
