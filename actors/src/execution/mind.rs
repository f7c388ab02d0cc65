//! What the agent keeps in mind, as its present execution sees it: what the store has, and what was added since.

use std::sync::Arc;

use greenroom_contract::{
    AgentId, BoxFuture, Clock,
    port::{
        memory::{Memory, Recall, Remember},
        state::State,
    },
};

use tokio::sync::OnceCell;

use super::persist::persist_under;
use crate::watchdog::Pulse;

/// As many as are read: more than the tools let an agent keep.
const MOST: u32 = 2000;

/// What the store has, read when an execution first asks for it and not again by that execution.
pub(super) type Kept = Arc<OnceCell<Vec<Memory>>>;

pub(super) struct OwnMind {
    pub(super) kept: Kept,
    pub(super) state: Arc<dyn State>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) agent: AgentId,
    pub(super) added: Vec<Remember>,
    pub(super) pulse: Arc<Pulse>,
}

impl Recall for OwnMind {
    fn recall(&self) -> BoxFuture<'_, Result<Vec<Memory>, String>> {
        Box::pin(async move {
            let read = || persist_under(Some(&self.pulse), "memories", || self.state.memories(&self.agent, MOST));
            let mut kept = self.kept.get_or_try_init(read).await.map_err(|error| error.to_string())?.clone();
            for Remember { key, text } in &self.added {
                kept.retain(|memory| memory.key != *key);
                if let Some(text) = text {
                    kept.insert(0, Memory { key: key.clone(), text: text.clone(), at: self.clock.now() });
                }
            }
            Ok(kept)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use greenroom_contract::clock::SystemClock;

    use super::*;
    use crate::{testing::Store, watchdog::Time};

    #[tokio::test]
    async fn an_execution_reads_its_agent_s_mind_once_and_lays_what_it_added_over_it() {
        let (store, kept) = (Arc::new(Store::default()), Kept::default());
        let mind = |added: &[(&str, Option<&str>)]| OwnMind {
            kept: Arc::clone(&kept),
            state: Arc::clone(&store) as Arc<dyn State>,
            clock: Arc::new(SystemClock),
            agent: "ada".parse().unwrap(),
            added: added
                .iter()
                .map(|(key, text)| Remember { key: (*key).into(), text: text.map(Into::into) })
                .collect(),
            pulse: Arc::new(Pulse::new(Time::machine())),
        };
        let told = async |mind: OwnMind| {
            let kept = mind.recall().await.unwrap();
            kept.into_iter().map(|memory| format!("{}: {}", memory.key, memory.text)).collect::<Vec<_>>()
        };
        store.remember("city", "Oslo");
        let (first, beside) = tokio::join!(told(mind(&[])), told(mind(&[("pet", Some("a cat"))])));
        assert_eq!(first, ["city: Oslo"]);
        assert_eq!(beside, ["pet: a cat", "city: Oslo"]);
        assert_eq!(told(mind(&[("pet", Some("a cat")), ("city", None)])).await, ["pet: a cat"]);
        assert_eq!(store.recalled.load(Ordering::Relaxed), 1);
    }
}
