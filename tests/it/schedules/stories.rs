//! The stories, each told once for both grounds.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};
use kit::{
    model::{Gate, ModelServer, Reply},
    wait,
};
use serde_json::{Value, json};

use crate::{
    cast::{agent, scripted},
    ground::{Ground, Running},
};

/// A cluster's nodes start one after the other, and what waits is released one by one.
const WHILE: Duration = wait::PATIENCE;

fn ticking(name: &str, schedule: &str) -> String {
    scripted(name, r#"[{reply: "{input}"}]"#, &format!("schedule: {{{schedule}}}\n"))
}

/// Waits until an agent's firings are so, and returns them, oldest first.
async fn firings(running: &Running<'_>, agent: &str, what: &str, so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    wait::seen(&format!("the firings of {agent}: {what}"), WHILE, async || {
        let firings = running.firings(agent).await;
        if so(&firings) { Ok(firings) } else { Err(format!("{firings:#?}")) }
    })
    .await
}

fn count(firings: &[Value], word: &str) -> usize {
    firings.iter().filter(|one| one["status"] == word || one["execution_status"] == word).count()
}

fn at(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_default().parse().unwrap()
}

fn words(firings: &[Value]) -> Vec<(&str, u64)> {
    firings.iter().map(|one| (one["status"].as_str().unwrap(), one["stands_for"].as_u64().unwrap())).collect()
}

