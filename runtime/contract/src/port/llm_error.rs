//! How a call of a model fails.

use std::time::Duration;

use super::llm::Usage;
use crate::money::MicroUsd;

/// A failed call, as the decision that it asks for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Too many requests: try again, not before `retry_after`.
    #[error("rate limited by {provider}: {message}")]
    RateLimited {
        /// The provider.
        provider: String,
        /// What it said.
        message: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// A spending limit or quota is used up: trying again will not help.
    #[error("quota of {provider} is used up: {message}")]
    QuotaExhausted {
        /// The provider.
        provider: String,
        /// What it said.
        message: String,
    },
    /// It cannot be reached, or is overloaded, or failed inside: try again.
    #[error("{provider} is unavailable: {message}")]
    Unavailable {
        /// The provider.
        provider: String,
        /// What happened.
        message: String,
    },
    /// The credentials are missing or refused.
    #[error("{provider} refuses the credentials: {message}")]
    Authentication {
        /// The provider.
        provider: String,
        /// What it said.
        message: String,
    },
    /// It refuses the request as such (unknown model, bad parameter).
    #[error("{provider} refuses the request: {message}")]
    InvalidRequest {
        /// The provider.
        provider: String,
        /// What it said.
        message: String,
    },
    /// The conversation is longer than the model's context.
    #[error("the conversation is too long for {provider}: {message}")]
    ContextTooLong {
        /// The provider.
        provider: String,
        /// What it said.
        message: String,
    },
    /// The model or a filter refuses to answer.
    #[error("{provider} refused to answer: {message}")]
    Refused {
        /// The provider.
        provider: String,
        /// What it said.
        message: String,
    },
    /// Silent for longer than the request allows.
    #[error("{provider} was silent for {after:?}")]
    Timeout {
        /// The provider.
        provider: String,
        /// How long.
        after: Duration,
    },
    /// The stream broke after its first chunk.
    #[error("the answer of {provider} broke off: {message}")]
    Interrupted {
        /// The provider.
        provider: String,
        /// What happened.
        message: String,
    },
    /// The answer does not have the form that was asked for, and neither has its repaired one.
    #[error("the answer of {provider} does not have the form that was asked for: {message}")]
    Misformed {
        /// The provider.
        provider: String,
        /// What is wrong with it.
        message: String,
        /// The tokens of all answers, which are paid like others.
        usage: Box<Usage>,
        /// Their price, if it is known.
        cost: Option<MicroUsd>,
    },
}

impl Error {
    /// Whether the same request may succeed on another try.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Unavailable { .. } | Self::Timeout { .. } | Self::Interrupted { .. }
        )
    }

    /// The stable word for logs, journal and API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::QuotaExhausted { .. } => "quota_exhausted",
            Self::Unavailable { .. } => "provider_unavailable",
            Self::Authentication { .. } => "authentication",
            Self::InvalidRequest { .. } => "invalid_request",
            Self::ContextTooLong { .. } => "context_too_long",
            Self::Refused { .. } => "refused",
            Self::Timeout { .. } => "provider_timeout",
            Self::Interrupted { .. } => "interrupted",
            Self::Misformed { .. } => "answer_misformed",
        }
    }
}
