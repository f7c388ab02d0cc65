//! What an agent keeps in mind: short texts under keys, the agent's own over all its conversations.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::BoxFuture;

/// Something to be kept in mind, or forgotten. It takes effect with the transaction that finishes the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remember {
    /// Under which key; what was there is replaced.
    pub key: String,
    /// What; nothing forgets the key.
    pub text: Option<String>,
}

/// Something kept in mind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The key.
    pub key: String,
    /// The text.
    pub text: String,
    /// Since when.
    pub at: Timestamp,
}

/// Where a tool finds what its agent keeps in mind.
pub trait Recall: Send + Sync + 'static {
    /// All of it, as it was when the present execution first asked, with what that has added and forgotten so far, newest
    /// first. Fails with the reason.
    fn recall(&self) -> BoxFuture<'_, Result<Vec<Memory>, String>>;
}

/// The way there, for one call; without one, nothing is kept in mind.
#[derive(Clone, Default)]
pub struct Mind(Option<Arc<dyn Recall>>);

impl Mind {
    /// The way to this memory.
    pub fn of(memory: Arc<dyn Recall>) -> Self {
        Self(Some(memory))
    }

    /// See [`Recall::recall`].
    pub async fn recall(&self) -> Result<Vec<Memory>, String> {
        match &self.0 {
            Some(memory) => memory.recall().await,
            None => Ok(Vec::new()),
        }
    }
}

impl std::fmt::Debug for Mind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mind")
    }
}
