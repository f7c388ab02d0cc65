//! The layer that holds answers to their form.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use greenroom_contract::{
    BoxFuture, BoxStream,
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Message, OutputForm, Part, Request, Response, Role, Stop, Usage},
};

use super::{Form, Misfit};
use crate::llm::{
    generator::{Emitter, generate},
    retry::cut,
};

/// Checks the answer to every request that asks for a form, whatever the provider promised. An answer that does not fit
/// goes back to the model once, with its faults; if the next one does not fit either, that is an
/// [`Error::Misformed`]. A request without a form passes through untouched.
///
/// The text of the answer is then exactly the JSON, and is handed on in one piece, because nothing of an answer that
/// may yet be thrown away should be shown. Tokens and price are those of both answers.
pub(crate) struct Structured {
    inner: Arc<dyn Llm>,
    /// The form of the last request: an agent mostly asks for the same.
    last: Mutex<Option<Arc<Form>>>,
}

impl Structured {
    /// Wraps a model.
    pub(crate) fn new(inner: Arc<dyn Llm>) -> Self {
        Self { inner, last: Mutex::default() }
    }

    async fn ask(&self, request: Request, wanted: &OutputForm, out: &Emitter) -> Result<Response, Error> {
        let form = self.form(wanted)?;
        let first = self.one(request.clone(), out).await?;
        let misfit = match fit(&form, &first)? {
            Fit::Yes(parts) => return say(Response { parts, ..first }, out).await,
            Fit::Unasked => return Ok(first),
            Fit::No(misfit) => misfit,
        };
        tracing::warn!(
            llm.provider = first.provider,
            llm.model = first.model,
            faults = misfit.faults.len(),
            "The answer does not have the form that was asked for; the model is asked to mend it."
        );
        let second = self.one(repair(request, &first, &misfit), out).await?;
        let usage = sum(&first.usage, &second.usage);
        let cost = first.cost.zip(second.cost).map(|(first, second)| first + second);
        let both = Response { usage, cost, ..second };
        match fit(&form, &both)? {
            Fit::Yes(parts) => say(Response { parts, ..both }, out).await,
            Fit::Unasked => Ok(both),
            Fit::No(misfit) => {
                let message = format!("not even when it was asked to mend it: {misfit}");
                Err(Error::Misformed { provider: both.provider, message, usage: Box::new(both.usage), cost: both.cost })
            }
        }
    }

    /// One answer, of which only signs of life are shown.
    async fn one(&self, request: Request, out: &Emitter) -> Result<Response, Error> {
        let mut chunks = self.inner.stream(request);
        while let Some(chunk) = chunks.next().await {
            match chunk? {
                Chunk::Done(response) => return Ok(*response),
                Chunk::Text(_) | Chunk::Progress => out.emit(Chunk::Progress).await,
            }
        }
        Err(cut(self.provider()))
    }

    fn form(&self, wanted: &OutputForm) -> Result<Arc<Form>, Error> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(form) = last.as_ref().filter(|form| form.form() == wanted) {
            return Ok(Arc::clone(form));
        }
        let form = Form::new(wanted.clone()).map_err(|reason| Error::InvalidRequest {
            provider: self.provider().to_owned(),
            message: format!("the form {:?} is no usable JSON Schema: {reason}", wanted.name),
        })?;
        let form = Arc::new(form);
        *last = Some(Arc::clone(&form));
        Ok(form)
    }
}

impl Llm for Structured {
    fn provider(&self) -> &str {
        self.inner.provider()
    }

    fn model(&self) -> &str {
        self.inner.model()
    }

    fn stream(&self, mut request: Request) -> BoxStream<'_, Result<Chunk, Error>> {
        match request.output.take() {
            None => self.inner.stream(request),
            Some(wanted) => {
                request.output = Some(wanted.clone());
                generate(|out| async move { self.ask(request, &wanted, &out).await })
            }
        }
    }

    fn context_window(&self) -> Option<u64> {
        self.inner.context_window()
    }

    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        self.inner.count_tokens(request)
    }

    fn cost(&self, usage: &Usage) -> Option<MicroUsd> {
        self.inner.cost(usage)
    }

    fn most(&self, input: u64, output: u64) -> Option<MicroUsd> {
        self.inner.most(input, output)
    }
}

enum Fit {
    /// The parts, with exactly the JSON as their text.
    Yes(Vec<Part>),
    No(Misfit),
    /// The model asks for tools: this is not its answer yet.
    Unasked,
}

