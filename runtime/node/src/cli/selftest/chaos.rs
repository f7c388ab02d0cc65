//! The kills: one node at a time, at a moment that chance chooses, while work is under way.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use super::{
    dice::Dice,
    fleet::{Fleet, LOOK},
};
use crate::cli::exit::Exit;

/// How long others may take to take up what a killed node held.
const TAKEOVER: Duration = Duration::from_secs(60);

/// How long it took until all that a killed node held was taken up.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// By other nodes, from the kill.
    pub(super) takeover: Vec<Duration>,
    /// By the same node, from the start of its new process.
    pub(super) resume: Vec<Duration>,
}

/// Kills nodes, one after the other, and lets a share of the work come with each.
pub(super) async fn kill_at_random(
    fleet: &mut Fleet,
    kills: usize,
    events: usize,
    dice: &mut Dice,
    allow: &watch::Sender<usize>,
    mut told: impl FnMut(usize),
) -> Result<Times, Exit> {
    let mut times = Times::default();
    for kill in 0..kills {
        allow.send_replace(events * (kill + 1) / (kills + 1));
        tokio::time::sleep(dice.millis(30, 400)).await;
        let victim = dice.below(fleet.len());
        let held = held_by(fleet, victim).await;
        fleet.kill(victim).await?;
        let killed = Instant::now();
        // Half of the time nobody comes back until others have taken over.
        if fleet.len() > 1 && dice.below(2) == 0 {
            taken_up(fleet, &held).await?;
            if !held.is_empty() {
                times.takeover.push(killed.elapsed());
            }
            fleet.start(victim).await?;
        } else {
            let began = fleet.start(victim).await?;
            taken_up(fleet, &held).await?;
            if !held.is_empty() {
                times.resume.push(began.elapsed());
            }
        }
        told(kill + 1);
    }
    allow.send_replace(events);
    Ok(times)
}

/// What a node works on, each execution with its epoch.
async fn held_by(fleet: &Fleet, index: usize) -> Vec<(String, u64)> {
    // A node that does not answer now has told nothing: then this kill measures nothing.
    let listed = fleet.doors().get("/v1/executions?status=running&limit=500").await.unwrap_or_default();
    let items = listed["items"].as_array().into_iter().flatten();
    let held = items.filter(|execution| execution["node"] == fleet.name(index));
    held.map(|execution| (id_of(execution), execution["epoch"].as_u64().unwrap_or_default())).collect()
}

/// Waits until each was claimed anew or has ended.
async fn taken_up(fleet: &Fleet, held: &[(String, u64)]) -> Result<(), Exit> {
    let began = Instant::now();
    for (id, epoch) in held {
        loop {
            if let Ok(execution) = fleet.doors().get(&format!("/v1/executions/{id}")).await {
                let ended = !execution["finished_at"].is_null();
                if ended || execution["epoch"].as_u64().is_some_and(|now| now > *epoch) {
                    break;
                }
            }
            if began.elapsed() > TAKEOVER {
                return Err(Exit::failed(format!(
                    "execution {id} of a killed node was not taken up within {TAKEOVER:?}"
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

fn id_of(execution: &Value) -> String {
    execution["execution_id"].as_str().unwrap_or_default().to_owned()
}
