//! The long run of the chaos: the whole kill matrix on RabbitMQ, PostgreSQL and Redis, with the same node coming back and
//! with another taking over; connections cut for a minute; and random kills of one of three nodes under load.
//!
//! `cargo bench --profile dev --bench chaos -- 200 42`: so many kills, by this seed. About half an hour, so that nothing
//! happens without a number of kills.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::time::{Duration, Instant};

use greenroom_contract::execution::Effect;
use kit::{
    chaos::{Setting, Subject, cut_off, kill_everywhere},
    node::Home,
    servers::shared,
};

const SUBJECTS: [Subject; 9] = [
    Subject::FirstModelCall,
    Subject::LaterModelCall,
    Subject::Tool(Effect::None),
    Subject::Tool(Effect::Idempotent),
    Subject::Tool(Effect::Keyed),
    Subject::Tool(Effect::AtMostOnce),
    Subject::OutgoingEvent,
    Subject::Reply,
    Subject::Continuous,
];
/// How long the connections are cut.
const CUT: Duration = Duration::from_secs(60);
/// What a kill with a takeover may take, on a busy machine.
const A_KILL: Duration = Duration::from_secs(15);

fn main() {
    let numbers: Vec<u32> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let Some(kills) = numbers.first().copied() else {
        return println!("the long run of the chaos: cargo bench --profile dev --bench chaos -- KILLS [SEED]");
    };
    let seed = numbers.get(1).copied().unwrap_or(42);
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(kills, seed)),
        Err(error) => println!("no runtime: {error}"),
    }
}

async fn run(kills: u32, seed: u32) {
    random_kills(kills, seed).await;
    println!("connections cut for {CUT:?} each: {:?}", cut_off(CUT).await);
    // The places at which a node kills itself are in debug builds only.
    if !cfg!(debug_assertions) {
        return println!("the kill matrix needs a debug build: cargo bench --profile dev --bench chaos");
    }
    for others_take_over in [false, true] {
        for subject in SUBJECTS {
            let backends = shared().backends().await;
            let began = Instant::now();
            let setting = Setting { environment: backends.variables(), others_take_over };
            let mut report = kill_everywhere(subject, &setting).await;
            report.resumed.sort();
            let (who, median) = (if others_take_over { "another" } else { "the same" }, report.resumed.len() / 2);
            println!(
                "{subject:?}, {who} node goes on: {} kills in {:.0} s, all over {:?} after the start in the median, {:?}",
                report.kills,
                began.elapsed().as_secs_f64(),
                report.resumed[median],
                report.summary
            );
        }
    }
}

async fn random_kills(kills: u32, seed: u32) {
    let (backends, home) = (shared().backends().await, Home::new());
    let (kills_word, events, seed) = (kills.to_string(), (kills * 15).to_string(), seed.to_string());
    let arguments =
        ["selftest", "--chaos", "--nodes", "3", "--kills", &kills_word, "--events", &events, "--seed", &seed];
    let mut selftest = home.launch().envs(backends.variables()).spawn(&arguments);
    let status = selftest.exit(A_KILL * (kills + 20)).await;
    println!("{status}\n{}", selftest.stdout());
    assert!(status.success(), "the selftest found the promises broken");
}
