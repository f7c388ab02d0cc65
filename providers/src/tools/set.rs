//! The tools of one agent.

use std::sync::Arc;

use futures::future::join_all;
use greenroom_config::{
    Environment,
    spec::{Builtin, McpServer, ToolConfig},
};
use greenroom_contract::{
    BoxFuture, Clock,
    port::tool::{Answer, Call, Error, ToolSpec, Toolset},
};

use super::{
    builtin,
    mcp::{Link, Server},
    names::Names,
};
use crate::Unusable;

/// The source of the tools that Greenroom brings; server `i` is source `i + 1`.
const BUILTIN: usize = 0;

/// Opens an agent's tools: starts its tool servers, side by side, and lists what they offer.
///
/// Fails, naming the server, when one cannot be reached now (R1.3); what was started is ended again. A server that dies
/// later takes its tools away and brings them back by itself: [`Toolset::degraded`] says so meanwhile. Close the set
/// with [`Toolset::close`]; a set that is dropped instead kills its servers.
pub async fn open(
    tools: &[ToolConfig],
    env: &Environment,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Toolset>, Unusable> {
    let mut builtins: Vec<Builtin> = Vec::new();
    let mut links = Vec::new();
    for tool in tools {
        match tool {
            ToolConfig::Builtin(tool) if builtins.contains(&tool.builtin) => {}
            ToolConfig::Builtin(tool) => builtins.push(tool.builtin),
            ToolConfig::Mcp(tool) => links.push(link(&tool.mcp, &links, env)?),
        }
    }
    let mut servers = Vec::new();
    let mut unusable = None;
    for started in join_all(links.into_iter().map(Server::start)).await {
        match started {
            Ok(server) => servers.push(server),
            Err(error) => unusable = unusable.or(Some(error)),
        }
    }
    if let Some(unusable) = unusable {
        join_all(servers.iter().map(Server::close)).await;
        return Err(unusable);
    }
    let set = Set { builtins, servers, names: Names::default(), clock };
    // Names are given in the order of the file, once, so that they are the same after each start.
    set.list();
    Ok(Arc::new(set))
}

fn link(server: &McpServer, others: &[Link], env: &Environment) -> Result<Link, Unusable> {
    let mut link = Link::new(server, env)?;
    let same = others.iter().filter(|other| other.kind_name() == link.kind_name()).count();
    if same > 0 {
        link.number(same + 1);
    }
    Ok(link)
}

struct Set {
    builtins: Vec<Builtin>,
    servers: Vec<Server>,
    names: Names,
    clock: Arc<dyn Clock>,
}

impl Toolset for Set {
    fn list(&self) -> Vec<ToolSpec> {
        let mut all = Vec::new();
        for builtin in &self.builtins {
            let spec = builtin::spec(*builtin);
            let name = self.names.name(BUILTIN, "greenroom", &spec.name);
            all.push(ToolSpec { name, ..spec });
        }
        for (at, server) in self.servers.iter().enumerate() {
            for spec in server.tools() {
                let name = self.names.name(at + 1, server.name(), &spec.name);
                all.push(ToolSpec { name, ..spec });
            }
        }
        all
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, Error>> {
        Box::pin(async move {
            let Some((source, own_name)) = self.names.resolve(&call.name) else {
                return Err(Error::Unknown { name: call.name });
            };
            if source == BUILTIN {
                let known = self.builtins.iter().find(|builtin| builtin::spec(**builtin).name == own_name);
                let Some(builtin) = known else { return Err(Error::Unknown { name: call.name }) };
                return Ok(builtin::call(*builtin, &call.input, self.clock.as_ref()));
            }
            match self.servers.get(source - 1) {
                Some(server) => server.call(&own_name, call).await,
                None => Err(Error::Unknown { name: call.name }),
            }
        })
    }

    fn degraded(&self) -> Vec<String> {
        self.servers.iter().filter_map(Server::down_because).collect()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            join_all(self.servers.iter().map(Server::close)).await;
        })
    }
}
