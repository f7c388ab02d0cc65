//! What an operator does to a house, and what one may look at.

use greenroom_contract::{
    Event, ExecutionId, TraceId,
    page::PageRequest,
    port::{
        bus::QueueInfo,
        operator::Operator,
        state::{DeadLetterFilter, State},
    },
};
use serde_json::json;

use super::{
    up::{House, id},
    world::World,
};

impl House {
    /// Pauses an agent.
    pub async fn pause(&self, agent: &str) {
        self.machine.pause(&id(agent)).await.unwrap_or_else(|error| panic!("pause {agent}: {error}"));
    }

    /// Lets a paused agent go on.
    pub async fn resume(&self, agent: &str) {
        self.machine.resume(&id(agent)).await.unwrap_or_else(|error| panic!("resume {agent}: {error}"));
    }

    /// Starts an agent afresh.
    pub async fn restart(&self, agent: &str) {
        self.machine.restart(&id(agent)).await.unwrap_or_else(|error| panic!("restart {agent}: {error}"));
    }

    /// The executions that became dead letters, oldest first.
    pub async fn letters(&self) -> Vec<ExecutionId> {
        let page = PageRequest { limit: 500, cursor: None };
        let letters = self.state.dead_letters(DeadLetterFilter::default(), page).await;
        let letters = letters.unwrap_or_else(|error| panic!("dead letters: {error}")).items;
        letters.iter().rev().filter_map(|letter| letter.execution_id).collect()
    }

    /// An agent's queue.
    pub fn queue(&self, agent: &str) -> QueueInfo {
        let name = id(agent).input_topic();
        let found = self.bus.infos().into_iter().find(|info| info.name == name);
        found.unwrap_or_else(|| panic!("there is no queue {name}"))
    }
}

impl World {
    /// Puts so many messages into an agent's queue at once, past the door.
    pub fn flood(&self, agent: &str, count: usize) {
        let topic = id(agent).input_topic();
        let event = Event::new(topic.clone(), "test", TraceId::new(), json!({ "input": "flood" }));
        self.bus.flood(&topic, &event, count);
    }

    /// Throws away what waits in an agent's queue.
    pub fn drain(&self, agent: &str) {
        self.bus.drain(&id(agent).input_topic());
    }
}
