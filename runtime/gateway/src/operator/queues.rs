//! `GET /v1/queues`: the bus's queues with their counts.

use std::sync::Arc;

use axum::{Json, extract::State};
use greenroom_contract::{page::Page, port::bus::QueueInfo};

use crate::{
    Doors,
    http::{Params, Problem, ask},
};

pub(super) async fn list(State(doors): State<Arc<Doors>>, params: Params) -> Result<Json<Page<QueueInfo>>, Problem> {
    params.only(&[])?;
    Ok(Json(Page::whole(ask("the bus", doors.bus.queues()).await?)))
}
