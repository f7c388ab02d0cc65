//! Stop: a person ends what an agent does in a conversation, by the button that Slack shows while it works.

use greenroom_contract::{
    page::PageRequest,
    port::{operator, state::ExecutionFilter},
    status::ExecutionStatus,
};
use serde_json::Value;

use crate::Doors;

/// So many executions are looked through, the newest first: a conversation that somebody stops is a new one.
const PAGES: usize = 10;
const PAGE: u32 = 100;

/// A conversation that is to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) team: Option<String>,
    pub(crate) channel: String,
    /// Absent: everything of a direct message.
    pub(crate) thread_ts: Option<String>,
}

impl Stop {
    /// Cancels what is at work for the conversation. Returns how many executions that were.
    pub(crate) async fn carry_out(&self, doors: &Doors) -> Result<usize, operator::Error> {
        let status = vec![ExecutionStatus::Running, ExecutionStatus::Queued, ExecutionStatus::Waiting];
        let filter = ExecutionFilter { status, ..ExecutionFilter::default() };
        let (mut cursor, mut cancelled) = (None, 0);
        for _ in 0..PAGES {
            let page = doors.state.executions(filter.clone(), PageRequest { limit: PAGE, cursor }).await?;
            for execution in page.items.iter().filter(|execution| self.means(&execution.source, &execution.input)) {
                match doors.operator.cancel(execution.id).await {
                    Ok(()) => cancelled += 1,
                    // It has ended meanwhile.
                    Err(operator::Error::Conflict { .. } | operator::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        Ok(cancelled)
    }

    fn means(&self, source: &str, input: &Value) -> bool {
        let is = |field: &str, value: &str| input[field].as_str() == Some(value);
        source == "slack"
            && self.team.as_deref().is_none_or(|team| is("team_id", team))
            && is("channel_id", &self.channel)
            && self.thread_ts.as_deref().is_none_or(|thread| is("thread_ts", thread) || is("ts", thread))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stop_means_its_conversation_and_no_other() {
        let thread = Some("17.1".to_owned());
        let stop = Stop { team: Some("T1".into()), channel: "C1".into(), thread_ts: thread };
        let input = |team: &str, channel: &str, thread: Option<&str>, ts: &str| json!({"team_id": team, "channel_id": channel, "thread_ts": thread, "ts": ts});
        assert!(stop.means("slack", &input("T1", "C1", None, "17.1")), "the message that began it");
        assert!(stop.means("slack", &input("T1", "C1", Some("17.1"), "17.9")));
        for other in [
            input("T2", "C1", None, "17.1"),
            input("T1", "C2", None, "17.1"),
            input("T1", "C1", Some("17.0"), "17.2"),
            json!("17.1"),
        ] {
            assert!(!stop.means("slack", &other), "{other}");
        }
        assert!(!stop.means("http", &input("T1", "C1", None, "17.1")));
        let whole = Stop { thread_ts: None, ..stop };
        assert!(whole.means("slack", &input("T1", "C1", None, "5.5")));
    }
}
