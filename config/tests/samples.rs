//! The agents and the schema that come with Greenroom.

use std::{collections::BTreeSet, path::Path};

use greenroom_config::{
    AgentSpec, load,
    spec::{Mode, Provider, ToolConfig},
};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn every_sample_is_an_agent_without_a_warning_and_every_mode_has_one() {
    let loaded = load(Path::new(FOLDER)).unwrap();
    let refused: Vec<_> = loaded.refused.iter().map(ToString::to_string).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    for definition in loaded.agents.values() {
        assert_eq!(definition.warnings, Vec::<String>::new());
        assert_eq!(definition.file, Path::new("config/agents").join(format!("{}.yaml", definition.spec.name)));
        let text = std::fs::read_to_string(Path::new(FOLDER).parent().unwrap().join(&definition.file)).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=../schema/agent.json\n"), "{:?}", definition.file);
    }
    let modes: BTreeSet<_> = loaded.agents.values().map(|agent| agent.spec.execution_mode.as_str()).collect();
    let all = [Mode::Autonomous, Mode::Collaborative, Mode::Continuous, Mode::Scheduled].map(Mode::as_str);
    assert_eq!(modes, BTreeSet::from(all));
}

/// Nobody needs a key, a server or a network to try them; and none wakes another in a circle.
#[test]
fn samples_work_offline() {
    let loaded = load(Path::new(FOLDER)).unwrap();
    for agent in loaded.agents.values().map(|definition| &definition.spec) {
        assert!(matches!(agent.llm_config.provider, Provider::Auto | Provider::Scripted), "{}", agent.name);
        assert!(agent.llm_config.script.iter().any(|rule| rule.when.is_none()), "{} has no last word", agent.name);
        assert!(agent.tools.iter().all(|tool| matches!(tool, ToolConfig::Builtin(_))), "{}", agent.name);
        for other in loaded.agents.keys() {
            let output = other.output_topic();
            assert!(!agent.subscriptions.iter().any(|pattern| pattern.matches(&output)), "{} ← {output}", agent.name);
        }
    }
}

/// The parser that gives places and an independent one agree on what the samples say.
#[test]
fn another_parser_reads_the_same() {
    for definition in load(Path::new(FOLDER)).unwrap().agents.values() {
        let text = std::fs::read_to_string(Path::new(FOLDER).parent().unwrap().join(&definition.file)).unwrap();
        let other: AgentSpec = serde_yaml::from_str(&text).unwrap();
        assert_eq!(other, *definition.spec);
        assert_eq!(other.version(), definition.version);
    }
}
