//! What must hold.

use std::collections::BTreeSet;

use greenroom_contract::{AgentId, EventId, ExecutionId, port::operator::Operator, status::AgentStatus};

use super::{
    cast::{CAST, LISTENER},
    life::Life,
};

type Checked = Result<(), String>;

/// After each thing that happened.
pub(super) fn always(life: &mut Life) -> Checked {
    budgets_hold(life)?;
    the_removed_do_not_run(life)?;
    nobody_runs_more_than_its_capacity(life)?;
    the_machine_is_sound(life)?;
    let again = life.world.model.made_again();
    if !again.is_empty() {
        return Err(format!("calls were made again although their outcome was written: {again:?}"));
    }
    Ok(())
}

pub(super) fn every_hour(life: &Life) -> Checked {
    nothing_is_lost(life)
}

pub(super) fn at_the_end(life: &Life) -> Checked {
    nothing_is_lost(life)?;
    let open = |status: &&'static str| matches!(*status, "queued" | "running" | "waiting");
    let tally = life.world.state.tally();
    if tally.iter().any(|(status, count)| open(status) && *count > 0) {
        let agents: Vec<String> = life
            .house()
            .machine
            .agents()
            .iter()
            .map(|view| format!("{} {} {:?}", view.name, view.status.as_str(), view.reason))
            .collect();
        return Err(format!("not everything has ended: {tally:?}; {agents:#?}"));
    }
    let outbox = life.world.state.outbox_lines();
    if !outbox.is_empty() {
        return Err(format!("the outbox is not empty: {outbox:#?}"));
    }
    everything_is_told_once(life)
}

/// Restarts within the window never exceed the budget.
fn budgets_hold(life: &Life) -> Checked {
    for member in &CAST {
        let place = life.house().place(&format!("agents/{}", member.name));
        if let Some(budget) = place.and_then(|place| place.budget)
            && budget.in_window > budget.max_restarts
        {
            return Err(format!("{} exceeds its budget: {budget:?}", member.name));
        }
    }
    Ok(())
}

/// Once a removed agent is gone, its model is not asked on its behalf.
fn the_removed_do_not_run(life: &mut Life) -> Checked {
    let gone = |name: &str| {
        let place = life.house().place(&format!("agents/{name}"));
        place.is_none_or(|place| place.status == AgentStatus::Stopped)
    };
    let mut seen = Vec::new();
    for (name, calls) in &life.away {
        let now = life.world.model.load(name).calls;
        match calls {
            Some(then) if *then != now => return Err(format!("{name} was removed and asked its model again")),
            None if gone(name) => seen.push((*name, now)),
            _ => {}
        }
    }
    for (name, calls) in seen {
        life.away.insert(name, Some(calls));
    }
    Ok(())
}

/// At no time more than one effective generation works: else there would be more calls under way than credits.
fn nobody_runs_more_than_its_capacity(life: &Life) -> Checked {
    for member in &CAST {
        let load = life.world.model.load(member.name);
        if load.most > member.capacity {
            return Err(format!("{} had {} calls under way and runs {}", member.name, load.most, member.capacity));
        }
    }
    Ok(())
}

/// Only what was told to panic panics: a shell or a service that does is a fault of the machine.
fn the_machine_is_sound(life: &Life) -> Checked {
    let agents = CAST.map(|member| format!("agents/{}", member.name));
    let services = ["relay", "replies", "store-monitor", "dead-letters", "agents"].map(String::from);
    for path in agents.into_iter().chain(services) {
        let failures = life.house().place(&path).map(|place| place.failures).unwrap_or_default();
        let fault = failures
            .iter()
            .find(|past| past.failure.code == "panicked" && !past.failure.message.contains("told to panic"));
        if let Some(fault) = fault {
            return Err(format!("{path} panicked by itself: {:?}", fault.failure));
        }
    }
    Ok(())
}

/// accepted = succeeded + failed + dead + timed_out + cancelled + what is still open, one by one.
fn nothing_is_lost(life: &Life) -> Checked {
    let rows = life.world.state.all();
    let known: BTreeSet<ExecutionId> = rows.iter().map(|(id, ..)| *id).chain(life.world.state.promised()).collect();
    let lost: Vec<_> = life.accepted.difference(&known).collect();
    if !lost.is_empty() {
        return Err(format!("{} of {} accepted events are lost: {lost:?}", lost.len(), life.accepted.len()));
    }
    let ours = |agent: &AgentId| agent.as_str() != LISTENER;
    let strange: Vec<_> = rows.iter().filter(|(id, agent, _)| ours(agent) && !life.accepted.contains(id)).collect();
    if !strange.is_empty() {
        return Err(format!("executions that nobody asked for: {strange:?}"));
    }
    Ok(())
}

/// Each end is told once under its agent's output topic, and the listener hears each telling once.
fn everything_is_told_once(life: &Life) -> Checked {
    let rows = life.world.state.all();
    for (id, agent, status) in &rows {
        let event = EventId::derived(&["output", &id.to_string()]);
        let times = life.world.bus.times_published(event);
        let due = u32::from(status.as_str() != "cancelled");
        if times != due {
            return Err(format!("the end of {agent}'s {id} ({status}) was published {times} times"));
        }
    }
    let told = life.tellers.iter().filter(|id| life.world.state.has_succeeded(**id)).count();
    let listener = rows.iter().filter(|(id, agent, _)| agent.as_str() == LISTENER && !life.accepted.contains(id));
    let heard = listener.count();
    if told != heard {
        return Err(format!("{told} executions told the listener something, and it heard {heard} times"));
    }
    Ok(())
}
