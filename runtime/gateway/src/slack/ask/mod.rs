//! Questions to people, as Slack shows them. The store has the question; Slack only has a view of it.
//!
//! * `card`: the message that shows a question as it is: open with buttons, or how it ended (pure)
//! * `click`: what a click on one says (pure)
//! * `answer`: an answer from Slack: who may give it, and what everybody is told

mod answer;
mod card;
mod click;
#[cfg(test)]
mod tests;

pub(crate) use answer::{Answering, tell, whisper};
pub(crate) use card::{Drawn, draw};
pub(crate) use click::{Click, is_ours};
