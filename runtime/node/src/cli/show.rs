//! `greenroom tree` (once), `ps`, `healthcheck`, and the verbs on one agent.

use serde_json::Value;

use super::{
    client::{Client, encoded},
    exit::Exit,
    output,
    watch::watch,
};

/// Options of `tree`.
pub(super) struct TreeView {
    pub(super) watch: bool,
    pub(super) mermaid: bool,
    pub(super) status: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) depth: Option<u32>,
    pub(super) q: Option<String>,
    pub(super) json: bool,
}

pub(super) fn tree(client: &Client, view: &TreeView) -> Result<(), Exit> {
    let format = match (view.json, view.mermaid) {
        (true, _) => "json",
        (false, true) => "mermaid",
        (false, false) => "text",
    };
    let mut path = format!("/v1/tree?format={format}");
    let depth = view.depth.map(|depth| depth.to_string());
    for (key, value) in [("status", &view.status), ("kind", &view.kind), ("depth", &depth), ("q", &view.q)] {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={}", encoded(value)));
        }
    }
    if view.watch {
        return watch(client, &path);
    }
    output::answer(client.get_text(&path)?.trim_end());
    Ok(())
}

pub(super) fn ps(client: &Client, status: Option<&str>, as_json: bool) -> Result<(), Exit> {
    let query = status.map(|status| format!("?status={}", encoded(status))).unwrap_or_default();
    let list = client.get(&format!("/v1/agents{query}"))?;
    if as_json {
        output::json(&list);
        return Ok(());
    }
    let word = |agent: &Value, key: &str| agent[key].as_str().unwrap_or_default().to_owned();
    let number = |agent: &Value, key: &str| agent[key].as_u64().unwrap_or_default().to_string();
    let rows: Vec<Vec<String>> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|agent| {
            let why = agent["reason"]["message"].as_str().unwrap_or_default();
            vec![
                word(agent, "name"),
                word(agent, "execution_mode"),
                word(agent, "status"),
                number(agent, "running"),
                number(agent, "restarts"),
                word(agent, "model"),
                nodes(agent),
                output::one_line(why, 60),
            ]
        })
        .collect();
    output::answer(output::table(&["AGENT", "MODE", "STATUS", "RUNNING", "RESTARTS", "MODEL", "NODE", "WHY"], &rows));
    Ok(())
}

/// The nodes that run an agent.
fn nodes(agent: &Value) -> String {
    let names = agent["nodes"].as_array().into_iter().flatten().filter_map(|on| on["node"].as_str());
    names.collect::<Vec<_>>().join(",")
}

pub(super) fn tell(client: &Client, agent: &str, verb: &str, done: &str) -> Result<(), Exit> {
    client.post(&format!("/v1/agents/{}/{verb}", encoded(agent)))?;
    output::note(format_args!("✓ {agent} {done}.  Next: greenroom ps"));
    Ok(())
}

pub(super) fn healthcheck(client: &Client) -> Result<(), Exit> {
    let (status, text) = client.probe("/health/ready")?;
    if status.is_success() { Ok(()) } else { Err(Exit::failed(format!("not ready: {}", text.trim()))) }
}
