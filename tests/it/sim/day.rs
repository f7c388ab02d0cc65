//! A day in the life of a house, by a few seeds. Another seed: `cargo bench --bench day -- SEED`.

#[tokio::test(start_paused = true)]
async fn a_day_of_agents() {
    by_seed(1).await;
}

#[tokio::test(start_paused = true)]
async fn another_day_of_agents() {
    by_seed(20_261_122).await;
}

#[expect(clippy::print_stdout, reason = "it is shown when the test fails, also by a panic within")]
async fn by_seed(seed: u64) {
    println!("seed {seed}");
    let summary = kit::day::day(seed).await.unwrap_or_else(|broken| panic!("{broken}"));
    println!("{summary:#?}");
    assert!(summary.accepted > 1000 && summary.restarts > 10 && summary.reopened > 3, "a quiet day: {summary:#?}");
}
