//! `greenroom migrate`: the database brought up to date by itself, so that a deploy can do it before its nodes start.

use greenroom_config::NodeConfig;

use super::{exit::Exit, output};
use crate::boot;

pub(super) fn migrate(config: &NodeConfig) -> Result<(), Exit> {
    let runtime = tokio::runtime::Runtime::new().map_err(Exit::failed)?;
    let what = runtime.block_on(boot::migrate(config)).map_err(Exit::failed)?;
    output::answer(format_args!("✓ {what} is up to date"));
    Ok(())
}
