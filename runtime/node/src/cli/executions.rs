//! `greenroom executions`.

use serde_json::Value;

use super::{
    client::{Client, encoded},
    exit::Exit,
    output,
};

pub(super) fn list(client: &Client, agent: Option<String>, status: Option<String>, as_json: bool) -> Result<(), Exit> {
    let list = client.newest("/v1/executions", &[("agent", agent), ("status", status)])?;
    if as_json {
        output::json(&list);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            let cost = one["cost_usd"].as_f64().map_or("-".to_owned(), |usd| format!("${usd:.6}"));
            let why = one["error"]["message"].as_str().unwrap_or_default();
            vec![
                word("execution_id"),
                word("agent"),
                word("status"),
                one["attempt"].to_string(),
                cost,
                word("created_at"),
                output::one_line(why, 50),
            ]
        })
        .collect();
    output::answer(output::table(&["EXECUTION", "AGENT", "STATUS", "ATTEMPT", "COST", "TAKEN IN", "WHY"], &rows));
    Ok(())
}

pub(super) fn one(client: &Client, id: &str, as_json: bool) -> Result<(), Exit> {
    let one = client.get(&format!("/v1/executions/{}", encoded(id)))?;
    if as_json {
        output::json(&one);
        return Ok(());
    }
    for key in [
        "execution_id",
        "agent",
        "status",
        "attempt",
        "epoch",
        "crashes",
        "trace_id",
        "event_type",
        "source",
        "created_at",
        "finished_at",
        "cost_usd",
        "saved_usd",
    ] {
        match &one[key] {
            Value::Null => {}
            Value::String(text) => output::answer(format_args!("{key:<13} {text}")),
            other => output::answer(format_args!("{key:<13} {other}")),
        }
    }
    if let Some(message) = one["error"]["message"].as_str() {
        output::answer(format_args!(
            "{:<13} {}: {message}",
            "error",
            one["error"]["code"].as_str().unwrap_or_default()
        ));
    }
    for step in one["steps"].as_array().into_iter().flatten() {
        let word = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
        let replays =
            step["replays"].as_u64().filter(|n| *n > 0).map(|n| format!("  replayed {n}×")).unwrap_or_default();
        let millis = step["duration_ms"].as_u64().map(|n| format!("{n} ms")).unwrap_or_default();
        output::answer(format_args!(
            "  {}.{}  {:<8} {:<4} {}  {millis}{replays}",
            step["attempt"],
            step["seq"],
            word("status"),
            word("kind"),
            word("name")
        ));
    }
    if let Some(text) = one["output"].as_str() {
        output::answer(format_args!("\n{text}"));
    }
    Ok(())
}
