//! Opens a connection of Socket Mode: Slack gives an address that is good once, and speaks WebSocket there.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{
    Client, StatusCode, Upgraded, Url,
    header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};

use super::{
    answer::{self, Refused},
    client::SlackWeb,
};

const OPEN: &str = "apps.connections.open";
/// How long each part of opening a connection may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// As large as a request may be at the HTTP door.
const LARGEST: usize = 1024 * 1024;

/// A connection on which Slack has said hello.
pub(crate) type Socket = WebSocketStream<Upgraded>;

impl SlackWeb {
    /// Opens a connection by the app's own token, and waits until Slack says hello on it.
    pub(crate) async fn open_socket(&self, token: &SecretString) -> Result<Socket, Refused> {
        let request = self.client.post(format!("{}/{OPEN}", self.options.api_url)).bearer_auth(token.expose_secret());
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let opened = answer::to_method(request, OPEN).await?;
        let address = opened["url"].as_str().unwrap_or_default();
        let url = self.hosts.check_named_by_slack(address).map_err(|why| for_now(why.to_owned()))?;
        let mut socket = timeout(DEADLINE, dial(url)).await.map_err(|_| for_now("no answer in time"))??;
        match timeout(DEADLINE, greeting(&mut socket)).await {
            Ok(true) => Ok(socket),
            Ok(false) => Err(for_now("the connection was closed before hello")),
            Err(_) => Err(for_now("no hello in time")),
        }
    }
}

fn for_now(reason: impl Into<String>) -> Refused {
    Refused::ForNow { reason: format!("Socket Mode: {}", reason.into()), retry_after: None }
}

/// The address carries a ticket, which is a secret: it is in no error.
async fn dial(url: Url) -> Result<Socket, Refused> {
    let failed = |error: reqwest::Error| for_now(error.without_url().to_string());
    // Of its own, because it is used about once in an hour, and may speak nothing newer than HTTP/1.1.
    let client = Client::builder().redirect(Policy::none()).http1_only().connect_timeout(DEADLINE);
    let client = client.user_agent(concat!("greenroom/", env!("CARGO_PKG_VERSION"))).build().map_err(failed)?;
    let key = generate_key();
    let request = client
        .get(url)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key);
    let response = request.send().await.map_err(failed)?;
    let accepts =
        response.headers().get(SEC_WEBSOCKET_ACCEPT).is_some_and(|it| *it == derive_accept_key(key.as_bytes()));
    if response.status() != StatusCode::SWITCHING_PROTOCOLS || !accepts {
        return Err(for_now(format!("the address answered {}", response.status().as_u16())));
    }
    let upgraded = response.upgrade().await.map_err(failed)?;
    let limits = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(limits)).await)
}

/// Whether the first words are hello.
async fn greeting(socket: &mut Socket) -> bool {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message {
            let word = serde_json::from_str::<serde_json::Value>(&text).ok();
            return word.is_some_and(|word| word["type"] == "hello");
        }
    }
    false
}
