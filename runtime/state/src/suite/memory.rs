//! What agents keep in mind.

use std::time::Duration;

use greenroom_contract::{
    AgentId,
    execution::Failure,
    port::{
        memory::Remember,
        state::{Conclusion, Error, Finish},
    },
};

use super::{
    Stage,
    stage::{agent, end, node, succeeded},
};

fn remember(key: &str, text: Option<&str>) -> Remember {
    Remember { key: key.to_owned(), text: text.map(str::to_owned) }
}

async fn kept(stage: &Stage, agent: &AgentId) -> Vec<(String, String)> {
    let kept = stage.state.memories(agent, 100).await.unwrap();
    let mut kept: Vec<_> = kept.into_iter().map(|memory| (memory.key, memory.text)).collect();
    kept.sort();
    kept
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
}

/// It is kept with the end of an execution, under its agent alone; of two words about one key the later counts.
pub async fn what_is_kept_in_mind_goes_with_the_finish(stage: Stage) {
    let (ada, bob) = (agent("ada"), agent("bob"));
    let first = stage.running(&ada, &node("here")).await;
    let remembers = vec![remember("city", Some("Rome")), remember("pet", Some("cat")), remember("city", Some("Oslo"))];
    let finish = Finish { remembers, ..end(succeeded()) };
    stage.state.finish(first.fence, finish.clone()).await.unwrap();
    assert_eq!(kept(&stage, &ada).await, pairs(&[("city", "Oslo"), ("pet", "cat")]));
    assert_eq!(kept(&stage, &bob).await, []);
    assert_eq!(stage.state.memories(&ada, 1).await.unwrap().len(), 1);

    let second = stage.running(&ada, &node("here")).await;
    let remembers = vec![remember("pet", None), remember("unknown", None), remember("city", Some("Bergen"))];
    stage.state.finish(second.fence, Finish { remembers, ..end(succeeded()) }).await.unwrap();
    assert_eq!(kept(&stage, &ada).await, pairs(&[("city", "Bergen")]));
}

/// Who is fenced keeps nothing.
pub async fn a_fenced_finish_keeps_nothing_in_mind(stage: Stage) {
    let ada = agent("ada");
    let claimed = stage.running(&ada, &node("here")).await;
    let failure = Failure::new("stop", "by an operator");
    stage.state.cancel(claimed.fence.execution, failure.clone()).await.unwrap();
    let remembers = vec![remember("city", Some("Rome"))];
    let retry = Conclusion::Retry { failure, after: Duration::ZERO };
    for conclusion in [succeeded(), retry] {
        let refused =
            stage.state.finish(claimed.fence, Finish { remembers: remembers.clone(), ..end(conclusion) }).await;
        assert!(matches!(refused, Err(Error::Fenced)), "{refused:?}");
    }
    assert_eq!(kept(&stage, &ada).await, []);
}
