//! The end of a node, and what must not be left behind.

use std::{sync::Arc, time::Duration};

use greenroom_contract::port::operator::{AgentView, Operator};
use tokio::{runtime::Handle, time::Instant};

use super::up::House;

/// What services get after the agents, as in the node.
const SERVICES: Duration = Duration::from_secs(8);
/// Timers of what has stopped run out by then: the longest is the trial of a parked agent, after 15 minutes.
const TIMERS: Duration = Duration::from_secs(1200);

/// How a house went down.
#[derive(Debug, Clone, Copy)]
pub struct Closed {
    /// Whether every agent stopped in time.
    pub agents: bool,
    /// Whether every service did.
    pub services: bool,
    /// Executions that were aborted and given back.
    pub given_back: u64,
    /// How long it took, in paused time.
    pub took: Duration,
}

impl House {
    /// Takes the node down as a signal would, without looking at what is left behind: timers of what has stopped run on
    /// for up to half a minute, which is long where time is not paused.
    pub async fn stop(self) -> Closed {
        let start = Instant::now();
        self.machine.set_ready(false);
        let agents = self.agents.stop_all(self.grace + Duration::from_secs(1)).await;
        let services = self.root.stop_all(SERVICES).await;
        let closed = Closed { agents, services, given_back: self.machine.given_back(), took: start.elapsed() };
        (self.end)();
        closed
    }

    /// Takes the node down as a signal would, and makes sure that nothing is left behind.
    ///
    /// # Panics
    /// When a task, a claimed execution, an unsettled delivery or a consumer is left.
    pub async fn close(self) -> Closed {
        let (state, bus, tasks_before) = (Arc::clone(&self.state), self.bus.clone(), self.tasks_before);
        let closed = self.stop().await;

        let left = || {
            let mut left = Vec::new();
            let tasks = Handle::current().metrics().num_alive_tasks();
            if tasks > tasks_before {
                left.push(format!("{} tasks", tasks - tasks_before));
            }
            left.extend(state.claimed().into_iter().map(|id| format!("the claim of {id}")));
            for info in bus.infos() {
                if info.unacknowledged > 0 || info.consumers > 0 {
                    left.push(format!("{info:?}"));
                }
            }
            left
        };
        let gone = Instant::now();
        while !left().is_empty() {
            if gone.elapsed() > TIMERS {
                panic!("the house is closed and left behind: {}", left().join(", "));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        closed
    }

    /// Makes sure that a node without work holds nothing.
    ///
    /// # Panics
    /// When an execution is claimed, a delivery is unsettled, or an agent says that it has work.
    pub async fn assert_idle(&self) {
        let busy = || {
            let mut busy: Vec<String> = self.state.claimed().into_iter().map(|id| format!("{id} is claimed")).collect();
            busy.extend(
                self.bus.infos().into_iter().filter(|info| info.unacknowledged > 0).map(|info| format!("{info:?}")),
            );
            let at_work = |view: &AgentView| view.running > 0;
            busy.extend(self.machine.agents().into_iter().filter(at_work).map(|view| format!("{} runs", view.name)));
            busy
        };
        let start = Instant::now();
        while !busy().is_empty() {
            if start.elapsed() > TIMERS {
                panic!("nothing should be at work: {}", busy().join(", "));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
