//! Is it there, and which models has it?

use std::time::Duration;

use reqwest::{
    Client, Url,
    header::{AUTHORIZATION, HeaderValue},
};
use serde::Deserialize;

use super::model::url;
use crate::llm::http;

/// It is on this machine or near, or not there at all.
const LIMIT: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

/// The names of the models that are installed, once it has told its version. Fails, with the reason, when it does not
/// answer within a second.
pub(crate) async fn installed(
    client: &Client,
    base: &Url,
    authorization: Option<&HeaderValue>,
) -> Result<Vec<String>, String> {
    let get = |path| {
        let get = client.get(url(base, path));
        match authorization {
            Some(value) => get.header(AUTHORIZATION, value.clone()),
            None => get,
        }
    };
    let ask = async {
        let version: Version = get("version").send().await?.error_for_status()?.json().await?;
        let tags: Tags = get("tags").send().await?.error_for_status()?.json().await?;
        tracing::debug!(version = version.version, models = tags.models.len(), "Ollama answers.");
        Ok(tags.models.into_iter().map(|tag| tag.name).collect())
    };
    match tokio::time::timeout(LIMIT, ask).await {
        Ok(answer) => answer.map_err(http::describe),
        Err(_) => Err(format!("no answer within {LIMIT:?}")),
    }
}

/// Whether `model` is among them: a name without a tag means the tag `latest`.
pub(crate) fn has(installed: &[String], model: &str) -> bool {
    let latest = format!("{model}:latest");
    installed.iter().any(|name| name == model || *name == latest)
}
