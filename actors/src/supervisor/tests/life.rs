//! The supervisor with real children, on paused time.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use greenroom_contract::{status::AgentStatus, tree::Table};
use ractor::{ActorCell, ActorRef};
use tokio::time::Instant;

use super::{
    kit::*,
    stage::{Cue, Stage, status, until},
};
use crate::supervisor::{Message, OnExhausted, Policy, Restart, State, Strategy, Supervisor, SupervisorHandle};

struct House {
    table: Table,
    stage: Arc<Stage>,
    supervisor: SupervisorHandle,
    cell: ActorCell,
}

impl House {
    async fn open(core: State, children: &[(&str, Policy)]) -> Self {
        let (table, stage) = (Stage::table(), Arc::new(Stage::default()));
        let (supervisor, cell) = Supervisor::start(table.clone(), "", core, None).await.unwrap();
        for (name, policy) in children {
            supervisor.add(stage.child(name, policy.clone()));
            stage.up(name, 1).await;
        }
        Self { table, stage, supervisor, cell }
    }

    async fn gone(&self, name: &str) {
        let gone = || status(&self.table, name) == Some(AgentStatus::Stopped);
        until(&format!("{name} is gone"), gone).await;
    }

    async fn close(self) {
        assert!(self.supervisor.stop_all(Duration::from_secs(60)).await, "not all went down");
        assert!(self.cell.get_children().is_empty(), "a child outlived its supervisor's word");
    }
}

