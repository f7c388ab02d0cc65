//! `kill -9` before and after each deed of an event's way, for each kind of call: nothing is lost, nothing happens twice,
//! no finished call is made again, and a call is `unknown` only where its effect says so. A line is a row of the matrix;
//! `kit::chaos` plays it.

use greenroom_contract::execution::Effect;
use kit::chaos::{Setting, Subject, kill_everywhere};

macro_rules! rows {
    ($($name:ident: $subject:expr;)+) => {$(
        #[tokio::test]
        async fn $name() {
            let subject = $subject;
            let report = kill_everywhere(subject, &Setting::default()).await;
            let unknown = subject == Subject::Tool(Effect::AtMostOnce);
            assert_eq!(report.cells, subject.cells().len());
            assert_eq!((report.summary.lost, report.summary.duplicated, report.summary.repaid), (0, 0, 0));
            assert_eq!(report.summary.unknown > 0, unknown, "{:?}", report.summary);
            let mut resumed = report.resumed;
            resumed.sort();
            println!("{subject:?}: {} kills, median resume {:?}, {:?}", report.kills, resumed[resumed.len() / 2], report.summary);
        }
    )+};
}

rows! {
    the_first_model_call: Subject::FirstModelCall;
    a_later_model_call: Subject::LaterModelCall;
    a_tool_without_effect: Subject::Tool(Effect::None);
    an_idempotent_tool: Subject::Tool(Effect::Idempotent);
    a_tool_that_knows_its_key: Subject::Tool(Effect::Keyed);
    a_tool_that_must_not_be_called_twice: Subject::Tool(Effect::AtMostOnce);
    an_outgoing_event: Subject::OutgoingEvent;
    a_reply_to_a_person: Subject::Reply;
    a_continuous_agent: Subject::Continuous;
}
