//! What agents share towards a provider, over real sockets: a node's registry, several agents, one key.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use greenroom_config::{
    Environment, HumanDuration, ProviderRules,
    spec::{BreakerSettings, LlmConfig},
};
use greenroom_contract::{
    NodeId,
    port::llm::{Error, Llm, OutputForm},
    status::AgentStatus,
    tree::Table,
};
use greenroom_providers::Providers;
use kit::vendor::{Exchange, OpenAiResponses, Refusal, Vendor};
use serde_json::json;

use super::subject::{KEY, question};

/// Two agents with the same key, a third with another, and the tree that they are shown in.
struct House {
    vendor: Vendor,
    table: Table,
    agents: [Arc<dyn Llm>; 3],
}

impl House {
    async fn new(breaker: BreakerSettings) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let vendor = Vendor::start(Arc::new(OpenAiResponses)).await;
        let url = format!("{}/v1", vendor.url());
        let env = Environment::from_pairs([
            ("OPENAI_BASE_URL", url.as_str()),
            ("OPENAI_API_KEY", KEY),
            ("OTHER_KEY", "sk-canary-of-another"),
        ]);
        let table = Table::new(&NodeId::new("house"));
        let http = greenroom_providers::http_client().unwrap_or_else(|error| panic!("{error}"));
        let rules = ProviderRules { limits: Vec::new(), breaker };
        let providers = Providers::new(&env, http).under(rules, table.clone());
        let agent = async |model: &str, key: &str| {
            let config = json!({ "provider": "openai", "model": model, "api": "responses", "api_key_env": key });
            let config: LlmConfig = serde_json::from_value(config).unwrap_or_else(|error| panic!("{error}"));
            providers.build(&config).await.unwrap_or_else(|error| panic!("{error}"))
        };
        let agents = [
            agent("gpt-6-sol", "OPENAI_API_KEY").await,
            agent("gpt-6-luna", "OPENAI_API_KEY").await,
            agent("gpt-6-sol", "OTHER_KEY").await,
        ];
        Self { vendor, table, agents }
    }

    /// How the place with this end of its name is.
    fn status(&self, end: &str) -> Option<AgentStatus> {
        let places = self.table.places_under("providers");
        places.iter().find(|place| place.id.ends_with(end)).map(|place| place.status)
    }
}

#[tokio::test]
async fn a_429_for_one_agent_holds_back_the_others_of_its_key() {
    let house = House::new(BreakerSettings::default()).await;
    let [first, same_key, other_key] = &house.agents;
    house.vendor.then(Exchange::refusal(Refusal::RateLimited).header("retry-after", "2"));
    house.vendor.always(Exchange::text(&["well"]));
    let begun = Instant::now();
    let turned_away = first.complete(question("one"));
    let others = async {
        house.vendor.wait_for_attempts(1).await;
        kit::wait::seen("the key to be held back", kit::wait::PATIENCE, async || {
            match house.status(" OPENAI_API_KEY") {
                Some(AgentStatus::Paused) => Ok(()),
                other => Err(format!("it is {other:?}")),
            }
        })
        .await;
        other_key.complete(question("other")).await.unwrap();
        assert_eq!(house.vendor.attempts(), 2, "another key is asked at once");
        let waiting = (0..3).map(|_| same_key.complete(question("same")));
        join_all(waiting).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    };
    let (answer, ()) = tokio::join!(turned_away, others);
    answer.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(2), "nobody waited");
    // One turned away and asked again, the other key, and three who waited for it.
    assert_eq!(house.vendor.attempts(), 6);
    let gaps = house.vendor.gaps();
    let early = gaps[0] + gaps[1];
    assert!(early >= Duration::from_secs(2), "the key was used {early:?} after it was told to wait");
}

#[tokio::test]
async fn a_model_that_is_down_is_left_alone_by_all_and_tried_again() {
    let pause = HumanDuration(Duration::from_secs(2));
    let house = House::new(BreakerSettings { failures: 4, pause, longest_pause: pause }).await;
    let [first, same_key, _] = &house.agents;
    house.vendor.always(Exchange::refusal(Refusal::Broken));
    let error = first.complete(question("one")).await.unwrap_err();
    assert_eq!((error.code(), house.vendor.attempts()), ("provider_unavailable", 4));
    assert_eq!(house.status("OPENAI_API_KEY/gpt-6-sol"), Some(AgentStatus::Unavailable));
    let refused = first.complete(question("two")).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Unavailable { message, .. } if message.contains("4 times in a row")),
        "{refused}"
    );
    assert!(!refused.to_string().contains("canary"), "{refused}");
    assert_eq!(house.vendor.attempts(), 4, "it was asked although it is left alone");
    // Another model of the same key is not down.
    house.vendor.always(Exchange::text(&["well"]));
    same_key.complete(question("three")).await.unwrap();
    kit::wait::seen("the pause to end", kit::wait::PATIENCE, async || match house.status("OPENAI_API_KEY/gpt-6-sol") {
        Some(AgentStatus::Restarting) => Ok(()),
        other => Err(format!("it is {other:?}")),
    })
    .await;
    assert_eq!(first.complete(question("four")).await.unwrap().text(), "well");
    assert_eq!(house.status("OPENAI_API_KEY/gpt-6-sol"), Some(AgentStatus::Running));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_mended_once_and_both_are_paid() {
    let house = House::new(BreakerSettings::default()).await;
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
    let mut asked = question("how many?");
    asked.output = Some(OutputForm { name: "n".to_owned(), schema });
    house.vendor.then(Exchange::text(&["{\"n\":", "\"three\"}"])).then(Exchange::text(&["{\"n\":", " 3}"]));
    let answer = house.agents[0].complete(asked.clone()).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.usage.input, answer.usage.output), ("{\"n\":3}", 200, 20));
    assert_eq!(answer.cost, house.agents[0].cost(&answer.usage));
    let heard = &house.vendor.heard()[1];
    assert!(heard.question.contains("/n") && heard.question.contains("integer"), "{}", heard.question);
    house.vendor.always(Exchange::text(&["three"]));
    let error = house.agents[0].complete(asked).await.unwrap_err();
    assert_eq!((error.code(), house.vendor.attempts()), ("answer_misformed", 4));
}
