//! `greenroom init`.

use std::path::Path;

use super::{exit::Exit, output};

/// The sample agents, as they stand in the repository.
const SAMPLES: [(&str, &str); 10] = [
    ("assistant.yaml", include_str!("../../../../config/agents/assistant.yaml")),
    ("customer-support.yaml", include_str!("../../../../config/agents/customer-support.yaml")),
    ("daily-report.yaml", include_str!("../../../../config/agents/daily-report.yaml")),
    ("data-analyst.yaml", include_str!("../../../../config/agents/data-analyst.yaml")),
    ("editor.yaml", include_str!("../../../../config/agents/editor.yaml")),
    ("editorial.yaml", include_str!("../../../../config/agents/editorial.yaml")),
    ("researcher.yaml", include_str!("../../../../config/agents/researcher.yaml")),
    ("system-monitor.yaml", include_str!("../../../../config/agents/system-monitor.yaml")),
    ("triage.yaml", include_str!("../../../../config/agents/triage.yaml")),
    ("writer.yaml", include_str!("../../../../config/agents/writer.yaml")),
];

/// Writes the samples; a file that is there already is left as it is.
pub(super) fn init(folder: &Path) -> Result<(), Exit> {
    let schemas = [("agent", greenroom_config::agent_schema()), ("providers", greenroom_config::providers_schema())];
    let mut files: Vec<(String, String)> =
        SAMPLES.iter().map(|(name, text)| (format!("config/agents/{name}"), (*text).to_owned())).collect();
    for (name, schema) in schemas {
        let text = serde_json::to_string_pretty(&schema).map_err(Exit::failed)? + "\n";
        files.push((format!("config/schema/{name}.json"), text));
    }
    files.push((".env.example".to_owned(), env_example()));
    for (name, text) in files {
        let path = folder.join(&name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| Exit::failed(format!("{}: {error}", parent.display())))?;
        }
        if path.exists() {
            output::note(format_args!("- {name} is there already"));
            continue;
        }
        std::fs::write(&path, text).map_err(|error| Exit::failed(format!("{}: {error}", path.display())))?;
        output::note(format_args!("✓ {name}"));
    }
    output::note("Next: greenroom up");
    Ok(())
}

fn env_example() -> String {
    let mut text =
        "# Copy to .env and fill in what you use. Each variable can also be given as NAME_FILE.\n".to_owned();
    for variable in greenroom_config::VARIABLES {
        text.push_str(&format!(
            "\n# {}\n# {}={}\n",
            variable.purpose,
            variable.name,
            variable.default.unwrap_or_default()
        ));
    }
    text
}
