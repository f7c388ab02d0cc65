//! `greenroom plans`.

use std::{path::Path, time::Duration};

use greenroom_config::HumanDuration;
use greenroom_contract::{AgentId, plan};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    answer,
    args::{Import, PlanTask, Plans},
    client::{Client, encoded},
    exit::Exit,
    output, timeline,
};

const WITHIN: Duration = Duration::from_secs(15);
/// What the HTTP call gets beyond the wait itself.
const MARGIN: Duration = Duration::from_secs(10);

pub(super) fn run(client: &Client, verb: Option<Plans>, as_json: bool) -> Result<(), Exit> {
    match verb {
        None => list(client, None, None, as_json),
        Some(Plans::List { agent, status }) => list(client, agent, status, as_json),
        Some(Plans::Show { id }) => show(client, &id, as_json),
        Some(Plans::Start(task)) => start(client, task, as_json),
        Some(Plans::Approve { id, no, digest, by }) => {
            let body = json!({ "approve": !no, "digest": digest, "by": by });
            tell(client, &id, "approve", &body, if no { "is not carried out" } else { "is carried out" }, as_json)
        }
        Some(Plans::Cancel { id }) => tell(client, &id, "cancel", &json!({}), "is cancelled", as_json),
        Some(Plans::Retry { id, from }) => {
            let from = from.map(|from| from.parse::<usize>().map_or_else(|_| json!(from), |step| json!(step)));
            let (_, told) =
                client.call(Method::POST, &path(&id, "/retry"), Some(&json!({ "from": from })), &[], WITHIN)?;
            begun(&told, as_json);
            Ok(())
        }
        Some(Plans::Import(import)) => import_portia(client, &import, as_json),
    }
}

fn path(id: &str, verb: &str) -> String {
    format!("/v1/plans/{}{verb}", encoded(id))
}

fn list(client: &Client, agent: Option<String>, status: Option<String>, as_json: bool) -> Result<(), Exit> {
    let list = client.newest("/v1/plans", &[("agent", agent), ("status", status)])?;
    if as_json {
        output::json(&list);
        return Ok(());
    }
    let row = |one: &Value| {
        let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let steps = one["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        let done = steps.iter().filter(|step| matches!(step["status"].as_str(), Some("succeeded" | "skipped"))).count();
        let task = output::one_line(&output::plain(&word("task")), 50);
        vec![
            word("plan_run_id"),
            word("agent"),
            word("status"),
            format!("{done}/{}", steps.len()),
            word("created_at"),
            task,
        ]
    };
    let rows: Vec<Vec<String>> = list["items"].as_array().into_iter().flatten().map(row).collect();
    output::answer(output::table(&["RUN", "COORDINATOR", "STATUS", "DONE", "BEGUN", "TASK"], &rows));
    Ok(())
}

fn show(client: &Client, id: &str, as_json: bool) -> Result<(), Exit> {
    let run = client.get(&path(id, ""))?;
    if as_json {
        output::json(&run);
        return Ok(());
    }
    output::answer(timeline::of(&run));
    answer::tell(&run["questions"]);
    Ok(())
}

fn tell(client: &Client, id: &str, verb: &str, body: &Value, done: &str, as_json: bool) -> Result<(), Exit> {
    let (_, run) = client.call(Method::POST, &path(id, &format!("/{verb}")), Some(body), &[], WITHIN)?;
    if as_json {
        output::json(&run);
        return Ok(());
    }
    output::note(format_args!("✓ The plan {done}.  Next: greenroom plans show {id}"));
    Ok(())
}

fn start(client: &Client, task: PlanTask, as_json: bool) -> Result<(), Exit> {
    let wait: HumanDuration = task.wait.parse().map_err(|error| Exit::usage(format!("--wait {error}")))?;
    let mut inputs = serde_json::Map::new();
    for input in &task.input {
        let Some((name, value)) = input.split_once('=') else {
            return Err(Exit::usage(format!("--input {input}: write NAME=VALUE")));
        };
        inputs.insert(name.to_owned(), Value::from(value));
    }
    let mut body = json!({ "agent": task.agent, "task": task.task, "inputs": inputs, "approve": task.approve });
    if let Some(file) = &task.plan {
        body["plan"] = read(file)?;
    }
    run_task(client, &body, (!task.detach).then_some(wait), as_json)
}

/// Starts a task, and waits for its result where that is wanted.
fn run_task(client: &Client, body: &Value, wait: Option<HumanDuration>, as_json: bool) -> Result<(), Exit> {
    let path = wait.map_or("/v1/tasks".to_owned(), |wait| format!("/v1/tasks?wait={wait}"));
    let within = wait.map_or(WITHIN, |wait| wait.0 + MARGIN);
    let (_, told) = client.call(Method::POST, &path, Some(body), &[], within)?;
    if told["steps"].is_null() {
        begun(&told, as_json);
        return match wait {
            None => Ok(()),
            Some(wait) => Err(Exit::too_late(format!("no result within {wait}; it goes on"))),
        };
    }
    if as_json {
        output::json(&told);
    } else {
        output::note(timeline::of(&told));
    }
    match told["status"].as_str().unwrap_or_default() {
        "succeeded" => {
            match &told["output"] {
                _ if as_json => {}
                Value::String(text) => output::answer(text),
                other => output::json(other),
            }
            Ok(())
        }
        "awaiting_approval" | "waiting" => {
            answer::tell(&told["questions"]);
            Err(Exit::too_late("the run waits for an answer"))
        }
        status => {
            let why = told["error"]["message"].as_str().unwrap_or_default();
            Err(Exit::execution_failed(format!("the run is {status}: {why}")))
        }
    }
}

fn begun(told: &Value, as_json: bool) {
    if as_json {
        return output::json(told);
    }
    let id = told["plan_run_id"].as_str().unwrap_or_default();
    output::answer(id);
    output::note(format_args!("✓ taken in.  Next: greenroom plans show {id}"));
}

/// A file of JSON or YAML.
fn read(file: &Path) -> Result<Value, Exit> {
    let unreadable = |why: String| Exit::usage(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|why| unreadable(why.to_string()))?;
    serde_yaml::from_str(&text).map_err(|why| unreadable(why.to_string()))
}

fn import_portia(client: &Client, import: &Import, as_json: bool) -> Result<(), Exit> {
    let run = import.run.as_deref().map(read).transpose()?;
    let agent: AgentId = import.steps_by.parse().map_err(|why| Exit::usage(format!("--steps-by: {why}")))?;
    let imported = plan::import(read(&import.plan)?, run, &agent)
        .map_err(|why| Exit::usage(format!("{}: {why}", import.plan.display())))?;
    imported.notes.iter().for_each(|note| output::note(format_args!("note: {note}")));
    let mut body = serde_json::to_value(imported.task).map_err(|why| Exit::usage(why.to_string()))?;
    body["agent"] = json!(import.agent);
    if import.dry_run {
        output::json(&body);
        return Ok(());
    }
    run_task(client, &body, None, as_json)
}
