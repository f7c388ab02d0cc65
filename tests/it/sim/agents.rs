//! The agents that the simulations use, and short words for what every one of them does.

use std::time::Duration;

use kit::house::House;

/// An autonomous agent, with whatever else is given as YAML.
pub(super) fn agent(name: &str, rest: &str) -> String {
    format!("name: {name}\nagent_type: sim\nexecution_mode: autonomous\nllm_config: {{provider: auto}}\n{rest}\n")
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Makes sure that an agent works.
pub(super) async fn succeeded(house: &House, agent: &str) {
    assert_eq!(house.ask(agent, "are you there?").await.status.as_str(), "succeeded");
}
