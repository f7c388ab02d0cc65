//! Where a reader of the tree's changes is, as the id of the last event that it has.

use greenroom_contract::{NodeId, port::operator::Scope};

/// The last change that was sent, of each ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Of what changed here.
    pub(super) here: u64,
    /// Of what was heard of other nodes.
    pub(super) elsewhere: u64,
}

impl Cursor {
    /// Not known any more, by anybody: its reader gets the whole tree.
    const OLD: Self = Self { here: 0, elsewhere: 0 };

    /// A reader of one node has a number. A reader of the cluster has those of the node that serves it, which mean nothing to
    /// another one.
    pub(super) fn written(self, scope: Scope, node: &NodeId) -> String {
        match scope {
            Scope::Node => self.here.to_string(),
            Scope::Cluster => format!("{node}:{}-{}", self.here, self.elsewhere),
        }
    }

    /// What is not understood is as good as what is not known any more.
    pub(super) fn read(id: &str, scope: Scope, node: &NodeId) -> Self {
        let read = || match scope {
            Scope::Node => Some(Self { here: id.parse().ok()?, elsewhere: 0 }),
            Scope::Cluster => {
                let (by, numbers) = id.rsplit_once(':')?;
                let (here, elsewhere) = numbers.split_once('-')?;
                let cursor = Self { here: here.parse().ok()?, elsewhere: elsewhere.parse().ok()? };
                (by == node.as_str()).then_some(cursor)
            }
        };
        read().unwrap_or(Self::OLD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_gave_an_id_knows_it() {
        let (one, two) = (NodeId::new("one-1"), NodeId::new("two"));
        let cursor = Cursor { here: 7, elsewhere: 9 };
        for scope in [Scope::Node, Scope::Cluster] {
            assert_eq!(Cursor::read(&cursor.written(scope, &one), scope, &one).here, 7);
        }
        let id = cursor.written(Scope::Cluster, &one);
        assert_eq!((id.as_str(), Cursor::read(&id, Scope::Cluster, &one)), ("one-1:7-9", cursor));
        assert_eq!(Cursor::read(&id, Scope::Cluster, &two), Cursor::OLD);
        for id in ["", "7", "one-1:7", "one-1:-", "one-1:x-y"] {
            assert_eq!(Cursor::read(id, Scope::Cluster, &one), Cursor::OLD, "{id}");
        }
        assert_eq!(Cursor::read("old", Scope::Node, &one), Cursor::OLD);
    }
}
