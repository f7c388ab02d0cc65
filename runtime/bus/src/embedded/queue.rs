//! A queue: its shelf and its consumers, and the decision who gets what next.
//!
//! What is on the shelf is handed out at once by whoever put it there or made room for it ([`Queue::serve`]). What needs the
//! disk is left to the queue's dispatcher, which the bell wakes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenroom_contract::port::bus::Sharing;
use tokio::sync::Notify;

use super::{
    arrivals::{Arrivals, Landed, PRIORITIES},
    core::Core,
    hold::Hold,
    outlet::{Consumer, Credit, Outlet},
    shelf::{Facts, Letter, Next, Place, Row, Shelf, Slot, Want},
};

/// Larger messages are not put on the shelf from memory: they are read when their turn comes.
pub(super) const LARGE: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Queue {
    name: String,
    arrivals: Arc<Arrivals>,
    /// Rung whenever the dispatcher might find something to do.
    bell: Notify,
    /// Held from taking a letter to sending it, so that two hands never change the order. Taken before the desk.
    handing: Mutex<()>,
    desk: Mutex<Desk>,
}

#[derive(Debug)]
struct Desk {
    shelf: Shelf,
    sharing: Sharing,
    consumers: Vec<Consumer>,
    /// Outlets whose end the dispatcher does not watch yet.
    newcomers: Vec<Outlet>,
    /// Whose turn it is among competing consumers.
    turn: usize,
    /// Whether the queue's dispatcher runs.
    staffed: bool,
    closed: bool,
}

/// What the dispatcher does next.
pub(super) enum Step {
    /// The letter cannot be read by anyone: to the dead letters with it.
    Bury {
        letter: Letter,
        hold: Hold,
    },
    Read(Want),
    Wait,
    /// Nobody consumes any more.
    Done,
}

