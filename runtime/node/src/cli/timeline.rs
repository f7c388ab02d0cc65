//! A plan run as a timeline. Pure.

use serde_json::Value;

use super::output;

/// The widest text of a step.
const WIDTH: usize = 100;

/// The run, a line for each thing that is to be known of a step.
pub(super) fn of(run: &Value) -> String {
    let mut lines = Vec::new();
    for key in [
        "plan_run_id",
        "agent",
        "status",
        "trace_id",
        "task",
        "digest",
        "fork_of",
        "created_at",
        "deadline_at",
        "finished_at",
    ] {
        if let Some(text) = run[key].as_str() {
            lines.push(format!("{key:<12} {}", output::one_line(&output::plain(text), WIDTH)));
        }
    }
    if let Some(cost) = run["cost_usd"].as_f64() {
        lines.push(format!("{:<12} ${cost:.6}", "cost"));
    }
    if let Some(message) = run["error"]["message"].as_str() {
        let code = run["error"]["code"].as_str().unwrap_or_default();
        lines.push(format!("{:<12} {code}: {}", "error", output::plain(message)));
    }
    let planned = run["plan"]["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let steps = run["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !planned.is_empty() {
        lines.push(String::new());
    }
    for (place, (planned, step)) in planned.iter().zip(steps).enumerate() {
        lines.extend(of_step(place, planned, step));
    }
    lines.join("\n")
}

fn of_step(place: usize, planned: &Value, step: &Value) -> Vec<String> {
    let status = step["status"].as_str().unwrap_or_default();
    let glyph = match status {
        "succeeded" => "✓",
        "running" => "▶",
        "waiting" => "?",
        "skipped" => "–",
        "failed" | "cancelled" => "✗",
        _ => "·",
    };
    let word = |key: &str| planned[key].as_str().unwrap_or_default();
    let mut facts = vec![status.to_owned()];
    if step["kept"] == true {
        facts.push("kept of an earlier run".to_owned());
    }
    facts.extend(clock(&step["started_at"], &step["ended_at"]));
    facts.extend(step["tries"].as_u64().filter(|tries| *tries > 1).map(|tries| format!("{tries} tries")));
    facts.extend(step["cost_usd"].as_f64().filter(|cost| *cost > 0.0).map(|cost| format!("${cost:.6}")));
    let task = output::one_line(&output::plain(word("task")), WIDTH);
    let mut lines =
        vec![format!("{glyph} {} {:<16} {}", place + 1, word("agent"), facts.join(", ")), format!("    {task}")];
    let mut more = |mark: &str, text: &str| {
        lines.push(format!("    {mark} {}", output::one_line(&output::plain(text), WIDTH)));
    };
    if let Some(condition) = planned["condition"].as_str() {
        more("if", condition);
    }
    for text in [step["reason"].as_str(), step["error"]["message"].as_str()].into_iter().flatten() {
        more("because", text);
    }
    match &step["output"] {
        Value::Null => match (step["output_chars"].as_u64(), step["summary"].as_str()) {
            (Some(chars), summary) => {
                let summary = summary.map(|summary| format!(": {summary}")).unwrap_or_default();
                more("→", &format!("{} = [{chars} characters{summary}]", word("output")));
            }
            (None, _) => more("→", word("output")),
        },
        Value::String(text) => more("→", &format!("{} = {text}", word("output"))),
        other => more("→", &format!("{} = {other}", word("output"))),
    }
    if let Some(id) = step["execution_id"].as_str().filter(|_| step["kept"] != true) {
        more("in", id);
    }
    lines
}

/// When a step began and how long it took.
fn clock(started: &Value, ended: &Value) -> Option<String> {
    let started: jiff::Timestamp = started.as_str()?.parse().ok()?;
    let at = started.strftime("%H:%M:%S");
    let ended = ended.as_str().and_then(|ended| ended.parse::<jiff::Timestamp>().ok());
    Some(match ended {
        Some(ended) => format!("{at} for {:.1}s", ended.duration_since(started).as_secs_f64()),
        None => format!("since {at}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_reads_as_a_timeline() {
        let run = json!({
            "plan_run_id": "r1", "agent": "lead", "status": "failed", "task": "Write\nit", "cost_usd": 0.25,
            "error": { "code": "x", "message": "step 2 failed" },
            "plan": { "steps": [
                { "task": "Look", "agent": "scout", "output": "$facts" },
                { "task": "Write", "agent": "writer", "output": "$text", "condition": "exists($facts)" },
                { "task": "Judge", "agent": "critic", "output": "$verdict" },
            ]},
            "steps": [
                { "status": "succeeded", "output": "a fact", "execution_id": "e1", "tries": 1,
                  "started_at": "2026-11-26T10:00:00Z", "ended_at": "2026-11-26T10:00:01.5Z" },
                { "status": "failed", "tries": 2, "error": { "code": "x", "message": "it broke" } },
                { "status": "pending" },
            ],
        });
        let expected = "plan_run_id  r1\nagent        lead\nstatus       failed\ntask         Write\ncost         $0.250000\n\
            error        x: step 2 failed\n\n\
            ✓ 1 scout            succeeded, 10:00:00 for 1.5s\n    Look\n    → $facts = a fact\n    in e1\n\
            ✗ 2 writer           failed, 2 tries\n    Write\n    if exists($facts)\n    because it broke\n    → $text\n\
            · 3 critic           pending\n    Judge\n    → $verdict";
        assert_eq!(of(&run), expected);
    }
}
