//! One exchange, under the limit of silence.

use std::time::Duration;

use aws_sdk_bedrockruntime::{
    config::http::{HttpRequest, HttpResponse},
    error::{ProvideErrorMetadata, SdkError},
    operation::converse_stream::ConverseStreamOutput,
};
use greenroom_contract::port::llm::{Chunk, Error, Request};
use serde_json::{Value, json};

use super::{
    answer::Answer,
    failure::{self, Refusal},
    model::{Options, PROVIDER},
    request,
};
use crate::llm::{generator::Emitter, wire::words};

/// How long the end of the body is waited for after the last event, so that the connection can be used again.
const LAST_BYTES: Duration = Duration::from_millis(20);

/// One exchange with Bedrock. Dropping it closes the connection.
pub(super) struct Call<'a> {
    options: &'a Options,
    silence: Duration,
}

impl<'a> Call<'a> {
    /// An exchange that may be silent for as long as the request allows.
    pub(super) fn new(options: &'a Options, request: &Request) -> Self {
        Self { options, silence: request.silence }
    }

    /// Asks, hands text on as it comes, and returns what was said.
    pub(super) async fn ask(&self, request: &Request, out: &Emitter) -> Result<Answer, Error> {
        let body = request::body(self.options, request).to_string();
        let operation = self.options.client.converse_stream().model_id(&self.options.model);
        let send = operation.customize().mutate_request(with_body(body)).send();
        let response = self.within(Box::pin(send)).await?.map_err(|error| self.refusal(&error))?;
        // The headers are a sign of life: from here the silence is counted anew.
        out.emit(Chunk::Progress).await;
        let mut answer = Answer::default();
        match self.events(response, &mut answer, out).await {
            Ok(()) => Ok(answer),
            // What the model had said was all: only the count is missing, which we can do without.
            Err(_) if answer.finished() => Ok(answer),
            Err(error) => Err(error),
        }
    }

    /// How many tokens a request has, exactly; `None` where Bedrock does not count for this model.
    pub(super) async fn count(&self, request: &Request) -> Result<Option<u64>, Error> {
        let converse = Value::Object(request::countable(self.options, request));
        let body = json!({ "input": { "converse": converse } }).to_string();
        let operation = self.options.client.count_tokens().model_id(&self.options.model);
        let send = operation.customize().mutate_request(with_body(body)).send();
        match self.within(Box::pin(send)).await? {
            Ok(counted) => Ok(u64::try_from(counted.input_tokens()).ok()),
            Err(error) => match self.refusal(&error) {
                // Not every model is counted for, and there is no list of those that are.
                Error::InvalidRequest { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    async fn within<T>(&self, wait: impl Future<Output = T>) -> Result<T, Error> {
        let silent = |_| Error::Timeout { provider: PROVIDER.to_owned(), after: self.silence };
        tokio::time::timeout(self.silence, wait).await.map_err(silent)
    }

    fn refusal<E>(&self, error: &SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let Some(response) = error.raw_response() else {
            // Nothing that a server said, and so no key in it.
            return failure::unreachable(&words(&cause(error), None));
        };
        let status = response.status().as_u16();
        let service = error.as_service_error();
        let code = service.and_then(ProvideErrorMetadata::code).unwrap_or_default();
        let said = service.and_then(ProvideErrorMetadata::message).unwrap_or_default();
        let retry_after = failure::wait(|name| response.headers().get(name));
        failure::of_response(self.options, &Refusal { status, code, said, retry_after })
    }

    async fn events(&self, response: ConverseStreamOutput, answer: &mut Answer, out: &Emitter) -> Result<(), Error> {
        let mut stream = response.stream;
        loop {
            let event = self.within(stream.recv()).await?.map_err(|error| failure::of_stream(self.options, &error))?;
            let Some(event) = event else {
                let provider = PROVIDER.to_owned();
                return match (answer.finished(), answer.begun()) {
                    (true, _) => Ok(()),
                    (_, true) => {
                        let message = "the stream ended before the answer did".to_owned();
                        Err(Error::Interrupted { provider, message })
                    }
                    (_, false) => {
                        let message = "it closed the stream without an answer".to_owned();
                        Err(Error::Unavailable { provider, message })
                    }
                };
            };
            let text = answer.take(event);
            match text.is_empty() {
                true => out.emit(Chunk::Progress).await,
                false => out.emit(Chunk::Text(text)).await,
            }
            if answer.is_last() {
                if tokio::time::timeout(LAST_BYTES, stream.recv()).await.is_err() {
                    tracing::trace!("Bedrock keeps its stream open after the last event.");
                }
                return Ok(());
            }
        }
    }
}

/// Puts our body into the SDK's request, before it is signed.
fn with_body(body: String) -> impl Fn(&mut HttpRequest) + Send + Sync + 'static {
    move |request| {
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = body.clone().into();
    }
}

/// The chain of causes of a call that got no response, in one line.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}
