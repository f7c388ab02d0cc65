//! Who shares, and for whom a message is.

use std::{collections::BTreeMap, path::Path};

use greenroom_config::load::Definition;
use greenroom_contract::{AgentId, port::bus::Sharing};

use super::{Plan, Sorting, shard_of};

fn folder(agents: &[(&str, &str, &[&str])]) -> BTreeMap<AgentId, Definition> {
    let definition = |(name, mode, topics): &(&str, &str, &[&str])| {
        let mut yaml =
            format!("name: {name}\nagent_type: t\nexecution_mode: {mode}\nllm_config: {{provider: scripted}}\n");
        yaml.push_str(&format!("subscriptions: {}\n", serde_json::to_string(topics).unwrap()));
        let definition = greenroom_config::parse(Path::new("agents/a.yaml"), &yaml).unwrap();
        (definition.spec.name.clone(), definition)
    };
    agents.iter().map(definition).collect()
}

fn names(plan: &Plan, queue: &str, topic: &str) -> Vec<String> {
    plan.takers(queue, topic).into_iter().map(|taker| taker.agent.to_string()).collect()
}

#[test]
fn above_the_number_all_share_and_each_hears_what_is_its_own() {
    let crowd: Vec<String> = (0..200).map(|n| format!("agent-{n}")).collect();
    let agents: Vec<_> = crowd.iter().map(|name| (name.as_str(), "autonomous", &["orders.*"] as &[&str])).collect();
    let folder = folder(&agents);
    let few = Plan::new(1, 200, &folder);
    assert!(!few.shares(&"agent-0".parse().unwrap()) && few.shared_queues().is_empty());
    let many = Plan::new(2, 199, &folder);
    assert!(many.shares(&"agent-0".parse().unwrap()) && !many.shares(&"somebody-else".parse().unwrap()));
    let queues = many.shared_queues();
    assert_eq!(queues.len(), 16, "{queues:?}");
    let mut heard = Vec::new();
    for queue in &queues {
        let listeners = names(&many, &queue.name, "orders.new");
        assert!(listeners.len() > 1, "{queue:?}");
        for name in &listeners {
            assert_eq!(names(&many, &queue.name, &format!("agent.input.{name}")), [name.as_str()]);
            assert_eq!(shard_of(&folder[&name.parse::<AgentId>().unwrap()].spec), queue.name);
        }
        // Each one's own topic, and what they listen to, once.
        assert_eq!(queue.bindings.len(), listeners.len() + 1);
        assert!(names(&many, &queue.name, "bills.new").is_empty());
        heard.extend(listeners);
    }
    heard.sort();
    let mut all = crowd.clone();
    all.sort();
    assert_eq!(heard, all);
}

#[test]
fn a_queue_is_for_one_role_and_the_same_for_ever() {
    let folder = folder(&[("one", "autonomous", &[]), ("two", "continuous", &[]), ("three", "collaborative", &[])]);
    let plan = Plan::new(1, 0, &folder);
    let queues: Vec<_> = plan.shared_queues().into_iter().map(|queue| (queue.name, queue.sharing)).collect();
    // Other names would be other queues: what waits in these would have to be moved.
    let expected = [
        ("agent.shard.autonomous.6", Sharing::Competing),
        ("agent.shard.collaborative.1", Sharing::Competing),
        ("agent.shard.continuous.0", Sharing::SingleActive),
    ];
    assert_eq!(queues, expected.map(|(name, sharing)| (name.to_owned(), sharing)));
}

#[test]
fn an_agent_that_listens_to_its_own_topic_is_one_taker() {
    let folder = folder(&[("all", "autonomous", &["*.input.#"]), ("one", "autonomous", &[])]);
    let plan = Plan::new(1, 0, &folder);
    for queue in plan.shared_queues() {
        let takers = names(&plan, &queue.name, "agent.input.all");
        assert_eq!(takers.iter().filter(|name| *name == "all").count(), 1, "{takers:?}");
    }
    // An agent's own queue is its own alone, whatever came in it.
    assert_eq!(names(&plan, "agent.input.one", "anything.at.all"), ["one"]);
    assert!(names(&plan, "agent.input.gone", "anything.at.all").is_empty());
}

#[test]
fn what_is_left_over_is_the_other_kind() {
    let folder = folder(&[("one", "autonomous", &["x.y"]), ("two", "continuous", &[])]);
    let shared: Vec<_> = Plan::new(1, 1, &folder).leftovers().into_iter().map(|queue| queue.name).collect();
    assert_eq!(shared, ["agent.input.one", "agent.input.two"]);
    let own = Plan::new(1, 2, &folder).leftovers();
    assert_eq!(own.len(), 48, "every shared queue, of agents that are gone too");
    assert!(own.iter().any(|queue| queue.topics.len() == 2), "what leads to it is taken away");
}

#[tokio::test]
async fn without_a_number_nobody_ever_shares() {
    let folder = folder(&[("one", "autonomous", &[])]);
    let (never, always) = (Sorting::default(), Sorting::above(0));
    never.take_up(&folder);
    always.take_up(&folder);
    let one = "one".parse().unwrap();
    assert!(!never.shares(&one) && always.shares(&one));
    assert!(never.is_done_within(std::time::Duration::ZERO).await);
    assert!(!always.is_done_within(std::time::Duration::ZERO).await);
    always.done(1);
    assert!(always.is_done_within(std::time::Duration::ZERO).await);
    tokio::join!(always.turned(&one, true), async { always.take_up(&BTreeMap::new()) });
}
