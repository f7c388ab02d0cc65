//! The tree as text, for terminals and plain `curl`: glyph and word, aligned, with causes under what needs a person.

use greenroom_contract::{
    status::AgentStatus,
    tree::{NodeTree, Place, Tree},
};
use jiff::Timestamp;

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

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
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

/// `✖ failed       3/3 in 10m  next in 4s  inbox 7  llm openai/gpt-6-sol 2s`.
fn columns(place: &Place, now: Timestamp) -> String {
    let mut parts = vec![format!("{} {:<11}", glyph(place.status), place.status)];
    match place.budget {
        Some(budget) if budget.in_window > 0 => {
            let window = human(budget.window_ms as i64 / 1000);
            parts.push(format!("{}/{} restarts in {window}", budget.in_window, budget.max_restarts));
            if let Some(next_at) = budget.next_at.filter(|at| *at > now) {
                parts.push(format!("next in {}", human(next_at.duration_since(now).as_secs())));
            }
        }
        _ if place.restarts > 0 => parts.push(count(place.restarts as usize, "restart")),
        _ => {}
    }
    if place.inbox > 0 {
        parts.push(format!("inbox {}", place.inbox));
    }
    if let Some(work) = &place.work {
        parts.push(format!("{} {}", clean(&work.step), human(now.duration_since(work.since).as_secs())));
    }
    if place.kind == "node" {
        parts.push(format!("up {}", human(now.duration_since(place.started_at).as_secs())));
    }
    parts.join("  ").trim_end().to_owned()
}

/// The newest failure, where the place is in a state that it explains.
fn cause(place: &Place) -> Option<String> {
    if !matches!(place.status, AgentStatus::Failed | AgentStatus::Restarting | AgentStatus::Unavailable) {
        return None;
    }
    let past = place.failures.front()?;
    let trace = past.trace_id.map(|trace| format!("   trace {trace}")).unwrap_or_default();
    let message: String = clean(&past.failure.message).chars().take(160).collect();
    Some(format!("{}: {message}{trace}", clean(&past.failure.code)))
}

/// The two largest units: `45s`, `12m`, `2h11m`, `3d4h`.
fn human(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// One line without control characters: a failure's text must not move the reader's cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
