//! Which places of the tree are wanted. Those above a match stay, so that a match is seen in its place.

use greenroom_contract::{
    status::AgentStatus,
    tree::{NodeTree, Place, Tree},
};

/// Which places are wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// In one of these states; empty is any.
    pub status: Vec<AgentStatus>,
    /// Of one of these kinds; empty is any.
    pub kinds: Vec<String>,
    /// With this text in path, kind or present work, whatever the case.
    pub text: Option<String>,
    /// Not more than so many levels under each node; what stands deeper still counts as a match of what is above it.
    pub depth: Option<usize>,
}

/// The tree with only the matching places and those above them. Nodes without a match are left out.
pub fn filter(mut tree: Tree, wanted: &Filter) -> Tree {
    let text = wanted.text.as_ref().map(|text| text.to_lowercase());
    let matches = |place: &Place| {
        (wanted.status.is_empty() || wanted.status.contains(&place.status))
            && (wanted.kinds.is_empty() || wanted.kinds.contains(&place.kind))
            && text.as_deref().is_none_or(|text| has_text(place, text))
    };
    if !wanted.status.is_empty() || !wanted.kinds.is_empty() || text.is_some() {
        let pruned = |node: NodeTree| Some(NodeTree { root: prune(node.root, &matches)?, ..node });
        tree.nodes = tree.nodes.into_iter().filter_map(pruned).collect();
    }
    if let Some(depth) = wanted.depth {
        tree.nodes.iter_mut().for_each(|node| cut(&mut node.root, depth));
    }
    tree
}

fn cut(place: &mut Place, depth: usize) {
    match depth.checked_sub(1) {
        Some(below) => place.children.iter_mut().for_each(|child| cut(child, below)),
        None => place.children.clear(),
    }
}

fn prune(mut place: Place, matches: &impl Fn(&Place) -> bool) -> Option<Place> {
    place.children = place.children.into_iter().filter_map(|child| prune(child, matches)).collect();
    (!place.children.is_empty() || matches(&place)).then_some(place)
}

fn has_text(place: &Place, text: &str) -> bool {
    let mut fields = [place.id.as_str(), &place.name, &place.kind].into_iter();
    fields.any(|field| field.to_lowercase().contains(text))
        || place.work.as_ref().is_some_and(|work| {
            work.step.to_lowercase().contains(text)
                || work.execution_id.to_string().contains(text)
                || work.trace_id.to_string().contains(text)
        })
}
