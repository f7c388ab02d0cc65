//! The core against a reference model of one child under one-for-one, written apart from it: by the child's whole
//! history instead of by its phase.

use proptest::prelude::*;

use super::kit::*;
use crate::supervisor::{Action, Event, Exit, Restart, State};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Is {
    Absent,
    Up { since: Option<u64> },
    ToldToStop { again: bool },
    Leaving { back: bool, limited: bool },
    Backoff,
    Parked,
    Asleep,
}

/// Everything that ever counted, and where the child is.
struct Model {
    is: Is,
    restart: Restart,
    generation: u32,
    restarts: Vec<u64>,
    exponent: u32,
    trial: bool,
}

impl Model {
    fn begin(&mut self) -> Vec<Action> {
        self.is = Is::Up { since: None };
        self.generation += 1;
        vec![start("a", self.generation)]
    }

    fn clear(&mut self) {
        (self.restarts, self.exponent, self.trial) = (Vec::new(), 0, false);
    }

    fn leave(&mut self, limited: bool) -> Vec<Action> {
        let within = if limited { at(5) } else { std::time::Duration::MAX };
        let actions = match self.is {
            Is::Up { .. } | Is::Leaving { limited: false, .. } if limited || matches!(self.is, Is::Up { .. }) => {
                vec![Action::Stop { child: "a".into(), generation: self.generation, within }]
            }
            Is::Absent => return vec![],
            Is::Backoff | Is::Parked | Is::Asleep => {
                (self.is, self.generation) = (Is::Absent, 0);
                self.clear();
                return vec![forget("a")];
            }
            _ => vec![],
        };
        // What was told to stop within its time is not given more by a later drain.
        let told = matches!(self.is, Is::ToldToStop { .. } | Is::Leaving { limited: true, .. });
        self.is = Is::Leaving { back: false, limited: limited || told };
        actions
    }

    fn gone(&mut self, back: bool) -> Vec<Action> {
        self.clear();
        let mut actions = vec![forget("a")];
        if back {
            actions.extend(self.begin());
        } else {
            (self.is, self.generation) = (Is::Absent, 0);
        }
        actions
    }

    /// Who was up for long enough has its backoff begun anew, and its trial is won.
    fn judge(&mut self, now: u64, since: Option<u64>) {
        if since.is_some_and(|since| now - since >= 300) {
            self.exponent = 0;
            if std::mem::take(&mut self.trial) {
                self.restarts.clear();
            }
        }
    }

    fn asleep(&mut self, now: u64, since: Option<u64>) -> Vec<Action> {
        self.judge(now, since);
        self.is = Is::Asleep;
        vec![rest("a")]
    }

    fn ended(&mut self, now: u64, exit: Exit, since: Option<u64>) -> Vec<Action> {
        let again = match self.restart {
            Restart::Permanent => true,
            Restart::Transient => exit.failure().is_some(),
            Restart::Temporary => false,
        };
        if !again {
            return self.gone(false);
        }
        self.judge(now, since);
        if std::mem::take(&mut self.trial) || self.restarts.iter().filter(|then| now - **then < 600).count() >= 3 {
            self.is = Is::Parked;
            return vec![park("a", exit), retry("a", self.generation)];
        }
        self.is = Is::Backoff;
        self.restarts.push(now);
        self.exponent += 1;
        vec![wake("a", self.generation, 60.min(1 << (self.exponent - 1)))]
    }

    fn hear(&mut self, now: u64, event: &Event) -> Vec<Action> {
        match (event, self.is) {
            (Event::Add { policy, .. }, Is::Absent) => {
                self.restart = policy.restart;
                self.begin()
            }
            (Event::Add { policy, .. }, Is::Leaving { limited, .. }) => {
                (self.restart, self.is) = (policy.restart, Is::Leaving { back: true, limited });
                vec![]
            }
            (Event::Remove { .. }, _) => self.leave(true),
            (Event::Drain { .. }, _) => self.leave(false),
            (Event::Started { generation, .. }, Is::Up { since: None }) if *generation == self.generation => {
                self.is = Is::Up { since: Some(now) };
                vec![]
            }
            (Event::Exited { generation, exit, .. }, is) if *generation == self.generation => match is {
                Is::Up { since } if *exit == Exit::Asleep => self.asleep(now, since),
                Is::Up { since } => self.ended(now, exit.clone(), since),
                Is::ToldToStop { again: true } => self.begin(),
                Is::Leaving { back, .. } => self.gone(back),
                _ => vec![],
            },
            (Event::Due { generation, .. }, Is::Backoff) if *generation == self.generation => self.begin(),
            (Event::Due { generation, .. }, Is::Parked) if *generation == self.generation => {
                self.trial = true;
                self.begin()
            }
            (Event::Refresh { .. }, Is::Up { .. }) => {
                self.clear();
                self.is = Is::ToldToStop { again: true };
                vec![stop("a", self.generation)]
            }
            (Event::Rouse { .. }, Is::Asleep) => self.begin(),
            (Event::Refresh { .. }, Is::Backoff | Is::Parked | Is::Asleep) => {
                self.clear();
                self.begin()
            }
            (Event::Refresh { .. }, Is::ToldToStop { .. }) => {
                self.clear();
                vec![]
            }
            _ => vec![],
        }
    }
}

/// An event whose generation is mostly the present one (0), at times the last (1) or one that never was (2).
fn any_event() -> impl Strategy<Value = (u8, u8, Exit, Restart)> {
    let exit = prop::sample::select(vec![Exit::Normal, Exit::Stopped, failed(), failed(), killed(), Exit::Asleep]);
    let restart = prop::sample::select(vec![Restart::Permanent, Restart::Transient, Restart::Temporary]);
    let late = prop::sample::select(vec![0, 0, 0, 0, 0, 1, 2]);
    // Ends, dues and starts are what happens most.
    let which = prop::sample::select(vec![0, 0, 1, 2, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 7, 7, 7, 7, 8, 8]);
    (which, late, exit, restart)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_core_does_what_the_model_does(
        events in prop::collection::vec((any_event(), prop::sample::select(vec![0_u64, 1, 5, 60, 299, 300, 600, 900])), 0..80),
    ) {
        let mut state = State::default();
        let restart = Restart::Permanent;
        let mut model =
            Model { is: Is::Absent, restart, generation: 0, restarts: vec![], exponent: 0, trial: false };
        let mut now = 0;
        for ((which, late, exit, restart), pause) in events {
            now += pause;
            let present = model.generation;
            let generation = match late { 0 => present, 1 => present.saturating_sub(1), _ => present + 7 };
            let event = match which {
                0 => add("a", policy(restart)),
                1 => remove("a"),
                2 => drain("a"),
                3 => refresh("a"),
                4 => started("a", generation),
                5 => exited("a", generation, exit),
                6 => exited("a", generation, failed()),
                7 => due("a", generation),
                _ => rouse("a"),
            };
            let expected = model.hear(now, &event);
            prop_assert_eq!(hear(&mut state, now, event.clone()), expected, "at {} s, {:?}, {:?}", now, event, model.is);
        }
    }
}
