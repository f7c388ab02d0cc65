//! The shelf against a model of the disk: whatever the order of commits, tellings, reads and settlings, every message is
//! handed out, none twice at a time, and never one behind another that was told of before.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    arrivals::{Arrivals, Landed},
    shelf::{Facts, Letter, Next, Place, Row, Shelf, Slot, Want},
};

/// So small that pages, windows and come-backs meet often.
const PAGE: usize = 3;
const FACTS: Facts = Facts { rejections: 0, published_at: 0 };

#[derive(Debug, Clone)]
enum Act {
    /// A job writes a message; it is told later.
    Write {
        priority: u8,
        stands: bool,
    },
    /// One of the written ones is told of, from memory or not.
    Tell {
        which: usize,
        in_memory: bool,
    },
    /// The publisher learns nothing but an error.
    Doubt {
        which: usize,
    },
    /// Whatever is next: hand out, or read.
    Serve,
    /// A read begins, messages are told meanwhile, and it fails.
    FailedRead,
    Accept {
        which: usize,
    },
    PutBack {
        which: usize,
    },
    Clear,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let which = 0..8_usize;
    let act = prop_oneof![
        4 => (0..4_u8, prop::bool::weighted(0.9)).prop_map(|(priority, stands)| Act::Write { priority, stands }),
        4 => (which.clone(), any::<bool>()).prop_map(|(which, in_memory)| Act::Tell { which, in_memory }),
        1 => which.clone().prop_map(|which| Act::Doubt { which }),
        6 => Just(Act::Serve),
        1 => Just(Act::FailedRead),
        2 => which.clone().prop_map(|which| Act::Accept { which }),
        1 => which.prop_map(|which| Act::PutBack { which }),
        1 => Just(Act::Clear),
    ];
    prop::collection::vec(act, 1..120)
}

struct World {
    arrivals: Arrivals,
    shelf: Shelf,
    last_id: i64,
    /// What is on disk, with its priority.
    disk: BTreeMap<i64, u8>,
    /// Written, committed or not, and not told of.
    untold: Vec<(u8, Landed, bool)>,
    told: BTreeSet<i64>,
    out: BTreeMap<i64, Place>,
    accepted: BTreeSet<i64>,
}

impl World {
    fn new() -> Self {
        // Two messages wait from an earlier life.
        let disk = BTreeMap::from([(1, 1), (2, 3)]);
        let newest = [0, 1, 0, 2];
        Self {
            arrivals: Arrivals::new(1, newest),
            shelf: Shelf::new(newest),
            last_id: 2,
            told: disk.keys().copied().collect(),
            disk,
            untold: Vec::new(),
            out: BTreeMap::new(),
            accepted: BTreeSet::new(),
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Write { priority, stands } => {
                self.last_id += 1;
                let landed = self.arrivals.land(priority, self.last_id);
                if stands {
                    self.disk.insert(self.last_id, priority);
                }
                self.untold.push((priority, landed, stands));
            }
            Act::Tell { which, in_memory } => {
                if let Some((priority, landed, true)) = self.pick_untold(which) {
                    let slot = Slot { facts: FACTS, letter: letter() };
                    self.shelf.arrived(priority, landed, in_memory.then_some(slot));
                    self.told.insert(landed.id);
                }
            }
            Act::Doubt { which } => {
                if let Some((_, landed, _)) = self.pick_untold(which) {
                    self.shelf.suspect(self.arrivals.newest());
                    // A job that stood is seen by the next look; one that did not is nowhere.
                    if self.disk.contains_key(&landed.id) {
                        self.told.insert(landed.id);
                    }
                }
            }
            Act::Serve => {
                self.serve();
            }
            Act::FailedRead => {
                if let Next::Read(want) = self.shelf.next() {
                    self.shelf.begin(&want);
                    self.act(&Act::Tell { which: 0, in_memory: true });
                    self.shelf.failed(&want);
                }
            }
            Act::Accept { which } => {
                if let Some(id) = self.out.keys().nth(which).copied() {
                    self.out.remove(&id);
                    self.disk.remove(&id);
                    self.accepted.insert(id);
                    self.shelf.settled();
                }
            }
            Act::PutBack { which } => {
                if let Some(id) = self.out.keys().nth(which).copied()
                    && let Some(place) = self.out.remove(&id)
                {
                    self.shelf.put_back(place, FACTS);
                }
            }
            Act::Clear => self.shelf.clear(),
        }
    }

    fn pick_untold(&mut self, which: usize) -> Option<(u8, Landed, bool)> {
        (which < self.untold.len()).then(|| self.untold.remove(which))
    }

    /// One step of a dispatcher; `false` when there is nothing to do.
    fn serve(&mut self) -> bool {
        match self.shelf.next() {
            Next::Nothing => return false,
            Next::Ready { place, .. } => {
                let waiting = self.told.iter().filter(|id| self.disk.contains_key(id) && !self.out.contains_key(id));
                let first = waiting.map(|id| Place::new(self.disk[id], *id)).min();
                assert!(first.is_none_or(|first| place <= first), "{place:?} overtook {first:?}");
                self.shelf.take(place).unwrap();
                assert!(self.disk.contains_key(&place.id), "{place:?} is not on disk");
                assert!(self.out.insert(place.id, place).is_none(), "{place:?} is out twice");
            }
            Next::Read(want) => {
                self.shelf.begin(&want);
                let (rows, whole) = self.read(&want);
                // Something is told of while the read is under way.
                self.act(&Act::Tell { which: 0, in_memory: true });
                self.shelf.stock(&want, rows, whole);
            }
        }
        true
    }

    fn read(&self, want: &Want) -> (Vec<Row>, bool) {
        let row = |id: i64| Row { id, slot: Slot { facts: FACTS, letter: letter() } };
        match want {
            Want::Page { priority, after, .. } => {
                let behind = self.disk.iter().filter(|(id, p)| *p == priority && *id > after);
                let rows: Vec<Row> = behind.take(PAGE).map(|(id, _)| row(*id)).collect();
                let whole = rows.len() < PAGE;
                (rows, whole)
            }
            Want::These(ids) => {
                let found: Vec<Row> = ids.iter().filter(|id| self.disk.contains_key(id)).map(|id| row(*id)).collect();
                let whole = found.len() <= PAGE;
                (found.into_iter().take(PAGE).collect(), whole)
            }
        }
    }
}

fn letter() -> Letter {
    Letter::Dead {
        body: Vec::new(),
        death: Box::new(greenroom_contract::port::bus::Death {
            queue: String::new(),
            reason: greenroom_contract::execution::Failure::new("x", "x"),
            attempts: 0,
            first_at: Default::default(),
            dead_at: Default::default(),
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_handed_out_in_turn(acts in acts()) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        // In the end everything is told, and everything is taken.
        while !world.untold.is_empty() {
            let stands = world.untold[0].2;
            world.act(&if stands { Act::Tell { which: 0, in_memory: true } } else { Act::Doubt { which: 0 } });
        }
        for _ in 0..10_000 {
            if !world.serve() && world.out.is_empty() {
                break;
            }
            world.act(&Act::Accept { which: 0 });
        }
        prop_assert!(world.disk.is_empty(), "left behind: {:?}", world.disk);
        prop_assert_eq!(world.shelf.out(), 0);
    }
}
