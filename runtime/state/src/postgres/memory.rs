//! What agents keep in mind. It is written by a finish.

use greenroom_contract::{
    AgentId,
    port::{memory::Memory, state::Result},
};

use super::{ask::calling, columns::Columns, store::PostgresState};

pub(super) async fn read(store: &PostgresState, agent: AgentId, limit: u32) -> Result<Vec<Memory>> {
    const SQL: &str = "SELECT key, text, at FROM memories WHERE agent = $1 ORDER BY at DESC, key LIMIT $2";
    let call = calling::<Vec<Memory>, _>(move |conn, _| {
        let agent = agent.clone();
        Box::pin(async move {
            let found = sqlx::query(SQL).bind(agent.as_str()).bind(i64::from(limit)).fetch_all(conn).await?;
            found.iter().map(|row| Ok(Memory { key: row.get_at(0)?, text: row.get_at(1)?, at: row.time(2)? })).collect()
        })
    });
    store.read(call).await
}
