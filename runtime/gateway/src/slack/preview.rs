//! What a model says while it says it: a message that grows. It is a preview and no answer. The answer goes by the outbox, once,
//! from whatever node; when the execution is over, or waits, its preview is taken away. So nothing depends on a preview, and
//! one that dies with its process leaves words in the thread that the answer then repeats.

use std::{collections::HashMap, time::Duration};

use greenroom_contract::{ExecutionId, event::SlackReply};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::web::{Refused, SlackWeb};

const START: &str = "chat.startStream";
const APPEND: &str = "chat.appendStream";
const STOP: &str = "chat.stopStream";
const DELETE: &str = "chat.delete";
/// Answers that are there sooner need no preview.
const AFTER: Duration = Duration::from_millis(1500);
/// Slack ends a stream at about five minutes and forgets what was appended last: before that it goes on in another message.
const LONGEST: Duration = Duration::from_secs(240);
/// The most characters of one message.
const LARGEST: usize = 11_000;
/// So many previews at a time; further executions have none.
const MOST: usize = 256;

/// The previews of a node. What was said is gathered here and shown by [`Previews::show`].
#[derive(Default)]
pub(super) struct Previews(HashMap<ExecutionId, Preview>);

#[derive(Clone)]
struct Preview {
    to: SlackReply,
    begun: Instant,
    /// What is not in Slack yet.
    unsaid: String,
    /// The message that grows: since when, and how long it is.
    growing: Option<(String, Instant, usize)>,
    /// Messages that are full.
    full: Vec<String>,
    /// Slack takes none here.
    refused: bool,
}

/// A step of a preview that is taken out to be done, and put back.
pub(super) struct Step {
    execution: ExecutionId,
    preview: Preview,
}

impl Previews {
    /// Something was said.
    pub(super) fn say(&mut self, to: &SlackReply, execution: ExecutionId, text: &str, now: Instant) {
        if self.0.len() >= MOST && !self.0.contains_key(&execution) {
            return;
        }
        let fresh = || Preview {
            to: to.clone(),
            begun: now,
            unsaid: String::new(),
            growing: None,
            full: Vec::new(),
            refused: false,
        };
        let preview = self.0.entry(execution).or_insert_with(fresh);
        if !preview.refused && preview.unsaid.len() < LARGEST {
            preview.unsaid.push_str(text);
        }
    }

    /// Whether something is to be shown, now or in a moment.
    pub(super) fn has_news(&self) -> bool {
        self.0.values().any(|preview| !preview.unsaid.is_empty())
    }

    /// What is to be shown now. It stays here, so that more can be said meanwhile.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Step> {
        let due = |preview: &Preview| !preview.unsaid.is_empty() && now.duration_since(preview.begun) >= AFTER;
        let due = self.0.iter_mut().filter(|(_, preview)| due(preview));
        due.map(|(execution, preview)| {
            let step = Step { execution: *execution, preview: preview.clone() };
            preview.unsaid.clear();
            step
        })
        .collect()
    }

    /// A step was done. If the execution is over meanwhile, its preview is given back, to be taken away.
    pub(super) fn done(&mut self, step: Step) -> Option<Step> {
        let Some(preview) = self.0.get_mut(&step.execution) else { return Some(step) };
        let said_meanwhile = std::mem::take(&mut preview.unsaid);
        *preview = step.preview;
        preview.unsaid.push_str(&said_meanwhile);
        None
    }

    /// The execution is over, or waits: its preview goes, if there is one.
    pub(super) fn over(&mut self, execution: ExecutionId) -> Option<Step> {
        self.0.remove(&execution).map(|preview| Step { execution, preview })
    }
}

impl Step {
    /// Shows what is unsaid. What Slack does not take now is unsaid still.
    pub(super) async fn show(mut self, web: &SlackWeb) -> Self {
        let preview = &mut self.preview;
        let text: String = preview.unsaid.chars().take(LARGEST).collect();
        let length = text.chars().count();
        if let Some((ts, since, long)) = &preview.growing
            && (since.elapsed() >= LONGEST || long + length > LARGEST)
        {
            let ts = ts.clone();
            call(web, &preview.to, STOP, json!({ "ts": ts })).await.ok();
            preview.full.push(ts);
            preview.growing = None;
        }
        let shown = match &mut preview.growing {
            Some((ts, _, long)) => {
                *long += length;
                call(web, &preview.to, APPEND, json!({ "ts": ts, "markdown_text": text })).await.map(drop)
            }
            None => start(web, &preview.to, &text).await.map(|ts| {
                preview.growing = ts.map(|ts| (ts, Instant::now(), length));
            }),
        };
        match shown {
            // Whether an append that was not answered is in is not known; a preview may lack words, and never repeats them.
            Ok(()) => preview.unsaid.clear(),
            Err(Refused::ForNow { .. }) if preview.growing.is_none() => {}
            Err(Refused::ForNow { .. }) => preview.unsaid.clear(),
            Err(Refused::ForGood { code }) => {
                tracing::debug!(code, "Slack shows no preview here.");
                preview.refused = true;
                preview.unsaid.clear();
            }
        }
        self
    }

