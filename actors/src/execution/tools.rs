//! Tool calls of an execution: journaled, side by side where their effects allow it.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    call::AgentCall,
    execution::{Effect, StepKind},
    port::{
        llm::ToolUse,
        memory::Mind,
        tool::{self, Answer, Call, Life, ToolSpec},
    },
    status::{Purpose, StepStatus},
};
use serde_json::Value;

use super::{
    clarify,
    context::{Context, SILENCE_NET, to_json},
    entry::{Ask, Outcome},
    hash,
    mind::OwnMind,
    progress::Progress,
    trouble::Trouble,
};

/// The wait before an interrupted call that may be repeated is repeated.
const REPEAT_AFTER: Duration = Duration::from_millis(500);
/// So many calls of one answer run side by side; more take turns.
const SIDE_BY_SIDE: usize = 8;

impl Context {
    /// Calls a tool that the model asked for. Journaled; what becomes of a call that a crash interrupted is decided by
    /// the tool's effect. A tool that fails or is away answers with an error that the model may work round.
    pub async fn use_tool(&mut self, wanted: &ToolUse) -> Result<Answer, Trouble> {
        let answers = self.use_tools(std::slice::from_ref(wanted)).await?;
        answers.into_iter().next().ok_or_else(|| Trouble::lasting("tool_failed", "a tool gave no answer"))
    }

    /// Calls the tools that one answer of the model asked for, and returns their answers in the same order. Neighbours
    /// whose effect is `none` or `idempotent` run side by side, at most eight at once; a tool with another effect waits
    /// for those before it, and those after it wait for it.
    pub async fn use_tools(&mut self, wanted: &[ToolUse]) -> Result<Vec<Answer>, Trouble> {
        let known = self.tools();
        let mut answers = Vec::with_capacity(wanted.len());
        while answers.len() < wanted.len() {
            self.check_going()?;
            let rest = &wanted[answers.len()..];
            if let Some(answer) = self.read_output(&rest[0]).await? {
                answers.push(answer);
                continue;
            }
            let tools = Arc::clone(&self.kit.outfit.tools);
            let calls = rest.iter().map_while(|ask| tools.calls_agent(&ask.name, &ask.input));
            let calls: Vec<_> = calls.take(SIDE_BY_SIDE).collect();
            if !calls.is_empty() {
                answers.extend(self.ask_who_can_be_asked(calls).await?);
                continue;
            }
            if let Some(refused) = self.get_permission(&*tools, &rest[0]).await? {
                answers.push(refused);
                continue;
            }
            let room = self.check_going()?;
            let effects: Vec<Effect> =
                rest.iter().enumerate().map(|(ahead, ask)| self.effect(&known, ahead, ask)).collect();
            // Who needs a permission, and whoever is not known to need none, has its turn alone.
            let alone = |ask: &ToolUse| tools.confirms(&ask.name) != Some(false);
            let together = rest.iter().position(alone).map_or(rest.len(), |at| at.max(1));
            let repeatable = effects.iter().take(together).take_while(|effect| may_run_beside_others(**effect)).count();
            let now = repeatable.clamp(1, SIDE_BY_SIDE.min(room));
            let outcomes = match now {
                1 => vec![self.call_one(&rest[0], effects[0]).await?],
                _ => self.call_many(&rest[..now], &effects[..now]).await?,
            };
            self.between_calls();
            if self.journal.has_asked() {
                return Err(Trouble::Waiting);
            }
            for outcome in outcomes {
                let answer = read(outcome)?;
                for emit in &answer.emits {
                    self.emit(emit)?;
                }
                self.remembers.extend(answer.remembers.iter().cloned());
                answers.push(answer);
            }
        }
        Ok(answers)
    }

    /// Asks other agents; what cannot be asked is answered with why.
    async fn ask_who_can_be_asked(&mut self, calls: Vec<Result<AgentCall, String>>) -> Result<Vec<Answer>, Trouble> {
        let good = calls.iter().filter_map(|call| call.as_ref().ok()).cloned().collect();
        let mut answered = self.ask_agents(good).await?.into_iter();
        let none = || Answer::error("there is no answer");
        let answers = calls.into_iter().map(|call| match call {
            Ok(_) => answered.next().unwrap_or_else(none),
            Err(why) => Answer::error(why),
        });
        Ok(answers.collect())
    }

