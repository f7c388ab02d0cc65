//! The data file, and how a model is found in it.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

use super::{Capabilities, rates::Rates};

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

/// One model. Prices are US dollars per million tokens.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Model {
    pub(super) provider: String,
    pub(super) model: String,
    #[serde(flatten)]
    pub(super) rates: Rates,
    /// Other rates for the whole request when its input is longer than this.
    pub(super) long: Option<LongContext>,
    /// What the vendor's terms multiply the price with.
    #[serde(default)]
    multipliers: BTreeMap<String, f64>,
    /// When the vendor takes it away (ISO 8601).
    #[serde(default)]
    pub(super) deprecated: Option<String>,
    #[serde(flatten)]
    pub(super) capabilities: Capabilities,
}

impl Model {
    /// What a term multiplies the price with, in thousandths.
    pub(super) fn factor(&self, term: &str) -> Option<u128> {
        self.multipliers.get(term).map(|factor| (factor * 1000.0).round() as u128)
    }
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

/// When the vendor takes a model away, if it has said so (ISO 8601).
pub fn deprecated(provider: &str, model: &str) -> Option<&'static str> {
    find(provider, model)?.deprecated.as_deref()
}

/// Finds a model by its name, or by its name with a snapshot's date (`gpt-6-luna-2026-09-01`) taken off.
pub(super) fn find(provider: &str, model: &str) -> Option<&'static Model> {
    let named = |name: &str| TABLE.models.iter().find(|entry| entry.provider == provider && entry.model == name);
    named(model).or_else(|| named(without_date(model)?))
}

/// Finds a model of Bedrock under any region's name, and in an inference profile's or model's ARN.
pub(super) fn find_anywhere(provider: &str, model: &str) -> Option<&'static Model> {
    let wanted = without_region(model);
    TABLE
        .models
        .iter()
        .find(|entry| provider == "bedrock" && entry.provider == provider && without_region(&entry.model) == wanted)
}

/// The name without an ARN's path and without the region that a profile begins with.
fn without_region(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    match name.split_once('.') {
        Some(("us" | "eu" | "apac" | "jp" | "au" | "ca" | "global" | "us-gov", rest)) => rest,
        _ => name,
    }
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
        assert_eq!(table.version, 2);
        assert!(!table.date.is_empty() && !table.source.is_empty());
        assert_eq!(table.models.len(), 31);
        assert_eq!(deprecated("bedrock", "meta.llama3-1-8b-instruct-v1:0"), Some("2027-03-30"));
        assert_eq!(deprecated("anthropic", "claude-opus-5-5"), None);
    }

    #[test]
    fn a_snapshot_has_its_models_price_and_a_stranger_has_none() {
        assert_eq!(find("openai", "gpt-6-luna-2026-09-01").unwrap().model, "gpt-6-luna");
        assert_eq!(find("anthropic", "claude-haiku-4-5-20251001").unwrap().model, "claude-haiku-4-5");
        for unknown in ["gpt-6.2-sol", "gpt-6-luna-mini", "gpt", "", "é-2026-09-01x", "ggggggg-日本語"] {
            assert!(find("openai", unknown).is_none(), "{unknown:?} was found");
        }
        assert!(find("anthropic", "gpt-6-luna").is_none());
        let llama = "meta.llama3-3-70b-instruct-v1:0";
        for name in [
            "us.meta.llama3-3-70b-instruct-v1:0",
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.meta.llama3-3-70b-instruct-v1:0",
        ] {
            assert!(find("bedrock", name).is_none(), "its price is another region's");
            assert_eq!(find_anywhere("bedrock", name).unwrap().model, llama);
        }
        assert!(find_anywhere("bedrock", "eu.amazon.nova-v1:0").is_none() && find_anywhere("openai", llama).is_none());
    }
}
