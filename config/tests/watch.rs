//! Every way in which a folder changes is told within a second, by notification or without one.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use greenroom_config::{Loaded, watch};
use tempfile::TempDir;
use tokio::{sync::mpsc::Receiver, time::timeout};
use tokio_util::sync::CancellationToken;

/// Only a machine that stands still needs so long.
const LIMIT: Duration = Duration::from_secs(10);

/// Long enough to see that nothing is told.
const TWO_LOOKS: Duration = Duration::from_millis(1100);

struct Watched {
    home: TempDir,
    receiver: Receiver<Loaded>,
    cancel: CancellationToken,
}

impl Watched {
    /// A folder with the agent `a`, whose first state has been received.
    async fn with_a() -> Self {
        let home = tempfile::tempdir().unwrap();
        let agents = home.path().join("config/agents");
        fs::create_dir_all(&agents).unwrap();
        fs::write(agents.join("a.yaml"), agent("a", "one")).unwrap();
        let mut watched = Self::begin(home);
        assert_eq!(watched.next().await, ["a one"]);
        watched
    }

    fn begin(home: TempDir) -> Self {
        let cancel = CancellationToken::new();
        let receiver = watch(home.path().join("config"), cancel.clone());
        Self { home, receiver, cancel }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.home.path().join("config/agents").join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    async fn loaded(&mut self) -> Loaded {
        timeout(LIMIT, self.receiver.recv()).await.expect("the change is told").expect("the watch goes on")
    }

    /// The next state, as `name prompt`.
    async fn next(&mut self) -> Vec<String> {
        let loaded = self.loaded().await;
        let line =
            |spec: &greenroom_config::AgentSpec| format!("{} {}", spec.name, spec.system_prompt.as_deref().unwrap());
        loaded.agents.values().map(|definition| line(&definition.spec)).collect()
    }
}

fn agent(name: &str, prompt: &str) -> String {
    format!(
        "name: {name}\nagent_type: t\nexecution_mode: autonomous\nllm_config: {{provider: scripted}}\n\
         system_prompt: {prompt}\n"
    )
}

#[tokio::test]
async fn added_changed_renamed_removed() {
    let mut watched = Watched::with_a().await;
    watched.write("b.yaml", &agent("b", "one"));
    assert_eq!(watched.next().await, ["a one", "b one"]);
    // The same length, within the same tick of a coarse clock perhaps.
    watched.write("b.yaml", &agent("b", "two"));
    assert_eq!(watched.next().await, ["a one", "b two"]);
    fs::rename(watched.path("b.yaml"), watched.path("c.yaml")).unwrap();
    let renamed = watched.loaded().await;
    assert!(renamed.agents[&"b".parse().unwrap()].file.ends_with("c.yaml"));
    fs::remove_file(watched.path("c.yaml")).unwrap();
    assert_eq!(watched.next().await, ["a one"]);
    fs::remove_file(watched.path("a.yaml")).unwrap();
    assert_eq!(watched.next().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_change_is_told_within_a_second() {
    let mut watched = Watched::with_a().await;
    let mut quickest = LIMIT;
    // Three tries, because this machine may have other things to do.
    for i in 0..3 {
        let started = Instant::now();
        watched.write("a.yaml", &agent("a", &format!("try{i}")));
        assert_eq!(watched.next().await, [format!("a try{i}")]);
        quickest = quickest.min(started.elapsed());
    }
    assert!(quickest < Duration::from_secs(1), "it took {quickest:?}");
}

#[tokio::test]
async fn a_save_by_replacing_the_file() {
    let mut watched = Watched::with_a().await;
    watched.write(".a.yaml.tmp", &agent("a", "two"));
    fs::rename(watched.path(".a.yaml.tmp"), watched.path("a.yaml")).unwrap();
    assert_eq!(watched.next().await, ["a two"]);
}

#[tokio::test]
async fn a_bad_file_is_told_as_refused() {
    let mut watched = Watched::with_a().await;
    watched.write("a.yaml", "name: a\nagent_tpye: t\n");
    let loaded = watched.loaded().await;
    assert!(loaded.agents.is_empty());
    assert_eq!(loaded.refused[0].agent, Some("a".parse().unwrap()));
}

/// As Kubernetes updates a ConfigMap: the files are links through `..data`, and only that link is replaced.
#[cfg(unix)]
#[tokio::test]
async fn a_swapped_link() {
    use std::os::unix::fs::symlink;
    let home = tempfile::tempdir().unwrap();
    let agents = home.path().join("config/agents");
    for version in ["one", "two"] {
        let folder = agents.join(format!("..{version}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.yaml"), agent("a", version)).unwrap();
    }
    symlink("..one", agents.join("..data")).unwrap();
    symlink("..data/a.yaml", agents.join("a.yaml")).unwrap();
    let mut watched = Watched::begin(home);
    assert_eq!(watched.next().await, ["a one"]);
    symlink("..two", watched.path("..data_tmp")).unwrap();
    fs::rename(watched.path("..data_tmp"), watched.path("..data")).unwrap();
    assert_eq!(watched.next().await, ["a two"]);
}

#[tokio::test]
async fn a_folder_that_goes_says_nothing_and_one_that_comes_back_does() {
    let mut watched = Watched::with_a().await;
    let (agents, aside) = (watched.path(""), watched.home.path().join("aside"));
    fs::rename(&agents, &aside).unwrap();
    assert!(timeout(TWO_LOOKS, watched.receiver.recv()).await.is_err(), "agents would be stopped");
    fs::write(aside.join("b.yaml"), agent("b", "one")).unwrap();
    fs::rename(&aside, &agents).unwrap();
    assert_eq!(watched.next().await, ["a one", "b one"]);

    // Another folder in its place is listened to as well.
    fs::create_dir(&aside).unwrap();
    fs::write(aside.join("c.yaml"), agent("c", "one")).unwrap();
    fs::rename(&agents, watched.home.path().join("old")).unwrap();
    fs::rename(&aside, &agents).unwrap();
    assert_eq!(watched.next().await, ["c one"]);
    watched.write("c.yaml", &agent("c", "two"));
    assert_eq!(watched.next().await, ["c two"]);
}

#[tokio::test]
async fn a_missing_folder_is_waited_for() {
    let mut watched = Watched::begin(tempfile::tempdir().unwrap());
    assert!(timeout(TWO_LOOKS, watched.receiver.recv()).await.is_err(), "nothing is told of nothing");
    fs::create_dir_all(watched.path("")).unwrap();
    watched.write("a.yaml", &agent("a", "one"));
    while watched.next().await != ["a one"] {}
}

#[tokio::test]
async fn what_says_the_same_is_not_told_again() {
    let mut watched = Watched::with_a().await;
    watched.write("a.yaml", &agent("a", "one"));
    watched.write("notes.txt", "not an agent");
    fs::create_dir(watched.path("below")).unwrap();
    watched.write("b.yaml", &agent("b", "one"));
    assert_eq!(watched.next().await, ["a one", "b one"]);
}

#[tokio::test]
async fn a_slow_receiver_gets_the_latest() {
    let mut watched = Watched::with_a().await;
    let mut last = Vec::new();
    for i in 0..20 {
        watched.write("a.yaml", &agent("a", &format!("edit{i}")));
        // In the rhythm of somebody who types, while nobody receives.
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    let mut told = 0;
    while last != ["a edit19"] {
        last = watched.next().await;
        told += 1;
    }
    assert!(told <= 4, "20 edits were told in {told} messages");
}

#[tokio::test]
async fn it_ends_when_cancelled() {
    let mut watched = Watched::with_a().await;
    watched.cancel.cancel();
    assert!(timeout(LIMIT, watched.receiver.recv()).await.expect("it ends").is_none());
}
