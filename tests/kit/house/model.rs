//! A model that does what the test tells it.

use std::{
    collections::BTreeMap,
    panic,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future, stream};
use greenroom_contract::{
    AgentId, BoxFuture, BoxStream, MicroUsd,
    port::llm::{Chunk, Error, Llm, Part, Request, Response, Role, Stop, ToolUse, Usage},
};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::memory::MemoryState;

/// What a call does.
#[derive(Clone)]
pub enum Act {
    /// Answers at once.
    Say(String),
    /// Answers after so long a silence.
    After(Duration, String),
    /// Says so many chunks, one every so often, then answers.
    Stream(u32, Duration),
    /// Answers when the test opens the gate.
    Wait(Gate),
    /// Never says anything.
    Silent,
    /// Fails.
    Fail(Error),
    /// Says something and then fails.
    Break(String, Error),
    /// Panics.
    Panic,
    /// Keeps its thread busy for so long, in real time, in one poll; then answers.
    Spin(Duration),
    /// Asks for a tool, and answers with what that says.
    Tool(String, Value),
    /// Asks for several tools at once, and answers with all that they say.
    Tools(Vec<(String, Value)>),
    /// Asks for a tool, whatever it was told before.
    Insist(String, Value),
}

impl Act {
    /// A failure that another attempt may mend.
    pub fn fail() -> Self {
        Self::Fail(Error::Unavailable { provider: "fake".to_owned(), message: "told to fail".to_owned() })
    }
}

/// A gate that is shut until it is opened, then open for all.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets everyone through from now on.
    pub fn open(&self) {
        self.0.add_permits(Semaphore::MAX_PERMITS / 4);
    }

    async fn pass(&self) {
        drop(self.0.acquire().await);
    }
}

/// A call.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who asks.
    pub agent: AgentId,
    /// What: the last question in the conversation.
    pub question: String,
    /// The system prompt, by which a definition's versions are told apart.
    pub system: String,
    /// The call's key: execution, attempt and position.
    pub key: String,
    /// How many calls were made with the same question before.
    pub before: u32,
    /// How many turns of the conversation were sent.
    pub turns: usize,
}

/// How much an agent asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    /// Calls so far.
    pub calls: u32,
    /// Calls that are under way.
    pub now: u32,
    /// The most that were under way at a time.
    pub most: u32,
}

type Script = Arc<dyn Fn(&Asked) -> Act + Send + Sync>;

/// The model, for all agents.
pub struct Model {
    state: Arc<MemoryState>,
    notes: Mutex<Notes>,
}

struct Notes {
    script: Script,
    asked: Vec<Asked>,
    by_question: BTreeMap<String, u32>,
    by_agent: BTreeMap<AgentId, Load>,
    broken: Vec<String>,
    prices: BTreeMap<String, Price>,
}

/// What a call of a model costs, in millionths of a dollar; below 0 is not known.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    /// What it can cost at most.
    pub most: i64,
    /// What it does cost.
    pub cost: i64,
}

impl Model {
    pub(super) fn new(state: Arc<MemoryState>) -> Self {
        let script: Script = Arc::new(|asked| Act::Say(format!("re: {}", asked.question)));
        let notes = Notes {
            script,
            asked: Vec::new(),
            by_question: BTreeMap::new(),
            by_agent: BTreeMap::new(),
            broken: Vec::new(),
            prices: BTreeMap::new(),
        };
        Self { state, notes: Mutex::new(notes) }
    }

    /// What calls do from now on.
    pub fn plays(&self, script: impl Fn(&Asked) -> Act + Send + Sync + 'static) {
        self.notes().script = Arc::new(script);
    }

    /// What calls of a model cost from now on; 1 without a word. The agents' own is `fake`.
    pub fn costs(&self, model: &str, price: Price) {
        self.notes().prices.insert(model.to_owned(), price);
    }

    fn price(&self, model: &str) -> Price {
        self.notes().prices.get(model).copied().unwrap_or(Price { most: 1, cost: 1 })
    }

