//! When a call is made again: not before the server allows it. That it is not too early is asserted, never that it is fast.

use std::time::{Duration, Instant};

use greenroom_contract::port::llm::Error;
use jiff::{Timestamp, tz::TimeZone};
use kit::vendor::{Exchange, Refusal};

use super::subject::{Subject, question};

pub(super) async fn retry_after_is_waited_for_each_time(subject: &Subject) {
    let stage = subject.stage().await;
    let limited = || Exchange::refusal(Refusal::RateLimited);
    stage.vendor.then(limited().header("retry-after", "1"));
    stage.vendor.then(limited().header("retry-after-ms", "1600"));
    stage.vendor.then(limited().header("retry-after", "2.5"));
    stage.vendor.then(Exchange::text(&["at last"]));
    assert_eq!(stage.answer(question("hi")).await.text(), "at last");
    let gaps = stage.vendor.gaps();
    let asked = [1000, 1600, 2500].map(Duration::from_millis);
    assert_eq!(gaps.len(), 3);
    assert!(gaps.iter().zip(asked).all(|(gap, asked)| *gap >= asked), "waited {gaps:?}, asked for {asked:?}");
}

pub(super) async fn a_date_is_waited_for(subject: &Subject) {
    let stage = subject.stage().await;
    let (begun, at) = (Instant::now(), Timestamp::now() + Duration::from_secs(3));
    let date = at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    stage.vendor.then(Exchange::refusal(Refusal::RateLimited).header("retry-after", &date));
    stage.vendor.then(Exchange::text(&["at last"]));
    assert_eq!(stage.answer(question("hi")).await.text(), "at last");
    // Dates have whole seconds.
    assert!(begun.elapsed() >= Duration::from_secs(2), "waited {:?}", begun.elapsed());
    assert_eq!(stage.vendor.attempts(), 2);
}

pub(super) async fn nobody_waits_for_ever(subject: &Subject) {
    let stage = subject.stage().await;
    stage.vendor.always(Exchange::refusal(Refusal::RateLimited).header("retry-after", "61"));
    let error = stage.error(question("hi")).await;
    let Error::RateLimited { retry_after, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*retry_after, stage.vendor.attempts()), (Some(Duration::from_secs(61)), 1));
}
