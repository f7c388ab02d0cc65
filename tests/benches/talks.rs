//! Conversations under random kills, in full size: `cargo bench --bench talks -- AGENTS EVENTS KILLS [SEED]`, for example
//! `100 100 25 42`. Each agent's conversation must be the exact sequence of what was said to it.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use kit::chaos::{Talks, talk};

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let [agents, events, kills, ref seed @ ..] = numbers[..] else {
        return println!("conversations under kills: cargo bench --bench talks -- AGENTS EVENTS KILLS [SEED]");
    };
    let seed = seed.first().copied().unwrap_or(42);
    let talks = Talks { agents: agents as usize, events: events as usize, kills: kills as usize, seed };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let talked = runtime.block_on(talk(talks));
            println!("{talks:?}: every conversation is exact");
            println!(
                "{:.0} s; {} crashes of executions; the workers' memory together: {} MiB at the start, {} MiB at the most, {} MiB \
                 with all asleep",
                talked.took.as_secs_f64(),
                talked.crashes,
                talked.memory[0],
                talked.memory[1],
                talked.memory[2]
            );
        }
        Err(error) => println!("no runtime: {error}"),
    }
}
