//! Places at which a debug build of a node kills itself as `kill -9` does, for the tests of crashes. A release build has
//! none of this.
//!
//! `GREENROOM_CRASH_FILE`, which no manual lists because no operator needs it, names a file. While that file holds a line
//! like `before intend 1 tool charge`, the node dies before the first intention about a call of `charge` is written. The
//! file is read again at each place, so that a test arms a node that is already up. The words are in `trigger`.

mod around;
mod bus;
mod calls;
mod clarifications;
mod outfit;
mod plan_runs;
mod replies;
mod schedules;
mod state;
mod states;
mod trigger;

pub(super) use around::{around, around_replies};
