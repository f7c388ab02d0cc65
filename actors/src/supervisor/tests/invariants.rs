//! The invariants of supervision under any history, for every strategy. What must hold at each action is in
//! [`super::world`]; here are the histories, and what must hold when the dust has settled.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    kit::*,
    world::{NAMES, World},
};
use crate::supervisor::{Exit, OnExhausted, Policy, Restart, Strategy as Ties};

#[derive(Debug, Clone)]
enum Deed {
    Add(&'static str),
    Remove(&'static str),
    Drain(&'static str),
    Refresh(&'static str),
    Rouse(&'static str),
    End(&'static str, Exit),
    Obey,
    Pass(u64),
    StartsFail(bool),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let name = || prop::sample::select(NAMES.to_vec());
    let exit =
        prop::sample::select(vec![Exit::Normal, Exit::Stopped, Exit::Asleep, failed(), failed(), failed(), killed()]);
    prop_oneof![
        6 => name().prop_map(Deed::Add),
        2 => name().prop_map(Deed::Remove),
        1 => name().prop_map(Deed::Drain),
        2 => name().prop_map(Deed::Refresh),
        3 => name().prop_map(Deed::Rouse),
        12 => (name(), exit).prop_map(|(name, exit)| Deed::End(name, exit)),
        8 => Just(Deed::Obey),
        12 => prop::sample::select(vec![0, 1, 2, 4, 60, 300, 900]).prop_map(Deed::Pass),
        2 => prop::sample::select(vec![true, false, false]).prop_map(Deed::StartsFail),
    ]
}

fn any_world() -> impl Strategy<Value = World> {
    let ties = prop::sample::select(vec![Ties::OneForOne, Ties::RestForOne, Ties::OneForAll]);
    let restart = prop::sample::select(vec![
        Restart::Permanent,
        Restart::Permanent,
        Restart::Permanent,
        Restart::Transient,
        Restart::Temporary,
    ]);
    let escalates = prop::sample::select(vec![false, false, false, false, false, true]);
    let restarts = prop::collection::vec((restart, escalates), NAMES.len());
    (ties, any::<bool>(), restarts).prop_map(|(ties, together, restarts)| {
        let policies: BTreeMap<&'static str, Policy> = NAMES
            .into_iter()
            .zip(restarts)
            .map(|(name, (restart, escalates))| {
                let on_exhausted = if escalates { OnExhausted::Escalate } else { OnExhausted::Park };
                (name, Policy { on_exhausted, ..policy(restart) })
            })
            .collect();
        World::new(ties, together && ties == Ties::OneForOne, policies)
    })
}

fn act(world: &mut World, deed: Deed) {
    match deed {
        Deed::Add(name) => world.add(name),
        Deed::Remove(name) => world.remove(name),
        Deed::Drain(name) => world.drain(name),
        Deed::Refresh(name) => world.refresh(name),
        Deed::Rouse(name) => world.rouse(name),
        Deed::End(name, exit) => world.end(name, exit),
        Deed::Obey => world.obey(),
        Deed::Pass(secs) => world.pass(at(secs)),
        Deed::StartsFail(fail) => world.starts_fail = fail,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(700))]

    /// Whatever the history: the ledger holds at every action; when all obey and nothing fails any more, the wanted are
    /// up; and when everything is told to stop, everything stops.
    #[test]
    fn the_invariants_hold_under_any_history(
        mut world in any_world(),
        before in prop::collection::vec(any_deed(), 0..60),
        after in prop::collection::vec(any_deed(), 0..10),
    ) {
        for deed in before {
            act(&mut world, deed);
        }
        settle(&mut world);
        world.check_alive();
        world.stop_all();
        for deed in after {
            act(&mut world, deed);
        }
        for _ in NAMES {
            world.obey();
        }
        prop_assert!(world.ended, "it never ends: {:?}", world.state);
    }
}

/// All obey, no start fails any more, and every backoff and every rest of the parked goes by.
fn settle(world: &mut World) {
    world.starts_fail = false;
    for pause in [0, 0, 0, 0, 3600, 60, 60, 60, 60] {
        world.obey();
        world.pass(at(pause));
    }
}