fn fit(form: &Form, response: &Response) -> Result<Fit, Error> {
    match response.stop {
        Stop::ToolUse => return Ok(Fit::Unasked),
        // Asked again, it would be cut again.
        Stop::MaxTokens => {
            let message =
                "it was cut at the limit of tokens before it was whole; raise llm_config.max_tokens".to_owned();
            let (provider, usage, cost) = (response.provider.clone(), Box::new(response.usage), response.cost);
            return Err(Error::Misformed { provider, message, usage, cost });
        }
        Stop::EndTurn | Stop::Other => {}
    }
    let answer = match form.read(&response.text()) {
        Ok(answer) => answer,
        Err(misfit) => return Ok(Fit::No(misfit)),
    };
    let others = response.parts.iter().filter(|part| !matches!(part, Part::Text { .. })).cloned();
    Ok(Fit::Yes(others.chain([Part::Text { text: answer.to_string() }]).collect()))
}

/// The same question, with the answer and what is wrong with it.
fn repair(mut request: Request, answer: &Response, misfit: &Misfit) -> Request {
    let faults: String = misfit.faults.iter().map(|fault| format!("\n- {fault}")).collect();
    let text = format!(
        "Your answer does not fit the JSON Schema that it has to fit:{faults}\nAnswer again with the whole JSON, \
         mended, and nothing else."
    );
    let said =
        if answer.parts.is_empty() { vec![Part::Text { text: "(nothing)".to_owned() }] } else { answer.parts.clone() };
    request.messages.push(Message { role: Role::Assistant, parts: said });
    request.messages.push(Message::text(Role::User, text));
    request.idempotency_key.push_str("-mend");
    request
}

async fn say(response: Response, out: &Emitter) -> Result<Response, Error> {
    out.emit(Chunk::Text(response.text())).await;
    Ok(response)
}

fn sum(a: &Usage, b: &Usage) -> Usage {
    Usage {
        input: a.input + b.input,
        output: a.output + b.output,
        cache_read: a.cache_read + b.cache_read,
        cache_write: a.cache_write + b.cache_write,
        cache_write_1h: a.cache_write_1h + b.cache_write_1h,
        reasoning: a.reasoning + b.reasoning,
        estimated: a.estimated || b.estimated,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::testing::{Play, request};

    fn asked() -> Request {
        let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
        Request { output: Some(OutputForm { name: "n".to_owned(), schema }), ..request("how many?") }
    }

    #[tokio::test]
    async fn a_good_answer_is_handed_on_as_json_alone() {
        let play = Play::new([Ok("Sure: {\"n\": 3}")]);
        let chunks: Vec<_> = Structured::new(play.clone()).stream(asked()).map(Result::unwrap).collect().await;
        let text: String = chunks
            .iter()
            .filter_map(|chunk| if let Chunk::Text(text) = chunk { Some(text.as_str()) } else { None })
            .collect();
        assert_eq!((text.as_str(), play.calls()), ("{\"n\":3}", 1));
    }

    #[tokio::test]
    async fn a_bad_answer_is_mended_once_and_nothing_of_it_is_shown() {
        let play = Play::new([Ok("{\"n\": \"three\"}"), Ok("{\"n\": 3}")]).after_text("{\"n\": \"thr");
        let chunks: Vec<_> = Structured::new(play.clone()).stream(asked()).map(Result::unwrap).collect().await;
        let texts: Vec<_> = chunks.iter().filter(|chunk| matches!(chunk, Chunk::Text(_))).collect();
        assert_eq!(texts, [&Chunk::Text("{\"n\":3}".to_owned())]);
        assert_eq!(play.calls(), 2);
    }

    #[tokio::test]
    async fn twice_bad_is_a_failure_that_says_why() {
        let play = Play::new([Ok("three"), Ok("{\"n\": \"three\"}")]);
        let error = Structured::new(play.clone()).complete(asked()).await.unwrap_err();
        assert!(
            matches!(&error, Error::Misformed { message, usage, .. } if message.contains("/n") && usage.output == 2),
            "{error}"
        );
        assert_eq!(play.calls(), 2);
    }

    #[tokio::test]
    async fn who_asks_for_no_form_gets_what_was_said() {
        let play = Play::new([Ok("three")]);
        assert_eq!(Structured::new(play).complete(request("how many?")).await.unwrap().text(), "three");
    }

    #[test]
    fn the_model_is_told_what_is_wrong() {
        let answer = Response {
            parts: vec![Part::Text { text: "three".to_owned() }],
            stop: Stop::EndTurn,
            usage: Usage::default(),
            model: String::new(),
            provider: String::new(),
            cost: None,
        };
        let again = repair(asked(), &answer, &Misfit { faults: vec!["/n: \"three\" is not an integer".to_owned()] });
        let Part::Text { text } = &again.messages[2].parts[0] else { panic!("words") };
        assert!(text.contains("- /n: \"three\" is not an integer"), "{text}");
        assert_eq!(again.idempotency_key, "key-1-mend");
    }
}
