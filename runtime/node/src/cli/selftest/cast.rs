//! The agents that play. Their names begin with the run's own word, so that they meet nobody's.

use std::{fs, io, path::Path};

/// What the agents are, by the last part of their names: a tool of each effect, and one that sends an event.
pub(super) const ROLES: [&str; 5] = ["none", "idempotent", "keyed", "once", "event"];
/// The role whose tool must not be called twice.
pub(super) const ONCE: &str = "once";
/// The role that sends an event besides.
pub(super) const EVENT: &str = "event";

/// The names of a run.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    /// `selftest-3f2a9c`.
    pub(super) prefix: String,
}

impl Cast {
    /// The agent of a role.
    pub(super) fn agent(&self, role: &str) -> String {
        format!("{}-{role}", self.prefix)
    }

    /// The agent that hears of every end, and every event.
    pub(super) fn listener(&self) -> String {
        self.agent("listener")
    }

    /// The topic of the events.
    pub(super) fn said(&self) -> String {
        format!("{}.said", self.prefix)
    }

    /// Every agent.
    pub(super) fn agents(&self) -> Vec<String> {
        ROLES.iter().map(|role| self.agent(role)).chain([self.listener()]).collect()
    }

    /// Writes the agents' files into a configuration folder.
    pub(super) fn write(&self, config: &Path, model_url: &str, exe: &Path, ledger: &Path) -> io::Result<()> {
        let folder = config.join("agents");
        fs::create_dir_all(&folder)?;
        for role in ROLES {
            let name = self.agent(role);
            let tool = match role {
                EVENT => "builtin: emit_event".to_owned(),
                _ => {
                    let effect = if role == ONCE { "at_most_once" } else { role };
                    let (exe, ledger) = (quoted(exe), quoted(ledger));
                    format!("mcp: {{command: {exe}, args: [selftest-tool, {ledger}], effect: {effect}}}")
                }
            };
            // It is asked nowhere but here.
            let yaml = format!(
                "name: {name}\nagent_type: selftest\nexecution_mode: autonomous\nconcurrency: 4\n\
                 llm_config: {{provider: openai, model: gpt-4o-mini, base_url: \"{model_url}\"}}\n\
                 limits: {{on_unknown: fail}}\ntools: [{{{tool}}}]\n"
            );
            fs::write(folder.join(format!("{name}.yaml")), yaml)?;
        }
        let name = self.listener();
        let outputs: Vec<String> = ROLES.iter().map(|role| format!("agent.output.{}", self.agent(role))).collect();
        let yaml = format!(
            "name: {name}\nagent_type: selftest\nexecution_mode: autonomous\nconcurrency: 8\n\
             llm_config: {{provider: scripted, script: [{{reply: heard}}]}}\nsubscriptions: [{}, {}]\n",
            self.said(),
            outputs.join(", ")
        );
        fs::write(folder.join(format!("{name}.yaml")), yaml)
    }
}

fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.display().to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_agents_file_is_accepted() {
        let folder = std::env::temp_dir().join(format!("greenroom-selftest-cast-{}", std::process::id()));
        let cast = Cast { prefix: "selftest-abc".to_owned() };
        cast.write(&folder, "http://127.0.0.1:1/v1", Path::new("a b"), Path::new("l\"x")).unwrap();
        let loaded = greenroom_config::load(&folder);
        fs::remove_dir_all(&folder).unwrap();
        let loaded = loaded.unwrap();
        assert!(loaded.refused.is_empty(), "{:?}", loaded.refused);
        assert_eq!(loaded.agents.len(), cast.agents().len());
    }
}
