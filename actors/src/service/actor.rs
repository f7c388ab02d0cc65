//! The actor round a service's task.

use std::{future::Future, sync::Arc};

use greenroom_contract::{BoxFuture, execution::Failure, task};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    fault::{Fault, panic_message},
    supervisor::{ChildSpec, Policy},
};

type Run = Arc<dyn Fn(CancellationToken) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// A child that runs `run` for as long as it is wanted. `run` returns when its token is cancelled; returning before
/// that is an abnormal end.
pub fn service<F, Fut>(name: &'static str, run: F) -> ChildSpec
where
    F: Fn(CancellationToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let run: Run = Arc::new(move |token| Box::pin(run(token)));
    ChildSpec {
        name: name.to_owned(),
        kind: "service",
        policy: Policy::service(),
        start: Arc::new(move |supervisor, _generation| {
            let run = Arc::clone(&run);
            Box::pin(async move {
                let spawned = Actor::spawn_linked(None, Service, (name, run), supervisor).await;
                spawned
                    .map(|(actor, _)| actor.get_cell())
                    .map_err(|error| Failure::new("start_failed", error.to_string()))
            })
        }),
        stop: Arc::new(|cell, _within| {
            // A service's only message is this one; its cell knows no other type.
            if ActorRef::<Message>::from(cell.clone()).send_message(Message::Stop).is_err() {
                tracing::debug!("A service had ended before it was asked to stop.");
            }
        }),
        rested: None,
    }
}

struct Service;

enum Message {
    /// From the supervisor: end the task in its own time.
    Stop,
    /// From the watcher: the task has ended.
    Ended(Result<(), Failure>),
}

struct State {
    token: CancellationToken,
    task: AbortHandle,
}

impl Drop for State {
    fn drop(&mut self) {
        // However the actor ends, its task does not outlive it.
        self.token.cancel();
        self.task.abort();
    }
}

impl Actor for Service {
    type Msg = Message;
    type State = State;
    type Arguments = (&'static str, Run);

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (name, run): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let token = CancellationToken::new();
        let work = task::spawn(name, run(token.clone()));
        let abort = work.abort_handle();
        task::spawn("service-watcher", async move {
            let ended = match work.await {
                Ok(result) => result,
                Err(error) => Err(Failure::new(crate::fault::PANICKED, panic_message(error))),
            };
            // The actor may be gone already; then nobody asks.
            drop(myself.send_message(Message::Ended(ended)));
        });
        Ok(State { token, task: abort })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Stop => {
                state.token.cancel();
                Ok(())
            }
            Message::Ended(_) if state.token.is_cancelled() => {
                myself.stop(Some("stopped".to_owned()));
                Ok(())
            }
            Message::Ended(Ok(())) => Err(Fault::boxed(Failure::new("ended", "the service ended by itself"))),
            Message::Ended(Err(failure)) => Err(Fault::boxed(failure)),
        }
    }
}
