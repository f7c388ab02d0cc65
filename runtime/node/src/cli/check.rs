//! `greenroom check`.

use std::path::PathBuf;

use greenroom_config::{Environment, NodeConfig};
use serde_json::json;

use super::{exit::Exit, output};

pub(super) fn check(env: &Environment, folder: Option<PathBuf>, as_json: bool) -> Result<(), Exit> {
    let config = NodeConfig::from_env(env)?;
    let folder = folder.unwrap_or(config.config_dir);
    let loaded = greenroom_config::load(&folder).map_err(Exit::config)?;
    greenroom_config::provider_rules(&folder).map_err(Exit::config)?;
    if as_json {
        let agents: Vec<_> = loaded
            .agents
            .values()
            .map(|a| json!({ "name": a.spec.name, "file": a.file, "version": a.version, "warnings": a.warnings }))
            .collect();
        let refused: Vec<_> = loaded
            .refused
            .iter()
            .map(|refused| {
                let problems: Vec<_> = refused
                    .problems
                    .iter()
                    .map(|p| json!({ "line": p.line, "column": p.column, "key": p.key, "message": p.message, "help": p.help }))
                    .collect();
                json!({ "file": refused.file, "agent": refused.agent, "problems": problems })
            })
            .collect();
        output::json(&json!({ "agents": agents, "refused": refused }));
    } else {
        for agent in loaded.agents.values() {
            output::answer(format_args!(
                "✓ {}  {}  {}",
                agent.spec.name,
                agent.spec.execution_mode.as_str(),
                agent.file.display()
            ));
            for warning in &agent.warnings {
                output::note(format_args!("  ! {warning}"));
            }
        }
        for refused in &loaded.refused {
            output::note(format_args!("{:?}", refused.report()));
        }
    }
    match loaded.refused.len() {
        0 => Ok(()),
        n => Err(Exit::config(format!("{n} of {} files refused in {}", n + loaded.agents.len(), folder.display()))),
    }
}
