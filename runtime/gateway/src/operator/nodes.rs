//! `GET /v1/nodes`: the nodes of the cluster, as this node heard of them and as the store knows their leases.

use std::sync::Arc;

use axum::{Json, extract::State};
use greenroom_contract::{page::Page, port::operator::NodeView};

use crate::{
    Doors,
    http::{Params, Problem, ask},
};

pub(super) async fn list(State(doors): State<Arc<Doors>>, params: Params) -> Result<Json<Page<NodeView>>, Problem> {
    params.only(&[])?;
    Ok(Json(Page::whole(ask("the store", doors.operator.nodes()).await?)))
}