    /// Takes the preview away.
    pub(super) async fn take_away(self, web: &SlackWeb) {
        let Preview { to, growing, mut full, .. } = self.preview;
        if let Some((ts, ..)) = growing {
            call(web, &to, STOP, json!({ "ts": ts })).await.ok();
            full.push(ts);
        }
        for ts in full {
            if let Err(refused) = call(web, &to, DELETE, json!({ "ts": ts })).await {
                tracing::debug!(?refused, "A preview stays in Slack.");
            }
        }
    }
}

async fn start(web: &SlackWeb, to: &SlackReply, text: &str) -> Result<Option<String>, Refused> {
    let mut body = json!({ "markdown_text": text, "thread_ts": to.thread_ts });
    // Outside of a direct message Slack wants to know for whom it is.
    if let Some(user) = &to.user {
        body["recipient_user_id"] = json!(user.user_id);
        body["recipient_team_id"] = json!(user.team_id);
    }
    let answer = call(web, to, START, body).await?;
    Ok(answer["ts"].as_str().map(str::to_owned))
}

async fn call(web: &SlackWeb, to: &SlackReply, method: &'static str, mut body: Value) -> Result<Value, Refused> {
    body["channel"] = json!(to.channel_id);
    web.call(method, to.team_id.as_deref(), None, &body).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use greenroom_contract::event::SlackUser;

    use super::*;
    use crate::testing::FakeSlack;

    fn to() -> SlackReply {
        SlackReply {
            team_id: Some("T1".into()),
            channel_id: Some("C1".into()),
            thread_ts: Some("17.1".into()),
            user: Some(SlackUser { team_id: "T1".into(), user_id: "U1".into() }),
            response_url: None,
        }
    }

    fn web(slack: &FakeSlack) -> Arc<SlackWeb> {
        Arc::new(SlackWeb::new(slack.options(Some("xoxb-1"))).unwrap())
    }

    async fn show(previews: &mut Previews, web: &Arc<SlackWeb>, at: Instant) {
        for step in previews.due(at) {
            let step = step.show(web).await;
            assert!(previews.done(step).is_none());
        }
    }

    #[tokio::test]
    async fn words_grow_in_one_message_and_go_with_the_answer() {
        let slack = FakeSlack::start(&[]).await;
        let (web, mut previews, id) = (web(&slack), Previews::default(), ExecutionId::new());
        let begun = Instant::now();
        previews.say(&to(), id, "Let me", begun);
        assert!(previews.has_news() && previews.due(begun).is_empty(), "an answer may be there at once");
        show(&mut previews, &web, begun + AFTER).await;
        previews.say(&to(), id, " see", begun + AFTER);
        show(&mut previews, &web, begun + AFTER).await;
        assert!(!previews.has_news());
        previews.over(id).unwrap().take_away(&web).await;
        let paths: Vec<String> = slack.paths().iter().map(|path| path.replace("/api/", "")).collect();
        assert_eq!(paths, [START, APPEND, STOP, DELETE]);
        assert_eq!(
            (&slack.body(0)["markdown_text"], &slack.body(1)["markdown_text"]),
            (&json!("Let me"), &json!(" see"))
        );
        assert_eq!((&slack.body(0)["recipient_user_id"], &slack.body(0)["thread_ts"]), (&json!("U1"), &json!("17.1")));
        assert!(previews.over(id).is_none());
    }

    #[tokio::test]
    async fn a_message_that_is_long_or_old_is_followed_by_another() {
        let slack = FakeSlack::start(&[]).await;
        let (web, mut previews, id) = (web(&slack), Previews::default(), ExecutionId::new());
        let begun = Instant::now();
        for _ in 0..2 {
            previews.say(&to(), id, &"x".repeat(LARGEST - 1), begun);
            show(&mut previews, &web, begun + AFTER).await;
        }
        previews.0.get_mut(&id).unwrap().growing.as_mut().unwrap().1 = begun - LONGEST;
        previews.say(&to(), id, "y", begun);
        show(&mut previews, &web, begun + AFTER).await;
        previews.over(id).unwrap().take_away(&web).await;
        let paths: Vec<String> = slack.paths().iter().map(|path| path.replace("/api/", "")).collect();
        assert_eq!(paths, [START, STOP, START, STOP, START, STOP, DELETE, DELETE, DELETE]);
    }

    #[tokio::test]
    async fn where_slack_shows_none_it_is_not_asked_again_and_over_comes_in_between() {
        let refused = (200, "", r#"{"ok":false,"error":"unknown_method"}"#);
        let slack = FakeSlack::start(&[refused]).await;
        let (web, mut previews, id) = (web(&slack), Previews::default(), ExecutionId::new());
        let begun = Instant::now();
        for _ in 0..3 {
            previews.say(&to(), id, "x", begun);
            show(&mut previews, &web, begun + AFTER).await;
        }
        assert_eq!(slack.paths().len(), 1);
        let other = ExecutionId::new();
        previews.say(&to(), other, "x", begun);
        let step = previews.due(begun + AFTER).remove(0).show(&web).await;
        assert!(previews.over(other).is_some());
        assert!(previews.done(step).is_some(), "whoever was showing it takes it away");
    }
}
