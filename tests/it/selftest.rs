//! `greenroom selftest --chaos`: a user's own proof.

use std::fs;

use kit::node::Home;
use serde_json::{Value, json};

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
    let ended = ["succeeded", "failed", "dead"].map(|what| told[what].as_u64().unwrap_or_default());
    assert_eq!(ended.iter().sum::<u64>(), 40, "accepted is succeeded, failed or dead: {told}");
    assert_eq!(told["failed"], told["unknown"], "only what cannot be known may fail: {told}");
    let left = fs::read_dir(home.path()).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("selftest")).collect();
    assert_eq!(json!(left.len()), json!(0), "it cleans up after itself: {left:?}");
}

#[tokio::test]
async fn chaos_is_asked_for_by_its_name() {
    let home = Home::new();
    let refused = home.launch().run(&["selftest"]).await.refused();
    assert!(refused.stderr.contains("--chaos"), "{}", refused.stderr);
}
