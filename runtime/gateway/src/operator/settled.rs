//! What is told of a batch of changes.

use std::collections::HashMap;

use greenroom_contract::{
    NodeId,
    tree::{Change, ChangeKind, News},
};
use serde::Serialize;

/// News with the node that they are of.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Told {
    pub(super) node: NodeId,
    #[serde(flatten)]
    pub(super) news: News,
}

impl Told {
    /// The event's name.
    pub(super) fn kind(&self) -> &'static str {
        match &self.news {
            News::Place(change) => change.kind.as_str(),
            News::Node { .. } => "node",
            News::Left { .. } => "node_left",
        }
    }

    fn change(&self) -> Option<&Change> {
        match &self.news {
            News::Place(change) => Some(change),
            News::Node { .. } | News::Left { .. } => None,
        }
    }
}

/// Leaves out changes of status that a later one of the same place in this batch has overtaken.
pub(super) fn settled<At>(told: Vec<(Told, At)>) -> impl Iterator<Item = (Told, At)> {
    let mut last: HashMap<(&str, &str), u64> = HashMap::new();
    for (told, change) in told.iter().filter_map(|(told, _)| Some((told, told.change()?))) {
        last.insert((told.node.as_str(), &change.path), change.seq);
    }
    let overtaken = |told: &Told| {
        told.change().is_some_and(|change| {
            let newest = last.get(&(told.node.as_str(), change.path.as_str()));
            change.kind == ChangeKind::Status && newest != Some(&change.seq)
        })
    };
    let keep: Vec<bool> = told.iter().map(|(told, _)| !overtaken(told)).collect();
    told.into_iter().zip(keep).filter_map(|(told, keep)| keep.then_some(told))
}
