//! OTP's case matrix: what follows when a child of each restart type ends in each way in each phase.

use greenroom_contract::execution::Failure;

use super::kit::*;
use crate::supervisor::{Action, Exit, Restart, State};

/// `again`: it is restarted after its backoff; `gone`: it is forgotten; `rests`: it sleeps; `-`: nothing, the news is late (or cannot be).
/// Draining: it was told to end in its own time. Removed: it was told to stop, and is still there.
const MATRIX: &str = "
    type      phase    | normal  stop   error  panic  kill   abort  unstarted drain  asleep
    permanent starting | again   again  again  again  again  again  again     again  rests
    permanent running  | again   again  again  again  again  again  again     again  rests
    permanent backoff  | -       -      -      -      -      -      -         -      -
    permanent asleep   | -       -      -      -      -      -      -         -      -
    permanent draining | gone    gone   gone   gone   gone   gone   gone      gone   gone
    permanent removed  | gone    gone   gone   gone   gone   gone   gone      gone   gone
    transient starting | gone    gone   again  again  again  again  again     gone   rests
    transient running  | gone    gone   again  again  again  again  again     gone   rests
    transient backoff  | -       -      -      -      -      -      -         -      -
    transient asleep   | -       -      -      -      -      -      -         -      -
    transient draining | gone    gone   gone   gone   gone   gone   gone      gone   gone
    transient removed  | gone    gone   gone   gone   gone   gone   gone      gone   gone
    temporary starting | gone    gone   gone   gone   gone   gone   gone      gone   rests
    temporary running  | gone    gone   gone   gone   gone   gone   gone      gone   rests
    temporary backoff  | -       -      -      -      -      -      -         -      -
    temporary asleep   | -       -      -      -      -      -      -         -      -
    temporary draining | gone    gone   gone   gone   gone   gone   gone      gone   gone
    temporary removed  | gone    gone   gone   gone   gone   gone   gone      gone   gone
";

fn restart(word: &str) -> Restart {
    match word {
        "permanent" => Restart::Permanent,
        "transient" => Restart::Transient,
        _ => Restart::Temporary,
    }
}

fn exit(word: &str) -> Exit {
    let failure = Failure::new(word, word);
    match word {
        "normal" => Exit::Normal,
        "error" => Exit::Failed(failure),
        "panic" => Exit::Panicked(failure),
        "kill" | "abort" => Exit::Killed(failure),
        "unstarted" => Exit::StartFailed(failure),
        "asleep" => Exit::Asleep,
        _ => Exit::Stopped,
    }
}

fn in_phase(restart: Restart, phase: &str) -> State {
    let mut state = State::default();
    hear(&mut state, 0, add("a", policy(restart)));
    if phase == "starting" {
        return state;
    }
    hear(&mut state, 0, started("a", 1));
    match phase {
        "backoff" => drop(hear(&mut state, 1, exited("a", 1, failed()))),
        "asleep" => drop(hear(&mut state, 1, exited("a", 1, Exit::Asleep))),
        "draining" => drop(hear(&mut state, 1, drain("a"))),
        "removed" => drop(hear(&mut state, 1, remove("a"))),
        _ => {}
    }
    state
}

#[test]
fn every_cell_of_the_matrix_is_as_written() {
    let mut lines = MATRIX.lines().filter(|line| !line.trim().is_empty());
    let ends: Vec<&str> = lines.next().unwrap().split('|').nth(1).unwrap().split_whitespace().collect();
    let mut cells = 0;
    for line in lines {
        let (left, right) = line.split_once('|').unwrap();
        let (kind, phase) = left.trim().split_once(' ').unwrap();
        for (end, expected) in ends.iter().zip(right.split_whitespace()) {
            let mut state = in_phase(restart(kind), phase.trim());
            let actions = hear(&mut state, 2, exited("a", 1, exit(end)));
            let outcome = match &actions[..] {
                [] => "-",
                [Action::Wake { .. }] => "again",
                [Action::Forget { .. }] => "gone",
                [Action::Rest { .. }] => "rests",
                other => panic!("{kind} {phase} {end}: {other:?}"),
            };
            assert_eq!(outcome, expected, "{kind} {phase} {end}");
            assert_eq!(
                state.generation("a").is_some(),
                match phase.trim() {
                    // A temporary child is never in backoff: it was forgotten when it ended.
                    "backoff" => kind != "temporary",
                    "asleep" => true,
                    _ => ["again", "rests"].contains(&outcome),
                }
            );
            cells += 1;
        }
    }
    assert_eq!(cells, 3 * 6 * 9);
}

#[test]
fn a_removed_or_drained_child_never_starts_again_whatever_the_end() {
    for end in ["normal", "stop", "error", "panic", "kill", "abort", "unstarted", "drain", "asleep"] {
        for phase in ["backoff", "asleep", "draining", "removed"] {
            let mut state = in_phase(Restart::Permanent, phase);
            hear(&mut state, 1, remove("a"));
            hear(&mut state, 2, exited("a", 1, exit(end)));
            assert_eq!(state.names().count(), 0, "{phase} {end}");
            assert_eq!(hear(&mut state, 3, due("a", 1)), [], "{phase} {end}");
            assert_eq!(hear(&mut state, 3, rouse("a")), [], "{phase} {end}");
        }
    }
}
