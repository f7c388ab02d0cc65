//! What a reload changes: the definitions that run against those that a folder now has.

use std::{collections::BTreeMap, path::PathBuf};

use greenroom_contract::AgentId;

use crate::load::{Definition, Loaded};

/// What to do about a folder's new contents.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Agents to start.
    pub added: Vec<Definition>,
    /// Agents whose definition says something else now: start the next generation, drain the old one.
    pub changed: Vec<Definition>,
    /// Agents to stop once their work is done.
    pub removed: Vec<AgentId>,
    /// Agents that go on as they are, because the file that should say otherwise is bad.
    pub kept_bad: Vec<KeptBad>,
    /// What should run now: the `old` of the next comparison.
    pub agents: BTreeMap<AgentId, Definition>,
}

/// An agent whose last good version goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBad {
    /// The agent.
    pub agent: AgentId,
    /// The bad file.
    pub file: PathBuf,
}

impl Changes {
    /// Whether there is nothing to start or stop.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Compares what runs with what a folder says.
///
/// - A file that is refused keeps the last good version of the agent that came from it, and of the agent that it names.
/// - A file that was renamed and says the same is no change; a new name in a file is another agent (removed and added).
/// - What a definition says decides, by its version: comments and order do not.
pub fn diff(old: &BTreeMap<AgentId, Definition>, new: &Loaded) -> Changes {
    let mut changes = Changes { agents: new.agents.clone(), ..Changes::default() };
    for (name, definition) in &new.agents {
        match old.get(name) {
            None => changes.added.push(definition.clone()),
            Some(before) if before.version != definition.version => changes.changed.push(definition.clone()),
            Some(_) => {}
        }
    }
    for (name, before) in old.iter().filter(|(name, _)| !new.agents.contains_key(*name)) {
        let bad =
            new.refused.iter().find(|refused| refused.file == before.file || refused.agent.as_ref() == Some(name));
        match bad {
            Some(refused) => {
                changes.kept_bad.push(KeptBad { agent: name.clone(), file: refused.file.clone() });
                changes.agents.insert(name.clone(), before.clone());
            }
            None => changes.removed.push(name.clone()),
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::load::{Refused, parse};

    fn agent(file: &str, name: &str, prompt: &str) -> Definition {
        let text = format!(
            "name: {name}\nagent_type: t\nexecution_mode: autonomous\nllm_config: {{provider: auto}}\n\
             system_prompt: {prompt}\n"
        );
        parse(Path::new(file), &text).unwrap()
    }

    fn bad(file: &str, text: &str) -> Refused {
        parse(Path::new(file), text).unwrap_err()
    }

    fn folder(good: &[Definition], refused: Vec<Refused>) -> Loaded {
        let agents = good.iter().map(|definition| (definition.spec.name.clone(), definition.clone())).collect();
        Loaded { agents, refused }
    }

    fn names(definitions: &[Definition]) -> Vec<&str> {
        definitions.iter().map(|definition| definition.spec.name.as_str()).collect()
    }

    #[test]
    fn added_changed_removed() {
        let old =
            folder(&[agent("a.yaml", "a", "one"), agent("b.yaml", "b", "one"), agent("c.yaml", "c", "one")], vec![]);
        let new =
            folder(&[agent("a.yaml", "a", "one"), agent("b.yaml", "b", "two"), agent("d.yaml", "d", "one")], vec![]);
        let changes = diff(&old.agents, &new);
        assert_eq!(names(&changes.added), ["d"]);
        assert_eq!(names(&changes.changed), ["b"]);
        assert_eq!(changes.removed, ["c".parse().unwrap()]);
        assert_eq!(changes.agents, new.agents);
        assert!(diff(&changes.agents, &new).is_empty());
    }

    #[test]
    fn a_renamed_file_is_no_change_and_its_new_name_is_remembered() {
        let old = folder(&[agent("a.yaml", "a", "one")], vec![]);
        let changes = diff(&old.agents, &folder(&[agent("z.yaml", "a", "one")], vec![]));
        assert!(changes.is_empty());
        // So that a fault in the new file is recognised as this agent's.
        let broken = diff(&changes.agents, &folder(&[], vec![bad("z.yaml", "- not an agent")]));
        assert_eq!(broken.kept_bad, [KeptBad { agent: "a".parse().unwrap(), file: "z.yaml".into() }]);
    }

    #[test]
    fn a_renamed_agent_is_removed_and_added() {
        let old = folder(&[agent("a.yaml", "a", "one")], vec![]);
        let changes = diff(&old.agents, &folder(&[agent("a.yaml", "b", "one")], vec![]));
        assert_eq!((names(&changes.added), changes.removed), (vec!["b"], vec!["a".parse().unwrap()]));
    }

    #[test]
    fn a_bad_file_keeps_the_last_good_version() {
        let old = folder(&[agent("a.yaml", "a", "one"), agent("b.yaml", "b", "one")], vec![]);
        // By the file, though the name cannot be read; and by the name, though it stands in another file now.
        let new = folder(&[], vec![bad("a.yaml", "name: [\n"), bad("elsewhere.yaml", "name: b\nagent_type: 5\n")]);
        let changes = diff(&old.agents, &new);
        assert!(changes.is_empty(), "{changes:?}");
        assert_eq!(changes.kept_bad.len(), 2);
        assert_eq!(changes.agents, old.agents);
        // Mended with the version that still runs: nothing to do.
        assert!(diff(&changes.agents, &old).is_empty());
        // Removed for good.
        assert_eq!(diff(&changes.agents, &Loaded::default()).removed.len(), 2);
    }

    #[test]
    fn a_bad_file_of_an_agent_that_another_file_defines_keeps_nothing() {
        let old = folder(&[agent("a.yaml", "a", "one")], vec![]);
        let new = folder(&[agent("b.yaml", "a", "two")], vec![bad("a.yaml", "")]);
        let changes = diff(&old.agents, &new);
        assert_eq!(names(&changes.changed), ["a"]);
        assert!(changes.kept_bad.is_empty());
    }
}
