//! The data file, and how a model is found in it.

use std::sync::LazyLock;

use serde::Deserialize;

use super::{ChatTools, Sampling};

/// Which prices this build knows.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PriceList {
    /// The version of the file's form.
    pub version: u32,
    /// The day on which the prices were taken (ISO 8601).
    pub date: String,
    /// Where they were taken from.
    pub source: String,
    pub(super) models: Vec<Model>,
}

/// One model. Prices are US dollars per million tokens, which is the same number as millionths of a dollar per token.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Model {
    pub(super) provider: String,
    pub(super) model: String,
    #[serde(flatten)]
    pub(super) rates: Rates,
    /// Other rates for the whole request when its input is longer than this.
    pub(super) long: Option<LongContext>,
    pub(super) max_output: Option<u32>,
    #[serde(default)]
    pub(super) sampling: Sampling,
    #[serde(default)]
    pub(super) chat_tools: ChatTools,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Rates {
    pub(super) input: f64,
    pub(super) output: f64,
    /// Absent: the provider gives no discount, a cached token costs what a fresh one costs.
    pub(super) cache_read: Option<f64>,
    /// Absent: the provider does not charge extra for writing.
    pub(super) cache_write: Option<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct LongContext {
    pub(super) above: u64,
    #[serde(flatten)]
    pub(super) rates: Rates,
}

static TABLE: LazyLock<PriceList> = LazyLock::new(|| {
    // The file is part of the program and a test reads it, so this cannot fail; if it did, every price would be
    // unknown.
    serde_json::from_str(include_str!("prices.json")).unwrap_or_default()
});

/// The prices that this build knows, with their date and source.
pub fn price_list() -> &'static PriceList {
    &TABLE
}

/// Finds a model by its name, or by its name with a snapshot's date (`gpt-6-luna-2026-09-01`) taken off.
pub(super) fn find(provider: &str, model: &str) -> Option<&'static Model> {
    let named = |name: &str| TABLE.models.iter().find(|entry| entry.provider == provider && entry.model == name);
    named(model).or_else(|| named(without_date(model)?))
}

fn without_date(model: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (name, tail) = model.split_at_checked(model.len().checked_sub(11)?)?;
    let dashed = tail.as_bytes();
    let is_dashed = dashed[0] == b'-' && dashed[5] == b'-' && dashed[8] == b'-';
    if is_dashed && digits(&tail[1..5]) && digits(&tail[6..8]) && digits(&tail[9..]) {
        return Some(name);
    }
    let (name, tail) = model.split_at_checked(model.len().checked_sub(9)?)?;
    (tail.starts_with('-') && digits(&tail[1..])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_file_is_read_whole() {
        let table = price_list();
        assert_eq!(table.version, 1);
        assert!(!table.date.is_empty() && !table.source.is_empty());
        assert_eq!(table.models.len(), 31);
    }

    #[test]
    fn a_snapshot_has_its_models_price_and_a_stranger_has_none() {
        assert_eq!(find("openai", "gpt-6-luna-2026-09-01").unwrap().model, "gpt-6-luna");
        assert_eq!(find("anthropic", "claude-haiku-4-5-20251001").unwrap().model, "claude-haiku-4-5");
        for unknown in ["gpt-6.2-sol", "gpt-6-luna-mini", "gpt", "", "é-2026-09-01x", "ggggggg-日本語"] {
            assert!(find("openai", unknown).is_none(), "{unknown:?} was found");
        }
        assert!(find("anthropic", "gpt-6-luna").is_none());
    }
}
