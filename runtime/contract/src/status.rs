//! The status words: one set for code, YAML, API and logs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A word that is not a status of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a status; expected one of {expected}")]
pub struct UnknownStatus {
    /// What was given.
    pub value: String,
    /// The words that exist, separated by spaces.
    pub expected: &'static str,
}

macro_rules! status {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownStatus;

            fn from_str(text: &str) -> Result<Self, UnknownStatus> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownStatus {
                        value: text.to_owned(),
                        expected: concat!($($word, " ",)+),
                    }),
                }
            }
        }
    };
}

status!(
    /// How an agent, or any other place in the supervision tree, is.
    AgentStatus {
        /// Its first start is under way.
        Starting = "starting",
        /// It is at work.
        Running = "running",
        /// It is ready and has nothing to do.
        Idle = "idle",
        /// An operator holds it back; messages wait in the queue.
        Paused = "paused",
        /// It failed and its supervisor starts it again, perhaps after a wait.
        Restarting = "restarting",
        /// Its restart budget is spent: parked, messages wait in the queue.
        Failed = "failed",
        /// It could not be initialised (credentials, tool server, provider); the reason is shown.
        Unavailable = "unavailable",
        /// It was stopped on purpose.
        Stopped = "stopped",
    }
);

status!(
    /// How far an execution is.
    ExecutionStatus {
        /// In the inbox, not yet claimed, or waiting for its next attempt.
        Queued = "queued",
        /// Claimed by a node.
        Running = "running",
        /// Waiting for a person.
        Waiting = "waiting",
        /// Finished well.
        Succeeded = "succeeded",
        /// Ended by an error that another attempt cannot mend.
        Failed = "failed",
        /// Ended by its time limit.
        TimedOut = "timed_out",
        /// Ended by an operator.
        Cancelled = "cancelled",
        /// Out of attempts and written to the dead letters.
        Dead = "dead",
    }
);

impl ExecutionStatus {
    /// Whether nothing more will happen to the execution.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::TimedOut | Self::Cancelled | Self::Dead)
    }
}

status!(
    /// How far a question to people is.
    ClarificationStatus {
        /// Nobody has answered yet.
        Open = "open",
        /// Somebody has.
        Answered = "answered",
        /// Nobody did in time.
        Expired = "expired",
        /// Its execution was cancelled.
        Cancelled = "cancelled",
    }
);

status!(
    /// What kind of answer a question wants. The six kinds of the Portia SDK.
    Category {
        /// That the person does something elsewhere, and says so.
        Action = "action",
        /// A text.
        Input = "input",
        /// One of several options.
        MultipleChoice = "multiple_choice",
        /// That a value is right.
        ValueConfirmation = "value_confirmation",
        /// Yes or no.
        UserVerification = "user_verification",
        /// Whatever whoever asks and whoever answers agree on.
        Custom = "custom",
    }
);

status!(
    /// Why a question is asked, which decides what an answer does.
    Purpose {
        /// A tool asks, on the model's behalf: the answer is the tool's.
        Tool = "tool",
        /// A call broke off that must not be made twice: the answer says what is to become of it.
        OutcomeUnknown = "outcome_unknown",
        /// A call is to be made that a person has to allow, with exactly these arguments.
        Approval = "approval",
        /// A budget is spent: the answer says whether the execution may go on.
        Budget = "budget",
    }
);

status!(
    /// How far a call of another agent is.
    CallStatus {
        /// There is no answer yet.
        Open = "open",
        /// There is one.
        Answered = "answered",
        /// The other failed, or did not answer in time.
        Failed = "failed",
        /// The other was cancelled, or nobody waits for it any more.
        Cancelled = "cancelled",
    }
);

status!(
    /// How far a plan run is.
    PlanRunStatus {
        /// Its plan is being made.
        Planning = "planning",
        /// Its plan is made, and a person has to allow it.
        AwaitingApproval = "awaiting_approval",
        /// Its steps are at work.
        Running = "running",
        /// It goes on when people have answered.
        Waiting = "waiting",
        /// It came to its result.
        Succeeded = "succeeded",
        /// It ended without one.
        Failed = "failed",
        /// It was ended by people.
        Cancelled = "cancelled",
    }
);

impl PlanRunStatus {
    /// Whether nothing more will happen to the run.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

status!(
    /// How far a step of a plan run is.
    PlanStepStatus {
        /// Its turn has not come.
        Pending = "pending",
        /// Its agent has it.
        Running = "running",
        /// People are asked what is to become of it.
        Waiting = "waiting",
        /// Its output is there.
        Succeeded = "succeeded",
        /// Its agent failed.
        Failed = "failed",
        /// It was not wanted: by its condition, or because the plan had come to its end before.
        Skipped = "skipped",
        /// The run ended while it was at work.
        Cancelled = "cancelled",
    }
);

impl PlanStepStatus {
    /// Whether nothing more will happen to the step in this run.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled)
    }
}

status!(
    /// What became of a firing of a schedule.
    FiringStatus {
        /// It went out to its agent.
        Fired = "fired",
        /// It waits until the agent has done what came of the schedule before.
        Waiting = "waiting",
        /// It was dropped, because the agent was still at work on an earlier one.
        Skipped = "skipped",
        /// No node was there for it, and it is not made up for.
        Missed = "missed",
    }
);

status!(
    /// How far a journaled call is.
    StepStatus {
        /// Written before the call; its outcome is not known yet.
        Intended = "intended",
        /// The call finished and its result is kept.
        Settled = "settled",
        /// The call finished with an error that is kept.
        Failed = "failed",
        /// The process died during the call and its effect forbids a second one.
        Unknown = "unknown",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for status in ExecutionStatus::ALL {
            assert_eq!(status.as_str().parse::<ExecutionStatus>().unwrap(), *status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert!("done".parse::<ExecutionStatus>().unwrap_err().to_string().contains("succeeded"));
    }
}
