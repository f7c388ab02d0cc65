//! Asking a server of this family: who we are to it, and what its refusals mean.

use bytes::Bytes;
use greenroom_contract::port::llm::{Error, Request};
use jiff::Timestamp;
use reqwest::{
    Client, Response,
    header::{AUTHORIZATION, HeaderValue},
};
use serde_json::Value;

use super::{
    Options,
    failure::{self, Circumstances, Said},
};
use crate::llm::wire::{Exchange, retry_after};

/// A server's door, for one exchange.
#[derive(Clone, Copy)]
pub(super) struct Door<'a> {
    pub(super) http: &'a Client,
    pub(super) options: &'a Options,
    pub(super) exchange: Exchange<'a>,
}

impl<'a> Door<'a> {
    /// The door, for as long a silence as the request allows.
    pub(super) fn new(http: &'a Client, options: &'a Options, request: &Request) -> Self {
        let exchange = Exchange { provider: options.dialect.provider(), silence: request.silence };
        Self { http, options, exchange }
    }

    /// Posts to one of the server's endpoints. Only a success is a response.
    pub(super) async fn post(&self, path: &str, key: &str, json: &Value) -> Result<Response, Error> {
        let url = self.options.url(path);
        let mut post = self.http.post(url.clone()).json(json);
        if let Some(authorization) = &self.options.authorization {
            post = post.header(AUTHORIZATION, authorization.clone());
        }
        if !key.is_empty()
            && let Ok(key) = HeaderValue::from_str(key)
        {
            post = post.header("idempotency-key", key);
        }
        let response = self.exchange.send(post, &url).await?;
        self.options.account.heard(response.headers());
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response).await)
    }

    async fn refusal(&self, response: Response) -> Error {
        let status = response.status();
        let wait = retry_after(response.headers(), Timestamp::now());
        // The status says enough if the body does not come.
        let body = self.exchange.body(response).rest(Bytes::new()).await.unwrap_or_default();
        failure::of_response(&self.circumstances(), status.as_u16(), wait, &Said::read_bytes(&body))
    }

    /// What an error needs to know.
    pub(super) fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            provider: self.options.dialect.provider(),
            key_name: &self.options.key_name,
            sent_key: self.options.authorization.as_ref().and_then(|value| value.to_str().ok()),
        }
    }
}
