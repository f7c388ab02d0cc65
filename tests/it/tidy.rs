//! What is asked of every file, kept true by a machine.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

const LONGEST_FILE: usize = 400;

/// Who may know whom, dev-dependencies aside. ARCHITECTURE.md draws it.
const EDGES: &[(&str, &[&str])] = &[
    ("greenroom-contract", &[]),
    ("greenroom-config", &["greenroom-contract"]),
    ("greenroom-sqlite", &["greenroom-contract"]),
    ("greenroom-bus", &["greenroom-contract", "greenroom-config", "greenroom-sqlite"]),
    ("greenroom-state", &["greenroom-contract", "greenroom-config", "greenroom-sqlite"]),
    ("greenroom-providers", &["greenroom-contract", "greenroom-config"]),
    ("greenroom-gateway", &["greenroom-contract", "greenroom-config"]),
    ("greenroom-actors", &["greenroom-contract", "greenroom-config"]),
];
/// The only crates that may know all others.
const KNOW_ALL: &[&str] = &["greenroom-node", "greenroom-tests"];

/// What may stand at the top, besides dotfiles.
const TOP: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "actors",
    "config",
    "deploy",
    "providers",
    "runtime",
    "rust-toolchain.toml",
    "tests",
];
/// What building and running leave behind; git ignores it.
const LEFT_BEHIND: &[&str] = &["target", "data", ".git", ".env"];

#[test]
fn no_rust_file_is_too_long() {
    let lines = |text: &str| text.lines().count();
    let long = rust_files_where(|_, text| lines(text) > LONGEST_FILE);
    assert_eq!(long, NONE, "over {LONGEST_FILE} lines; look for the second reason to open them");
}

#[test]
fn a_mod_rs_is_a_contents_page() {
    let busy = rust_files_where(|path, text| path.ends_with("mod.rs") && code(text).any(declares_function));
    assert_eq!(busy, NONE, "functions belong into a file with a name");
}

#[test]
fn no_lint_is_silenced_without_a_reason() {
    // Put together, so that this file does not find itself.
    let (outer, inner) = (["#[", "allow("].concat(), ["#![", "allow("].concat());
    let silenced = rust_files_where(|_, text| code(text).any(|line| line.contains(&outer) || line.contains(&inner)));
    assert_eq!(silenced, NONE, "use #[expect(lint, reason = \"…\")]");
}

#[test]
fn no_test_is_ignored_and_no_work_is_marked_for_later() {
    let marks = [["FIX", "ME"].concat(), ["#[ig", "nore"].concat()];
    let unfinished = rust_files_where(|_, text| marks.iter().any(|mark| text.contains(mark)));
    assert_eq!(unfinished, NONE, "finish it, or say in a document that it is absent");
}

#[test]
fn tests_wait_for_a_state_and_do_not_sleep() {
    // The kit may: it polls another process, and plays slow models and slow tools.
    let sleep = ["::sl", "eep("].concat();
    let sleeps =
        rust_files_where(|path, text| path.starts_with("tests/it/") && code(text).any(|line| line.contains(&sleep)));
    assert_eq!(sleeps, NONE, "use kit::wait");
}

#[test]
fn crates_know_only_whom_the_drawing_lets_them_know() {
    for package in packages() {
        let name = package["name"].as_str().unwrap_or_default();
        if KNOW_ALL.contains(&name) {
            continue;
        }
        let Some((_, may)) = EDGES.iter().find(|(known, _)| *known == name) else {
            panic!("{name} is a new crate: draw it in ARCHITECTURE.md and give it a row here");
        };
        let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        for dependency in dependencies.iter().filter(|dependency| dependency["kind"] != "dev") {
            let to = dependency["name"].as_str().unwrap_or_default();
            assert!(!to.starts_with("greenroom-") || may.contains(&to), "{name} must not know {to}");
            assert!(to != "ractor" || name == "greenroom-actors", "{name}: only the actors know ractor");
        }
    }
}

#[test]
fn every_crate_takes_the_workspaces_lints_and_has_a_readme_as_its_doc() {
    for package in packages() {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap_or_default());
        let shown = manifest.display();
        let text = read(&manifest);
        assert!(text.contains("[lints]\nworkspace = true"), "{shown}: [lints] workspace = true is missing");
        let folder = manifest.parent().unwrap_or(&manifest);
        let readme = read(&folder.join("README.md"));
        assert!(readme.lines().count() >= 5, "{shown}: the README says what the crate is and how it is used");
        let targets = package["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        let library = targets.iter().find(|target| target["kind"][0] == "lib");
        let library = library.unwrap_or_else(|| panic!("{shown}: no library"));
        let source = read(Path::new(library["src_path"].as_str().unwrap_or_default()));
        assert!(
            source.contains("#![doc = include_str!(\"../README.md\")]"),
            "{shown}: the README is not the crate's doc"
        );
    }
}

