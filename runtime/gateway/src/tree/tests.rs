//! The tree as people see it.

use greenroom_contract::{
    ExecutionId, NodeId, TraceId,
    execution::Failure,
    status::AgentStatus,
    tree::{Budget, NodeTree, Place, Tree, Work},
};
use jiff::{SignedDuration, Timestamp};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn place(id: &str, kind: &str, status: AgentStatus, children: Vec<Place>) -> Place {
    Place { children, ..Place::new(id, kind, status, at(0)) }
}

fn sample() -> Tree {
    let trace_id: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
    let mut busy = place("agents/writer/0", "instance", AgentStatus::Running, vec![]);
    busy.inbox = 3;
    busy.inbox_capacity = Some(8);
    busy.inbox_oldest_at = Some(at(7810));
    busy.kills = 2;
    busy.quarantined = 1;
    busy.late_results = 1;
    busy.work = Some(Work {
        execution_id: ExecutionId::derived(&["x"]),
        trace_id,
        step: "llm openai/gpt-6-sol".into(),
        since: at(7000),
        deadline: at(9000),
        last_progress: at(7100),
    });
    let mut failed = place("agents/researcher", "agent", AgentStatus::Failed, vec![]);
    failed.restarts = 3;
    failed.budget = Some(Budget { in_window: 3, max_restarts: 3, window_ms: 600_000, next_at: Some(at(7904)) });
    failed.failures.push_front(greenroom_contract::tree::PastFailure {
        at: at(7000),
        failure: Failure::new("panicked", "boom\n\u{1b}[31mred \"quoted\""),
        trace_id: Some(trace_id),
    });
    let mut writer = place("agents/writer", "agent", AgentStatus::Running, vec![busy]);
    writer.restarts = 1;
    let agents = place("agents", "supervisor", AgentStatus::Running, vec![failed, writer]);
    let mut relay = place("relay", "service", AgentStatus::Idle, vec![]);
    relay.passivated = true;
    relay.failures.push_front(greenroom_contract::tree::PastFailure {
        at: at(7600),
        failure: Failure::new("bus", "gone"),
        trace_id: None,
    });
    let mut root = place("", "node", AgentStatus::Running, vec![agents, relay]);
    root.name = "n1".into();
    let lost = place("", "node", AgentStatus::Running, vec![]);
    Tree {
        complete: false,
        nodes: vec![
            NodeTree {
                node: NodeId::new("n1"),
                roles: vec!["gateway".into(), "autonomous".into()],
                reachable: true,
                version: 7,
                root,
            },
            NodeTree { node: NodeId::new("n2"), roles: vec![], reachable: false, version: 0, root: lost },
        ],
    }
}

fn names(place: &Place) -> Vec<&str> {
    let mut found = vec![place.name.as_str()];
    found.extend(place.children.iter().flat_map(names));
    found
}

#[test]
fn the_tree_reads_as_text() {
    let now = at(0) + SignedDuration::from_secs(7900);
    insta::assert_snapshot!(text(&sample(), now), @r#"
    greenroom · 2 nodes · 2 agents · 1 running  1 failed
    n1  gateway autonomous  ● running      up 2h11m
    ├─ agents  supervisor   ● running
    │  ├─ researcher        ✖ failed       3/3 restarts in 10m  next in 4s
    │  │    panicked: boom  [31mred "quoted"   trace 4bf92f3577b34da6a3ce929d0e0e4736
    │  └─ writer            ● running      1 restart
    │     └─ 0              ● running      inbox 3/8 oldest 1m  llm openai/gpt-6-sol 15m, 18m left  2 kills  1 task in quarantine  1 late result
    └─ relay  service       ○ idle         asleep  last failure 5m ago: bus
    n2                      ? unknown
    ! not every node answered; what is shown of those is their last known branch
    "#);
}

#[test]
fn an_empty_tree_says_so() {
    let tree = Tree { complete: true, nodes: vec![] };
    assert_eq!(text(&tree, at(0)), "greenroom · 0 nodes · 0 agents\nnothing matches\n");
}

#[test]
fn a_filter_keeps_what_stands_above_a_match() {
    let by_status = filter(sample(), &Filter { status: vec![AgentStatus::Failed], ..Filter::default() });
    assert_eq!(by_status.nodes.len(), 1);
    assert_eq!(names(&by_status.nodes[0].root), ["n1", "agents", "researcher"]);
    assert!(!by_status.complete, "a filter does not make an incomplete tree whole");

    let by_text = |text: &str| filter(sample(), &Filter { text: Some(text.into()), ..Filter::default() });
    assert_eq!(names(&by_text("WRITER").nodes[0].root), ["n1", "agents", "writer", "0"]);
    assert_eq!(names(&by_text("gpt-6").nodes[0].root), ["n1", "agents", "writer", "0"]);
    assert_eq!(names(&by_text("service").nodes[0].root), ["n1", "relay"]);
    assert!(by_text("nowhere").nodes.is_empty());

    let wanted = Filter { kinds: vec!["service".into(), "instance".into()], ..Filter::default() };
    assert_eq!(names(&filter(sample(), &wanted).nodes[0].root), ["n1", "agents", "writer", "0", "relay"]);
    let shallow = |depth| filter(sample(), &Filter { depth: Some(depth), ..Filter::default() });
    assert_eq!(names(&shallow(0).nodes[0].root), ["n1"]);
    assert_eq!(names(&shallow(1).nodes[0].root), ["n1", "agents", "relay"]);
    assert_eq!(names(&shallow(9).nodes[0].root).len(), 6);
    let both = Filter { kinds: vec!["instance".into()], depth: Some(2), ..Filter::default() };
    assert_eq!(names(&filter(sample(), &both).nodes[0].root), ["n1", "agents", "writer"]);
}

#[test]
fn the_tree_reads_as_a_diagram_that_a_name_cannot_break() {
    let mut tree = sample();
    tree.nodes[0].root.children[1].name = "a\"]<b>".into();
    let chart = mermaid(&tree, at(7900));
    assert!(chart.starts_with("flowchart LR\n  n0[\"n1<br/>● running<br/>up 2h11m\"]:::good\n"), "{chart}");
    assert!(chart.contains("writer<br/>● running<br/>1 restart\"]:::good"), "{chart}");
    assert!(chart.contains("<br/>inbox 3/8 oldest 1m<br/>llm openai/gpt-6-sol 15m, 18m left<br/>"), "{chart}");
    assert!(chart.contains("n0 --> n1\n"), "{chart}");
    assert!(chart.contains("[\"a#quot;]#lt;b#gt;<br/>○ idle<br/>asleep<br/>"), "{chart}");
    assert!(chart.contains("? unknown\"]:::off"), "{chart}");
}
