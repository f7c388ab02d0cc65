//! Tools that do what their input says.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    BoxFuture,
    execution::Effect,
    port::tool::{Answer, Call, Emit, Error, ToolSpec, Toolset},
};
use serde_json::{Value, json};

use super::model::Model;

/// `look` changes nothing, `peek` may be repeated, `act` must not happen twice. All take `{"ms": 10, "say": "text", "emit": "topic"}`.
pub(super) struct Tools {
    pub(super) model: Arc<Model>,
}

impl Toolset for Tools {
    fn list(&self) -> Vec<ToolSpec> {
        let spec = |name: &str, effect| ToolSpec {
            name: name.to_owned(),
            description: String::new(),
            input_schema: json!({ "type": "object" }),
            effect,
        };
        vec![spec("look", Effect::None), spec("act", Effect::AtMostOnce), spec("peek", Effect::Idempotent)]
    }

    fn confirms(&self, _: &str) -> Option<bool> {
        Some(false)
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, Error>> {
        self.model.check_first(&call.idempotency_key);
        Box::pin(async move {
            let millis = call.input["ms"].as_u64().unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(millis)).await;
            let mut answer = Answer::text(call.input["say"].as_str().unwrap_or("done"));
            if let Value::String(topic) = &call.input["emit"] {
                answer.emits.push(Emit { topic: topic.clone(), payload: json!({ "from": call.agent }) });
            }
            Ok(answer)
        })
    }

    fn degraded(&self) -> Vec<String> {
        Vec::new()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
