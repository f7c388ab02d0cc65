//! The tools of a node: what is opened for an agent, and what agents share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use futures::future::join_all;
use greenroom_config::{
    Environment,
    spec::{McpServer, ToolConfig},
};
use greenroom_contract::{AgentId, Clock, port::tool::Toolset, tree::Table};
use tokio::time::Instant;

use super::{
    builtin::Ready,
    mcp::{Lease, Link, Rules, View},
    seat::Seats,
    set::Set,
};
use crate::Unusable;

/// The tools of a node. One for all its agents.
pub struct Toolshed {
    env: Environment,
    clock: Arc<dyn Clock>,
    seats: Seats,
    shared: Mutex<HashMap<[u8; 32], Arc<Shared>>>,
}

/// A server that agents may use together; locked while it is started, so that it is started once.
type Shared = tokio::sync::Mutex<Held>;

#[derive(Default)]
struct Held {
    server: Weak<Lease>,
    /// When it last could not be started, and why: this is also the answer for those who were waiting for that start.
    failed: Option<(Instant, Unusable)>,
}

impl Toolshed {
    /// Tools by this environment and clock. Tool servers show how they are in `table`, if there is one.
    pub fn new(env: Environment, clock: Arc<dyn Clock>, table: Option<Table>) -> Self {
        Self { env, clock, seats: Seats::new(table), shared: Mutex::default() }
    }

    /// Opens an agent's tools: starts its tool servers, side by side, and lists what they offer.
    ///
    /// Fails, naming the server, when one cannot be reached now (R1.3); what was started is ended again. A server that
    /// dies later takes its tools away and brings them back by itself: [`Toolset::degraded`] says so meanwhile. Close the
    /// set with [`Toolset::close`]; a set that is dropped instead kills its servers. A server that is `shared` ends with
    /// the last set that uses it.
    pub async fn open(&self, agent: &AgentId, tools: &[ToolConfig]) -> Result<Arc<dyn Toolset>, Unusable> {
        let mut builtins: Vec<Ready> = Vec::new();
        let mut wanted = Vec::new();
        for tool in tools {
            match tool {
                ToolConfig::Builtin(tool) => {
                    let ready = Ready::new(tool)?;
                    let name = ready.spec().name;
                    if builtins.iter().all(|other| other.spec().name != name) {
                        builtins.push(ready);
                    }
                }
                ToolConfig::Mcp(tool) => wanted.push((&tool.mcp, self.link(&tool.mcp, &wanted)?)),
            }
        }
        let mut views = Vec::new();
        let mut unusable = None;
        for started in join_all(wanted.into_iter().map(|(server, link)| self.view(agent, server, link))).await {
            match started {
                Ok(view) => views.push(view),
                Err(error) => unusable = unusable.or(Some(error)),
            }
        }
        if let Some(unusable) = unusable {
            join_all(views.iter().map(View::close)).await;
            return Err(unusable);
        }
        Ok(Arc::new(Set::new(builtins, views, Arc::clone(&self.clock))))
    }

    fn link(&self, server: &McpServer, others: &[(&McpServer, Link)]) -> Result<Link, Unusable> {
        let mut link = Link::new(server, &self.env)?;
        let plain = |name: &str| name.split('#').next().unwrap_or(name).to_owned();
        let same = others.iter().filter(|(_, other)| plain(other.name()) == link.name()).count();
        if same > 0 {
            link.number(same + 1);
        }
        Ok(link)
    }

    async fn view(&self, agent: &AgentId, config: &McpServer, link: Link) -> Result<View, Unusable> {
        let (name, rules) = (link.name().to_owned(), Rules::new(config));
        let server = match config.shared {
            true => self.shared(link).await?,
            false => {
                let seat = self.seats.take(format!("agents/{agent}/mcp/{name}"));
                Lease::start(link, seat).await?
            }
        };
        Ok(View::new(name, rules, server))
    }

    async fn shared(&self, link: Link) -> Result<Arc<Lease>, Unusable> {
        let identity = link.identity();
        let shared = {
            let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, shared| {
                Arc::strong_count(shared) > 1 || shared.try_lock().is_ok_and(|held| held.server.strong_count() > 0)
            });
            Arc::clone(all.entry(identity).or_default())
        };
        let waiting_since = Instant::now();
        // A start has its own limit, and nobody waits for more than one of them.
        let mut held = shared.lock().await;
        if let Some(server) = held.server.upgrade() {
            return Ok(server);
        }
        if let Some((at, unusable)) = &held.failed
            && *at >= waiting_since
        {
            return Err(unusable.clone());
        }
        let seat = self.seats.take(format!("mcp/{}-{}", link.name(), hex::encode(&identity[..3])));
        match Lease::start(link, seat).await {
            Ok(server) => {
                *held = Held { server: Arc::downgrade(&server), failed: None };
                Ok(server)
            }
            Err(unusable) => {
                held.failed = Some((Instant::now(), unusable.clone()));
                Err(unusable)
            }
        }
    }
}
