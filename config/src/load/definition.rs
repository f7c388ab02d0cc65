//! From a file's text to an agent's definition.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use garde::Validate;
use greenroom_contract::AgentId;
use serde_json::Value;

use super::{
    Problem, Refused, rules, shape,
    tree::{self, Kind, Node, Place},
};
use crate::{AgentSpec, schema};

/// An agent as a file defines it.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// What the file says. Shared by all who look after the agent: there may be ten thousand.
    pub spec: Arc<AgentSpec>,
    /// [`AgentSpec::version`] of the above: two files with the same version say the same.
    pub version: String,
    /// The file, as people speak of it: `config/agents/x.yaml`.
    pub file: PathBuf,
    /// What is allowed and probably not meant, one line for each, with its place.
    pub warnings: Vec<String>,
}

/// What a folder says.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The agents, by name.
    pub agents: BTreeMap<AgentId, Definition>,
    /// The files that are not agents, in the order of their names.
    pub refused: Vec<Refused>,
}

/// Reads one file's text. `file` is only a name, for messages.
///
/// A refusal has as many problems as could be found in one go: all misspelt keys and wrong kinds, and whatever does not
/// fit together in what is left without them.
pub fn parse(file: &Path, text: &str) -> Result<Definition, Refused> {
    parse_located(file, text).map(|(definition, _)| definition)
}

/// Like [`parse`], and tells where the agent's name stands.
pub(super) fn parse_located(file: &Path, text: &str) -> Result<(Definition, Place), Refused> {
    // A byte order mark is no part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut problems = Vec::new();
    let root = match tree::read(text, &mut problems) {
        Ok(root) => root,
        Err(fatal) => {
            problems.push(fatal);
            return Err(Refused::new(file, None, problems, text));
        }
    };
    let agent = name_of(&root);
    let refuse = |problems| Err(Refused::new(file, agent.clone(), problems, &without_secrets(text, &root)));

    if let Some(problem) = not_a_mapping(&root) {
        problems.push(problem);
        return refuse(problems);
    }
    shape::check(&root, schema::agent(), &mut problems);
    let bad: BTreeSet<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    let json = root.to_json("", &bad).unwrap_or_default();
    let spec = match serde_json::from_value::<AgentSpec>(json) {
        Ok(spec) => spec,
        // Without what is bad it is no agent; that has been said already.
        Err(_) if !problems.is_empty() => return refuse(problems),
        Err(error) => return refuse(vec![Problem::at(root.place, "", error.to_string(), None)]),
    };
    let (found, warnings) = check_sense(&spec, &root);
    problems.extend(found.into_iter().filter(|problem| !follows(problem, &bad)).collect::<Vec<_>>());
    if !problems.is_empty() {
        return refuse(problems);
    }
    let warnings = warnings
        .into_iter()
        .map(|Problem { line, column, key, message, .. }| {
            format!("{}:{line}:{column} {key}: {message}", file.display())
        })
        .collect();
    let named_at = root.nearest("name").0;
    Ok((Definition { version: spec.version(), spec: Arc::new(spec), file: file.to_owned(), warnings }, named_at))
}

/// What does not make sense, and what is merely odd.
fn check_sense(spec: &AgentSpec, root: &Node) -> (Vec<Problem>, Vec<Problem>) {
    let mut problems = Vec::new();
    if let Err(report) = spec.validate() {
        for (path, error) in report.iter() {
            let path = path.to_string();
            problems.push(Problem::at(root.nearest(&path).0, &path, format!("is {}", error.message()), None));
        }
    }
    let warnings = rules::check(spec, root, &mut problems);
    (problems, warnings)
}

/// Whether a problem may only be there because what stands at a `bad` path was left out: it is about the same mapping.
fn follows(problem: &Problem, bad: &BTreeSet<&str>) -> bool {
    let parent = |path: &str| path.rfind(['.', '[']).map_or_else(String::new, |at| path[..at].to_owned());
    let within = |path: &str| bad.contains(path) || bad.iter().any(|bad| parent(bad) == path);
    within(&problem.key) || within(&parent(&problem.key))
}

/// The agent's name, if it is readable even where the rest is not: then its last good version can be kept.
fn name_of(root: &Node) -> Option<AgentId> {
    match &root.entry("name")?.value.kind {
        Kind::Scalar(Value::String(name)) => name.parse().ok(),
        _ => None,
    }
}

/// The text for excerpts: what stands under a key that sounds like a secret's is blotted out. No such key is allowed,
/// but the excerpt that says so must not spread what it found.
fn without_secrets(text: &str, root: &Node) -> String {
    let mut places = Vec::new();
    secrets(root, &mut places);
    let mut text = text.as_bytes().to_vec();
    for Place { offset, length, .. } in places {
        text.iter_mut().skip(offset).take(length).for_each(|byte| *byte = b'*');
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn secrets(node: &Node, places: &mut Vec<Place>) {
    match &node.kind {
        Kind::Scalar(_) => {}
        Kind::List(items) => items.iter().for_each(|item| secrets(item, places)),
        Kind::Map(entries) => {
            for entry in entries {
                match &entry.value.kind {
                    Kind::Scalar(Value::String(_)) if sounds_secret(&entry.key) => places.push(entry.value.place),
                    _ => secrets(&entry.value, places),
                }
            }
        }
    }
}

/// Whether a key sounds as if its value were a secret rather than a variable's name.
pub(super) fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !key.ends_with("_env") && ["key", "token", "secret", "password"].iter().any(|word| key.contains(word))
}

fn not_a_mapping(root: &Node) -> Option<Problem> {
    let found = match &root.kind {
        Kind::Map(_) => return None,
        Kind::List(_) => "a list",
        Kind::Scalar(Value::Null) => "nothing",
        Kind::Scalar(_) => "text",
    };
    let help = "begin with `name: my-agent`, then `agent_type:`, `execution_mode:` and `llm_config:`, each in a line";
    Some(Problem::at(root.place, "", format!("expected an agent (`key: value`), found {found}"), Some(help.to_owned())))
}
