//! How it is told.

use std::time::Duration;

use serde_json::json;

use super::{
    chaos::Times,
    judge::{PRICED_AS, Verdict},
};
use crate::cli::output;

/// A run, in numbers.
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) nodes: usize,
    pub(super) kills: usize,
    /// What the nodes stood on.
    pub(super) on: &'static str,
    pub(super) took: Duration,
    pub(super) times: Times,
    pub(super) verdict: Verdict,
}

impl Report {
    pub(super) fn print(mut self, as_json: bool) {
        let (takeover, resume) = (median(&mut self.times.takeover), median(&mut self.times.resume));
        let verdict = &self.verdict;
        if as_json {
            let mut told = serde_json::to_value(verdict).unwrap_or_default();
            let run = json!({
                "seed": self.seed, "nodes": self.nodes, "kills": self.kills, "on": self.on,
                "seconds": self.took.as_secs_f64(), "good": verdict.is_good(),
                "median_takeover_ms": takeover.map(millis), "takeovers": self.times.takeover.len(),
                "median_resume_ms": resume.map(millis), "resumes": self.times.resume.len(),
            });
            if let (Some(told), serde_json::Value::Object(run)) = (told.as_object_mut(), run) {
                told.extend(run);
            }
            return output::json(&told);
        }
        let shown = |time: Option<f64>, of: usize| match time {
            Some(millis) => format!("{millis:.0} ms, the median of {of}"),
            None => "not measured: no killed node held work that others took up".to_owned(),
        };
        let kills = format!("{} on {} {}", self.kills, self.nodes, if self.nodes == 1 { "node" } else { "nodes" });
        let rows = [
            ("ran on", format!("{}, {:.1} s, --seed {}", self.on, self.took.as_secs_f64(), self.seed)),
            ("kill -9", kills),
            ("accepted", verdict.accepted.to_string()),
            ("succeeded", verdict.succeeded.to_string()),
            (
                "failed",
                format!(
                    "{} ({} of them unknown: killed during a call that must not be repeated)",
                    verdict.failed, verdict.unknown
                ),
            ),
            ("dead", verdict.dead.to_string()),
            ("lost", verdict.lost.to_string()),
            ("duplicated", verdict.duplicated.to_string()),
            (
                "re-paid",
                format!(
                    "{} finished calls ({} were under way at a kill and made again)",
                    verdict.repaid, verdict.repeated
                ),
            ),
            (
                "saved by replay",
                format!(
                    "{} calls, {} of them of the model: ${:.4} at the price of {PRICED_AS}",
                    verdict.replayed, verdict.replayed_models, verdict.saved_usd
                ),
            ),
            ("taken over in", shown(takeover.map(millis), self.times.takeover.len())),
            ("resumed in", shown(resume.map(millis), self.times.resume.len())),
        ];
        for (name, value) in rows {
            output::answer(format_args!("{name:<16} {value}"));
        }
        for breach in &verdict.breaches {
            output::answer(format_args!("✗ {breach}"));
        }
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

fn median(times: &mut [Duration]) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}
