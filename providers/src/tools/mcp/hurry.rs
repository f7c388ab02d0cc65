//! A connection to a program that does not wait long for an answer to the question which lifecycle the program knows.
//!
//! The question is `server/discover`. A program of the older lifecycle should refuse it as unknown; some say nothing, and
//! the SDK then waits for ten seconds. Here the refusal is made up after a shorter time, which turns the SDK to the older
//! lifecycle; an answer that comes later is kept from it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rmcp::{
    RoleClient,
    model::{
        ClientJsonRpcMessage, ClientRequest, ErrorCode, ErrorData, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
    },
    transport::Transport,
};
use tokio::time::{Instant, timeout_at};

/// The connection.
pub(super) struct Hurry<T> {
    inner: T,
    /// The question, and when its answer is no longer waited for.
    asked: Option<(RequestId, Instant)>,
    /// The question that was given up.
    given_up: Option<RequestId>,
    patience: Duration,
    gave_up: Arc<AtomicBool>,
}

impl<T> Hurry<T> {
    /// The connection with so much patience, and whether it has lost it.
    pub(super) fn new(inner: T, patience: Duration) -> (Self, Arc<AtomicBool>) {
        let gave_up = Arc::new(AtomicBool::new(false));
        (Self { inner, asked: None, given_up: None, patience, gave_up: Arc::clone(&gave_up) }, gave_up)
    }

    fn answers(message: &ServerJsonRpcMessage, id: &RequestId) -> bool {
        match message {
            JsonRpcMessage::Response(response) => response.id == *id,
            JsonRpcMessage::Error(error) => error.id.as_ref() == Some(id),
            _ => false,
        }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Hurry<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        if let JsonRpcMessage::Request(request) = &message
            && matches!(request.request, ClientRequest::DiscoverRequest(_))
        {
            self.asked = Some((request.id.clone(), Instant::now() + self.patience));
        }
        self.inner.send(message)
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let message = match &self.asked {
                None => self.inner.receive().await,
                Some((id, until)) => match timeout_at(*until, self.inner.receive()).await {
                    Ok(message) => message,
                    Err(_) => {
                        let id = id.clone();
                        self.asked = None;
                        self.given_up = Some(id.clone());
                        self.gave_up.store(true, Ordering::Relaxed);
                        let error = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "no answer came", None);
                        return Some(ServerJsonRpcMessage::error(error, Some(id)));
                    }
                },
            };
            let message = message?;
            if self.asked.as_ref().is_some_and(|(id, _)| Self::answers(&message, id)) {
                self.asked = None;
            }
            if self.given_up.as_ref().is_some_and(|id| Self::answers(&message, id)) {
                self.given_up = None;
                continue;
            }
            return Some(message);
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.inner.close()
    }
}
