//! A tool server's place in the supervision tree, over all the sets and versions that have such a server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use greenroom_contract::{execution::Failure, status::AgentStatus, tree::Table};

/// The places that tool servers have now. While an agent's next version takes over, two servers have one path: the
/// later one speaks, and what the earlier one does is not told any more. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Seats {
    table: Option<Table>,
    taken: Arc<Mutex<HashMap<String, u64>>>,
}

impl Seats {
    pub(super) fn new(table: Option<Table>) -> Self {
        Self { table, taken: Arc::default() }
    }

    /// Takes the place; it leaves the tree when the seat is dropped.
    pub(super) fn take(&self, path: String) -> Seat {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = taken.get(&path).map_or(0, |turn| turn + 1);
        taken.insert(path.clone(), turn);
        if let Some(table) = &self.table {
            table.enter(&path, "tool_server", AgentStatus::Starting);
        }
        Seat { seats: self.clone(), path, turn }
    }
}

/// A place.
pub(super) struct Seat {
    seats: Seats,
    path: String,
    turn: u64,
}

impl Seat {
    /// The server answers.
    pub(super) fn up(&self) {
        self.tell(|table| table.status(&self.path, AgentStatus::Running));
    }

    /// The server is down for this reason, and is tried again.
    pub(super) fn down(&self, reason: &str) {
        self.tell(|table| {
            table.failed(&self.path, Failure::new("tool_server_down", reason), None);
            table.status(&self.path, AgentStatus::Restarting);
        });
    }

    /// Another life of the server begins.
    pub(super) fn again(&self) {
        self.tell(|table| {
            table.enter(&self.path, "tool_server", AgentStatus::Running);
            table.update(&self.path, |place| place.restarts += 1);
        });
    }

    fn tell(&self, tell: impl FnOnce(&Table)) {
        let taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = &self.seats.table
            && taken.get(&self.path) == Some(&self.turn)
        {
            tell(table);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.get(&self.path) == Some(&self.turn) {
            taken.remove(&self.path);
            if let Some(table) = &self.seats.table {
                table.bury(&self.path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use greenroom_contract::NodeId;

    use super::*;

    #[test]
    fn the_later_of_two_servers_at_one_place_speaks() {
        let table = Table::new(&NodeId::new("n"));
        let seats = Seats::new(Some(table.clone()));
        let status = || table.place("agents/a/mcp/files").unwrap().status;
        let earlier = seats.take("agents/a/mcp/files".to_owned());
        earlier.up();
        let later = seats.take("agents/a/mcp/files".to_owned());
        later.up();
        earlier.down("it is of yesterday");
        drop(earlier);
        assert_eq!(status(), AgentStatus::Running);
        later.down("it exited");
        assert_eq!(status(), AgentStatus::Restarting);
        later.again();
        let place = table.place("agents/a/mcp/files").unwrap();
        assert_eq!((place.restarts, place.status), (1, AgentStatus::Running));
        assert_eq!(place.failures[0].failure.message, "it exited");
        drop(later);
        assert_eq!(status(), AgentStatus::Stopped);
    }
}
