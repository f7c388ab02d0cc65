//! One day of agents' life on paused time, by the seed that is given: `cargo bench --bench day -- 42`. Without one, by
//! three. The aim is less than a minute each.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::time::Instant;

const SEEDS: [u64; 3] = [1, 2, 3];

fn main() {
    let given: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    for seed in if given.is_empty() { SEEDS.to_vec() } else { given } {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return println!("no runtime: {error}"),
        };
        let start = Instant::now();
        match runtime.block_on(kit::day::day(seed)) {
            Ok(summary) => println!(
                "a day by seed {seed}: {} events, {} restarts of agents, {} of the node, in {:.1} s   aim 60 s",
                summary.accepted,
                summary.restarts,
                summary.reopened,
                start.elapsed().as_secs_f64()
            ),
            Err(broken) => println!("A PROMISE IS BROKEN: {broken}"),
        }
    }
}
