//! What is found in a folder, and what of it is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::{fs, path::Path};

use greenroom_config::{LoadError, Loaded, load};
use tempfile::TempDir;

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("config/agents")).unwrap();
        Self(home)
    }

    fn agents(&self) -> std::path::PathBuf {
        self.0.path().join("config/agents")
    }

    fn write(&self, file: &str, name: &str) -> &Self {
        let text =
            format!("name: {name}\nagent_type: t\nexecution_mode: autonomous\nllm_config: {{provider: scripted}}\n");
        fs::write(self.agents().join(file), text).unwrap();
        self
    }

    fn load(&self) -> Loaded {
        load(&self.0.path().join("config")).unwrap()
    }
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.agents.keys().map(|name| name.as_str()).collect()
}

#[test]
fn yaml_and_yml_are_found_and_dotfiles_and_folders_below_are_not() {
    let home = Home::new();
    home.write("a.yaml", "a").write("b.yml", "b").write("C.YAML", "c");
    home.write(".a.yaml", "hidden").write("a.yaml~", "backup").write("notes.txt", "notes").write(".b.yml.swp", "swap");
    for below in ["below", "..2026_11_23"] {
        fs::create_dir(home.agents().join(below)).unwrap();
        home.write(&format!("{below}/x.yaml"), "x");
    }
    let loaded = home.load();
    assert_eq!(names(&loaded), ["a", "b", "c"]);
    assert!(loaded.refused.is_empty());
    assert_eq!(loaded.agents.values().next().unwrap().file, Path::new("config/agents/a.yaml"));
}

#[test]
fn bad_files_disturb_no_other() {
    let home = Home::new();
    home.write("good.yaml", "good");
    fs::create_dir(home.agents().join("folder.yaml")).unwrap();
    fs::write(home.agents().join("huge.yaml"), "x".repeat(1_000_001)).unwrap();
    fs::write(home.agents().join("latin.yaml"), b"name: x\ndescription: \xfcbel\n").unwrap();
    fs::write(home.agents().join("broken.yaml"), "name: broken\ntools: {").unwrap();
    fs::write(home.agents().join("empty.yaml"), "").unwrap();
    let loaded = home.load();
    assert_eq!(names(&loaded), ["good"]);
    let said: Vec<_> = loaded.refused.iter().map(ToString::to_string).collect();
    for (said, expected) in said.iter().zip([
        "config/agents/broken.yaml:3:1 not YAML: ",
        "config/agents/empty.yaml:1:1 the file is empty",
        "config/agents/folder.yaml: is a folder, not a file",
        "config/agents/huge.yaml: is larger than 1000000 bytes",
        "config/agents/latin.yaml: is not UTF-8 text (line 2); save it as UTF-8",
    ]) {
        assert!(said.starts_with(expected), "{said}");
    }
    assert_eq!(said.len(), 5);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_what_is_no_file_is_never_opened() {
    use std::os::unix::{fs::symlink, net::UnixListener};
    let home = Home::new();
    fs::create_dir(home.agents().join("..data")).unwrap();
    home.write("..data/a.yaml", "a");
    symlink("..data/a.yaml", home.agents().join("a.yaml")).unwrap();
    symlink("nowhere", home.agents().join("dangling.yaml")).unwrap();
    symlink("/dev/zero", home.agents().join("endless.yaml")).unwrap();
    let _socket = UnixListener::bind(home.agents().join("socket.yaml")).unwrap();
    let loaded = home.load();
    assert_eq!(names(&loaded), ["a"]);
    let said: Vec<_> = loaded.refused.iter().map(ToString::to_string).collect();
    assert!(said[0].starts_with("config/agents/dangling.yaml: cannot be read: "), "{}", said[0]);
    assert!(said[0].ends_with("is it a link to nothing?"), "{}", said[0]);
    assert_eq!(said[1], "config/agents/endless.yaml: is not a regular file");
    assert_eq!(said[2], "config/agents/socket.yaml: is not a regular file");
}

#[test]
fn of_two_files_with_one_agent_the_first_has_it() {
    let home = Home::new();
    home.write("b.yaml", "twin").write("a.yaml", "twin").write("c.yaml", "single");
    let loaded = home.load();
    assert_eq!(names(&loaded), ["single", "twin"]);
    assert_eq!(loaded.agents[&"twin".parse().unwrap()].file, Path::new("config/agents/a.yaml"));
    assert_eq!(
        loaded.refused[0].to_string(),
        "config/agents/b.yaml:1:7 name: the agent twin is already defined in config/agents/a.yaml; \
         give one of the two another name, or remove it"
    );
    assert_eq!(loaded.refused[0].agent, Some("twin".parse().unwrap()));
}

#[test]
fn a_missing_folder_is_an_error_with_a_remedy() {
    let home = tempfile::tempdir().unwrap();
    let error = load(home.path()).unwrap_err();
    assert!(matches!(error, LoadError::Missing { .. }));
    let said = error.to_string();
    assert!(said.contains("agents does not exist; create it") && said.contains("GREENROOM_CONFIG_DIR"), "{said}");

    fs::write(home.path().join("agents"), "").unwrap();
    assert!(matches!(load(home.path()).unwrap_err(), LoadError::NotAFolder { .. }));

    let empty = Home::new();
    assert!(empty.load().agents.is_empty(), "an empty folder is no error");
}
