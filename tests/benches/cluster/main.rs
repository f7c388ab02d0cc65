//! What the cluster's backends cost: RabbitMQ, PostgreSQL and Redis, each part beside the bare libraries that do the same
//! durable work on the same servers in the same run. `tests/README.md` says how it is run and read.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

mod celery;
mod conversation;
mod executions;
mod growth;
mod journal;
mod node;
mod outage;
mod raw;
mod slack;
mod state;
mod stats;

use kit::servers;

/// What is asked of an agent.
const INPUT: &str = "where is my parcel? it was to arrive on Monday";

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> std::process::ExitCode {
    // Cargo itself passes `--bench`.
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with("--")).collect();
    // As a node does it.
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let measured = match runtime {
        Ok(runtime) => runtime.block_on(measure(&parts)),
        Err(error) => Err(error.into()),
    };
    match measured {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("the bench failed: {error}"));
            std::process::ExitCode::FAILURE
        }
    }
}

async fn measure(parts: &[String]) -> Outcome<()> {
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let servers = servers::shared();
    if wanted("executions") || wanted("celery") {
        executions::measure(servers, wanted("celery")).await?;
    }
    if wanted("journal") {
        journal::measure(servers).await?;
    }
    if wanted("state") {
        state::measure(servers).await?;
    }
    if wanted("outage") {
        outage::measure(servers).await?;
    }
    if wanted("conversation") {
        conversation::measure(servers).await?;
    }
    if wanted("slack") {
        slack::measure(servers).await?;
    }
    if wanted("growth") {
        growth::measure(servers).await?;
    }
    Ok(())
}

fn say(line: &str) {
    println!("{line}");
}
