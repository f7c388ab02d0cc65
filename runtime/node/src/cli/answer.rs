//! `greenroom answer`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    client::{Client, encoded},
    exit::Exit,
    output,
};

const WITHIN: Duration = Duration::from_secs(15);

/// Answers a question. What begins like a JSON object, list or text is taken as one; anything else is a text as it stands.
pub(super) fn answer(client: &Client, id: &str, answer: &str, by: &str, as_json: bool) -> Result<(), Exit> {
    let text = || Value::String(answer.to_owned());
    let answer = match answer.trim_start().starts_with(['{', '[', '"']) {
        true => serde_json::from_str(answer).unwrap_or_else(|_| text()),
        false => text(),
    };
    let path = format!("/v1/clarifications/{}/answer", encoded(id));
    let (_, told) = client.call(Method::POST, &path, Some(&json!({ "answer": answer, "by": by })), &[], WITHIN)?;
    if as_json {
        output::json(&told);
        return Ok(());
    }
    let execution = told["execution_id"].as_str().unwrap_or_default();
    output::note(format_args!("✓ answered; it goes on: greenroom executions {execution}"));
    Ok(())
}

/// The questions that wait for an answer, newest first.
pub(super) fn list(client: &Client, agent: Option<&str>, as_json: bool) -> Result<(), Exit> {
    let agent = agent.map(|agent| format!("&agent={}", encoded(agent))).unwrap_or_default();
    let list = client.get(&format!("/v1/clarifications?status=open{agent}"))?;
    if as_json {
        output::json(&list);
        return Ok(());
    }
    let asked = || list["items"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = asked()
        .map(|one| {
            let word = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
            vec![
                word("clarification_id"),
                word("agent"),
                word("asked_at"),
                output::one_line(&output::plain(&word("user_guidance")), 70),
                wanted(one),
            ]
        })
        .collect();
    output::answer(output::table(&["ID", "AGENT", "ASKED", "QUESTION", "ANSWER"], &rows));
    if list["next_cursor"].is_string() {
        output::note("There are more; --json has the cursor, or ask for those of one --agent.");
    }
    if !rows.is_empty() {
        output::note("Answer one: greenroom answer ID ANSWER.");
    }
    Ok(())
}

/// The questions of an execution, on which it waits.
pub(super) fn of(client: &Client, execution: &str) -> Result<(), Exit> {
    let list = client.get(&format!("/v1/clarifications?status=open&execution_id={}", encoded(execution)))?;
    match list["items"].as_array().is_some_and(Vec::is_empty) {
        // A coordinator waits for those who carry out its plan.
        true => tell(&client.get(&format!("/v1/plans/{}", encoded(execution)))?["questions"]),
        false => tell(&list["items"]),
    }
    Ok(())
}

/// Says what is asked, and how it is answered.
pub(super) fn tell(questions: &Value) {
    for one in questions.as_array().into_iter().flatten() {
        let word = |key: &str| one[key].as_str().unwrap_or_default();
        output::note(format_args!("? {}", output::plain(word("user_guidance")).replace('\n', "\n  ")));
        output::note(format_args!("  greenroom answer {} {}", word("clarification_id"), wanted(one)));
    }
}

/// What an answer may be.
fn wanted(question: &Value) -> String {
    let options = || question["options"].as_array().into_iter().flatten().filter_map(Value::as_str);
    match question["category"].as_str() {
        Some("multiple_choice") => options().map(|option| format!("{option:?}")).collect::<Vec<_>>().join(" | "),
        Some("user_verification" | "action") => "yes | no".to_owned(),
        _ => "ANSWER".to_owned(),
    }
}
