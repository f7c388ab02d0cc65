//! Which built-in tool is which.

use greenroom_config::spec::Builtin;
use greenroom_contract::{
    Clock,
    port::tool::{Answer, ToolSpec},
};
use serde_json::Value;

use super::{current_time, emit_event};

/// The tool as the model sees it.
pub(in crate::tools) fn spec(builtin: Builtin) -> ToolSpec {
    match builtin {
        Builtin::EmitEvent => emit_event::spec(),
        Builtin::CurrentTime => current_time::spec(),
    }
}

/// Calls it. Wrong arguments are the tool's own failure, which the model may read and mend.
pub(in crate::tools) fn call(builtin: Builtin, input: &Value, clock: &dyn Clock) -> Answer {
    match builtin {
        Builtin::EmitEvent => emit_event::call(input),
        Builtin::CurrentTime => current_time::call(input, clock),
    }
}
