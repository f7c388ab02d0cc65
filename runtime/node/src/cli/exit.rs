//! How a verb ends badly.

use std::fmt;

/// A failure with its exit code.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) code: u8,
    pub(super) message: String,
}

impl Exit {
    pub(super) fn failed(message: impl fmt::Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    pub(super) fn config(message: impl fmt::Display) -> Self {
        Self { code: 3, message: message.to_string() }
    }

    pub(super) fn not_found(message: impl fmt::Display) -> Self {
        Self { code: 4, message: message.to_string() }
    }

    pub(super) fn unreachable(message: impl fmt::Display) -> Self {
        Self { code: 5, message: message.to_string() }
    }

    pub(super) fn too_late(message: impl fmt::Display) -> Self {
        Self { code: 6, message: message.to_string() }
    }

    pub(super) fn execution_failed(message: impl fmt::Display) -> Self {
        Self { code: 7, message: message.to_string() }
    }
}

impl From<anyhow::Error> for Exit {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}

impl From<greenroom_config::env::Error> for Exit {
    fn from(error: greenroom_config::env::Error) -> Self {
        Self::config(error)
    }
}

impl From<std::io::Error> for Exit {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}
