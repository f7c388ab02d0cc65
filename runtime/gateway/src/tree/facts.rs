//! What is worth saying of a place beside its name and status, in words that text and diagram share.

use greenroom_contract::{
    status::AgentStatus,
    tree::{Budget, Place, Work},
};
use jiff::Timestamp;

/// For so long a failure is mentioned on a place that is well again.
const RECENT: i64 = 3600;

/// `3/3 restarts in 10m`, `next in 4s`, `inbox 7/8 oldest 2m`, `llm openai/gpt-6-sol 2s, 28s left` and the like.
pub(super) fn facts(place: &Place, now: Timestamp) -> Vec<String> {
    let mut parts = restarts(place, now);
    if place.passivated {
        parts.push("asleep".to_owned());
    }
    if let Some(until) = place.until.filter(|until| *until > now) {
        parts.push(format!("held back for {}", human(until.duration_since(now).as_secs())));
    }
    parts.extend(inbox(place, now));
    parts.extend(place.work.as_ref().map(|work| work_now(work, now)));
    parts.extend(counted(place.kills, "kill"));
    parts.extend(counted(place.quarantined, "task").map(|tasks| tasks + " in quarantine"));
    parts.extend(counted(place.late_results, "late result"));
    if place.kind == "node" {
        parts.push(format!("up {}", age(place.started_at, now)));
    }
    parts.extend(past_trouble(place, now));
    parts
}

fn restarts(place: &Place, now: Timestamp) -> Vec<String> {
    let spent = place.budget.filter(|budget| budget.in_window > 0);
    let mut parts: Vec<String> = match spent {
        Some(Budget { in_window, max_restarts, window_ms, .. }) => {
            let window = human(i64::try_from(window_ms / 1000).unwrap_or(i64::MAX));
            vec![format!("{in_window}/{max_restarts} restarts in {window}")]
        }
        None if place.restarts > 0 => vec![count(place.restarts as usize, "restart")],
        None => Vec::new(),
    };
    if let Some(next_at) = place.budget.and_then(|budget| budget.next_at).filter(|at| *at > now) {
        parts.push(format!("next in {}", human(next_at.duration_since(now).as_secs())));
    }
    parts
}

fn inbox(place: &Place, now: Timestamp) -> Option<String> {
    if place.inbox == 0 {
        return None;
    }
    let capacity = place.inbox_capacity.map(|capacity| format!("/{capacity}")).unwrap_or_default();
    let oldest = place.inbox_oldest_at.map(|at| format!(" oldest {}", age(at, now))).unwrap_or_default();
    Some(format!("inbox {}{capacity}{oldest}", place.inbox))
}

fn work_now(work: &Work, now: Timestamp) -> String {
    let left = work.deadline.duration_since(now).as_secs();
    let deadline = if left < 0 { format!("{} overdue", human(-left)) } else { format!("{} left", human(left)) };
    format!("{} {}, {deadline}", clean(&work.step), age(work.since, now))
}

fn past_trouble(place: &Place, now: Timestamp) -> Option<String> {
    let past = place.failures.front().filter(|_| !is_bad(place.status))?;
    let ago = now.duration_since(past.at).as_secs();
    (ago < RECENT).then(|| format!("last failure {} ago: {}", human(ago), clean(&past.failure.code)))
}

fn is_bad(status: AgentStatus) -> bool {
    matches!(status, AgentStatus::Failed | AgentStatus::Restarting | AgentStatus::Unavailable)
}

/// The newest failure, where the place is in a state that it explains.
pub(super) fn cause(place: &Place) -> Option<String> {
    let past = place.failures.front().filter(|_| is_bad(place.status))?;
    let trace = past.trace_id.map(|trace| format!("   trace {trace}")).unwrap_or_default();
    let message: String = clean(&past.failure.message).chars().take(160).collect();
    Some(format!("{}: {message}{trace}", clean(&past.failure.code)))
}

/// `1 agent`, `3 agents`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn counted(number: u32, noun: &str) -> Option<String> {
    (number > 0).then(|| count(number as usize, noun))
}

fn age(since: Timestamp, now: Timestamp) -> String {
    human(now.duration_since(since).as_secs())
}

/// The two largest units: `45s`, `12m`, `2h11m`, `3d4h`.
fn human(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// One line without control characters: a failure's text must not move the reader's cursor.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