    /// A call that was made before a restart keeps its effect, also while its server is not back yet. One of a tool that is
    /// known and not there now may come to it all the same. A tool that does not exist is an answer too, and journaled, so
    /// that a resume goes the same way.
    fn effect(&self, known: &[ToolSpec], ahead: usize, wanted: &ToolUse) -> Effect {
        let listed = || known.iter().find(|tool| tool.name == wanted.name).map(|tool| tool.effect);
        let unlisted = || match self.kit.outfit.tools.confirms(&wanted.name) {
            Some(_) => Effect::AtMostOnce,
            None => Effect::None,
        };
        self.journal.effect_before(ahead, StepKind::Tool, &wanted.name).or_else(listed).unwrap_or_else(unlisted)
    }

    /// Asks people whether a call may be made, where it needs that, with exactly these arguments: the step's fingerprint is of
    /// them, so that an answer is good for no other call. Returns what the model is told when it may not.
    async fn get_permission(&mut self, tools: &dyn tool::Toolset, wanted: &ToolUse) -> Result<Option<Answer>, Trouble> {
        // Who was asked before a restart was asked, whether or not the tool is there now.
        let asked = self.journal.ahead(StepKind::Ask).is_some_and(|(name, _)| name == wanted.name);
        if !asked && tools.confirms(&wanted.name) != Some(true) {
            return Ok(None);
        }
        let Some(question) = clarify::approval(&self.claimed.agent, &wanted.name, &wanted.input) else {
            let why = "a person has to allow this call, and its arguments are too long to be shown to one";
            return Ok(Some(Answer::error(why)));
        };
        let ask = Ask { kind: StepKind::Ask, ..ask(wanted, Effect::None) };
        let outcome = self.journal.step(ask, |_| async { Outcome::asks(Purpose::Approval, question) }).await?;
        if self.journal.has_asked() {
            return Err(Trouble::Waiting);
        }
        Ok((!clarify::is_granted(&outcome.result)).then(|| Answer::error("a person was asked, and refused this call")))
    }

    /// Calls a tool, and again if it broke off and people have said so: that is a step of its own.
    async fn call_one(&mut self, wanted: &ToolUse, effect: Effect) -> Result<Outcome, Trouble> {
        loop {
            let outcome = self.call_once(wanted, effect).await?;
            if outcome.status == StepStatus::Unknown {
                return Err(self.journal.broke_off(&wanted.name));
            }
            if !clarify::is_to_be_called_again(&outcome.result) {
                return Ok(outcome);
            }
            self.check_going()?;
        }
    }

    async fn call_once(&mut self, wanted: &ToolUse, effect: Effect) -> Result<Outcome, Trouble> {
        let call = self.call(wanted);
        self.progress.begin(format!("tool {}", wanted.name), call.timeout + SILENCE_NET);
        let (tools, progress) = (Arc::clone(&self.kit.outfit.tools), &self.progress);
        let ask = ask(wanted, effect);
        if tools.confirms(&wanted.name).is_none() {
            // It may come to be known at any moment, and to need a permission.
            let unknown = Answer::error(tool::Error::Unknown { name: wanted.name.clone() }.to_string());
            let outcome =
                Outcome { status: StepStatus::Failed, result: to_json(&unknown), usage: None, cost: None, asks: None };
            return self.journal.step(ask, |_| async { outcome }).await;
        }
        self.journal
            .step(
                ask,
                |key| async move { outcome(&*tools, Call { idempotency_key: key, ..call }, effect, progress).await },
            )
            .await
    }

