//! Signs of work: the status that Slack shows in a thread while an agent is at it, and what it says meanwhile. They are hints: the newest of a thread is
//! given, beside everything else, and one that is lost is lost.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use greenroom_contract::{
    ExecutionId,
    event::{ReplyTo, SlackReply},
    port::reply::{Sign, Signs},
};
use serde_json::json;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    preview::{Previews, Step},
    web::{Refused, SlackWeb},
};

/// For apps that Slack knows as agents.
const SESSION: &str = "agents.sessions.setStatus";
/// For all others, and until the newer one is everywhere.
const THREAD: &str = "assistant.threads.setStatus";
/// So many threads may wait for a sign; further ones get none.
const MOST: usize = 1024;
/// Signs on their way at a time.
const AT_ONCE: usize = 4;
/// How often what is said is shown.
const EVERY: Duration = Duration::from_secs(1);
/// So long a workspace that takes a sign by no way, or by the older one, is not asked again.
const BELIEVED: Duration = Duration::from_secs(3600);

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    team: Option<String>,
    channel: String,
    thread: String,
}

/// Which way a workspace takes signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Session,
    Thread,
    None,
}

/// Gives signs of work to Slack.
pub struct SlackSigns {
    web: Arc<SlackWeb>,
    waiting: Mutex<BTreeMap<Place, Sign>>,
    ways: Mutex<HashMap<Option<String>, (Way, Instant)>>,
    previews: Mutex<Previews>,
    over: Mutex<Vec<Step>>,
    bell: Notify,
}

impl SlackSigns {
    /// Signs by `web`. Nothing is shown before [`Self::run`] runs.
    pub fn new(web: Arc<SlackWeb>) -> Self {
        Self {
            web,
            waiting: Mutex::default(),
            ways: Mutex::default(),
            previews: Mutex::default(),
            over: Mutex::default(),
            bell: Notify::new(),
        }
    }

    /// Gives signs until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            let speaks = lock(&self.previews).has_news();
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.bell.notified() => {}
                () = tokio::time::sleep(EVERY), if speaks => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.show_all() => {}
            }
        }
    }

    async fn show_all(&self) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let statuses = stream::iter(waiting).map(|(place, sign)| self.show(place, sign));
        let due = lock(&self.previews).due(Instant::now());
        let previews = stream::iter(due).map(|step| async {
            let step = step.show(&self.web).await;
            let over = lock(&self.previews).done(step);
            lock(&self.over).extend(over);
        });
        let (statuses, previews) = (statuses.buffer_unordered(AT_ONCE), previews.buffer_unordered(AT_ONCE));
        futures::join!(statuses.collect::<()>(), previews.collect::<()>());
        let over = std::mem::take(&mut *lock(&self.over));
        stream::iter(over).for_each_concurrent(AT_ONCE, |step| step.take_away(&self.web)).await;
    }

    async fn show(&self, place: Place, sign: Sign) {
        let shown = match self.way(&place.team) {
            Way::None => return,
            Way::Session => match self.by_session(&place, sign).await {
                // Not an agent for Slack, or a Slack that does not know the method.
                Err(Refused::ForGood { code }) => {
                    tracing::debug!(code, "Slack takes no session's status here; the older way is tried.");
                    let older = self.by_thread(&place, sign).await;
                    let way = if matches!(older, Err(Refused::ForGood { .. })) { Way::None } else { Way::Thread };
                    lock(&self.ways).insert(place.team.clone(), (way, Instant::now() + BELIEVED));
                    older
                }
                shown => shown,
            },
            Way::Thread => self.by_thread(&place, sign).await,
        };
        if let Err(refused) = shown {
            tracing::debug!(?refused, ?sign, "A sign of work could not be shown in Slack.");
        }
    }

    fn way(&self, team: &Option<String>) -> Way {
        match lock(&self.ways).get(team) {
            Some((way, until)) if *until > Instant::now() => *way,
            _ => Way::Session,
        }
    }

    async fn by_session(&self, place: &Place, sign: Sign) -> Result<(), Refused> {
        let status = match sign {
            Sign::Working => "processing",
            Sign::Waiting => "suspended",
            Sign::Over => "active",
        };
        let body = json!({ "channel_id": place.channel, "thread_ts": place.thread, "status": status });
        self.web.call(SESSION, place.team.as_deref(), None, &body).await.map(drop)
    }

    async fn by_thread(&self, place: &Place, sign: Sign) -> Result<(), Refused> {
        let status = if sign == Sign::Working { "is thinking…" } else { "" };
        let body = json!({ "channel_id": place.channel, "thread_ts": place.thread, "status": status });
        self.web.call(THREAD, place.team.as_deref(), None, &body).await.map(drop)
    }
}

