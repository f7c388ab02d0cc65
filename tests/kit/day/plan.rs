//! What may happen next.

use super::dice::Dice;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    Work,
    Burst,
    Reload,
    Remove,
    Add,
    Pause,
    Resume,
    Restart,
    Cancel,
    StoreOutage,
    BusOutage,
    Latency,
    Reopen,
    Quiet,
}

const WEIGHTS: [(Happening, u64); 14] = [
    (Happening::Work, 55),
    (Happening::Burst, 6),
    (Happening::Reload, 6),
    (Happening::Remove, 3),
    (Happening::Add, 5),
    (Happening::Pause, 3),
    (Happening::Resume, 5),
    (Happening::Restart, 5),
    (Happening::Cancel, 5),
    (Happening::StoreOutage, 2),
    (Happening::BusOutage, 2),
    (Happening::Latency, 2),
    (Happening::Reopen, 2),
    (Happening::Quiet, 2),
];

/// What happens next.
pub(super) fn happening(dice: &mut Dice) -> Happening {
    let all: u64 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let mut at = dice.number(0, all - 1);
    for (happening, weight) in WEIGHTS {
        if at < weight {
            return happening;
        }
        at -= weight;
    }
    Happening::Work
}

/// The work that an event asks for, as the first word of its question.
const WORK: [(&str, u64); 10] = [
    ("answer", 50),
    ("think", 15),
    ("stream", 6),
    ("tool", 8),
    ("tell", 8),
    ("stumble", 6),
    ("fail", 3),
    ("refuse", 2),
    ("faint", 3),
    ("poison", 1),
];

/// A kind of work.
pub(super) fn work(dice: &mut Dice) -> &'static str {
    let all: u64 = WORK.iter().map(|(_, weight)| weight).sum();
    let mut at = dice.number(0, all - 1);
    for (work, weight) in WORK {
        if at < weight {
            return work;
        }
        at -= weight;
    }
    "answer"
}
