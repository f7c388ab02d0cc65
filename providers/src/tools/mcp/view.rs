//! A server as one agent sees it: its own choice of the tools, with their effects, and answers in its measure.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use greenroom_contract::{
    port::tool::{Answer, Call, Error, ToolSpec},
    task,
};
use rmcp::model::Tool;
use tokio::time::sleep;

use super::{
    rules::Rules,
    server::{Lease, Outcome, Server},
    translate,
};
use crate::tools::limit;

/// The view.
pub(in crate::tools) struct View {
    /// What stands before its tools' names where those clash.
    name: String,
    rules: Rules,
    /// Nothing when the view was closed.
    server: Mutex<Option<Arc<Lease>>>,
    seen: Mutex<Seen>,
}

/// The server's list as it was last translated, for as long as it is the same.
#[derive(Default)]
struct Seen {
    list: Option<Arc<Vec<Tool>>>,
    tools: Arc<Vec<ToolSpec>>,
}

impl View {
    pub(in crate::tools) fn new(name: String, rules: Rules, server: Arc<Lease>) -> Self {
        Self { name, rules, server: Mutex::new(Some(server)), seen: Mutex::default() }
    }

    /// What it is called.
    pub(in crate::tools) fn name(&self) -> &str {
        &self.name
    }

    /// The tools that can be asked for now, by the server's own names.
    pub(in crate::tools) fn tools(&self) -> Arc<Vec<ToolSpec>> {
        let Some(list) = self.server().and_then(|server| server.tools()) else { return Arc::default() };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.list.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &list)) {
            let visible = list.iter().filter(|tool| self.rules.allow(tool));
            seen.tools = Arc::new(visible.map(|tool| translate::spec(tool, self.rules.effect(tool))).collect());
            seen.list = Some(list);
        }
        Arc::clone(&seen.tools)
    }

    /// One line about why it is down; `None` when it is up.
    pub(in crate::tools) fn down_because(&self) -> Option<String> {
        match self.server() {
            Some(server) => server.down_because(),
            None => Some(format!("the tool server {:?} was closed", self.name)),
        }
    }

    /// Whether a person has to allow each call of this tool, by the server's own name for it.
    pub(in crate::tools) fn confirms(&self, own_name: &str) -> bool {
        self.rules.confirms(own_name)
    }

    /// Calls a tool by the server's own name for it. A tool that may be silent for longer than the call allows has signs
    /// of life given for it meanwhile: its own limit is the one that counts.
    pub(in crate::tools) async fn call(&self, own_name: &str, call: Call) -> Result<Answer, Error> {
        let Some(server) = self.server() else {
            let reason = format!("the tool server {:?} was closed", self.name);
            return Err(Error::Unavailable { name: call.name, reason });
        };
        let silence = self.rules.silence(own_name).unwrap_or(call.timeout);
        let _signs = (silence > call.timeout).then(|| {
            let (life, every) = (call.life.clone(), (call.timeout / 2).max(Duration::from_millis(10)));
            task::spawn_scoped("mcp-patience", async move {
                loop {
                    sleep(every).await;
                    life.sign();
                }
            })
        });
        let mut answer = match server.call(own_name, call, silence).await? {
            Outcome::Answered(result) => translate::answer(result),
            // The server has answered: it refuses the arguments, or does not know the tool.
            Outcome::Refused(words) => Answer::error(words),
        };
        answer.content = limit::cut(server.link().veil.over_answer(answer.content), self.rules.max_output);
        Ok(answer)
    }

    /// Ends the server, unless other views have it too, and resolves when it is gone. Calls that are under way fail.
    pub(in crate::tools) async fn close(&self) {
        let lease = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lease) = lease {
            lease.give_back().await;
        }
    }

    fn server(&self) -> Option<Arc<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|lease| lease.server())
    }
}
