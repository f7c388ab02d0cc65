//! The tool.

use std::{error::Error, sync::Arc, time::Duration};

use greenroom_config::spec::BuiltinTool;
use greenroom_contract::{
    execution::Effect,
    port::tool::{Answer, Call, ToolSpec},
};
use reqwest::{Client, Response, Url, header};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    address::{NotPublic, PublicOnly, is_public},
    page::Page,
};
use crate::{
    Unusable,
    llm::{describe, http_client_builder, no_http_client, shown},
    tools::{limit::MAX_BYTES, pattern::fits},
};

const TIMEOUT: Duration = Duration::from_secs(20);
const MOST_REDIRECTS: usize = 5;

/// The tool with what the operator allows it.
pub(in crate::tools) struct HttpFetch {
    client: Client,
    hosts: Vec<String>,
    private: bool,
    most: usize,
    timeout: Duration,
}

impl HttpFetch {
    pub(in crate::tools) fn new(tool: &BuiltinTool) -> Result<Self, Unusable> {
        // Behind a proxy it would be the proxy that resolves names, and nobody who judges them.
        let mut client = http_client_builder().no_proxy().pool_max_idle_per_host(0);
        if !tool.private_addresses {
            client = client.dns_resolver(Arc::new(PublicOnly));
        }
        let client = client.build().map_err(no_http_client)?;
        Ok(Self {
            client,
            hosts: tool.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            private: tool.private_addresses,
            most: tool.max_bytes.map_or(MAX_BYTES, |most| most as usize),
            timeout: tool.timeout.map_or(TIMEOUT, |timeout| timeout.0),
        })
    }

    pub(in crate::tools) fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "http_fetch".to_owned(),
            description: format!(
                "Reads a page or file of the web (HTTP GET), without logging in anywhere. These hosts can be asked: {}.",
                self.hosts.join(", ")
            ),
            input_schema: json!({
                "type": "object",
                "properties": { "url": { "type": "string", "description": "The address: http:// or https://." } },
                "required": ["url"],
                "additionalProperties": false
            }),
            effect: Effect::None,
        }
    }

    pub(in crate::tools) async fn call(&self, call: &Call) -> Answer {
        let Some(url) = call.input.get("url").and_then(Value::as_str) else {
            return Answer::error("http_fetch needs a url, which is a text");
        };
        let within = self.timeout.min(call.timeout);
        match timeout(within, self.fetch(url)).await {
            Ok(Ok(page)) => page.told(),
            Ok(Err(reason)) => Answer::error(format!("this could not be read: {reason}")),
            Err(_) => Answer::error(format!("this could not be read: it took longer than {within:?}")),
        }
    }

    async fn fetch(&self, url: &str) -> Result<Page, String> {
        let mut url: Url = url.parse().map_err(|error| format!("the url is malformed ({error})"))?;
        for _ in 0..=MOST_REDIRECTS {
            self.check(&url)?;
            let accept = "text/*, application/json, image/*;q=0.8, */*;q=0.5";
            let asked = self.client.get(url.clone()).header(header::ACCEPT, accept).send().await;
            let answer = asked.map_err(why)?;
            match next(&answer)? {
                Some(target) => url = target,
                None => return self.read(answer).await,
            }
        }
        Err(format!("it was redirected more than {MOST_REDIRECTS} times"))
    }

    /// Judges an address: a first one, and each one to which another redirects.
    fn check(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err("only http:// and https:// can be read".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address with a user name or password is not read".to_owned());
        }
        let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        if !self.hosts.iter().any(|allowed| fits(allowed, &host)) {
            return Err(format!("the host {host:?} is not allowed; these are: {}", self.hosts.join(", ")));
        }
        // A name is judged when it is resolved; an address that is written as one is not resolved.
        let written = host.trim_start_matches('[').trim_end_matches(']').parse();
        match written {
            Ok(address) if !self.private && !is_public(address) => Err(NotPublic.to_string()),
            _ => Ok(()),
        }
    }

    async fn read(&self, mut answer: Response) -> Result<Page, String> {
        let status = answer.status();
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let (kind, from) = (kind.unwrap_or_default().to_owned(), shown(answer.url()));
        let (mut body, mut cut) = (Vec::new(), false);
        while let Some(piece) = answer.chunk().await.map_err(why)? {
            let room = self.most - body.len();
            if piece.len() > room {
                body.extend_from_slice(&piece[..room]);
                cut = true;
                break;
            }
            body.extend_from_slice(&piece);
        }
        Ok(Page { status, from, kind, body, cut })
    }
}

/// Where an answer redirects to, if it does.
fn next(answer: &Response) -> Result<Option<Url>, String> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = answer.headers().get(header::LOCATION) else { return Ok(None) };
    let location = location.to_str().map_err(|_| "it redirects to what is no address".to_owned())?;
    let target = answer.url().join(location);
    target.map(Some).map_err(|error| format!("it redirects to what is no address ({error})"))
}

/// The reason that an operator or model can do something about.
fn why(error: reqwest::Error) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if inner.is::<NotPublic>() {
            return inner.to_string();
        }
        cause = inner.source();
    }
    describe(error)
}