    async fn call_many(&mut self, wanted: &[ToolUse], effects: &[Effect]) -> Result<Vec<Outcome>, Trouble> {
        let calls: Vec<Call> = wanted.iter().map(|wanted| self.call(wanted)).collect();
        let names: Vec<&str> = wanted.iter().map(|wanted| wanted.name.as_str()).collect();
        let longest = self.spec().limits.tool_timeout.0;
        self.progress.begin(format!("tools {}", names.join(", ")), longest + SILENCE_NET);
        let (tools, progress) = (Arc::clone(&self.kit.outfit.tools), &self.progress);
        let asks = wanted.iter().zip(effects).map(|(wanted, effect)| ask(wanted, *effect)).collect();
        let (tools, calls) = (&*tools, &calls);
        self.journal
            .steps(asks, |place, key| {
                let call = Call { idempotency_key: key, ..calls[place].clone() };
                outcome(tools, call, effects[place], progress)
            })
            .await
    }

    fn call(&self, wanted: &ToolUse) -> Call {
        Call {
            name: wanted.name.clone(),
            input: wanted.input.clone(),
            idempotency_key: String::new(),
            agent: self.claimed.agent.clone(),
            execution: self.claimed.fence.execution,
            trace_id: self.claimed.event.trace_id,
            timeout: self.spec().limits.tool_timeout.0,
            life: Life::default(),
            mind: Mind::of(Arc::new(self.mind())),
        }
    }

    /// What the agent keeps in mind, with what this execution added so far.
    pub(super) fn mind(&self) -> OwnMind {
        OwnMind {
            kept: Arc::clone(&self.kept),
            state: Arc::clone(&self.ports.state),
            clock: Arc::clone(&self.ports.clock),
            agent: self.claimed.agent.clone(),
            added: self.remembers.clone(),
            pulse: Arc::clone(&self.pulse),
        }
    }
}

fn ask(wanted: &ToolUse, effect: Effect) -> Ask {
    Ask {
        kind: StepKind::Tool,
        name: wanted.name.clone(),
        request_hash: hash::of_call(&wanted.name, &wanted.input),
        effect,
    }
}

/// A crash interrupts all that run side by side; each of them is then called again.
fn may_run_beside_others(effect: Effect) -> bool {
    matches!(effect, Effect::None | Effect::Idempotent)
}

fn read(outcome: Outcome) -> Result<Answer, Trouble> {
    serde_json::from_value(outcome.result)
        .map_err(|error| Trouble::lasting("journal_unreadable", format!("a journaled answer cannot be read: {error}")))
}

async fn outcome(tools: &dyn tool::Toolset, call: Call, effect: Effect, progress: &Progress) -> Outcome {
    let (status, result) = match call_tool(tools, call, effect, progress).await {
        Ok(Answer { asks: Some(question), .. }) => return Outcome::asks(Purpose::Tool, question),
        Ok(answer) if answer.is_error => (StepStatus::Failed, to_json(&answer)),
        Ok(answer) => (StepStatus::Settled, to_json(&answer)),
        Err(tool::Error::OutcomeUnknown { .. }) if effect == Effect::AtMostOnce => (StepStatus::Unknown, Value::Null),
        Err(error) => (StepStatus::Failed, to_json(&Answer::error(error.to_string()))),
    };
    Outcome { status, result, usage: None, cost: None, asks: None }
}

/// Calls a tool, whose signs of life are passed on; one whose effect allows it is called once more, with the same key,
/// when its answer got lost.
async fn call_tool(
    tools: &dyn tool::Toolset,
    call: Call,
    effect: Effect,
    progress: &Progress,
) -> Result<Answer, tool::Error> {
    let net = call.timeout + SILENCE_NET;
    let once = |call: Call| async move {
        progress.beat(net);
        let (name, life) = (call.name.clone(), call.life.clone());
        let mut answer = tools.call(call);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                () = life.heard() => progress.beat(net),
                () = tokio::time::sleep(net) => {
                    return Err(tool::Error::OutcomeUnknown { name, reason: format!("no sign of life within {net:?}") });
                }
            }
        }
    };
    match once(call.clone()).await {
        Err(tool::Error::OutcomeUnknown { .. }) if effect != Effect::AtMostOnce => {
            tokio::time::sleep(REPEAT_AFTER).await;
            once(call).await
        }
        answer => answer,
    }
}
