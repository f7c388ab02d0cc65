//! `greenroom dlq`.

use super::{
    args::Dlq,
    client::{Client, encoded},
    exit::Exit,
    output,
};

pub(super) fn run(client: &Client, verb: Dlq, as_json: bool) -> Result<(), Exit> {
    match verb {
        Dlq::List { agent, replayed } => list(client, agent.as_deref(), replayed, as_json),
        Dlq::Show { id } => {
            output::json(&client.get(&format!("/v1/dead-letters/{id}"))?);
            Ok(())
        }
        Dlq::Replay { ids } => {
            for id in ids {
                let replayed = client.post(&format!("/v1/dead-letters/{id}/replay"))?;
                let as_what = replayed["execution_id"].as_str().or(replayed["event_id"].as_str()).unwrap_or_default();
                output::note(format_args!("✓ {id} is sent again as {as_what}"));
            }
            Ok(())
        }
        Dlq::Purge { ids } => {
            for id in ids {
                client.delete(&format!("/v1/dead-letters/{id}"))?;
                output::note(format_args!("✓ {id} is deleted"));
            }
            Ok(())
        }
    }
}

fn list(client: &Client, agent: Option<&str>, replayed: bool, as_json: bool) -> Result<(), Exit> {
    let agent = agent.map(|agent| format!("&agent={}", encoded(agent))).unwrap_or_default();
    let list = client.get(&format!("/v1/dead-letters?replayed={replayed}{agent}"))?;
    if as_json {
        output::json(&list);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            let word = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
            let why = format!(
                "{}: {}",
                one["reason"]["code"].as_str().unwrap_or("-"),
                one["reason"]["message"].as_str().unwrap_or("-")
            );
            vec![
                one["id"].to_string(),
                word("agent"),
                word("dead_at"),
                one["attempts"].to_string(),
                output::one_line(&why, 60),
                word("trace_id"),
            ]
        })
        .collect();
    output::answer(output::table(&["ID", "AGENT", "DIED", "TRIES", "WHY", "TRACE"], &rows));
    if !rows.is_empty() {
        output::note("See one: greenroom dlq show ID.  Send again: greenroom dlq replay ID.");
    }
    Ok(())
}
