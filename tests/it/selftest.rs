//! `greenroom selftest --chaos`: a user's own proof.

use std::{fs, net::TcpStream};

use kit::{node::Home, wait};
use serde_json::{Value, json};

use crate::cast::SOON;

#[tokio::test]
async fn a_user_proves_it_on_one_machine() {
    let home = Home::new();
    let arguments = ["selftest", "--chaos", "--kills", "4", "--events", "40", "--seed", "7", "--json"];
    let told = home.launch().env("TMPDIR", home.path().display().to_string()).run(&arguments).await.ok();
    let told: Value = serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {}", told.all()));
    for (what, number) in [("accepted", 40), ("lost", 0), ("duplicated", 0), ("repaid", 0), ("kills", 4), ("seed", 7)] {
        assert_eq!(told[what], number, "{what}: {told}");
    }
    assert_eq!(told["good"], true, "{told}");
    // What a resume takes from the journal of the model's answers has a price.
    let models = told["replayed_models"].as_u64().unwrap_or_default();
    assert!((told["saved_usd"].as_f64().unwrap_or_default() > 0.0) == (models > 0), "{told}");
    let ended = ["succeeded", "failed", "dead"].map(|what| told[what].as_u64().unwrap_or_default());
    assert_eq!(ended.iter().sum::<u64>(), 40, "accepted is succeeded, failed or dead: {told}");
    assert_eq!(told["failed"], told["unknown"], "only what cannot be known may fail: {told}");
    let left = fs::read_dir(home.path()).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("selftest")).collect();
    assert_eq!(json!(left.len()), json!(0), "it cleans up after itself: {left:?}");
}

#[tokio::test]
async fn a_selftest_that_is_killed_leaves_no_node_behind() {
    let home = Home::new();
    let arguments = ["selftest", "--chaos", "--kills", "0", "--events", "20000", "--seed", "7"];
    let mut selftest = home.launch().env("TMPDIR", home.path().display().to_string()).spawn(&arguments);
    // Each node writes down where it is.
    let address = wait::seen("a node of the selftest to be up", SOON, async || {
        let ours = fs::read_dir(home.path()).into_iter().flatten().flatten().map(|entry| entry.path());
        let noted = ours.filter(|path| path.display().to_string().contains("greenroom-selftest"));
        let addresses = noted.filter_map(|path| fs::read_to_string(path.join("node-0/data/http.addr")).ok());
        match addresses.last().filter(|address| !address.is_empty()) {
            Some(address) if TcpStream::connect(address.trim()).is_ok() => Ok(address),
            other => Err(format!("{other:?}: {}", selftest.output())),
        }
    })
    .await;
    selftest.kill9().await;
    wait::seen("the node to be gone with who started it", SOON, async || match TcpStream::connect(address.trim()) {
        Ok(_) => Err("it still answers"),
        Err(_) => Ok(()),
    })
    .await;
}

#[tokio::test]
async fn chaos_is_asked_for_by_its_name() {
    let home = Home::new();
    let refused = home.launch().run(&["selftest"]).await.refused();
    assert!(refused.stderr.contains("--chaos"), "{}", refused.stderr);
}
