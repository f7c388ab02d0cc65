//! What agents spend, counted when a step is settled.

use greenroom_contract::{
    AgentId, MicroUsd,
    clock::to_millis,
    execution::Settled,
    port::{
        llm::Usage,
        state::{Result, Spent, USAGE_BUCKET_MS},
    },
};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{columns, job::run, store::SqliteState};
use crate::refusal::int;

/// Adds a settled step to its agent's account. `called` says whether it was a model call that came to its end.
pub(super) fn count(conn: &Connection, agent: &str, now: i64, called: bool, step: &Settled) -> rusqlite::Result<()> {
    const SQL: &str = "INSERT INTO usage (agent, bucket, calls, input, output, cache_read, cache_write, reasoning, \
             estimated, cost) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
         ON CONFLICT (agent, bucket) DO UPDATE SET calls = calls + excluded.calls, input = input + excluded.input, \
             output = output + excluded.output, cache_read = cache_read + excluded.cache_read, \
             cache_write = cache_write + excluded.cache_write, reasoning = reasoning + excluded.reasoning, \
             estimated = max(estimated, excluded.estimated), cost = cost + excluded.cost";
    if !called && step.usage.is_none() && step.cost.is_none() {
        return Ok(());
    }
    let usage = step.usage.unwrap_or_default();
    run(
        conn,
        SQL,
        params![
            agent,
            now.div_euclid(USAGE_BUCKET_MS),
            called,
            int(usage.input),
            int(usage.output),
            int(usage.cache_read),
            int(usage.cache_written()),
            int(usage.reasoning),
            usage.estimated,
            step.cost.unwrap_or_default().0,
        ],
    )
    .map(drop)
}

/// The sums since the beginning of the quarter of an hour in which `since` lies.
pub(super) async fn usage(store: &SqliteState, since: Timestamp) -> Result<Vec<(AgentId, Spent)>> {
    const SQL: &str = "SELECT agent, sum(calls), sum(input), sum(output), sum(cache_read), sum(cache_write), \
             sum(reasoning), max(estimated), sum(cost) \
         FROM usage INDEXED BY usage_bucket WHERE bucket >= ?1 GROUP BY agent ORDER BY agent";
    let first = to_millis(since).div_euclid(USAGE_BUCKET_MS);
    store
        .read(move |conn| {
            let mut statement = conn.prepare_cached(SQL)?;
            let rows = statement.query_map([first], |row| {
                let columns::Word(agent) = row.get(0)?;
                let spent = Spent {
                    calls: columns::count(row, 1)?,
                    usage: Usage {
                        input: columns::count(row, 2)?,
                        output: columns::count(row, 3)?,
                        cache_read: columns::count(row, 4)?,
                        cache_write: columns::count(row, 5)?,
                        cache_write_1h: 0,
                        reasoning: columns::count(row, 6)?,
                        estimated: row.get(7)?,
                    },
                    cost: MicroUsd(row.get(8)?),
                };
                Ok((agent, spent))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
}
