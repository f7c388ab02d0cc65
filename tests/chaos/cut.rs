//! Connections that are cut under load.

use std::time::{Duration, Instant};

use greenroom_contract::execution::Effect;

use super::{cell::Subject, invariants::Summary, load::Load};
use crate::{
    node::{Cluster, Member},
    proxy::Proxy,
    servers::shared,
    wait,
};

/// How long a node may take to see that a server is away, or back.
const NOTICE: Duration = wait::PATIENCE;

/// Cuts two nodes off from RabbitMQ for so long while they are given work, heals it, then from PostgreSQL. Each outage must
/// be seen in the nodes' readiness, and be over by itself.
///
/// # Panics
/// When a promise is broken.
pub async fn cut_off(time: Duration) -> Summary {
    let backends = shared().backends().await;
    let amqp = Proxy::before(&backends.amqp.url).await;
    let database = Proxy::before(&backends.database.url).await;
    let cluster = Cluster::over(amqp.url(), database.url(), &backends.redis.url);
    let load = Load::on(cluster, Subject::Tool(Effect::Keyed)).await;
    let (one, two) = (load.cluster.start("one", "all").await, load.cluster.start("two", "all").await);
    let nodes = [one.node(), two.node()];
    for (proxy, component) in [(&amqp, "bus"), (&database, "store")] {
        let outage = async {
            proxy.cut();
            says_why(&one, component).await;
            lasts(time).await;
            proxy.heal();
            one.is_ready(true, NOTICE).await;
            two.is_ready(true, NOTICE).await;
        };
        load.give_while(&nodes, outage).await;
    }
    load.judge(two.node()).await
}

/// Waits until a node says that it is not ready, and why.
pub async fn says_why(member: &Member<'_>, component: &str) {
    wait::seen(&format!("{} to be red for {component}", member.name), NOTICE, async || {
        let answer = member.node().try_get("/health/ready").await.map_err(|error| format!("{error:?}"))?;
        let components = answer.json["components"].as_array().into_iter().flatten();
        let mut named = components.filter(|found| found["component"] == component && found["status"] == "down");
        let told = named.any(|found| found["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
        if answer.status == 503 && told { Ok(()) } else { Err(answer.text) }
    })
    .await;
}

/// Resolves when so much time has gone.
pub async fn lasts(time: Duration) {
    let began = Instant::now();
    wait::until("an outage to last", time + NOTICE, async || began.elapsed() >= time).await;
}
