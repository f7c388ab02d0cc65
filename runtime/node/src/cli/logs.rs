//! `greenroom logs`: the log files in the data folder, newest last.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader},
};

use greenroom_config::NodeConfig;
use serde_json::Value;

use super::{exit::Exit, output};
use crate::telemetry::LOG_FILE_PREFIX;

pub(super) fn logs(
    config: &NodeConfig,
    trace: Option<String>,
    agent: Option<String>,
    tail: usize,
    as_json: bool,
) -> Result<(), Exit> {
    let folder = config.data_dir.join("logs");
    let listing = std::fs::read_dir(&folder).map_err(|error| {
        Exit::not_found(format!("{}: no logs here ({error}); is GREENROOM_DATA_DIR the node's?", folder.display()))
    })?;
    let mut files: Vec<_> = listing
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LOG_FILE_PREFIX)))
        .collect();
    // Their names end in the date.
    files.sort();
    let mut lines = VecDeque::new();
    for file in files {
        for line in BufReader::new(File::open(&file)?).lines() {
            let Ok(value) = serde_json::from_str::<Value>(&line?) else { continue };
            let of_trace =
                trace.as_ref().is_none_or(|id| value["trace_id"].as_str().is_some_and(|t| t.starts_with(id.as_str())));
            let of_agent = agent.as_ref().is_none_or(|name| value["agent"] == name.as_str());
            if of_trace && of_agent {
                lines.push_back(value);
                if lines.len() > tail {
                    lines.pop_front();
                }
            }
        }
    }
    for line in &lines {
        output::answer(if as_json { line.to_string() } else { pretty(line) });
    }
    match (lines.is_empty(), trace) {
        (true, Some(trace)) => Err(Exit::not_found(format!("no line has trace id {trace} in {}", folder.display()))),
        _ => Ok(()),
    }
}

fn pretty(line: &Value) -> String {
    let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let time = word("timestamp").get(11..23).unwrap_or_default().to_owned();
    let known = ["timestamp", "level", "component", "message", "trace_id"];
    let rest: Vec<String> = line
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !known.contains(&key.as_str()))
        .map(|(key, value)| format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    format!("{time}  {:<5}  {:<22}  {}  {}", word("level"), short(&word("component")), word("message"), rest.join(" "))
}

/// A component without the crate's family name.
fn short(component: &str) -> String {
    let mut parts = component.trim_start_matches("greenroom_").split("::");
    let first = parts.next().unwrap_or_default();
    match parts.next() {
        Some(second) => format!("{first}::{second}"),
        None => first.to_owned(),
    }
}
