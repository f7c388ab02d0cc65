//! Several callers of one key, and one model that fails.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all};
use greenroom_config::{
    HumanDuration, KeyLimit, ProviderRules,
    spec::{BreakerSettings, Provider},
};
use greenroom_contract::{
    NodeId,
    port::llm::{Chunk, Error, Llm},
    status::AgentStatus,
    tree::Table,
};
use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::{Limits, Whose};
use crate::llm::{
    fallback::Fallback,
    retry::Retry,
    testing::{Play, limited, request, unavailable},
};

const SECOND: Duration = Duration::from_secs(1);

fn whose() -> Whose {
    Whose { provider: "openai".to_owned(), server: "api.openai.com".to_owned(), key_name: "OPENAI_API_KEY".to_owned() }
}

fn rules(limit: Option<KeyLimit>) -> ProviderRules {
    let breaker =
        BreakerSettings { failures: 3, pause: HumanDuration(10 * SECOND), longest_pause: HumanDuration(60 * SECOND) };
    ProviderRules { limits: limit.into_iter().collect(), breaker }
}

fn at_most(requests: Option<u32>, tokens: Option<u32>) -> KeyLimit {
    KeyLimit {
        provider: Provider::Openai,
        api_key_env: None,
        requests_per_minute: requests,
        tokens_per_minute: tokens,
        longest_wait: HumanDuration(60 * SECOND),
        max_waiting: 3,
    }
}

fn table() -> Table {
    Table::new(&NodeId::new("test"))
}

fn agent(limits: &Limits, model: &str, play: Arc<Play>) -> Retry {
    Retry::guarded(play, limits.guard(&whose(), model))
}

