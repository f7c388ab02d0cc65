//! What no schema can say about who answers questions.

use super::rules::Rules;
use crate::spec::OnExpiry;

pub(super) fn check(rules: &mut Rules<'_>) {
    let asks = &rules.spec.clarifications;
    match (asks.on_expiry, &asks.escalate) {
        (OnExpiry::Escalate, None) => {
            rules.refuse(
                "clarifications.on_expiry",
                "escalates to nobody",
                "say to whom: `escalate: {to: [ann], within: 4h}`",
            );
        }
        (OnExpiry::Default | OnExpiry::Fail, Some(_)) => {
            rules.warn("clarifications.escalate", "has no effect without `on_expiry: escalate`");
        }
        _ => {}
    }
    if asks.on_expiry != OnExpiry::Default && asks.expires.is_none() {
        rules.warn("clarifications.on_expiry", "counts only for questions that have an end; say when with `expires`");
    }
    if let Some(expires) = asks.expires {
        rules.positive("clarifications.expires", expires);
    }
    if let Some(escalate) = &asks.escalate {
        rules.positive("clarifications.escalate.within", escalate.within);
    }
}
