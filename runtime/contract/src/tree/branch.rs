//! From places in a row to a branch.

use std::{cmp::Ordering, sync::Arc};

use jiff::Timestamp;

use super::Place;

/// Orders paths so that each place is followed by everything under it. Plain text order is nearly that, but puts
/// `a-b` between `a` and `a/0`.
pub(super) fn in_tree_order(a: &str, b: &str) -> Ordering {
    let different = first_difference(a.as_bytes(), b.as_bytes());
    match different {
        None => a.len().cmp(&b.len()),
        Some((b'/', _)) => Ordering::Less,
        Some((_, b'/')) => Ordering::Greater,
        Some((a, b)) => a.cmp(&b),
    }
}

/// Eight bytes at a time: neighbours in the tree have long beginnings in common.
fn first_difference(a: &[u8], b: &[u8]) -> Option<(u8, u8)> {
    let shorter = a.len().min(b.len());
    let alike = a.chunks_exact(8).zip(b.chunks_exact(8)).take_while(|(a, b)| a == b).count() * 8;
    (alike..shorter).map(|at| (a[at], b[at])).find(|(a, b)| a != b)
}

/// Makes a branch of places without children, in any order. `None` if there is no place at all.
pub fn assemble(mut places: Vec<Arc<Place>>) -> Option<Place> {
    places.sort_by(|a, b| in_tree_order(&a.id, &b.id));
    branch(&places, Timestamp::now())
}

/// Makes the branch in one pass over places in tree order, the root first. A place whose parent is missing hangs under
/// the nearest that is there. `None` if there is no place at all.
pub(super) fn branch(places: &[Arc<Place>], now: Timestamp) -> Option<Place> {
    // The places from the root to the last one, each of which may still get children.
    let mut open: Vec<Place> = Vec::new();
    for place in places {
        while open.len() > 1 && open.last().is_some_and(|above| !is_under(&place.id, &above.id)) {
            close(&mut open);
        }
        let mut place = Place::clone(place);
        let up = now.duration_since(place.started_at).as_millis();
        place.uptime_ms = Some(u64::try_from(up).unwrap_or_default());
        open.push(place);
    }
    while open.len() > 1 {
        close(&mut open);
    }
    open.pop()
}

fn close(open: &mut Vec<Place>) {
    if let (Some(done), Some(parent)) = (open.pop(), open.last_mut()) {
        parent.children.push(done);
    }
}

pub(super) fn is_under(path: &str, above: &str) -> bool {
    above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}