#[tokio::test(start_paused = true)]
async fn a_429_in_one_agent_holds_back_the_others_of_the_same_key() {
    let table = table();
    let limits = Limits::new(rules(None), Some(table.clone()));
    let turned_away = Play::new([Err(limited(Some(20 * SECOND))), Ok("late")]);
    let others = Play::new([Ok("a"), Ok("b"), Ok("c")]);
    let stranger = Play::new([Ok("s")]);
    let first = agent(&limits, "gpt-6-sol", turned_away.clone());
    // The first call is turned away, and its agent waits.
    let mut chunks = first.stream(request("hi"));
    assert!(matches!(chunks.next().await, Some(Ok(Chunk::Progress))));

    let place = table.place("providers/openai@api.openai.com OPENAI_API_KEY").unwrap();
    assert_eq!((place.status, place.until.is_some()), (AgentStatus::Paused, true));
    assert_eq!(place.failures[0].failure.code, "rate_limited");

    let started = Instant::now();
    let (other, same) = (agent(&limits, "gpt-6-luna", others.clone()), agent(&limits, "gpt-6-sol", others.clone()));
    let other_key = Retry::guarded(stranger, limits.guard(&Whose { key_name: "B".to_owned(), ..whose() }, "gpt-6-sol"));
    other_key.complete(request("hi")).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO, "another key is not held back");
    let answers = join_all([&other, &same, &other].map(|agent| agent.complete(request("hi")))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert!(started.elapsed() >= 20 * SECOND, "they did not wait: {:?}", started.elapsed());
    assert_eq!(others.calls(), 3);
    assert!(matches!(chunks.collect::<Vec<_>>().await.last(), Some(Ok(Chunk::Done(_)))));
    assert_eq!(turned_away.calls(), 2);
    tokio::time::sleep(SECOND).await;
    assert_eq!(table.place("providers/openai@api.openai.com OPENAI_API_KEY").unwrap().status, AgentStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_in_order_shows_signs_of_life_and_the_line_has_an_end() {
    let limits = Limits::new(rules(Some(at_most(Some(6), None))), None);
    let play = Play::new(std::array::from_fn::<_, 10, _>(|_| Ok("x")));
    let agent = agent(&limits, "m", play.clone());
    for _ in 0..6 {
        agent.complete(request("hi")).await.unwrap();
    }
    let started = Instant::now();
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(agent.complete(request("hi")))).collect();
    for call in &mut waiting {
        assert!(futures::poll!(call).is_pending());
    }
    // Three may wait; the next is told so at once.
    let refused = agent.complete(request("hi")).await.unwrap_err();
    assert!(matches!(refused, Error::RateLimited { retry_after: Some(wait), .. } if wait > 30 * SECOND), "{refused}");
    assert_eq!(started.elapsed(), Duration::ZERO);
    for (turn, call) in waiting.into_iter().enumerate() {
        call.await.unwrap();
        assert_eq!(
            started.elapsed().as_secs(),
            10 * (turn as u64 + 1),
            "one every ten seconds, in the order they came"
        );
    }
    let chunks: Vec<_> = agent.stream(request("hi")).collect().await;
    let signs = chunks.iter().filter(|chunk| matches!(chunk, Ok(Chunk::Progress))).count();
    // Ten seconds of waiting, a sign every five.
    assert!((2..=4).contains(&signs), "{signs} signs of life");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_be_too_long_is_not_begun() {
    let limits = Limits::new(rules(None), None);
    let play = Play::new([Err(limited(Some(107 * SECOND))), Ok("never asked")]);
    let agent = agent(&limits, "m", play.clone());
    assert!(agent.complete(request("hi")).await.is_err());
    let started = Instant::now();
    let error = agent.complete(request("hi")).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { retry_after: Some(wait), .. } if wait > 100 * SECOND), "{error}");
    assert_eq!((started.elapsed(), play.calls()), (Duration::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn tokens_are_counted_before_and_set_right_after() {
    let limits = Limits::new(rules(Some(at_most(None, Some(1000)))), None);
    let play = Play::new(std::array::from_fn::<_, 40, _>(|_| Ok("x")));
    let agent = agent(&limits, "m", play);
    let started = Instant::now();
    // Each asks for 100 tokens of output and uses none: what was reserved comes back.
    for _ in 0..39 {
        agent.complete(request("hi")).await.unwrap();
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_tells_is_kept_to() {
    let limits = Limits::new(rules(None), None);
    let guard = limits.guard(&whose(), "m");
    let told = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "1"),
        ("x-ratelimit-reset-requests", "59s"),
    ];
    let headers: HeaderMap = told.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    guard.account().heard(&headers);
    let agent = Retry::guarded(Play::new([Ok("a"), Ok("b")]), guard);
    let started = Instant::now();
    agent.complete(request("hi")).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    agent.complete(request("hi")).await.unwrap();
    assert_eq!(started.elapsed().as_millis() / 100, 10, "one comes back each second");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_is_left_alone_and_its_fallback_is_asked_at_once() {
    let table = table();
    let limits = Limits::new(rules(None), Some(table.clone()));
    let failing = Play::new([Err(unavailable()), Err(unavailable()), Err(unavailable()), Ok("well again")]);
    let spare = Play::new([Ok("spare"), Ok("spare")]);
    let first: Arc<dyn Llm> = Arc::new(agent(&limits, "gpt-6-sol", failing.clone()));
    let chain = Fallback::new(first.clone(), vec![spare.clone()]);
    // Three attempts open the breaker, so there is no fourth.
    assert_eq!(chain.complete(request("hi")).await.unwrap().text(), "spare");
    assert_eq!(failing.calls(), 3);
    let model = || table.place("providers/openai@api.openai.com OPENAI_API_KEY/gpt-6-sol").unwrap();
    assert_eq!((model().status, model().until.is_some()), (AgentStatus::Unavailable, true));
    assert_eq!(model().failures[0].failure.code, "provider_unavailable");

    let started = Instant::now();
    assert_eq!(chain.complete(request("hi")).await.unwrap().text(), "spare");
    let refused = first.complete(request("hi")).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Unavailable { message, .. } if message.contains("3 times in a row")),
        "{refused}"
    );
    assert_eq!((started.elapsed(), failing.calls()), (Duration::ZERO, 3));

    tokio::time::sleep(10 * SECOND + SECOND / 10).await;
    assert_eq!(model().status, AgentStatus::Restarting, "the next call is a trial");
    assert_eq!(chain.complete(request("hi")).await.unwrap().text(), "well again");
    assert_eq!((model().status, model().until), (AgentStatus::Running, None));
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_given_up_leaves_the_next_one_free() {
    let limits = Limits::new(rules(None), None);
    let failing = Play::new([Err(unavailable()), Err(unavailable()), Err(unavailable()), Ok("unheard"), Ok("heard")]);
    let agent = agent(&limits, "m", failing.clone());
    agent.complete(request("hi")).await.unwrap_err();
    tokio::time::sleep(11 * SECOND).await;
    let trial = limits.guard(&whose(), "m");
    let given_up = async {
        let out = crate::llm::generator::generate(|out| async move {
            let attempt = trial.admit(&request("hi"), &out).await?;
            std::future::pending::<()>().await;
            drop(attempt);
            Err(unavailable())
        });
        out.collect::<Vec<_>>().await
    };
    assert!(tokio::time::timeout(SECOND, given_up).await.is_err());
    assert!(agent.complete(request("hi")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_is_not_used_any_more_leaves_the_tree() {
    let table = table();
    let limits = Limits::new(rules(None), Some(table.clone()));
    let status = |path: &str| table.place(path).map(|place| place.status);
    let (one, two) = (limits.guard(&whose(), "a/b"), limits.guard(&whose(), "c"));
    let key = "providers/openai@api.openai.com OPENAI_API_KEY";
    assert_eq!(status(&format!("{key}/a:b")), Some(AgentStatus::Running));
    drop(one);
    assert_eq!(status(&format!("{key}/a:b")), Some(AgentStatus::Stopped));
    assert_eq!(status(key), Some(AgentStatus::Running));
    drop(two);
    assert_eq!(status(key), Some(AgentStatus::Stopped));
    let _again = limits.guard(&whose(), "c");
    assert_eq!(status(key), Some(AgentStatus::Running));
}