impl Queue {
    /// A queue whose newest messages, by priority, are these. They are on disk.
    pub(super) fn new(id: i64, name: &str, sharing: Sharing, newest: [i64; PRIORITIES]) -> Self {
        let desk = Desk {
            shelf: Shelf::new(newest),
            sharing,
            consumers: Vec::new(),
            newcomers: Vec::new(),
            turn: 0,
            staffed: false,
            closed: false,
        };
        Self {
            name: name.to_owned(),
            arrivals: Arc::new(Arrivals::new(id, newest)),
            bell: Notify::new(),
            handing: Mutex::new(()),
            desk: Mutex::new(desk),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn arrivals(&self) -> &Arc<Arrivals> {
        &self.arrivals
    }

    /// Resolves once after one ringing, or after several in a row.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Changes how consumers share the queue.
    pub(super) fn share(&self, sharing: Sharing) {
        self.desk().sharing = sharing;
        self.ring();
    }

    /// How many deliveries are unsettled, and how many consume.
    pub(super) fn counts(&self) -> (u64, u32) {
        let desk = self.desk();
        let consumers = desk.consumers.iter().filter(|consumer| !consumer.outlet.is_closed()).count();
        (desk.shelf.out() as u64, consumers as u32)
    }

    /// Adds a consumer and says whether a dispatcher must be started for it; `None` when the queue is deleted.
    pub(super) fn seat(&self, outlet: Outlet, prefetch: usize) -> Option<bool> {
        let mut desk = self.desk();
        if desk.closed {
            return None;
        }
        desk.newcomers.push(outlet.clone());
        desk.consumers.push(Consumer { outlet, credit: Credit::new(prefetch) });
        let starts = !std::mem::replace(&mut desk.staffed, true);
        drop(desk);
        self.ring();
        Some(starts)
    }

    /// Ends every subscription. What they hold stays theirs to settle.
    pub(super) fn dismiss(&self, deleted: bool) {
        let mut desk = self.desk();
        desk.closed |= deleted;
        let left = (std::mem::take(&mut desk.consumers), std::mem::take(&mut desk.newcomers));
        drop(desk);
        drop(left);
        self.ring();
    }

    /// The dispatcher is gone without having been asked; the next consumer starts another.
    pub(super) fn abandoned(&self) {
        self.desk().staffed = false;
        self.dismiss(false);
    }

    /// Consumers that came since the last call.
    pub(super) fn newcomers(&self) -> Vec<Outlet> {
        std::mem::take(&mut self.desk().newcomers)
    }

    /// A message was committed. The letter is kept in memory when it is small and somebody consumes.
    pub(super) fn arrived(&self, priority: u8, landed: Landed, slot: Option<Slot>) {
        let mut desk = self.desk();
        let slot = slot.filter(|_| !desk.consumers.is_empty());
        desk.shelf.arrived(priority, landed, slot);
    }

    /// A message that was out is settled, or goes back as these facts say.
    pub(super) fn returned(&self, place: Place, back: Option<Facts>) {
        let mut desk = self.desk();
        match back {
            Some(facts) => desk.shelf.put_back(place, facts),
            None => desk.shelf.settled(),
        }
        if desk.consumers.is_empty() {
            desk.shelf.clear();
        }
    }

    /// A write to the queue ended in an error, or time has passed: if the disk may hold more than was told, look.
    pub(super) fn recheck(&self) {
        let newest = self.arrivals.newest();
        let mut desk = self.desk();
        let look = !desk.consumers.is_empty() && desk.shelf.suspect(newest);
        drop(desk);
        if look {
            self.ring();
        }
    }

    /// What a read brought.
    pub(super) fn stock(&self, want: &Want, rows: Vec<Row>, whole: bool) {
        self.desk().shelf.stock(want, rows, whole);
    }

    pub(super) fn read_failed(&self, want: &Want) {
        self.desk().shelf.failed(want);
    }

    /// Hands out what is ready in memory, and wakes the dispatcher if more can be had only from the disk.
    pub(super) fn serve(self: &Arc<Self>, core: &Arc<Core>) {
        // Let go of behind the locks, because what it leads to may come back here.
        let mut aside = Vec::new();
        let handing = self.handing.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((letter, hold, outlet)) = self.take_next(core) {
            let unsent = outlet.send(letter, hold).err();
            aside.push((outlet, unsent));
        }
        drop(handing);
    }

    fn take_next(self: &Arc<Self>, core: &Arc<Core>) -> Option<(Letter, Hold, Outlet)> {
        let mut desk = self.desk();
        match desk.shelf.next() {
            Next::Ready { place, unreadable: false } => {
                let (outlet, credit) = desk.pick()?;
                let Slot { facts, letter } = desk.shelf.take(place)?;
                credit.draw();
                Some((letter, self.hold(core, place, facts, Some(credit)), outlet))
            }
            Next::Nothing => None,
            _ => {
                if desk.has_room() {
                    self.ring();
                }
                None
            }
        }
    }

    /// Decides what the dispatcher does. While the database `rests` after an error, nothing that needs it is begun.
    pub(super) fn step(self: &Arc<Self>, core: &Arc<Core>, rests: bool) -> Step {
        let mut desk = self.desk();
        let gone: Vec<Consumer> = desk.consumers.extract_if(.., |consumer| consumer.outlet.is_closed()).collect();
        let step = if desk.consumers.is_empty() {
            desk.staffed = false;
            desk.shelf.clear();
            Step::Done
        } else {
            match desk.shelf.next() {
                Next::Ready { place, unreadable: true } if !rests => match desk.shelf.take(place) {
                    Some(Slot { facts, letter }) => Step::Bury { letter, hold: self.hold(core, place, facts, None) },
                    None => Step::Wait,
                },
                Next::Read(want) if !rests && desk.has_room() => {
                    desk.shelf.begin(&want);
                    Step::Read(want)
                }
                _ => Step::Wait,
            }
        };
        drop(desk);
        drop(gone);
        step
    }

    fn hold(self: &Arc<Self>, core: &Arc<Core>, place: Place, facts: Facts, credit: Option<Arc<Credit>>) -> Hold {
        Hold { core: Arc::clone(core), queue: Arc::clone(self), place, facts, credit, settled: false }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// The consumers that deliveries may go to now: all of them in turn, or only the first that is still there.
    fn active(&self) -> &[Consumer] {
        match self.sharing {
            Sharing::Competing => &self.consumers,
            Sharing::SingleActive => {
                let first = self.consumers.iter().position(|consumer| !consumer.outlet.is_closed());
                first.map_or(&[], |first| &self.consumers[first..=first])
            }
        }
    }

    fn has_room(&self) -> bool {
        self.active().iter().any(Consumer::has_room)
    }

    fn pick(&mut self) -> Option<(Outlet, Arc<Credit>)> {
        let active = self.active();
        let (before, after) = active.split_at(self.turn.min(active.len()));
        let in_turn = after.iter().chain(before);
        let (steps, consumer) = in_turn.enumerate().find(|(_, consumer)| consumer.has_room())?;
        let picked = (consumer.outlet.clone(), Arc::clone(&consumer.credit));
        self.turn = (before.len() + steps) % active.len() + 1;
        Some(picked)
    }
}