impl SlackSigns {
    /// The thread, where signs can be shown: a workspace without a token shows none.
    fn thread<'a>(&self, to: &'a ReplyTo) -> Option<(&'a SlackReply, Place)> {
        let ReplyTo::Slack(to) = to else { return None };
        let (channel, thread) = (to.channel_id.clone()?, to.thread_ts.clone()?);
        let shown = self.web.has_token(to.team_id.as_deref());
        shown.then(|| (to, Place { team: to.team_id.clone(), channel, thread }))
    }
}

impl Signs for SlackSigns {
    fn give(&self, to: &ReplyTo, execution: ExecutionId, sign: Sign) {
        let Some((_, place)) = self.thread(to) else { return };
        if sign != Sign::Working {
            let over = lock(&self.previews).over(execution);
            lock(&self.over).extend(over);
        }
        let mut waiting = lock(&self.waiting);
        if waiting.len() < MOST || waiting.contains_key(&place) {
            waiting.insert(place, sign);
        }
        self.bell.notify_one();
    }

    fn say(&self, to: &ReplyTo, execution: ExecutionId, text: &str) {
        let Some((to, _)) = self.thread(to) else { return };
        let mut previews = lock(&self.previews);
        let quiet = !previews.has_news();
        previews.say(to, execution, text, Instant::now());
        if quiet {
            self.bell.notify_one();
        }
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use greenroom_contract::{event::SlackReply, task::spawn_scoped};

    use super::*;
    use crate::testing::FakeSlack;

    fn thread(ts: Option<&str>) -> ReplyTo {
        ReplyTo::Slack(SlackReply {
            team_id: Some("T1".into()),
            channel_id: Some("C1".into()),
            thread_ts: ts.map(str::to_owned),
            ..SlackReply::default()
        })
    }

    async fn shown(answers: &[(u16, &'static str, &'static str)], signs: &[Sign]) -> Vec<(String, String)> {
        let slack = FakeSlack::start(answers).await;
        let given = Arc::new(SlackSigns::new(Arc::new(SlackWeb::new(slack.options(Some("xoxb-1"))).unwrap())));
        let (running, stop) = (Arc::clone(&given), CancellationToken::new());
        let _running = spawn_scoped("signs", async move { running.run(stop).await });
        let mut wanted = answers.iter().filter(|answer| answer.2.contains("false")).count();
        for sign in signs {
            given.give(&thread(Some("17.1")), ExecutionId::new(), *sign);
            wanted += 1;
            slack.post(wanted - 1).await;
        }
        let seen = slack.seen.lock().unwrap();
        seen.iter().map(|(path, _, body)| (path.clone(), body["status"].as_str().unwrap().to_owned())).collect()
    }

    #[tokio::test]
    async fn a_thread_shows_how_its_agent_is() {
        let shown = shown(&[], &[Sign::Working, Sign::Waiting, Sign::Working, Sign::Over]).await;
        let statuses: Vec<&str> = shown.iter().map(|(_, status)| status.as_str()).collect();
        assert_eq!(statuses, ["processing", "suspended", "processing", "active"]);
        assert!(shown.iter().all(|(path, _)| path == "/api/agents.sessions.setStatus"));
    }

    #[tokio::test]
    async fn where_the_app_is_no_agent_the_older_way_is_taken_and_remembered() {
        let refused = (200, "", r#"{"ok":false,"error":"not_agent_app"}"#);
        let shown = shown(&[refused], &[Sign::Working, Sign::Over]).await;
        let paths: Vec<&str> = shown.iter().map(|(path, _)| path.trim_start_matches("/api/")).collect();
        assert_eq!(paths, [SESSION, THREAD, THREAD]);
        assert_eq!((shown[1].1.as_str(), shown[2].1.as_str()), ("is thinking…", ""));
    }

    #[tokio::test]
    async fn what_has_no_thread_or_no_token_has_no_sign() {
        let slack = FakeSlack::start(&[]).await;
        let signs = |token| SlackSigns::new(Arc::new(SlackWeb::new(slack.options(token)).unwrap()));
        let (with, without) = (signs(Some("xoxb-1")), signs(None));
        let id = ExecutionId::new();
        with.give(&thread(None), id, Sign::Working);
        with.say(&thread(None), id, "x");
        with.give(&ReplyTo::Topic { topic: "a.b".into() }, id, Sign::Working);
        without.give(&thread(Some("17.1")), id, Sign::Working);
        without.say(&thread(Some("17.1")), id, "x");
        assert!(!lock(&with.previews).has_news() && !lock(&without.previews).has_news());
        assert!(lock(&with.waiting).is_empty() && lock(&without.waiting).is_empty());
    }
}
