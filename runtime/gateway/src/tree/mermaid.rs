//! The tree as a Mermaid flow chart, for pages that draw it.

use std::fmt::Write;

use greenroom_contract::{
    status::AgentStatus,
    tree::{Place, Tree},
};

use jiff::Timestamp;

use super::{
    facts::{cause, facts},
    text::glyph,
};

/// The tree as a Mermaid flow chart, as it is at `now`.
pub fn mermaid(tree: &Tree, now: Timestamp) -> String {
    let mut chart = Chart { out: "flowchart LR\n".to_owned(), count: 0, now };
    for node in &tree.nodes {
        chart.place(&node.root, None, node.reachable);
    }
    chart.out.push_str("  classDef good fill:#d8f3dc,stroke:#2d6a4f\n");
    chart.out.push_str("  classDef wait fill:#fff3bf,stroke:#b08900\n");
    chart.out.push_str("  classDef bad fill:#ffe3e3,stroke:#c92a2a\n");
    chart.out.push_str("  classDef off fill:#e9ecef,stroke:#868e96\n");
    chart.out
}

struct Chart {
    out: String,
    count: usize,
    now: Timestamp,
}

impl Chart {
    fn place(&mut self, place: &Place, parent: Option<usize>, reachable: bool) {
        let me = self.count;
        self.count += 1;
        let (glyph, word) = if reachable { (glyph(place.status), place.status.as_str()) } else { ("?", "unknown") };
        let class = if reachable { class(place.status) } else { "off" };
        let mut label = format!("{}<br/>{glyph} {word}", escape(&place.name));
        for fact in facts(place, self.now).into_iter().chain(cause(place)).filter(|_| reachable) {
            label.push_str("<br/>");
            label.push_str(&escape(&fact));
        }
        // Writing to a String does not fail.
        writeln!(self.out, "  n{me}[\"{label}\"]:::{class}").ok();
        if let Some(parent) = parent {
            writeln!(self.out, "  n{parent} --> n{me}").ok();
        }
        for child in &place.children {
            self.place(child, Some(me), reachable);
        }
    }
}

fn class(status: AgentStatus) -> &'static str {
    match status {
        AgentStatus::Running | AgentStatus::Idle => "good",
        AgentStatus::Starting | AgentStatus::Paused | AgentStatus::Restarting => "wait",
        AgentStatus::Failed | AgentStatus::Unavailable => "bad",
        AgentStatus::Stopped => "off",
    }
}

/// Mermaid's own entities, so that a name cannot end its label.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => safe.push_str("#quot;"),
            '<' => safe.push_str("#lt;"),
            '>' => safe.push_str("#gt;"),
            '#' => safe.push_str("#35;"),
            '`' => safe.push_str("#96;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
