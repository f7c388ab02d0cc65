//! The HTTP client of a server elsewhere: requests go with a token that is good now, and a session that the server does not
//! know any more is noticed also where it is not said as the protocol wants it.

use std::{collections::HashMap, sync::Arc};

use futures::stream::BoxStream;
use reqwest::{
    Client,
    header::{HeaderName, HeaderValue},
};
use rmcp::{
    model::{ClientJsonRpcMessage, JsonRpcMessage},
    transport::streamable_http_client::{
        SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
    },
};
use secrecy::{ExposeSecret, SecretString};
use sse_stream::Sse;

use super::oauth::Tokens;

type Failure = StreamableHttpError<reqwest::Error>;
type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// No access token could be got, so nothing was asked of the server.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoToken(String);

#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    tokens: Option<Arc<Tokens>>,
}

impl Http {
    /// A client whose tokens are got, if there are such, and otherwise as the caller gives them.
    pub(super) fn new(client: Client, tokens: Option<Arc<Tokens>>) -> Self {
        Self { client, tokens }
    }

    /// Asks with a token; once more with another one if the server does not take it, by which it has done nothing.
    async fn asking<T, F, Fut>(&self, given: Option<String>, ask: F) -> Result<T, Failure>
    where
        F: Fn(Option<String>) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let Some(tokens) = &self.tokens else { return ask(given).await };
        let token = good(tokens).await?;
        match ask(Some(token.expose_secret().to_owned())).await {
            Err(StreamableHttpError::AuthRequired(_)) => {
                tokens.refused(&token).await;
                ask(Some(good(tokens).await?.expose_secret().to_owned())).await
            }
            answer => answer,
        }
    }
}

async fn good(tokens: &Tokens) -> Result<SecretString, Failure> {
    tokens.token().await.map_err(|reason| StreamableHttpError::Io(std::io::Error::other(NoToken(reason))))
}

/// Whether this says that the session is not known any more. The protocol's word for it is 404, which the SDK
/// understands; the servers that follow the official examples say 400, with an error that belongs to no request. A request
/// that a server cannot even name was not carried out, so that it may be sent again in a new session.
fn knows_no_session(message: &ClientJsonRpcMessage, answer: &StreamableHttpPostResponse) -> bool {
    matches!(message, JsonRpcMessage::Request(_))
        && matches!(answer, StreamableHttpPostResponse::Json(JsonRpcMessage::Error(error), _) if error.id.is_none())
}

impl StreamableHttpClient for Http {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session_id, auth_header, custom_headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let answer = self.asking(auth_header, |token| {
            let (uri, message, session, headers) = (uri.clone(), message.clone(), session_id.clone(), headers.clone());
            self.client.post_message_with_response_limits(uri, message, session, token, headers, limits)
        });
        match answer.await? {
            answer if session_id.is_some() && knows_no_session(&message, &answer) => {
                Err(StreamableHttpError::SessionExpired)
            }
            answer => Ok(answer),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        headers: Headers,
    ) -> Result<(), Failure> {
        self.asking(auth_header, |token| {
            self.client.delete_session(uri.clone(), session_id.clone(), token, headers.clone())
        })
        .await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<Events, Failure> {
        let largest = StreamableHttpResponseLimits::default().max_sse_event_size;
        let asked = self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            largest,
        );
        asked.await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        headers: Headers,
        largest: usize,
    ) -> Result<Events, Failure> {
        self.asking(auth_header, |token| {
            let (uri, session, last, headers) =
                (uri.clone(), session_id.clone(), last_event_id.clone(), headers.clone());
            self.client.get_stream_with_max_sse_event_size(uri, session, last, token, headers, largest)
        })
        .await
    }
}
