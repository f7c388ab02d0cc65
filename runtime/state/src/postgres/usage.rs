//! What agents spend. It is counted where steps are settled.

use greenroom_contract::{
    AgentId, MicroUsd,
    clock::to_millis,
    port::{
        llm::Usage,
        state::{Result, Spent, USAGE_BUCKET_MS},
    },
};
use jiff::Timestamp;
use sqlx::postgres::PgRow;

use super::{ask::calling, columns::Columns, store::PostgresState};

/// The sums since the beginning of the quarter of an hour in which `since` lies.
pub(super) async fn usage(store: &PostgresState, since: Timestamp) -> Result<Vec<(AgentId, Spent)>> {
    const SQL: &str = "SELECT agent, sum(calls)::bigint, sum(input)::bigint, sum(output)::bigint, \
             sum(cache_read)::bigint, sum(cache_write)::bigint, sum(reasoning)::bigint, bool_or(estimated), \
             sum(cost)::bigint \
         FROM usage WHERE bucket >= $1 GROUP BY agent ORDER BY agent";
    let first = to_millis(since).div_euclid(USAGE_BUCKET_MS);
    let call = calling::<Vec<(AgentId, Spent)>, _>(move |conn, _| {
        Box::pin(async move {
            let rows = sqlx::query(SQL).bind(first).fetch_all(conn).await?;
            let spent = |row: &PgRow| {
                let spent = Spent {
                    calls: row.count(1)?,
                    usage: Usage {
                        input: row.count(2)?,
                        output: row.count(3)?,
                        cache_read: row.count(4)?,
                        cache_write: row.count(5)?,
                        cache_write_1h: 0,
                        reasoning: row.count(6)?,
                        estimated: row.get_at(7)?,
                    },
                    cost: MicroUsd(row.get_at(8)?),
                };
                Ok((row.word(0)?, spent))
            };
            rows.iter().map(spent).collect()
        })
    });
    store.read(call).await
}
