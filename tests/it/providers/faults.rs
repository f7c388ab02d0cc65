//! What goes wrong: which error it is, and how often the server was asked, exactly.

use std::time::Duration;

use futures::{StreamExt, future::join_all};
use greenroom_contract::port::llm::Chunk;
use kit::vendor::{Exchange, Fault, Refusal, When};

use super::subject::{Subject, question};

/// The first attempt and three more.
const TRIED_AGAIN: usize = 4;
const ONCE: usize = 1;

pub(super) async fn refusals_say_what_to_do(subject: &Subject) {
    let cases = [
        (Refusal::RateLimited, "rate_limited", TRIED_AGAIN),
        (Refusal::Overloaded, "provider_unavailable", TRIED_AGAIN),
        (Refusal::Broken, "provider_unavailable", TRIED_AGAIN),
        (Refusal::Spent, "quota_exhausted", ONCE),
        (Refusal::BadKey, "authentication", ONCE),
        (Refusal::Forbidden, "authentication", ONCE),
        (Refusal::BadRequest, "invalid_request", ONCE),
        (Refusal::NotFound, "invalid_request", ONCE),
        (Refusal::TooLong, "context_too_long", ONCE),
    ];
    let cases = cases.into_iter().filter(|(refusal, ..)| subject.dialect.refusal(*refusal).is_some());
    join_all(cases.map(|(refusal, code, attempts)| async move {
        expect(subject, Exchange::refusal(refusal), &[code], attempts).await;
    }))
    .await;
}

pub(super) async fn errors_in_a_stream_are_errors(subject: &Subject) {
    let kinds = [
        (Refusal::RateLimited, "rate_limited"),
        (Refusal::Overloaded, "provider_unavailable"),
        (Refusal::Broken, "provider_unavailable"),
    ];
    let kinds = kinds.into_iter().filter(|(refusal, _)| subject.dialect.error_frame(*refusal).is_some());
    let cases = kinds.flat_map(|(refusal, code)| {
        let after = |when| Exchange::text(&["Hel", "lo"]).fault(Fault::ErrorInStream(when, refusal));
        [(after(When::BeforeText), code, TRIED_AGAIN), (after(When::AfterText), code, ONCE)]
    });
    join_all(cases.map(|(exchange, code, attempts)| async move {
        expect(subject, exchange, &[code], attempts).await;
    }))
    .await;
}

pub(super) async fn broken_streams_are_errors(subject: &Subject) {
    let broken = |fault| Exchange::text(&["Hel", "lo"]).fault(fault);
    // Before the first text it does not matter to the caller what exactly broke: the same may succeed next time.
    let transient: &[&'static str] = &["interrupted", "provider_unavailable"];
    tokio::join!(
        expect(subject, broken(Fault::Cut(When::BeforeText)), transient, TRIED_AGAIN),
        expect(subject, broken(Fault::Cut(When::AfterText)), &["interrupted"], ONCE),
        expect(subject, broken(Fault::Malformed), transient, TRIED_AGAIN),
        expect(subject, broken(Fault::Empty), transient, TRIED_AGAIN),
    );
}

pub(super) async fn silence_is_noticed(subject: &Subject) {
    let silent = |fault: Fault, silence: u64, attempts: usize| async move {
        let stage = subject.stage().await;
        stage.vendor.always(Exchange::text(&["Hel", "lo"]).fault(fault));
        let mut request = question("hi");
        request.silence = Duration::from_millis(silence);
        let error = stage.error(request).await;
        assert_eq!((error.code(), stage.vendor.attempts()), ("provider_timeout", attempts), "{fault:?}: {error}");
        // Who is silent is not listened to any more.
        stage.vendor.wait_for_hang_ups(attempts).await;
    };
    tokio::join!(
        silent(Fault::Mute, 300, TRIED_AGAIN),
        silent(Fault::Silent(When::BeforeText), 300, TRIED_AGAIN),
        // The first text must have time to come on a busy machine.
        silent(Fault::Silent(When::AfterText), 3000, ONCE),
    );
}

pub(super) async fn who_goes_away_hangs_up(subject: &Subject) {
    let stage = subject.stage().await;
    stage.vendor.then(Exchange::text(&["Hel", "lo"]).fault(Fault::Silent(When::AfterText)));
    let mut chunks = stage.llm.stream(question("hi"));
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(Chunk::Text(text)) => {
                assert_eq!(text, "Hel");
                break;
            }
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
    drop(chunks);
    stage.vendor.wait_for_hang_ups(1).await;

    // Before the answer has begun, too.
    stage.vendor.then(Exchange::text(&["never"]).fault(Fault::Mute));
    let mut chunks = stage.llm.stream(question("hi"));
    tokio::select! {
        _ = chunks.next() => panic!("it answered"),
        () = kit::wait::until("the second question", kit::wait::PATIENCE, async || stage.vendor.attempts() == 2) => {}
    }
    drop(chunks);
    stage.vendor.wait_for_hang_ups(2).await;
    assert_eq!(stage.vendor.attempts(), 2);
}

/// Asks a server that always does this.
async fn expect(subject: &Subject, exchange: Exchange, codes: &[&'static str], attempts: usize) {
    let stage = subject.stage().await;
    let shown = format!("{exchange:?}");
    stage.vendor.always(exchange);
    let error = stage.error(question("hi")).await;
    assert!(codes.contains(&error.code()), "{error:?} is none of {codes:?}: {shown}");
    assert_eq!(stage.vendor.attempts(), attempts, "{error}: {shown}");
}
