//! A real node with the cache on Redis before its store: used, or away.

use kit::{node::Cluster, wait};
use serde_json::json;

use crate::cast::{SOON, saying};

/// A Redis that nobody is at, and a password that nobody may read.
const NOWHERE: &str = "redis://:s3cret@127.0.0.1:9/0";

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_answers_is_well_and_one_that_is_away_only_degrades() {
    let cluster = Cluster::new().await;
    cluster.home().agent("worker", &saying("worker", "done"));
    let with = cluster.start("with", "all").await;
    let mut without = cluster.member("without", "all").env("GREENROOM_REDIS_URL", NOWHERE);
    without.start().await;
    for (member, wanted) in [(&with, "ok"), (&without, "degraded")] {
        let cache = wait::seen("the cache's health", SOON, async || {
            let health = member.node().get("/health").await.expect(200).json;
            let components = health["components"].as_array().cloned().unwrap_or_default();
            let cache = components.into_iter().find(|component| component["component"] == "cache");
            cache.filter(|cache| cache["status"] == wanted).ok_or_else(|| health.to_string())
        })
        .await;
        assert!(!cache.to_string().contains("s3cret"), "{cache}");
        member.is_ready(true, SOON).await;
        assert_eq!(member.node().ask("worker", "what?").await.json["output"], json!("done"));
    }
}
