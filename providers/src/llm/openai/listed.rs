//! Which models a server has, for an agent that names none.

use std::time::Duration;

use reqwest::{Client, header::AUTHORIZATION};
use serde::Deserialize;

use super::Options;
use crate::llm::http;

const LIMIT: Duration = Duration::from_secs(2);
/// Parts of names of models that do not chat.
const NOT_FOR_CHAT: [&str; 8] = ["embed", "rerank", "whisper", "tts", "moderation", "dall-e", "image", "transcribe"];

#[derive(Deserialize)]
struct List {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
}

/// The names of the server's models that can chat, in its order. Fails, with the reason, when it does not answer within
/// two seconds or has no such list.
pub(crate) async fn listed_models(http: &Client, options: &Options) -> Result<Vec<String>, String> {
    let mut get = http.get(options.url("models"));
    if let Some(authorization) = &options.authorization {
        get = get.header(AUTHORIZATION, authorization.clone());
    }
    let ask = async { get.send().await?.error_for_status()?.json::<List>().await };
    let list = match tokio::time::timeout(LIMIT, ask).await {
        Ok(answer) => answer.map_err(http::describe)?,
        Err(_) => return Err(format!("no answer within {LIMIT:?}")),
    };
    let chats = |id: &String| !NOT_FOR_CHAT.iter().any(|part| id.to_lowercase().contains(part));
    Ok(list.data.into_iter().map(|entry| entry.id).filter(chats).collect())
}
