//! Which places of the tree are wanted. Those above a match stay, so that a match is seen in its place.

use greenroom_contract::{
    status::AgentStatus,
    tree::{NodeTree, Place, Tree},
};

/// Which places are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In one of these states; empty is any.
    pub status: Vec<AgentStatus>,
    /// With this text in path, kind or present work, whatever the case.
    pub text: Option<String>,
}

/// The tree with only the matching places and those above them. Nodes without a match are left out.
pub fn filter(tree: Tree, wanted: &Filter) -> Tree {
    if wanted.status.is_empty() && wanted.text.is_none() {
        return tree;
    }
    let text = wanted.text.as_ref().map(|text| text.to_lowercase());
    let matches = |place: &Place| {
        (wanted.status.is_empty() || wanted.status.contains(&place.status))
            && text.as_deref().is_none_or(|text| has_text(place, text))
    };
    let nodes = tree
        .nodes
        .into_iter()
        .filter_map(|node| Some(NodeTree { root: prune(node.root, &matches)?, ..node }))
        .collect();
    Tree { nodes, ..tree }
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