#[tokio::test(start_paused = true)]
async fn real_ends_are_told_apart_as_in_otp() {
    for (restart, ends) in [
        (Restart::Permanent, ["again"; 7]),
        (Restart::Transient, ["gone", "gone", "again", "again", "again", "again", "gone"]),
        (Restart::Temporary, ["gone"; 7]),
    ] {
        for (end, expected) in ["finish", "leave", "fail", "panic", "kill", "abort", "drain"].iter().zip(ends) {
            let house = House::open(State::default(), &[("a", policy(restart))]).await;
            let birth = house.stage.newest("a").unwrap();
            match *end {
                "finish" => house.stage.cue("a", Cue::Finish),
                "leave" => house.stage.cue("a", Cue::Leave),
                "fail" => house.stage.cue("a", Cue::Fail),
                "panic" => house.stage.cue("a", Cue::Panic),
                "kill" => birth.actor.kill(),
                "abort" => birth.task.abort(),
                _ => drop(birth.actor.drain()),
            }
            match expected {
                "again" => house.stage.up("a", 2).await,
                _ => house.gone("a").await,
            }
            let failures = house.table.place("a").unwrap().failures.len();
            assert_eq!(failures, usize::from(["fail", "panic", "kill", "abort"].contains(end)), "{restart:?} {end}");
            house.close().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_cannot_start_is_tried_again_and_then_parked() {
    let house = House::open(State::default(), &[("healthy", policy(Restart::Permanent))]).await;
    let began = Instant::now();
    house.stage.fail.store(2, Relaxed);
    house.supervisor.add(house.stage.child("a", policy(Restart::Permanent)));
    house.stage.up("a", 3).await;
    assert!(began.elapsed() >= at(3), "1 s, then 2 s");
    assert_eq!(house.table.place("a").unwrap().budget.unwrap().in_window, 2);

    house.stage.fail.store(2, Relaxed);
    house.stage.cue("a", Cue::Panic);
    until("a is parked", || status(&house.table, "a") == Some(AgentStatus::Failed)).await;
    let failures = house.table.place("a").unwrap().failures;
    assert_eq!(failures.iter().map(|f| f.failure.code.as_str()).collect::<Vec<_>>()[..2], ["unstarted", "panicked"]);
    assert_eq!(house.stage.generation("healthy"), 1, "the sibling did not notice");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_childs_own_code_does_in_the_supervisor_cannot_end_it() {
    let house = House::open(State::default(), &[("healthy", policy(Restart::Permanent))]).await;
    house.stage.panic.store(1, Relaxed);
    house.supervisor.add(house.stage.child("a", policy(Restart::Permanent)));
    house.stage.up("a", 2).await;
    house.stage.hang.store(1, Relaxed);
    let began = Instant::now();
    house.stage.cue("a", Cue::Fail);
    house.stage.up("a", 4).await;
    assert!(began.elapsed() >= at(5), "a start that hangs is given up");
    house.stage.stop_panics.store(1, Relaxed);
    house.supervisor.remove("a");
    house.gone("a").await;
    assert_eq!(house.stage.generation("healthy"), 1);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_stop_in_its_time_is_killed() {
    let house = House::open(State::default(), &[("a", policy(Restart::Permanent))]).await;
    house.stage.stubborn.store(1, Relaxed);
    let began = Instant::now();
    house.supervisor.remove("a");
    house.gone("a").await;
    assert!(began.elapsed() >= at(5) && began.elapsed() < at(6), "{:?}", began.elapsed());
    assert_eq!(house.stage.playbill(), ["+a1"], "it did not obey, and did not come back");
    house.supervisor.add(house.stage.child("b", policy(Restart::Permanent)));
    house.stage.up("b", 1).await;
    house.stage.cue("b", Cue::Hang);
    let began = Instant::now();
    house.close().await;
    assert!(began.elapsed() >= at(5) && began.elapsed() < at(6), "a child that hangs is killed as well");
}

#[tokio::test(start_paused = true)]
async fn a_drained_child_is_not_killed_until_it_is_removed() {
    let house = House::open(State::default(), &[("a", policy(Restart::Permanent))]).await;
    house.stage.stubborn.store(2, Relaxed);
    house.supervisor.drain("a");
    tokio::time::sleep(at(1000)).await;
    assert_eq!(status(&house.table, "a"), Some(AgentStatus::Running));
    house.supervisor.remove("a");
    house.gone("a").await;
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_replaced_and_its_late_end_changes_nothing() {
    let house = House::open(State::default(), &[("a", policy(Restart::Permanent))]).await;
    let spinning = house.stage.newest("a").unwrap().actor;
    let lost = Message::Lost { child: "a".into(), generation: 1 };
    ActorRef::<Message>::from(house.cell.clone()).send_message(lost).unwrap();
    house.stage.up("a", 2).await;
    spinning.kill();
    tokio::time::sleep(at(10)).await;
    assert_eq!(house.stage.generation("a"), 2);
    assert_eq!(status(&house.table, "a"), Some(AgentStatus::Running));
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_group_stops_in_reverse_and_starts_in_order() {
    let all = ["a", "b", "c"].map(|name| (name, policy(Restart::Permanent)));
    let house = House::open(State::with_strategy(Strategy::OneForAll), &all).await;
    house.stage.cue("b", Cue::Panic);
    until("a waits for its turn", || status(&house.table, "a") == Some(AgentStatus::Restarting)).await;
    house.stage.up("c", 2).await;
    assert_eq!(house.stage.playbill(), ["+a1", "+b1", "+c1", "-c", "-a", "+a2", "+b2", "+c2"]);
    assert_eq!(status(&house.table, "a"), Some(AgentStatus::Running));
    house.close().await;

    let house = House::open(State::with_strategy(Strategy::RestForOne), &all).await;
    house.stage.newest("b").unwrap().actor.kill();
    house.stage.up("c", 2).await;
    assert_eq!(house.stage.playbill(), ["+a1", "+b1", "+c1", "-c", "+b2", "+c2"]);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_escalation_is_the_parents_decision() {
    let house = House::open(State::default(), &[("healthy", policy(Restart::Permanent))]).await;
    let strict = Policy { max_restarts: 1, on_exhausted: OnExhausted::Escalate, ..policy(Restart::Permanent) };
    let children = vec![
        house.stage.child("a", policy(Restart::Permanent)),
        house.stage.child("b", strict),
        house.stage.child("c", policy(Restart::Permanent)),
    ];
    let above = Policy { shutdown: at(20), ..policy(Restart::Permanent) };
    let branch = Supervisor::branch(house.table.clone(), "branch", State::default(), above, children);
    house.supervisor.add(branch);
    house.stage.up("c", 1).await;
    house.stage.cue("b", Cue::Fail);
    house.stage.up("b", 2).await;
    house.stage.cue("b", Cue::Fail);
    until("the branch has begun anew", || house.table.place("branch").is_some_and(|place| place.generation == 2)).await;
    until("c has begun anew", || house.stage.playbill().iter().filter(|line| *line == "+c1").count() == 2).await;
    let ends: Vec<String> = house.stage.playbill().into_iter().skip(5).collect();
    assert_eq!(ends, ["-c", "-a", "+a1", "+b1", "+c1"], "the siblings stopped in order before the branch ended");
    let failure = house.table.place("branch").unwrap().failures[0].failure.clone();
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("boom", "b used up its restarts: on cue"));
    assert_eq!(house.stage.generation("healthy"), 1);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_parked_are_tried_again_after_their_rest() {
    let house = House::open(State::default(), &[("a", Policy { max_restarts: 0, ..policy(Restart::Permanent) })]).await;
    house.stage.cue("a", Cue::Fail);
    until("a is parked", || status(&house.table, "a") == Some(AgentStatus::Failed)).await;
    assert!(house.table.place("a").unwrap().budget.unwrap().next_at.is_some(), "the tree says when");
    let parked = Instant::now();
    house.stage.up("a", 2).await;
    assert!(parked.elapsed() >= at(899), "{:?}", parked.elapsed());
    assert_eq!(status(&house.table, "a"), Some(AgentStatus::Running));
    house.stage.cue("a", Cue::Fail);
    until("a is parked again", || status(&house.table, "a") == Some(AgentStatus::Failed)).await;
    house.supervisor.refresh("a");
    house.stage.up("a", 3).await;
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn removed_and_added_at_once_it_is_there_again() {
    let house = House::open(State::of_equals(), &[("a", policy(Restart::Permanent))]).await;
    for generation in 2..=20 {
        house.supervisor.remove("a");
        house.supervisor.add(house.stage.child("a", policy(Restart::Permanent)));
        house.stage.up("a", generation).await;
    }
    assert_eq!(status(&house.table, "a"), Some(AgentStatus::Running));
    house.stage.cue("a", Cue::Fail);
    until("a waits for its restart", || status(&house.table, "a") == Some(AgentStatus::Restarting)).await;
    house.supervisor.remove("a");
    house.gone("a").await;
    tokio::time::sleep(at(100)).await;
    assert_eq!(house.stage.generation("a"), 20, "removal during backoff never returns");
    house.close().await;
}