pub(super) async fn r3_1_cron_and_intervals_fire_in_their_zone_and_follow_their_file(ground: Ground) {
    let home = ground.home();
    home.agent("ticker", &ticking("ticker", "every: 1s, overlap: allow"));
    home.agent("second", &ticking("second", "cron: '*/2 * * * * *', overlap: allow"));
    home.agent("summer", &ticking("summer", "cron: '0 9 1 7 *', timezone: Europe/London"));
    home.agent("winter", &ticking("winter", "cron: '0 9 1 1 *', timezone: Europe/London"));
    let running = ground.start().await;
    let listed = running.door().get("/v1/schedules").await.expect(200).json;
    let names: Vec<_> = listed["items"].as_array().unwrap().iter().map(|one| one["agent"].clone()).collect();
    assert_eq!(names, ["second", "summer", "ticker", "winter"]);
    // Nine o'clock in London, summer and winter; the next ten.
    for (name, utc) in [("summer", "-07-01T08:00:00Z"), ("winter", "-01-01T09:00:00Z")] {
        let next = running.schedule(name).await["next"].as_array().cloned().unwrap();
        assert_eq!(next.len(), 10);
        assert!(next.iter().all(|time| time.as_str().unwrap().ends_with(utc)), "{next:?}");
    }
    let fired = firings(&running, "ticker", "three", |all| count(all, "succeeded") >= 3).await;
    let gap = at(&fired[1]["due_at"]).duration_since(at(&fired[0]["due_at"]));
    assert_eq!(gap, SignedDuration::from_secs(1));
    let fired = firings(&running, "second", "two", |all| count(all, "succeeded") >= 2).await;
    assert!(fired.iter().all(|one| at(&one["due_at"]).as_second() % 2 == 0), "{fired:#?}");

    // A changed file is taken up, and one without a schedule ends it.
    home.agent("ticker", &ticking("ticker", "every: 1h"));
    wait::seen("the new times", WHILE, async || {
        let shown = running.schedule("ticker").await;
        let next = shown["next"].as_array().cloned().unwrap_or_default();
        let hour = next.len() == 10
            && at(&next[0]).duration_since(Timestamp::now()) > SignedDuration::from_mins(50)
            && at(&next[1]).duration_since(at(&next[0])) == SignedDuration::from_hours(1);
        if hour { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    home.agent("ticker", &scripted("ticker", r#"[{reply: "hi"}]"#, ""));
    wait::until("the schedule to be gone", WHILE, async || {
        running.door().get("/v1/schedules/ticker").await.status == 409
    })
    .await;
    running.door().get("/v1/schedules/nobody").await.expect(404);
    running.stop().await;
}

pub(super) async fn r3_2_a_firing_goes_by_scheduled_tasks_to_its_agent_with_its_trace(ground: Ground) {
    let home = ground.home();
    home.agent("ticker", &ticking("ticker", "every: 1s, input: what is to be done"));
    let running = ground.start().await;
    let fired = firings(&running, "ticker", "one that is done", |all| count(all, "succeeded") >= 1).await;
    let firing = fired.iter().find(|one| one["execution_status"] == "succeeded").unwrap();
    let execution = running.door().execution(firing["execution_id"].as_str().unwrap()).await;
    assert_eq!((&execution["trace_id"], &execution["agent"]), (&firing["trace_id"], &json!("ticker")));
    assert_eq!((&execution["event_type"], &execution["source"]), (&json!("agent.input.ticker"), &json!("scheduler")));
    let input = &execution["input"];
    assert_eq!((&input["agent_id"], &input["scheduled_at"]), (&json!("ticker"), &firing["due_at"]), "{execution}");
    assert_eq!(execution["output"], "what is to be done");
    let queues = running.door().get("/v1/queues").await.expect(200).json;
    let queue = queues["items"].as_array().unwrap().iter().find(|queue| queue["name"] == "scheduled.tasks");
    assert!(queue.is_some_and(|queue| queue["consumers"].as_u64() >= Some(1)), "{queues}");
    let trace = firing["trace_id"].as_str().unwrap();
    wait::seen("the whole way in the log under one trace", WHILE, async || {
        let lines: Vec<Value> = home.logs().into_iter().filter(|line| line["trace_id"] == trace).collect();
        let said =
            |word: &str| lines.iter().any(|line| line["message"].as_str().is_some_and(|text| text.contains(word)));
        let way = ["The schedule fires", "handed to its agent", "Event taken in", "Execution succeeded"];
        if way.into_iter().all(said) { Ok(()) } else { Err(format!("{lines:#?}")) }
    })
    .await;
    // Nobody else says what is due.
    let forged = json!({ "event_type": "scheduled.tasks", "payload": { "agent_id": "ticker" } });
    let refused = running.door().post("/v1/events", &forged).await;
    assert!((400..500).contains(&refused.status) && refused.text.contains("only the runtime"), "{}", refused.text);
    running.stop().await;
}

pub(super) async fn r3_3_4_starts_and_results_are_recorded(ground: Ground) {
    ground.home().agent("ticker", &ticking("ticker", "every: 1s, input: the result"));
    let running = ground.start().await;
    let done = |all: &[Value]| count(all, "succeeded") >= 2;
    let fired = firings(&running, "ticker", "two that are done", done).await;
    running.door().post("/v1/schedules/ticker/pause", &json!({})).await.expect(200);
    running.stop().await;
    // Not only while the node remembers.
    let running = ground.start().await;
    let mut seen = 0;
    for firing in fired.iter().filter(|one| one["execution_status"] == "succeeded") {
        let execution = running.door().execution(firing["execution_id"].as_str().unwrap()).await;
        assert_eq!((&execution["status"], &execution["output"]), (&json!("succeeded"), &json!("the result")));
        let (due, started, ended) =
            (at(&firing["due_at"]), at(&execution["started_at"]), at(&execution["finished_at"]));
        assert!(due <= started && started <= ended, "{due} {execution}");
        seen += 1;
    }
    assert!(seen >= 2);
    assert_eq!(running.schedule("ticker").await["paused"], true, "a pause outlives the node");
    running.stop().await;
}

pub(super) async fn r3_5_what_takes_too_long_is_cancelled_and_logged(ground: Ground) {
    let (model, gate) = (ModelServer::start().await, Gate::closed());
    let held = gate.clone();
    model.rule(move |_| Reply::text("too late").held_by(&held));
    let slow = "limits: {timeout: 1s, max_attempts: 3}\nschedule: {every: 1s}";
    ground.home().agent("slow", &agent("slow", &model, slow));
    let running = ground.start().await;
    let fired = firings(&running, "slow", "one that took too long", |all| count(all, "timed_out") >= 1).await;
    let late = fired.iter().find(|one| one["execution_status"] == "timed_out").unwrap();
    let execution = running.door().execution(late["execution_id"].as_str().unwrap()).await;
    assert_eq!((&execution["attempt"], &execution["error"]["code"]), (&json!(1), &json!("timed_out")), "{execution}");
    wait::seen("the log to say so, with its trace", WHILE, async || {
        let logs = ground.home().logs();
        let said = |line: &&Value| line["trace_id"] == late["trace_id"] && line["level"] == "ERROR";
        match logs.iter().find(said) {
            Some(line) if line.to_string().contains("timed_out") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    gate.open();
    running.stop().await;
}

pub(super) async fn r3_6_firings_that_were_missed_follow_their_policy(ground: Ground) {
    // Once an hour, and never while this runs.
    let now = Zoned::now().with_time_zone(TimeZone::UTC);
    let last = (&now - SignedDuration::from_mins(30)).with().second(0).subsec_nanosecond(0).build().unwrap();
    for missed in ["skip", "once", "all"] {
        let schedule = format!("cron: '{} * * * *', missed: {missed}", last.minute());
        ground.home().agent(missed, &ticking(missed, &schedule));
    }
    let running = ground.start().await;
    wait::until("all schedules to be set", WHILE, async || {
        let listed = running.door().get("/v1/schedules").await.expect(200).json;
        listed["items"].as_array().is_some_and(|all| all.len() == 3) && set(&running).await
    })
    .await;
    running.stop().await;
    ground.due_since(last.timestamp() - SignedDuration::from_hours(4)).await;

    let running = ground.start().await;
    let all = firings(&running, "all", "five made up for", |all| count(all, "succeeded") == 5).await;
    let hours: Vec<i64> = all.iter().map(|one| (last.timestamp() - at(&one["due_at"])).get_seconds() / 3600).collect();
    assert_eq!(hours, [4, 3, 2, 1, 0]);
    assert_eq!(words(&all), [("fired", 1); 5]);
    let once = firings(&running, "once", "one for all", |all| count(all, "succeeded") == 1).await;
    assert_eq!((words(&once), at(&once[0]["due_at"])), (vec![("fired", 5)], last.timestamp()));
    let skip = running.firings("skip").await;
    assert_eq!(words(&skip), [("missed", 5)]);
    assert!(running.door().executions("skip").await.is_empty());
    assert_eq!(running.door().executions("all").await.len(), 5);
    running.stop().await;
}

/// Whether a scheduler has seen every schedule: what it has not seen cannot be triggered into the past.
async fn set(running: &Running<'_>) -> bool {
    let logs = match running {
        Running::Embedded(home, _) => home.logs(),
        Running::Cluster(_, members) => {
            let said = members[1].node().process.stdout();
            said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        }
    };
    logs.iter().filter(|line: &&Value| line["message"] == "The schedule is set.").count() >= 3
}

pub(super) async fn r3_6_firings_that_overlap_follow_their_policy(ground: Ground) {
    let (model, gate) = (ModelServer::start().await, Gate::closed());
    let held = gate.clone();
    model.rule(move |asked| Reply::text(asked.question()).held_by(&held));
    for overlap in ["allow", "skip", "queue"] {
        let schedule = format!("limits: {{timeout: 5m, silence: 5m}}\nschedule: {{every: 1s, overlap: {overlap}}}");
        ground.home().agent(overlap, &agent(overlap, &model, &schedule));
    }
    let running = ground.start().await;
    let allow = firings(&running, "allow", "two side by side", |all| count(all, "running") >= 2).await;
    assert_eq!(count(&allow, "fired"), allow.len(), "{allow:#?}");
    let skip = firings(&running, "skip", "two that are dropped", |all| count(all, "skipped") >= 2).await;
    assert_eq!(count(&skip, "fired"), 1, "{skip:#?}");
    let queue = firings(&running, "queue", "two that wait", |all| count(all, "waiting") >= 2).await;
    assert_eq!(count(&queue, "fired"), 1, "{queue:#?}");
    assert!(running.schedule("queue").await["waiting"].as_u64() >= Some(2));

    gate.open();
    let queue = firings(&running, "queue", "those that waited, done", |all| {
        all.len() >= 3 && count(&all[..3], "succeeded") == 3
    })
    .await;
    let mut ended = None;
    for firing in &queue[..3] {
        let execution = running.door().execution(firing["execution_id"].as_str().unwrap()).await;
        assert_eq!(execution["trace_id"], firing["trace_id"], "it kept its trace while it waited");
        let (started, finished) = (at(&execution["started_at"]), at(&execution["finished_at"]));
        assert!(ended.is_none_or(|ended| ended <= started), "one after the other, in order: {queue:#?}");
        ended = Some(finished);
    }
    firings(&running, "skip", "another one", |all| count(all, "fired") >= 2).await;
    running.stop().await;
}

pub(super) async fn r3_6_a_schedule_is_paused_resumed_and_triggered_by_http_and_command_line(ground: Ground) {
    let home = ground.home();
    for name in ["ticker", "other"] {
        home.agent(name, &ticking(name, "every: 1s, overlap: allow"));
    }
    let running = ground.start().await;
    let fires = |all: &[Value]| count(all, "fired") >= 1;
    firings(&running, "ticker", "one", fires).await;
    let held = running.door().post("/v1/schedules/ticker/pause", &json!({})).await.expect(200).json;
    assert_eq!((&held["paused"], &held["next"]), (&json!(true), &json!([])));
    let before = running.firings("ticker").await.len();
    // Time passes: the other one goes on.
    let others = running.firings("other").await.len();
    firings(&running, "other", "three more", |all| all.len() >= others + 3).await;
    assert_eq!(running.firings("ticker").await.len(), before, "it is held");

    // Fired by hand, held or not.
    let typed = running.type_in(&["schedules", "trigger", "ticker"]).await.ok();
    assert!(typed.stderr.contains("greenroom executions"), "{}", typed.all());
    // The same key again is the same firing, while it is on its way and long after it.
    let trigger = async || {
        let request = running.door().request("POST", "/v1/schedules/ticker/trigger").header("idempotency-key", "once");
        kit::http::send(request.json(&json!({}))).await.expect(202)
    };
    let (answer, at_once) = (trigger().await, trigger().await);
    running.door().execution_is(&answer.str("/execution_id"), &["succeeded"], WHILE).await;
    for again in [at_once, trigger().await] {
        assert_eq!(again.json["execution_id"], answer.json["execution_id"]);
        assert_eq!(again.json["trace_id"], answer.json["trace_id"], "it is the same workflow");
    }
    let by_hand = firings(&running, "ticker", "two by hand", |all| all.len() == before + 2).await;
    assert!(by_hand[before..].iter().all(|one| one["triggered"] == true), "{by_hand:#?}");
    let list = running.type_in(&["schedules"]).await.ok();
    assert!(list.stdout.contains("ticker") && list.stdout.contains("paused"), "{}", list.all());

    running.type_in(&["schedules", "resume", "ticker"]).await.ok();
    let again = firings(&running, "ticker", "another one", |all| all.len() > before + 2).await;
    assert_eq!(count(&again, "fired"), again.len(), "nothing was missed while nobody wanted it: {again:#?}");
    running.type_in(&["schedules", "pause", "other"]).await.ok();
    assert_eq!(running.schedule("other").await["paused"], true);
    running.door().post("/v1/schedules/other/resume", &json!({})).await.expect(200);
    let shown = running.type_in(&["schedules", "show", "other", "--json"]).await.ok();
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&shown["paused"], shown["next"].as_array().map(Vec::len)), (&json!(false), Some(10)));
    let shown = running.type_in(&["schedules", "show", "other"]).await.ok();
    assert!(shown.stdout.contains("every 1s") && shown.stdout.contains("EXECUTION"), "{}", shown.all());
    assert_eq!(running.type_in(&["schedules", "trigger", "nobody"]).await.code, Some(4));
    assert!(running.type_in(&["tree"]).await.ok().stdout.contains("scheduler"));
    running.stop().await;
}
