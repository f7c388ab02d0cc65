//! The whole of it: read it as a list.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use greenroom_config::Environment;
use greenroom_contract::{EventId, task};
use tokio::sync::watch;

use super::{
    cast::Cast,
    chaos,
    dice::Dice,
    fleet::Fleet,
    ground::Ground,
    judge::{Ledger, judge},
    load,
    model::Model,
    options::Selftest,
    report::Report,
};
use crate::cli::{exit::Exit, output};

/// How long any answer of a node may take.
const ANSWER: Duration = Duration::from_secs(15);

/// Runs the test. Exit codes: 0 nothing lost, duplicated or re-paid; 1 else.
pub(in crate::cli) fn selftest(env: &Environment, options: &Selftest, json: bool) -> Result<ExitCode, Exit> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let run = EventId::new().to_string();
    // The end of an id is its random part.
    let cast = Cast { prefix: format!("selftest-{}", &run[run.len().saturating_sub(8)..]) };
    let folder = std::env::temp_dir().join(format!("greenroom-{}", cast.prefix));
    fs::create_dir_all(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let ground = Ground::prepare(env, &cast).await?;
        let outcome = tokio::select! {
            outcome = play(env, options, &cast, &ground, &folder, json) => outcome,
            // Dropping the rest kills the nodes.
            _ = tokio::signal::ctrl_c() => Err(Exit { code: 130, message: "interrupted".to_owned() }),
        };
        ground.clean(&cast).await;
        outcome
    });
    match &outcome {
        Ok(true) => drop(fs::remove_dir_all(&folder)),
        _ => output::note(format_args!("The nodes' logs are kept in {}.", folder.display())),
    }
    Ok(if outcome? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Plays it and says whether all is well.
async fn play(
    env: &Environment,
    options: &Selftest,
    cast: &Cast,
    ground: &Ground,
    folder: &Path,
    json: bool,
) -> Result<bool, Exit> {
    let seed = options.seed.unwrap_or_else(|| u64::from(std::process::id()));
    let (kills, events) = (options.kills as usize, options.events as usize);
    let nodes = if ground.is_shared() { options.nodes as usize } else { 1 };
    if nodes < options.nodes as usize {
        output::note(
            "Without GREENROOM_AMQP_URL and GREENROOM_DATABASE_URL there is one node, with its own embedded store.",
        );
    }
    let exe = std::env::current_exe()?;
    let (config, ledger) = (folder.join("config"), folder.join("tool-calls"));
    let model = Model::start(cast.said()).await?;
    cast.write(&config, &model.url, &exe, &ledger)?;
    // Only this machine is asked, and no proxy leads to it.
    let http = reqwest::Client::builder().no_proxy().timeout(ANSWER).build().map_err(Exit::failed)?;
    let environment = [environment(env, &config)?, ground.variables()].concat();
    let mut fleet = Fleet::new(nodes, &cast.prefix, folder, exe, environment, http)?;

    let began = Instant::now();
    for index in 0..fleet.len() {
        fleet.start(index).await?;
    }
    output::note(format_args!("nodes up: {nodes}; {events} events, {kills} kills, --seed {seed}"));
    let mut dice = Dice::new(seed);
    let (allow, allowed) = watch::channel(0);
    let giving = task::spawn("selftest-load", load::give(cast.clone(), events, seed ^ 1, fleet.doors(), allowed));
    let told = |kill| output::note(format_args!("kill {kill} of {kills}"));
    let times = chaos::kill_at_random(&mut fleet, kills, events, &mut dice, &allow, told).await?;
    let given = giving.await.map_err(Exit::failed)?;
    output::note("No more kills; the rest of the work runs out.");
    let verdict =
        judge(&given, &cast.listener(), &fleet.doors(), async || (model.ledger(), tool_ledger(&ledger))).await;
    let took = began.elapsed();
    fleet.end().await;

    let good = verdict.is_good() && verdict.accepted as usize == events;
    Report { seed, nodes, kills, on: ground.shown(), took, times, verdict }.print(json);
    Ok(good)
}

/// All that the nodes see of our environment.
fn environment(env: &Environment, config: &Path) -> Result<Vec<(OsString, OsString)>, Exit> {
    let mut variables = vec![
        ("GREENROOM_CONFIG_DIR".into(), config.into()),
        ("GREENROOM_HTTP_ADDR".into(), "127.0.0.1:0".into()),
        ("GREENROOM_LOG".into(), "warn".into()),
        ("NO_COLOR".into(), "1".into()),
        // Any will do for our own model.
        ("OPENAI_API_KEY".into(), "selftest".into()),
    ];
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = env.text(name)? {
            variables.push((name.into(), value.into()));
        }
    }
    Ok(variables)
}

/// How often each tool call was made, as the tool servers wrote it down.
fn tool_ledger(file: &PathBuf) -> Ledger {
    let mut ledger = Ledger::new();
    for key in fs::read_to_string(file).unwrap_or_default().lines() {
        *ledger.entry(key.to_owned()).or_default() += 1;
    }
    ledger
}
