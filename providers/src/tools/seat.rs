//! A tool server's place in the supervision tree, over all the sets and versions that have such a server.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use greenroom_contract::{execution::Failure, status::AgentStatus, tree::Table};

const KIND: &str = "tool_server";

/// The places that tool servers have now. Several servers may sit at one path: while an agent's next version takes over, or
/// an execution is finished on an older one. The last to come speaks, and what the others do is not told; when it goes, the
/// one that came before it speaks again. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Seats {
    table: Option<Table>,
    turns: Arc<AtomicU64>,
    taken: Arc<Mutex<HashMap<String, Vec<Sitter>>>>,
}

/// Who sits somewhere, and how it is, whether that is told or not.
struct Sitter {
    turn: u64,
    status: AgentStatus,
}

impl Seats {
    pub(super) fn new(table: Option<Table>) -> Self {
        Self { table, ..Self::default() }
    }

    /// Takes the place; it leaves the tree when the last seat there is dropped.
    pub(super) fn take(&self, path: String) -> Seat {
        // No number is given twice: an old seat that is dropped is not taken for a new one.
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.entry(path.clone()).or_default().push(Sitter { turn, status: AgentStatus::Starting });
        if let Some(table) = &self.table {
            table.enter(&path, KIND, AgentStatus::Starting);
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
        self.tell(AgentStatus::Running, |table| table.status(&self.path, AgentStatus::Running));
    }

    /// The server is down for this reason, and is tried again.
    pub(super) fn down(&self, reason: &str) {
        self.tell(AgentStatus::Restarting, |table| {
            table.failed(&self.path, Failure::new("tool_server_down", reason), None);
            table.status(&self.path, AgentStatus::Restarting);
        });
    }

    /// Another life of the server begins.
    pub(super) fn again(&self) {
        self.tell(AgentStatus::Running, |table| {
            table.enter(&self.path, KIND, AgentStatus::Running);
            table.update(&self.path, |place| place.restarts += 1);
        });
    }

    /// Notes how the server is, and tells it if this seat is the one that speaks.
    fn tell(&self, status: AgentStatus, tell: impl FnOnce(&Table)) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sitters) = taken.get_mut(&self.path) else { return };
        let last = sitters.last().map(|sitter| sitter.turn);
        if let Some(own) = sitters.iter_mut().find(|sitter| sitter.turn == self.turn) {
            own.status = status;
        }
        if let Some(table) = &self.seats.table
            && last == Some(self.turn)
        {
            tell(table);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sitters) = taken.get_mut(&self.path) else { return };
        let spoke = sitters.last().is_some_and(|sitter| sitter.turn == self.turn);
        sitters.retain(|sitter| sitter.turn != self.turn);
        let next = sitters.last().map(|sitter| sitter.status);
        if next.is_none() {
            taken.remove(&self.path);
        }
        let Some(table) = &self.seats.table else { return };
        match next {
            None => table.bury(&self.path),
            // Entered again, because the agent's branch may have been buried meanwhile.
            Some(status) if spoke => table.enter(&self.path, KIND, status),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use greenroom_contract::NodeId;

    use super::*;

    const PATH: &str = "agents/a/mcp/files";

    fn seats() -> (Table, Seats) {
        let table = Table::new(&NodeId::new("n"));
        let seats = Seats::new(Some(table.clone()));
        (table, seats)
    }

    fn status(table: &Table) -> AgentStatus {
        table.place(PATH).unwrap().status
    }

    #[test]
    fn the_later_of_two_servers_at_one_place_speaks() {
        let (table, seats) = seats();
        let earlier = seats.take(PATH.to_owned());
        earlier.up();
        let later = seats.take(PATH.to_owned());
        later.up();
        earlier.down("it is of yesterday");
        drop(earlier);
        assert_eq!(status(&table), AgentStatus::Running);
        later.down("it exited");
        assert_eq!(status(&table), AgentStatus::Restarting);
        later.again();
        let place = table.place(PATH).unwrap();
        assert_eq!((place.restarts, place.status), (1, AgentStatus::Running));
        assert_eq!(place.failures[0].failure.message, "it exited");
        drop(later);
        assert_eq!(status(&table), AgentStatus::Stopped);
    }

    #[test]
    fn one_that_never_took_over_leaves_the_place_to_the_present_one() {
        let (table, seats) = seats();
        let present = seats.take(PATH.to_owned());
        present.up();
        // It could not be started.
        drop(seats.take(PATH.to_owned()));
        assert_eq!(status(&table), AgentStatus::Running);
        // It was started, and is not used.
        let unused = seats.take(PATH.to_owned());
        unused.up();
        drop(unused);
        assert_eq!(status(&table), AgentStatus::Running);
        present.down("it exited");
        assert_eq!(status(&table), AgentStatus::Restarting, "it speaks again");
    }

    #[test]
    fn what_happened_to_the_present_one_meanwhile_is_told_afterwards() {
        let (table, seats) = seats();
        let present = seats.take(PATH.to_owned());
        assert_eq!(status(&table), AgentStatus::Starting);
        let older = seats.take(PATH.to_owned());
        older.up();
        drop(older);
        assert_eq!(status(&table), AgentStatus::Starting, "it is still being started");
        present.up();
        let older = seats.take(PATH.to_owned());
        older.up();
        present.down("it exited");
        assert_eq!(status(&table), AgentStatus::Running);
        drop(older);
        assert_eq!(status(&table), AgentStatus::Restarting);
        // Also where the branch was buried: the place is there again.
        let older = seats.take(PATH.to_owned());
        table.bury("agents/a");
        drop(older);
        assert_eq!(status(&table), AgentStatus::Restarting);
    }

    #[test]
    fn a_number_is_not_given_twice() {
        let (table, seats) = seats();
        let first = seats.take(PATH.to_owned());
        let second = seats.take(PATH.to_owned());
        drop(second);
        let third = seats.take(PATH.to_owned());
        third.up();
        drop(first);
        assert_eq!(status(&table), AgentStatus::Running);
        third.down("it exited");
        assert_eq!(status(&table), AgentStatus::Restarting);
        let fourth = seats.take(PATH.to_owned());
        fourth.up();
        drop(third);
        assert_eq!(status(&table), AgentStatus::Running, "an old one buries no new one");
        drop(fourth);
        assert_eq!(status(&table), AgentStatus::Stopped);
    }
}