#[test]
fn every_sample_agent_loads_and_every_mode_has_one() {
    let loaded = greenroom_config::load(&top().join("config")).unwrap_or_else(|error| panic!("{error}"));
    let refused: Vec<String> = loaded.refused.iter().map(ToString::to_string).collect();
    assert_eq!(refused, NONE);
    let modes: BTreeSet<&str> = loaded.agents.values().map(|agent| agent.spec.execution_mode.as_str()).collect();
    assert_eq!(modes, BTreeSet::from(["autonomous", "collaborative", "continuous", "scheduled"]));
}

#[test]
fn the_manual_lists_every_variable_with_its_default() {
    let manual = read(&top().join("deploy/docs/deployment.md"));
    for variable in greenroom_config::VARIABLES {
        let default = variable.default.map(|default| format!("`{default}`")).unwrap_or_default();
        let row = format!("| `{}` | {default} | {}", variable.name, variable.purpose);
        assert!(manual.contains(&row), "deploy/docs/deployment.md lacks: {row}");
    }
}

#[test]
fn the_manual_lists_every_key_of_an_agent() {
    let manual = read(&top().join("deploy/docs/agents.md"));
    let schema = greenroom_config::agent_schema();
    let top_level = schema["properties"].as_object().into_iter();
    let nested = schema["$defs"].as_object().into_iter().flatten().flat_map(|(_, part)| part["properties"].as_object());
    let keys: BTreeSet<&String> = top_level.chain(nested).flat_map(|properties| properties.keys()).collect();
    assert!(keys.len() > 30, "the schema has {} keys", keys.len());
    let missing: Vec<_> =
        keys.into_iter().filter(|key| !manual.contains(&format!("`{key}`")) && !named_inside(&manual, key)).collect();
    assert_eq!(missing, NONE, "deploy/docs/agents.md does not tell of them");
}

/// Whether the manual names a key inside a longer piece of code, such as `{per_execution, per_day}`.
fn named_inside(manual: &str, key: &str) -> bool {
    manual
        .split('`')
        .skip(1)
        .step_by(2)
        .any(|code| code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == key))
}

#[test]
fn nothing_new_stands_at_the_top() {
    let names = fs::read_dir(top()).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let strange: Vec<String> = names
        .filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str()) && !LEFT_BEHIND.contains(&name.as_str()))
        .collect();
    assert_eq!(strange, NONE, "there is a room for it below");
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    // Put together, so that this file does not find itself.
    let paths = ["work", "farm", "root", "home"].map(|folder| format!("/{folder}/"));
    let tells = |text: &str| {
        let own = |path: &String| {
            text.match_indices(path.as_str())
                .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '}'))
        };
        paths.iter().any(own)
    };
    let telling: Vec<&str> = files().iter().filter(|(_, text)| tells(text)).map(|(path, _)| path.as_str()).collect();
    assert_eq!(telling, NONE);
}

/// What every list of offenders should be.
const NONE: [&str; 0] = [];

fn top() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// Every text file below the top, with its path from there.
fn files() -> &'static [(String, String)] {
    static FILES: OnceLock<Vec<(String, String)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut found = Vec::new();
        let mut folders = vec![top().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if LEFT_BEHIND.iter().any(|name| entry.file_name() == *name) {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(text) = fs::read_to_string(&path) {
                    let from_top = path.strip_prefix(top()).unwrap_or(&path);
                    found.push((from_top.display().to_string(), text));
                }
            }
        }
        found.sort();
        found
    })
}

fn rust_files_where(wanted: impl Fn(&str, &str) -> bool) -> Vec<&'static str> {
    let rust = files().iter().filter(|(path, _)| path.ends_with(".rs"));
    rust.filter(|(path, text)| wanted(path, text)).map(|(path, _)| path.as_str()).collect()
}

/// Lines that are not comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"))
}

fn declares_function(line: &str) -> bool {
    let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
    let line = line.trim_start_matches("const ").trim_start_matches("async ");
    line.starts_with("fn ")
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(top())
        .output()
        .unwrap_or_else(|error| panic!("cargo metadata: {error}"));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    assert!(packages.len() >= 10, "cargo metadata said: {}", String::from_utf8_lossy(&output.stderr));
    packages
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
