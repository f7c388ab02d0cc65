//! The tools of one agent.

use std::sync::Arc;

use futures::future::join_all;
use greenroom_contract::{
    BoxFuture, Clock,
    call::AgentCall,
    port::tool::{Answer, Call, Error, ToolSpec, Toolset},
};
use serde_json::Value;

use super::{builtin::Ready, mcp::View, names::Names};

/// The source of the tools that Greenroom brings; server `i` is source `i + 1`.
const BUILTIN: usize = 0;

pub(super) struct Set {
    builtins: Vec<Ready>,
    servers: Vec<View>,
    names: Names,
    clock: Arc<dyn Clock>,
}

impl Set {
    pub(super) fn new(builtins: Vec<Ready>, servers: Vec<View>, clock: Arc<dyn Clock>) -> Self {
        let set = Self { builtins, servers, names: Names::default(), clock };
        // Names are given in the order of the file, once, so that they are the same after each start.
        set.list();
        set
    }
}

impl Toolset for Set {
    fn list(&self) -> Vec<ToolSpec> {
        let mut all = Vec::new();
        for builtin in &self.builtins {
            let spec = builtin.spec();
            let name = self.names.name(BUILTIN, "greenroom", &spec.name);
            all.push(ToolSpec { name, ..spec });
        }
        for (at, server) in self.servers.iter().enumerate() {
            for spec in server.tools().iter() {
                let name = self.names.name(at + 1, server.name(), &spec.name);
                all.push(ToolSpec { name, ..spec.clone() });
            }
        }
        all
    }

    fn names(&self) -> Vec<String> {
        let builtins = self.builtins.iter().map(|builtin| self.names.name(BUILTIN, "greenroom", &builtin.spec().name));
        let mut all: Vec<String> = builtins.collect();
        for (at, server) in self.servers.iter().enumerate() {
            all.extend(server.tools().iter().map(|spec| self.names.name(at + 1, server.name(), &spec.name)));
        }
        all
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, Error>> {
        Box::pin(async move {
            let Some((source, own_name)) = self.names.resolve(&call.name) else {
                return Err(Error::Unknown { name: call.name });
            };
            if source == BUILTIN {
                let known = self.builtins.iter().find(|builtin| builtin.spec().name == own_name);
                let Some(builtin) = known else { return Err(Error::Unknown { name: call.name }) };
                return Ok(builtin.call(&call, self.clock.as_ref()).await);
            }
            match self.servers.get(source - 1) {
                Some(server) => server.call(&own_name, call).await,
                None => Err(Error::Unknown { name: call.name }),
            }
        })
    }

    fn calls_agent(&self, name: &str, input: &Value) -> Option<Result<AgentCall, String>> {
        let (source, own_name) = self.names.resolve(name)?;
        let mut builtins = self.builtins.iter().filter(|_| source == BUILTIN);
        builtins.find(|builtin| builtin.spec().name == own_name)?.calls_agent(input)
    }

    fn confirms(&self, name: &str) -> Option<bool> {
        // By the name, once its tool was listed: whether its server is up now does not matter.
        let (source, own_name) = self.names.resolve(name)?;
        Some(source != BUILTIN && self.servers.get(source - 1).is_some_and(|server| server.confirms(&own_name)))
    }

    fn degraded(&self) -> Vec<String> {
        self.servers.iter().filter_map(View::down_because).collect()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            join_all(self.servers.iter().map(View::close)).await;
        })
    }
}
