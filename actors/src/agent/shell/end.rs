//! The end: nothing new is taken, what is at work may finish; nearly at the end of its time it is asked to stop between
//! two calls, which costs nothing, and what is still there at the end is aborted and given back.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use greenroom_contract::{port::state::Release, task};
use ractor::ActorRef;
use tokio::sync::oneshot;

use super::Shell;
use crate::agent::{message::Message, release::give_back};

/// What is kept back of the time to stop, for giving back what did not finish.
const GIVE_BACK_TIME: Duration = Duration::from_millis(1500);

/// How long what did not finish gets to end between two calls, before it is aborted; of a short time a quarter.
const ADJOURN_TIME: Duration = Duration::from_secs(3);

impl Shell {
    pub(in crate::agent) fn drain(&mut self, done: oneshot::Sender<()>) {
        self.feeder = None;
        self.stopping = true;
        let unstarted = self.staff.unstarted();
        self.give_back(unstarted);
        self.drains.push(done);
    }

    pub(in crate::agent) fn stop(&mut self, myself: &ActorRef<Message>, within: Duration) {
        self.feeder = None;
        self.stopping = true;
        let unstarted = self.staff.unstarted();
        self.give_back(unstarted);
        if self.staff.is_idle() {
            myself.stop(Some("stopped".to_owned()));
        } else {
            let give_up = within.saturating_sub(GIVE_BACK_TIME.min(within / 2));
            myself.send_after(give_up.saturating_sub(ADJOURN_TIME.min(give_up / 4)), || Message::Adjourn);
            myself.send_after(give_up, || Message::GiveUp);
            let (done, drained) = oneshot::channel();
            self.drains.push(done);
            let agent = myself.clone();
            task::spawn("agent-drained", async move {
                if drained.await.is_ok() {
                    agent.stop(Some("stopped".to_owned()));
                }
            });
        }
    }

    /// The time to finish is nearly over. A call that is under way may still end, and is in the journal then.
    pub(in crate::agent) fn adjourn(&mut self) {
        tracing::info!(agent = %self.definition.spec.name, executions = self.staff.running(), "Executions are asked to stop between two calls.");
        self.staff.adjourn();
    }

    /// The time to finish is over: what is at work is aborted and given back, to be resumed where it is.
    pub(in crate::agent) fn give_up(&mut self, myself: &ActorRef<Message>) {
        let held = self.staff.abandon();
        self.ports.given_back.fetch_add(held.len() as u64, Ordering::Relaxed);
        tracing::warn!(agent = %self.definition.spec.name, executions = held.len(), "Executions did not finish in time; they are given back.");
        let (ports, agent) = (Arc::clone(&self.ports), myself.clone());
        task::spawn("give-back", async move {
            let all = async {
                for one in held {
                    give_back(Arc::clone(&ports), one.fence, Release::Unfinished).await;
                }
            };
            if tokio::time::timeout(GIVE_BACK_TIME, all).await.is_err() {
                tracing::warn!("Not everything could be given back in time; the next start of this node takes it up.");
            }
            agent.stop(Some("stopped".to_owned()));
        });
    }
}