    /// Every call that was made, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.notes().asked.clone()
    }

    /// How many calls were made with a question.
    pub fn times(&self, question: &str) -> u32 {
        self.notes().by_question.get(question).copied().unwrap_or(0)
    }

    /// How much an agent asked.
    pub fn load(&self, agent: &str) -> Load {
        let notes = self.notes();
        notes.by_agent.iter().find(|(name, _)| name.as_str() == agent).map_or_else(Load::default, |(_, load)| *load)
    }

    /// Calls of models and tools that were made again although their outcome was written: there should be none.
    pub fn made_again(&self) -> Vec<String> {
        self.notes().broken.clone()
    }

    /// Notes a call that must not be made if its outcome is in the journal.
    pub(super) fn check_first(&self, key: &str) {
        if self.state.is_settled(key) {
            self.notes().broken.push(key.to_owned());
        }
    }

    fn hear(&self, agent: &AgentId, request: &Request) -> Act {
        self.check_first(&request.idempotency_key);
        let (script, asked) = {
            let mut notes = self.notes();
            let question = question(request);
            let count = notes.by_question.entry(question.clone()).or_insert(0);
            let before = *count;
            *count += 1;
            let (agent, key) = (agent.clone(), request.idempotency_key.clone());
            let system = request.system.clone().unwrap_or_default();
            let turns = request.messages.len();
            let asked = Asked { agent, question, system, key, before, turns };
            notes.asked.push(asked.clone());
            let load = notes.by_agent.entry(asked.agent.clone()).or_default();
            load.calls += 1;
            load.now += 1;
            load.most = load.most.max(load.now);
            (Arc::clone(&notes.script), asked)
        };
        match (script(&asked), tool_result(request)) {
            (Act::Tool(..) | Act::Tools(..), Some(content)) => Act::Say(content),
            (act, _) => act,
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is under way until this is dropped.
struct UnderWay {
    agent: AgentId,
    model: Arc<Model>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(load) = self.model.notes().by_agent.get_mut(&self.agent) {
            load.now = load.now.saturating_sub(1);
        }
    }
}

/// The model as one agent has it.
pub(super) struct Voice {
    pub(super) agent: AgentId,
    pub(super) name: String,
    pub(super) model: Arc<Model>,
}

impl Llm for Voice {
    fn provider(&self) -> &str {
        "fake"
    }

    fn model(&self) -> &str {
        &self.name
    }

    fn stream(&self, request: Request) -> BoxStream<'_, Result<Chunk, Error>> {
        let act = self.model.hear(&self.agent, &request);
        let under_way = UnderWay { agent: self.agent.clone(), model: Arc::clone(&self.model) };
        let chunks: BoxStream<'_, _> = match act {
            Act::Say(text) => stream::once(future::ready(Ok(done(text)))).boxed(),
            Act::After(silence, text) => stream::once(tokio::time::sleep(silence).map(|()| Ok(done(text)))).boxed(),
            Act::Stream(chunks, every) => stream::iter(0..=chunks)
                .then(move |n| async move {
                    tokio::time::sleep(every).await;
                    Ok(if n < chunks { Chunk::Text("word ".to_owned()) } else { done("said".to_owned()) })
                })
                .boxed(),
            Act::Wait(gate) => stream::once(async move {
                gate.pass().await;
                Ok(done("let through".to_owned()))
            })
            .boxed(),
            Act::Silent => stream::pending().boxed(),
            Act::Break(text, error) => stream::iter([Ok(Chunk::Text(text)), Err(error)]).boxed(),
            Act::Fail(error) => stream::once(future::ready(Err(error))).boxed(),
            // Without the hook, which would fill the test's output with backtraces of what is meant to happen.
            Act::Panic => stream::once(future::lazy(|_| panic::resume_unwind(Box::new("told to panic")))).boxed(),
            Act::Spin(long) => stream::once(future::lazy(move |_| {
                let start = Instant::now();
                while start.elapsed() < long {
                    std::hint::spin_loop();
                }
                Ok(done("spun".to_owned()))
            }))
            .boxed(),
            Act::Tool(name, input) | Act::Insist(name, input) => asks_for(vec![(name, input)]),
            Act::Tools(wanted) => asks_for(wanted),
        };
        let (name, cost) = (&self.name, MicroUsd(self.model.price(&self.name).cost));
        let priced = chunks.map(move |chunk| match chunk {
            Ok(Chunk::Done(mut response)) => {
                (response.model, response.cost) = (name.clone(), Some(cost));
                Ok(Chunk::Done(response))
            }
            other => other,
        });
        priced.inspect(move |_| _ = &under_way).boxed()
    }

    fn count_tokens(&self, _: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        Box::pin(future::ready(Ok(Usage::default())))
    }

    fn cost(&self, _: &Usage) -> Option<MicroUsd> {
        Some(MicroUsd(self.model.price(&self.name).most)).filter(|price| price.0 >= 0)
    }
}

fn asks_for(tools: Vec<(String, Value)>) -> BoxStream<'static, Result<Chunk, Error>> {
    let parts = tools.into_iter().enumerate();
    let parts = parts.map(|(n, (name, input))| Part::ToolUse(ToolUse { id: format!("t{n}"), name, input })).collect();
    stream::once(future::ready(Ok(response(parts, Stop::ToolUse)))).boxed()
}

fn done(text: String) -> Chunk {
    response(vec![Part::Text { text }], Stop::EndTurn)
}

fn response(parts: Vec<Part>, stop: Stop) -> Chunk {
    Chunk::Done(Box::new(Response {
        parts,
        stop,
        usage: Usage { input: 1, output: 1, ..Usage::default() },
        model: "fake".to_owned(),
        provider: "fake".to_owned(),
        cost: Some(MicroUsd(1)),
    }))
}

/// The last text that the person or event said.
fn question(request: &Request) -> String {
    let said = request.messages.iter().rev().filter(|message| message.role == Role::User);
    let texts = said.flat_map(|message| &message.parts);
    let mut texts = texts.filter_map(|part| if let Part::Text { text } = part { Some(text.clone()) } else { None });
    texts.next().unwrap_or_default()
}

/// What the tool answered, if that is the last word.
fn tool_result(request: &Request) -> Option<String> {
    let said = request.messages.last()?.parts.iter().map(|part| match part {
        Part::ToolResult { content, .. } => Some(content.as_str()),
        _ => None,
    });
    said.collect::<Option<Vec<_>>>().filter(|said| !said.is_empty()).map(|said| said.join(" "))
}
