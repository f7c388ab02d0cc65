//! The kill matrix of `crate::kill_matrix` once more, on RabbitMQ, PostgreSQL and Redis: the rows that have most to lose, with
//! the same node coming back, and one with another taking over. `cargo bench --profile dev --bench chaos` plays all rows
//! both ways.

use greenroom_contract::execution::Effect;
use kit::{
    chaos::{Report, Setting, Subject, kill_everywhere},
    servers::shared,
};

#[expect(clippy::print_stdout, reason = "the report of a run that may be looked at")]
async fn play(subject: Subject, others_take_over: bool) -> Report {
    let backends = shared().backends().await;
    let report = kill_everywhere(subject, &Setting { environment: backends.variables(), others_take_over }).await;
    assert_eq!(report.cells, subject.cells().len());
    assert_eq!((report.summary.lost, report.summary.duplicated, report.summary.repaid), (0, 0, 0));
    let mut resumed = report.resumed.clone();
    resumed.sort();
    println!(
        "{subject:?}: {} kills, median resume {:?}, {:?}",
        report.kills,
        resumed[resumed.len() / 2],
        report.summary
    );
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_must_not_be_called_twice() {
    play(Subject::Tool(Effect::AtMostOnce), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outgoing_event() {
    play(Subject::OutgoingEvent, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_continuous_agent() {
    play(Subject::Continuous, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_takes_over_at_every_place() {
    play(Subject::Tool(Effect::AtMostOnce), true).await;
}
