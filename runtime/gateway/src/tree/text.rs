//! The tree as text, for terminals and plain `curl`: glyph and word, aligned, with causes under what needs a person.

use greenroom_contract::{
    status::AgentStatus,
    tree::{NodeTree, Place, Tree},
};
use jiff::Timestamp;

use super::facts::{cause, clean, count, facts};

/// Labels wider than this push their own line's columns only.
const WIDEST_LABEL: usize = 60;

/// The sign that stands before a status word, so that neither colour nor language is needed.
pub fn glyph(status: AgentStatus) -> &'static str {
    match status {
        AgentStatus::Starting => "◌",
        AgentStatus::Running => "●",
        AgentStatus::Idle => "○",
        AgentStatus::Paused => "‖",
        AgentStatus::Restarting => "↻",
        AgentStatus::Failed => "✖",
        AgentStatus::Unavailable => "⊘",
        AgentStatus::Stopped => "·",
    }
}

/// The tree as text, as it is at `now`. Ends with a line break.
pub fn text(tree: &Tree, now: Timestamp) -> String {
    let mut lines = Vec::new();
    for node in &tree.nodes {
        node_lines(node, now, &mut lines);
    }
    let width = lines.iter().filter(|line| !line.columns.is_empty()).map(Line::label_width);
    let width = width.filter(|width| *width <= WIDEST_LABEL).max().unwrap_or(0);
    let mut out = summary(tree);
    out.push('\n');
    for line in &lines {
        out.push_str(&line.label);
        if !line.columns.is_empty() {
            out.extend(std::iter::repeat_n(' ', width.saturating_sub(line.label_width()) + 2));
            out.push_str(&line.columns);
        }
        out.push('\n');
    }
    if tree.nodes.is_empty() {
        out.push_str("nothing matches\n");
    }
    if !tree.complete {
        out.push_str("! not every node answered; what is shown of those is their last known branch\n");
    }
    out
}

struct Line {
    label: String,
    columns: String,
}

impl Line {
    fn label_width(&self) -> usize {
        self.label.chars().count()
    }
}

/// `greenroom · 1 node · 3 agents · 2 idle  1 failed`.
fn summary(tree: &Tree) -> String {
    let mut agents = Vec::new();
    for node in &tree.nodes {
        collect_agents(&node.root, &mut agents);
    }
    let mut parts = vec!["greenroom".to_owned(), count(tree.nodes.len(), "node"), count(agents.len(), "agent")];
    let by_status: Vec<String> = AgentStatus::ALL
        .iter()
        .map(|status| (status, agents.iter().filter(|found| *found == status).count()))
        .filter(|(_, number)| *number > 0)
        .map(|(status, number)| format!("{number} {status}"))
        .collect();
    if !by_status.is_empty() {
        parts.push(by_status.join("  "));
    }
    parts.join(" · ")
}

fn collect_agents(place: &Place, agents: &mut Vec<AgentStatus>) {
    if place.kind == "agent" {
        agents.push(place.status);
    }
    for child in &place.children {
        collect_agents(child, agents);
    }
}

fn node_lines(node: &NodeTree, now: Timestamp, lines: &mut Vec<Line>) {
    let label = if node.roles.is_empty() {
        clean(node.node.as_str())
    } else {
        format!("{}  {}", clean(node.node.as_str()), clean(&node.roles.join(" ")))
    };
    let columns = if node.reachable { columns(&node.root, now) } else { "? unknown".to_owned() };
    lines.push(Line { label, columns });
    child_lines(&node.root, "", now, lines);
}

fn child_lines(parent: &Place, indent: &str, now: Timestamp, lines: &mut Vec<Line>) {
    let last = parent.children.len().saturating_sub(1);
    for (index, place) in parent.children.iter().enumerate() {
        let (branch, below) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let kind = match place.kind.as_str() {
            "agent" | "instance" => String::new(),
            kind => format!("  {}", clean(kind)),
        };
        lines.push(Line {
            label: format!("{indent}{branch}{}{kind}", clean(&place.name)),
            columns: columns(place, now),
        });
        let below = format!("{indent}{below}");
        if let Some(cause) = cause(place) {
            lines.push(Line { label: format!("{below}  {cause}"), columns: String::new() });
        }
        child_lines(place, &below, now, lines);
    }
}

/// `✖ failed       3/3 restarts in 10m  next in 4s  inbox 7`.
fn columns(place: &Place, now: Timestamp) -> String {
    let mut parts = vec![format!("{} {:<11}", glyph(place.status), place.status)];
    parts.extend(facts(place, now));
    parts.join("  ").trim_end().to_owned()
}
