//! Lists in pages: `{items, next_cursor}`.

use serde::{Deserialize, Serialize};

/// What part of a list is wanted.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// At most so many items, 1 to 500.
    pub limit: u32,
    /// Where the last page ended; opaque.
    pub cursor: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: 50, cursor: None }
    }
}

/// A part of a list, newest first unless said otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give this back to get the next page; absent on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A list that fits one page.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}
