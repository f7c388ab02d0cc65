//! The branch as JSON, written straight from the table: ten thousand agents are ten megabytes, which would otherwise be
//! copied into a tree first only to be written and thrown away.

use std::{io::Write, sync::Arc};

use jiff::Timestamp;

use super::{Place, branch::is_under};
use crate::id::NodeId;

/// What a place without children ends with; there its uptime goes in, and its children.
const NO_CHILDREN: &[u8] = b"\"children\":[]}";
/// About what a place takes, so that the text seldom has to move while it grows.
const PLACE_BYTES: usize = 512;

/// Appends the tree of one node, as [`super::Tree`] is written.
pub(super) fn write_tree(
    node: &NodeId,
    roles: &[String],
    version: u64,
    places: &[Arc<Place>],
    now: Timestamp,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let node = serde_json::json!({ "node": node, "roles": roles, "reachable": true, "version": version }).to_string();
    out.extend_from_slice(b"{\"complete\":true,\"nodes\":[");
    // The branch stands inside this object.
    out.extend_from_slice(node.trim_end_matches('}').as_bytes());
    out.extend_from_slice(b",\"root\":");
    write(places, now, out)?;
    out.extend_from_slice(b"}]}");
    Ok(())
}

/// Appends the branch that these places make, as [`super::branch::branch`] makes it: they stand in tree order, the root first.
fn write(places: &[Arc<Place>], now: Timestamp, out: &mut Vec<u8>) -> serde_json::Result<()> {
    out.reserve(places.len() * PLACE_BYTES);
    // The places from the root to the last one, each of which may still get children.
    let mut open: Vec<&str> = Vec::new();
    for place in places {
        let mut has_elder = false;
        while open.len() > 1 && open.last().is_some_and(|above| !is_under(&place.id, above)) {
            out.extend_from_slice(b"]}");
            open.pop();
            has_elder = true;
        }
        if has_elder {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, &**place)?;
        debug_assert!(out.ends_with(NO_CHILDREN), "a place in the table has no children, and they are written last");
        out.truncate(out.len() - NO_CHILDREN.len());
        let up = u64::try_from(now.duration_since(place.started_at).as_millis()).unwrap_or_default();
        // Writing into a `Vec` does not fail.
        write!(out, "\"uptime_ms\":{up},\"children\":[").map_err(serde_json::Error::io)?;
        open.push(&place.id);
    }
    for _ in open {
        out.extend_from_slice(b"]}");
    }
    Ok(())
}
