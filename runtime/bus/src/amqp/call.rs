//! A call to the broker: never without a deadline, and its failure sorted by what can be done about it.

use std::future::Future;

use greenroom_contract::port::bus::Error;
use lapin::ErrorKind;
use tokio::time::timeout;

use super::options::CALL;

/// A failed call.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no such queue or exchange. The channel is closed.
    NotFound,
    /// It is there with other arguments. The channel is closed.
    Mismatch(String),
    /// Anything else; the connection may be gone.
    Other(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such queue or exchange"),
            Self::Mismatch(text) | Self::Other(text) => f.write_str(text),
        }
    }
}

impl From<lapin::Error> for Trouble {
    fn from(error: lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(amqp) if amqp.get_id() == 404 => Self::NotFound,
            ErrorKind::ProtocolError(amqp) if amqp.get_id() == 406 => Self::Mismatch(amqp.get_message().to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        unavailable(trouble)
    }
}

/// Makes a call that must not take longer than [`CALL`].
pub(super) async fn call<T>(what: &str, work: impl Future<Output = lapin::Result<T>>) -> Result<T, Trouble> {
    match timeout(CALL, work).await {
        Ok(answer) => answer.map_err(|error| match Trouble::from(error) {
            Trouble::Other(text) => Trouble::Other(format!("{what}: {text}")),
            sorted => sorted,
        }),
        Err(_) => Err(Trouble::Other(format!("{what}: the broker did not answer for {} s", CALL.as_secs()))),
    }
}

pub(super) fn unavailable(reason: impl std::fmt::Display) -> Error {
    Error::Unavailable { reason: reason.to_string() }
}
