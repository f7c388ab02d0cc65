//! What is old goes.

use greenroom_contract::{
    AgentId,
    clock::{from_millis, to_millis},
    port::state::{Swept, USAGE_BUCKET_MS, long_ago},
};
use serde_json::Value;

use super::tables::Tables;

impl Tables {
    pub(super) fn sweep(&mut self, before: i64, limit: u32, now: i64) -> Swept {
        let limit = limit.max(1) as usize;
        let long_ago = to_millis(long_ago(from_millis(now), from_millis(before)));
        let mut swept = Swept::default();

        let mut old: Vec<(i64, usize)> = self.sweepable(before);
        old.sort_unstable();
        old.truncate(limit);
        swept.executions = old.len() as u64;
        for (_, number) in &old {
            self.forget(*number, now);
        }

        let letters =
            self.letters.iter().filter(|(_, letter)| letter.replayed.as_ref().is_some_and(|(at, _)| *at < before));
        let letters: Vec<i64> = letters.map(|(id, _)| *id).take(limit).collect();
        swept.dead_letters = letters.len() as u64;
        letters.iter().for_each(|id| drop(self.letters.remove(id)));

        let spare = self.versions.iter().filter(|((agent, version), (given, _))| {
            // As old as what came after it.
            let replaced = self.versions_of(agent).any(|newer| newer > (*given, version) && newer.0 < before);
            let numbers = self.unfinished.get(agent).into_iter().flatten();
            let needed = numbers.into_iter().any(|number| self.rows[*number].version == *version);
            replaced && !needed
        });
        let spare: Vec<_> = spare.map(|(key, _)| key.clone()).take(limit).collect();
        swept.versions = spare.len() as u64;
        spare.iter().for_each(|key| drop(self.versions.remove(key)));

        let count = |tables: &Self| (tables.usage.len() + tables.swept.len() + tables.nodes.len()) as u64;
        let before_others = count(self);
        self.usage.retain(|(_, bucket), _| *bucket >= long_ago.div_euclid(USAGE_BUCKET_MS));
        self.swept.retain(|_, at| *at >= long_ago);
        self.nodes.retain(|_, until| *until >= before);
        swept.others = before_others - count(self) + self.sweep_firings(before);

        swept.more = [old.len(), letters.len(), spare.len()].iter().any(|count| *count >= limit);
        swept
    }

    /// Executions that ended long ago and that nothing waits for, as `(when, number)`.
    fn sweepable(&self, before: i64) -> Vec<(i64, usize)> {
        let waits = |number: usize| {
            let row = &self.rows[number];
            let letter =
                self.letters.values().any(|letter| letter.execution == Some(row.id) && letter.replayed.is_none());
            self.out_by_event.contains_key(&row.event.event_id) || self.promised.contains_key(&row.id) || letter
        };
        let old = |number: usize| self.rows[number].finished_at.filter(|at| *at < before).map(|at| (at, number));
        self.by_id.values().filter_map(|number| old(*number)).filter(|(_, number)| !waits(*number)).collect()
    }

    /// Keeps a version. One that is its agent's newest already stays as it is.
    pub(super) fn save_version(&mut self, key: (AgentId, String), spec: String, now: i64) {
        let newest = self.versions_of(&key.0).max().is_some_and(|(_, version)| *version == key.1);
        if !newest {
            self.versions.entry(key).or_insert((now, spec)).0 = now;
        }
    }

    /// When each version of an agent was given, and its name.
    fn versions_of(&self, agent: &AgentId) -> impl Iterator<Item = (i64, &String)> {
        let from = self.versions.range((agent.clone(), String::new())..);
        from.take_while(move |((of, _), _)| of == agent).map(|((_, version), (given, _))| (*given, version))
    }

    /// A row's number is its place, so that the row stays, without what it held.
    fn forget(&mut self, number: usize, now: i64) {
        let row = &mut self.rows[number];
        let (id, event) = (row.id, row.event.event_id);
        row.swept = true;
        row.event.payload = Value::Null;
        row.output = None;
        row.steps = Vec::new();
        self.by_id.remove(&id);
        if let Some(numbers) = self.by_event.get_mut(&event) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_event.remove(&event);
            }
        }
        self.reservations.remove(&id);
        self.questions.retain(|asked| asked.execution_id != id);
        self.plan_runs.retain(|(run, _)| run.execution_id != id);
        self.calls.retain(|_, call| call.caller != id);
        self.swept.insert(id, now);
    }
}
