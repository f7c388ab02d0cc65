//! Several nodes over the same broker, database and cache.

use std::{process::ExitStatus, time::Duration};

use super::{Home, Node};
use crate::{
    servers::{Backends, shared},
    wait,
};

/// So long a node may take to give its work back.
const STOP_LIMIT: Duration = wait::PATIENCE;

/// What nodes have in common: the agents' files, the backends, and the tool server's ledger ([`Home::tool_calls`]).
#[derive(Debug)]
pub struct Cluster {
    home: Home,
    variables: Vec<(String, String)>,
    // Its vhost and databases go when it does.
    _backends: Option<Backends>,
}

impl Cluster {
    /// A cluster over a vhost and databases of its own in the shared servers.
    pub async fn new() -> Self {
        let backends = shared().backends().await;
        Self { home: Home::new(), variables: backends.variables(), _backends: Some(backends) }
    }

    /// A cluster over these servers: private ones, or proxies before them.
    pub fn over(amqp: &str, database: &str, redis: &str) -> Self {
        let variables = [("AMQP", amqp), ("DATABASE", database), ("REDIS", redis)];
        let variables = variables.map(|(name, url)| (format!("GREENROOM_{name}_URL"), url.to_owned()));
        Self { home: Home::new(), variables: variables.into(), _backends: None }
    }

    /// The folders that its nodes share; each has its data in one of its own.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// A variable of every node; empty if it is not set.
    pub fn variable(&self, name: &str) -> String {
        let found = self.variables.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// Sets a variable of every node that is started from now on.
    pub fn env(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// A node with these roles (`autonomous,scheduler`), to be started.
    pub fn member(&self, name: &str, roles: &str) -> Member<'_> {
        let own = vec![("GREENROOM_NODE".to_owned(), name.to_owned())];
        Member { cluster: self, name: name.to_owned(), roles: roles.to_owned(), own, node: None }
    }

    /// Starts a node with these roles and waits until it takes work in.
    pub async fn start(&self, name: &str, roles: &str) -> Member<'_> {
        let mut member = self.member(name, roles);
        member.start().await;
        member
    }
}

/// One node of a cluster, running or not. It keeps its name, its roles and its data folder. Killed when it is dropped.
#[derive(Debug)]
pub struct Member<'a> {
    cluster: &'a Cluster,
    /// `GREENROOM_NODE`.
    pub name: String,
    roles: String,
    own: Vec<(String, String)>,
    node: Option<Node>,
}

impl Member<'_> {
    /// Sets a variable of this node alone: the URL of a proxy, for one.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.own.push((name.to_owned(), value.into()));
        self
    }

    /// Starts it, the first time or again, and waits until it is ready.
    ///
    /// # Panics
    /// When it runs, or does not come up.
    pub async fn start(&mut self) {
        assert!(self.node.is_none(), "node {} is to be started and runs", self.name);
        let launch = self.cluster.home.launch().data(self.cluster.home.path().join(format!("data-{}", self.name)));
        let launch = launch.envs(self.cluster.variables.iter().chain(&self.own).cloned());
        self.node = Some(launch.verb(&["node", "--role", &self.roles]).begin().await);
    }

    /// Whether it was started and neither killed nor stopped since.
    pub fn is_up(&self) -> bool {
        self.node.is_some()
    }

    /// The running node.
    ///
    /// # Panics
    /// When it is down.
    pub fn node(&self) -> &Node {
        match &self.node {
            Some(node) => node,
            None => panic!("node {} is down", self.name),
        }
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    ///
    /// # Panics
    /// When it is down.
    pub async fn kill9(&mut self) {
        self.take().kill9().await;
    }

    /// Freezes it: it holds what it holds, and does nothing.
    pub fn freeze(&self) {
        self.node().process.freeze();
    }

    /// Lets it go on after [`Self::freeze`].
    pub fn thaw(&self) {
        self.node().process.thaw();
    }

    /// Stops it in order (SIGTERM) and returns how it ended.
    ///
    /// # Panics
    /// When it is down, or does not end.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut node = self.take();
        node.process.terminate();
        node.process.exit(STOP_LIMIT).await
    }

    /// Waits until it answers that it is ready, or no longer is, at most `limit`.
    pub async fn is_ready(&self, ready: bool, limit: Duration) {
        let what = format!("node {} to be {}", self.name, if ready { "ready" } else { "unready" });
        wait::seen(&what, limit, async || match self.node().try_get("/health/ready").await {
            Ok(answer) if (answer.status == 200) == ready => Ok(()),
            Ok(answer) => Err(answer.text),
            Err(error) => Err(format!("{error:?}")),
        })
        .await;
    }

    fn take(&mut self) -> Node {
        match self.node.take() {
            Some(node) => node,
            None => panic!("node {} is down", self.name),
        }
    }
}
