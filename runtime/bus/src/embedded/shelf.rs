//! The head of a queue in memory: what is ready, what is out, and how far the disk was read. Pure: no I/O, no time.
//!
//! ```text
//!   of one priority:   … gone │ out, or on the shelf │ on disk only │ not yet confirmed …
//!                                                    ▲              ▲
//!                                                  cursor       committed
//! ```
//!
//! Ids grow in the order of commits, so every message at or before the cursor was read once and is never read by page again.

use std::{cmp::Reverse, collections::BTreeMap};

use greenroom_contract::{Event, execution::Failure, port::bus::Death};

use super::arrivals::{Landed, PRIORITIES};

/// How many messages are put on a shelf straight from their publication.
pub(super) const WINDOW: usize = 256;
/// How many messages that came back are read at once.
const LOAD: usize = 32;

/// A message's position in its queue: the more urgent first, then the older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    urgency: Reverse<u8>,
    pub(super) id: i64,
}

impl Place {
    pub(super) fn new(priority: u8, id: i64) -> Self {
        Self { urgency: Reverse(priority), id }
    }

    fn priority(self) -> usize {
        usize::from(self.urgency.0)
    }
}

/// What is kept of a message besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) rejections: u32,
    /// In milliseconds since the epoch.
    pub(super) published_at: i64,
}

/// A message's content.
#[derive(Debug)]
pub(super) enum Letter {
    /// It is read when its turn comes.
    OnDisk,
    Event(Box<Event>),
    /// Not an event that this build can read.
    Unreadable(Failure),
    /// From the dead letters.
    Dead {
        body: Vec<u8>,
        death: Box<Death>,
    },
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) facts: Facts,
    pub(super) letter: Letter,
}

/// A message as it was read.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) slot: Slot,
}

/// What the shelf asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// The first message can be handed out.
    Ready {
        place: Place,
        unreadable: bool,
    },
    Read(Want),
}

/// What is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    /// The messages of a priority behind `after`. Everything up to `known` is committed.
    Page { priority: u8, after: i64, known: i64 },
    /// Messages that came back.
    These(Vec<i64>),
}

#[derive(Debug)]
pub(super) struct Shelf {
    ready: BTreeMap<Place, Slot>,
    out: usize,
    cursor: [i64; PRIORITIES],
    committed: [i64; PRIORITIES],
    /// A commit behind the cursor whose outcome was not told: look.
    doubt: [bool; PRIORITIES],
}

impl Shelf {
    /// A shelf whose messages, up to these, are all on disk.
    pub(super) fn new(committed: [i64; PRIORITIES]) -> Self {
        Self { ready: BTreeMap::new(), out: 0, cursor: [0; PRIORITIES], committed, doubt: [false; PRIORITIES] }
    }

    /// How many were taken and not settled.
    pub(super) fn out(&self) -> usize {
        self.out
    }

    /// A message was committed. It goes on the shelf from memory, if it is given and nothing unread stands before it.
    pub(super) fn arrived(&mut self, priority: u8, landed: Landed, slot: Option<Slot>) {
        let p = usize::from(priority);
        self.committed[p] = self.committed[p].max(landed.id);
        let follows = landed.previous == self.cursor[p] && landed.id > self.cursor[p];
        if let Some(slot) = slot
            && follows
            && self.ready.len() < WINDOW
        {
            self.ready.insert(Place::new(priority, landed.id), slot);
            self.cursor[p] = landed.id;
        }
    }

    /// Something may have been committed that nobody told of.
    pub(super) fn suspect(&mut self, newest: [i64; PRIORITIES]) -> bool {
        for (p, newest) in newest.into_iter().enumerate() {
            self.doubt[p] |= newest > self.cursor[p];
        }
        self.doubt.contains(&true)
    }

    pub(super) fn next(&self) -> Next {
        let first = self.ready.first_key_value();
        let ready = first.map(|(place, _)| place.priority());
        let unread = (0..PRIORITIES).rev().find(|p| self.doubt[*p] || self.committed[*p] > self.cursor[*p]);
        match (first, unread) {
            // What stands on the shelf is older than what is unread of the same priority.
            (_, Some(p)) if ready.is_none_or(|ready| p > ready) => {
                let (after, known) = (self.cursor[p], self.committed[p]);
                Next::Read(Want::Page { priority: p as u8, after, known })
            }
            (Some((_, Slot { letter: Letter::OnDisk, .. })), _) => {
                let came_back = self.ready.iter().take_while(|(_, slot)| matches!(slot.letter, Letter::OnDisk));
                Next::Read(Want::These(came_back.take(LOAD).map(|(place, _)| place.id).collect()))
            }
            (Some((place, slot)), _) => {
                Next::Ready { place: *place, unreadable: matches!(slot.letter, Letter::Unreadable(_)) }
            }
            (None, _) => Next::Nothing,
        }
    }

    /// A read begins: doubts that come up from now on are not about what it sees.
    pub(super) fn begin(&mut self, want: &Want) {
        if let Want::Page { priority, .. } = want {
            self.doubt[usize::from(*priority)] = false;
        }
    }

    /// A read failed: it must be made again.
    pub(super) fn failed(&mut self, want: &Want) {
        if let Want::Page { priority, .. } = want {
            self.doubt[usize::from(*priority)] = true;
        }
    }

    /// A read ended. `whole` says that there was no more to read.
    pub(super) fn stock(&mut self, want: &Want, rows: Vec<Row>, whole: bool) {
        match want {
            Want::Page { priority, after, known } => {
                let p = usize::from(*priority);
                if let Some(last) = rows.last() {
                    // What was read is committed, whether its publisher has told of it or not.
                    self.committed[p] = self.committed[p].max(last.id);
                }
                if self.cursor[p] < *after {
                    // The shelf was cleared meanwhile: what stood before these would be left out.
                    return;
                }
                for row in rows {
                    if row.id > self.cursor[p] {
                        self.cursor[p] = row.id;
                        self.ready.insert(Place::new(*priority, row.id), row.slot);
                    }
                }
                if whole {
                    self.cursor[p] = self.cursor[p].max(*known);
                } else {
                    self.doubt[p] = true;
                }
            }
            Want::These(ids) => {
                let mut rows: BTreeMap<i64, Slot> = rows.into_iter().map(|row| (row.id, row.slot)).collect();
                self.ready.retain(|place, slot| {
                    if !matches!(slot.letter, Letter::OnDisk) || !ids.contains(&place.id) {
                        return true;
                    }
                    match rows.remove(&place.id) {
                        Some(read) => {
                            *slot = read;
                            true
                        }
                        // It was settled after all, unless the read ended before it.
                        None => !whole,
                    }
                });
            }
        }
    }

    /// Takes a message off the shelf; it is out until it is settled or put back.
    pub(super) fn take(&mut self, place: Place) -> Option<Slot> {
        let slot = self.ready.remove(&place)?;
        self.out += 1;
        Some(slot)
    }

    /// What was out is ready again, where it stood.
    pub(super) fn put_back(&mut self, place: Place, facts: Facts) {
        self.out = self.out.saturating_sub(1);
        self.ready.insert(place, Slot { facts, letter: Letter::OnDisk });
    }

    /// What was out is settled.
    pub(super) fn settled(&mut self) {
        self.out = self.out.saturating_sub(1);
    }

    /// Leaves everything to the disk, when nobody takes from here. Not while something is out: it would be read twice.
    pub(super) fn clear(&mut self) {
        if self.out == 0 {
            self.ready.clear();
            self.cursor = [0; PRIORITIES];
        }
    }
}
