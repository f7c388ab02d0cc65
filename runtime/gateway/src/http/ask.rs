//! Calls to the ports: none without a deadline.

use std::time::Duration;

use greenroom_contract::{page::Page, port::state};

use super::{Problem, read::bad_parameter};

/// How long a port may take to answer a question. Longer means that it is not well.
const PATIENCE: Duration = Duration::from_secs(10);

/// Awaits a port's answer, at most so long. Giving up does not undo what the port does: that is its contract.
pub(crate) async fn ask<T, E: Into<Problem>>(
    who: &'static str,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Problem::unavailable(format!("{who} did not answer within {} s", PATIENCE.as_secs()))),
    }
}

/// Awaits a page of a list. The one thing that a list can clash with is a cursor that is not its own.
pub(crate) async fn ask_page<T>(answer: impl Future<Output = state::Result<Page<T>>>) -> Result<Page<T>, Problem> {
    let page = async {
        answer.await.map_err(|error| match error {
            state::Error::Conflict { what } => bad_parameter("cursor", what),
            other => other.into(),
        })
    };
    ask("the store", page).await
}
