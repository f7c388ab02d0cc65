//! `greenroom schedules`.

use serde_json::Value;

use super::{
    args::Schedules,
    client::{Client, encoded},
    exit::Exit,
    output,
};

pub(super) fn run(client: &Client, verb: Option<Schedules>, as_json: bool) -> Result<(), Exit> {
    match verb {
        None => list(client, as_json),
        Some(Schedules::Show { agent }) => show(client, &agent, as_json),
        Some(Schedules::Trigger { agent }) => {
            let fired = client.post(&path(&agent, "/trigger"))?;
            if as_json {
                output::json(&fired);
                return Ok(());
            }
            let id = fired["execution_id"].as_str().unwrap_or_default();
            output::note(format_args!("✓ {agent} is fired.  Next: greenroom executions {id}"));
            Ok(())
        }
        Some(Schedules::Pause { agent }) => tell(client, &agent, "pause", "is held; it fires no more until resumed"),
        Some(Schedules::Resume { agent }) => tell(client, &agent, "resume", "goes on from now"),
    }
}

fn path(agent: &str, verb: &str) -> String {
    format!("/v1/schedules/{}{verb}", encoded(agent))
}

fn tell(client: &Client, agent: &str, verb: &str, done: &str) -> Result<(), Exit> {
    client.post(&path(agent, &format!("/{verb}")))?;
    output::note(format_args!("✓ The schedule of {agent} {done}.  Next: greenroom schedules show {agent}"));
    Ok(())
}

fn list(client: &Client, as_json: bool) -> Result<(), Exit> {
    let list = client.get("/v1/schedules")?;
    if as_json {
        output::json(&list);
        return Ok(());
    }
    let row = |one: &Value| {
        let next = match one["paused"].as_bool() {
            Some(true) => "paused".to_owned(),
            _ => moment(&one["next"][0]),
        };
        let last = &one["last"];
        vec![
            word(one, "agent"),
            word(one, "schedule"),
            next,
            moment(&last["due_at"]),
            outcome(last),
            one["waiting"].to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = list["items"].as_array().into_iter().flatten().map(row).collect();
    output::answer(output::table(&["AGENT", "SCHEDULE", "NEXT", "LAST", "OUTCOME", "WAITING"], &rows));
    Ok(())
}

fn show(client: &Client, agent: &str, as_json: bool) -> Result<(), Exit> {
    let one = client.get(&path(agent, ""))?;
    if as_json {
        output::json(&one);
        return Ok(());
    }
    for key in ["agent", "schedule", "missed", "overlap", "paused_since"] {
        if let Some(text) = one[key].as_str() {
            output::answer(format_args!("{key:<13} {text}"));
        }
    }
    for (number, next) in one["next"].as_array().into_iter().flatten().enumerate() {
        let key = if number == 0 { "next" } else { "" };
        output::answer(format_args!("{key:<13} {}", moment(next)));
    }
    let row = |one: &Value| {
        let stands_for = one["stands_for"].as_u64().unwrap_or(1);
        let why = match (one["triggered"].as_bool(), stands_for) {
            (Some(true), _) => "triggered".to_owned(),
            (_, 2..) => format!("stands for {stands_for}"),
            _ => String::new(),
        };
        let id = if one["status"] == "fired" { word(one, "execution_id") } else { "-".to_owned() };
        vec![moment(&one["due_at"]), outcome(one), id, word(one, "trace_id"), why]
    };
    let rows: Vec<Vec<String>> = one["firings"].as_array().into_iter().flatten().map(row).collect();
    if !rows.is_empty() {
        output::answer(format_args!("\n{}", output::table(&["DUE", "OUTCOME", "EXECUTION", "TRACE", ""], &rows)));
    }
    Ok(())
}

fn word(one: &Value, key: &str) -> String {
    one[key].as_str().unwrap_or("-").to_owned()
}

/// What came of a firing: how far its execution is, if it fired.
fn outcome(firing: &Value) -> String {
    firing["execution_status"].as_str().or(firing["status"].as_str()).unwrap_or("-").to_owned()
}

/// A moment to the second.
fn moment(at: &Value) -> String {
    let Some(text) = at.as_str() else { return "-".to_owned() };
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text.to_owned(),
    }
}
