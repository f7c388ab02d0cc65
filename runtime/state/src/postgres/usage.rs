//! What agents spend. It is counted where steps are settled.

use greenroom_contract::{
    AgentId, MicroUsd,
    clock::to_millis,
    port::{
        llm::Usage,
        state::{Result, Spent},
    },
};
use jiff::Timestamp;

use super::{ask::calling, columns::Columns, store::PostgresState};

/// A quarter of an hour: the midnight of every time zone begins one. The statements that settle divide by it too.
pub(super) const BUCKET_MS: i64 = 15 * 60 * 1000;

/// The sum since the beginning of the quarter of an hour in which `since` lies.
pub(super) async fn spent(store: &PostgresState, agent: AgentId, since: Timestamp) -> Result<Spent> {
    const SQL: &str = "SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(input), 0)::bigint, \
             coalesce(sum(output), 0)::bigint, coalesce(sum(cache_read), 0)::bigint, \
             coalesce(sum(cache_write), 0)::bigint, coalesce(sum(reasoning), 0)::bigint, \
             coalesce(bool_or(estimated), false), coalesce(sum(cost), 0)::bigint \
         FROM usage WHERE agent = $1 AND bucket >= $2";
    let first = to_millis(since).div_euclid(BUCKET_MS);
    let call = calling::<Spent, _>(move |conn, _| {
        let agent = agent.clone();
        Box::pin(async move {
            let row = sqlx::query(SQL).bind(agent.as_str()).bind(first).fetch_one(conn).await?;
            Ok(Spent {
                calls: row.count(0)?,
                usage: Usage {
                    input: row.count(1)?,
                    output: row.count(2)?,
                    cache_read: row.count(3)?,
                    cache_write: row.count(4)?,
                    cache_write_1h: 0,
                    reasoning: row.count(5)?,
                    estimated: row.get_at(6)?,
                },
                cost: MicroUsd(row.get_at(7)?),
            })
        })
    });
    store.read(call).await
}
