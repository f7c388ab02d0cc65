//! `greenroom nodes`: who is in the cluster.

use serde_json::Value;

use super::{client::Client, exit::Exit, output};

pub(super) fn nodes(client: &Client, as_json: bool) -> Result<(), Exit> {
    let list = client.get("/v1/nodes")?;
    if as_json {
        output::json(&list);
        return Ok(());
    }
    let word = |node: &Value, key: &str| node[key].as_str().unwrap_or("-").to_owned();
    let roles = |node: &Value| {
        let words: Vec<&str> = node["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if words.is_empty() { "-".to_owned() } else { words.join(",") }
    };
    let rows: Vec<Vec<String>> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|node| {
            let seen = if node["reachable"].as_bool().unwrap_or(false) { "reachable" } else { "unheard" };
            let lease = match node["lease_alive"].as_bool() {
                Some(true) => "alive",
                Some(false) => "run out",
                None => "-",
            };
            vec![
                word(node, "node"),
                roles(node),
                seen.to_owned(),
                lease.to_owned(),
                node["agents"].as_u64().unwrap_or_default().to_string(),
                node["running"].as_u64().unwrap_or_default().to_string(),
                word(node, "addr"),
                word(node, "version"),
            ]
        })
        .collect();
    let columns = ["NODE", "ROLES", "HEARD", "LEASE", "AGENTS", "RUNNING", "ADDRESS", "VERSION"];
    output::answer(output::table(&columns, &rows));
    Ok(())
}
