//! `GET /v1/usage`: what agents spent on models.

use std::sync::Arc;

use axum::{Json, extract::State};
use greenroom_contract::{
    AgentId, MicroUsd,
    clock::{from_millis, to_millis},
    port::state::{Spent, USAGE_BUCKET_MS},
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{
    Doors,
    http::{Params, Problem, ask},
};

/// What was spent since a moment.
#[derive(Serialize)]
pub(super) struct Account {
    /// From here on: the beginning of a quarter of an hour.
    since: Timestamp,
    /// By agent; who spent nothing is left out.
    items: Vec<Item>,
    /// All together. Calls whose price is not known count for nothing here.
    total_usd: MicroUsd,
}

#[derive(Serialize)]
struct Item {
    agent: AgentId,
    #[serde(flatten)]
    spent: Spent,
}

/// Since the day began in UTC, unless `since` says otherwise.
pub(super) async fn show(State(doors): State<Arc<Doors>>, params: Params) -> Result<Json<Account>, Problem> {
    let params = params.only(&["since", "agent"])?;
    let today = || {
        let now = doors.clock.now().to_zoned(TimeZone::UTC);
        now.start_of_day().map_or(now.timestamp(), |day| day.timestamp())
    };
    let since = params.one("since")?.unwrap_or_else(today);
    let since = from_millis(to_millis(since).div_euclid(USAGE_BUCKET_MS) * USAGE_BUCKET_MS);
    let agent: Option<AgentId> = params.one("agent")?;
    let all = ask("the store", doors.state.usage(since)).await?.into_iter();
    let wanted = all.filter(|(name, _)| agent.as_ref().is_none_or(|agent| agent == name));
    let items: Vec<Item> = wanted.map(|(agent, spent)| Item { agent, spent }).collect();
    let total_usd = items.iter().map(|item| item.spent.cost).sum();
    Ok(Json(Account { since, items, total_usd }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::House;

    #[tokio::test]
    async fn what_was_spent_is_told_by_agent_since_the_day_began() {
        let house = House::new();
        let all = house.get("/v1/usage").await.json();
        assert_eq!(all["since"], "2018-07-12T00:00:00Z", "the day of the stopped clock");
        assert_eq!(all["total_usd"], json!(0.003));
        let first = &all["items"][0];
        assert_eq!(
            (&first["agent"], &first["calls"], &first["cost_usd"]),
            (&json!("customer-support"), &json!(2), &json!(0.0015))
        );
        let one = house.get("/v1/usage?agent=researcher&since=2018-07-01T00:00:00Z").await.json();
        assert_eq!((one["items"].as_array().map(Vec::len), &one["total_usd"]), (Some(1), &json!(0.0015)));
        assert_eq!(house.get("/v1/usage?since=2030-01-01T00:00:00Z").await.json()["items"], json!([]));
        house.get("/v1/usage?since=yesterday").await.problem(400, "bad_parameter");
    }
}
