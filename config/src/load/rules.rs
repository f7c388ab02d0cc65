//! What no schema can say: keys that need, exclude or contradict each other.

use std::{collections::BTreeSet, time::Duration};

use super::{Problem, closest, cron, tree::Node};
use crate::{
    AgentSpec, HumanDuration,
    address::check_http_url,
    spec::{ConversationPolicy, Mode, Provider, RetryBackoff, Schedule, ToolConfig},
};

/// Checks an agent as a whole; what is merely odd is returned as a warning.
pub(super) fn check(spec: &AgentSpec, root: &Node, problems: &mut Vec<Problem>) -> Vec<Problem> {
    let mut rules = Rules { spec, root, problems, warnings: Vec::new() };
    rules.mode();
    rules.conversation();
    rules.schedule();
    rules.model();
    rules.script();
    rules.subscriptions();
    super::tools::check(&mut rules);
    super::collaboration::check(&mut rules);
    super::clarifications::check(&mut rules);
    rules.limits();
    rules.supervision();
    rules.warnings
}

pub(super) struct Rules<'a> {
    pub(super) spec: &'a AgentSpec,
    root: &'a Node,
    problems: &'a mut Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Rules<'_> {
    pub(super) fn refuse(&mut self, path: &str, message: impl Into<String>, help: &str) {
        let help = (!help.is_empty()).then(|| help.to_owned());
        self.problems.push(Problem::at(self.root.nearest(path).0, path, message, help));
    }

    pub(super) fn warn(&mut self, path: &str, message: impl Into<String>) {
        self.warnings.push(Problem::at(self.root.nearest(path).0, path, message, None));
    }

    fn written(&self, path: &str) -> bool {
        self.root.at(path).is_some()
    }

    fn mode(&mut self) {
        let spec = self.spec;
        match spec.execution_mode {
            Mode::Scheduled if spec.schedule.is_none() => {
                let help = "add `schedule: {cron: \"0 9 * * MON-FRI\"}` or `schedule: {every: 15m}`";
                self.refuse("execution_mode", "`scheduled` needs a schedule", help);
            }
            Mode::Continuous => {
                let why = "a continuous agent is one conversation, handled one event at a time";
                if spec.instances != 1 {
                    self.refuse(
                        "instances",
                        format!("is {}; {why}", spec.instances),
                        "remove the key, or use `autonomous`",
                    );
                }
                if self.written("concurrency") && spec.concurrency != 1 {
                    let message = format!("is {}; {why}", spec.concurrency);
                    self.refuse("concurrency", message, "remove the key, or use `autonomous`");
                }
            }
            _ => {}
        }
    }

    fn conversation(&mut self) {
        let spec = self.spec;
        if self.written("conversation") && spec.execution_mode != Mode::Continuous {
            self.warn("conversation", "has no effect: only a continuous agent has a conversation");
        }
        let summary = spec.conversation.policy == ConversationPolicy::Summary;
        if self.written("conversation.summary_tokens") && !summary {
            self.warn("conversation.summary_tokens", "has no effect without `policy: summary`");
        }
        if summary && spec.limits.max_steps < 2 {
            let help = "a summary is a step of its own: allow at least 2, or use `policy: window`";
            self.refuse("limits.max_steps", "leaves no step for a summary of the conversation", help);
        }
        let remembers = spec.tools.iter().any(|tool| match tool {
            ToolConfig::Builtin(own) => own.builtin.as_str() == "remember",
            ToolConfig::Mcp(_) => false,
        });
        if !spec.conversation.pinned_memories.is_empty() && !remembers {
            self.warn("conversation.pinned_memories", "has no effect without `- builtin: remember` among the `tools`");
        }
    }

    fn schedule(&mut self) {
        let Some(Schedule { cron, every, timezone, .. }) = &self.spec.schedule else { return };
        match (cron, every) {
            (None, None) => self.refuse("schedule", "has neither `cron` nor `every`", "write one of them"),
            (Some(_), Some(_)) => self.refuse("schedule.every", "stands beside `cron`", "keep one of the two"),
            (Some(cron), None) => {
                if let Err(fault) = cron::check(cron) {
                    self.refuse("schedule.cron", fault, "");
                }
            }
            (None, Some(every)) => {
                if every.0 < Duration::from_secs(1) {
                    self.refuse("schedule.every", format!("is {every}; the least is 1s"), "");
                }
                if self.written("schedule.timezone") {
                    self.warn("schedule.timezone", "has no effect: an interval is the same in every zone");
                }
            }
        }
        if jiff::tz::TimeZone::get(timezone).is_err() {
            let names: Vec<_> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let help = match closest(timezone, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => "write an IANA name such as Europe/London, America/New_York or UTC".to_owned(),
            };
            self.refuse("schedule.timezone", format!("{timezone:?} is not a known time zone"), &help);
        }
    }

    fn model(&mut self) {
        let llm = &self.spec.llm_config;
        let needs_model = |provider| !matches!(provider, Provider::Auto | Provider::Scripted);
        if needs_model(llm.provider) && llm.model.is_none() {
            let provider = llm.provider.as_str();
            let help = "add `model:` with the provider's name of the model, or use `provider: auto`";
            self.refuse("llm_config.model", format!("is missing; {provider} needs it"), help);
        }
        let fallbacks = llm.fallback.iter().enumerate().map(|(i, other)| (format!("llm_config.fallback[{i}]"), other));
        let cheaper = self.spec.limits.budget_usd.degrade_to.iter();
        for (path, fallback) in fallbacks.chain(cheaper.map(|other| ("limits.budget_usd.degrade_to".to_owned(), other)))
        {
            match fallback.provider {
                Provider::OpenaiCompatible if llm.provider != Provider::OpenaiCompatible => {
                    let message = "openai-compatible needs a `base_url`, which a fallback cannot have";
                    self.refuse(&format!("{path}.provider"), message, "name it first and let others be its fallback");
                }
                provider if needs_model(provider) && fallback.model.is_none() => {
                    self.refuse(&format!("{path}.model"), format!("is missing; {} needs it", provider.as_str()), "");
                }
                _ => {}
            }
        }
        match &llm.base_url {
            None if llm.provider == Provider::OpenaiCompatible => {
                let help = "add the server's address, for example `base_url: http://127.0.0.1:8000/v1`";
                self.refuse("llm_config.base_url", "is missing; openai-compatible needs it", help);
            }
            None => {}
            Some(url) => {
                if let Err(fault) = check_http_url(url) {
                    self.refuse("llm_config.base_url", fault, "");
                }
                if llm.provider == Provider::Scripted {
                    self.warn("llm_config.base_url", "has no effect with `provider: scripted`");
                }
            }
        }
        if let Some(name) = &llm.api_key_env {
            self.variable("llm_config.api_key_env", name);
        }
    }

    fn script(&mut self) {
        let llm = &self.spec.llm_config;
        let fallback = llm.fallback.iter().any(|fallback| fallback.provider == Provider::Scripted);
        if !llm.script.is_empty() && !fallback && !matches!(llm.provider, Provider::Auto | Provider::Scripted) {
            let message = format!("is for `provider: scripted` and `auto`; this one is {}", llm.provider.as_str());
            self.refuse("llm_config.script", message, "remove it, or change the provider");
        }
        let last = llm.script.len().saturating_sub(1);
        for (i, rule) in llm.script.iter().enumerate() {
            if rule.when.is_none() && i < last {
                let path = format!("llm_config.script[{i}]");
                self.warn(&path, "has no `when`, so it always applies and the rules after it never do");
            }
            let Some(tool) = &rule.tool else { continue };
            // A tool server's tools are not known before it has started.
            let known = self.spec.tools.iter().any(|own| match own {
                ToolConfig::Builtin(own) => own.builtin.as_str() == tool.name,
                ToolConfig::Mcp(_) => true,
            });
            if !known {
                let message = format!("asks for {:?}, which is not among the agent's `tools`", tool.name);
                self.warn(&format!("llm_config.script[{i}].tool.name"), message);
            }
        }
    }

    fn subscriptions(&mut self) {
        let mut seen = BTreeSet::new();
        for (i, pattern) in self.spec.subscriptions.iter().enumerate() {
            let path = format!("subscriptions[{i}]");
            if !seen.insert(pattern) {
                self.refuse(&path, format!("{pattern} stands here twice"), "keep one of them");
            }
            let output = self.spec.name.output_topic();
            if pattern.matches(&output) {
                let message =
                    format!("{pattern} takes in {output}: the agent would be woken by its own results, for ever");
                self.refuse(&path, message, "name the agents that are meant, for example `agent.output.writer`");
            }
            if pattern.as_str() == self.spec.name.input_topic() {
                self.warn(&path, "is not needed: an agent always listens to its own input");
            }
        }
    }

    /// The text itself is not shown: where a variable's name belongs, people write the secret.
    pub(super) fn variable(&mut self, path: &str, name: &str) {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        if !name.starts_with(first) || !name.chars().all(|c| first(c) || c.is_ascii_digit()) {
            let help =
                "write the variable's name, for example MY_API_KEY, and its value into the environment or `.env`";
            self.refuse(path, "is not the name of an environment variable", help);
        }
    }

    fn limits(&mut self) {
        let limits = &self.spec.limits;
        self.backoff("limits.retry", limits.retry);
        let positive =
            [("timeout", limits.timeout), ("silence", limits.silence), ("tool_timeout", limits.tool_timeout)];
        for (key, value) in positive {
            self.positive(&format!("limits.{key}"), value);
        }
        let budget = limits.budget_usd.clone();
        for (key, value) in [("per_execution", budget.per_execution), ("per_day", budget.per_day)] {
            if value.is_some_and(|value| value == 0.0) {
                let help = "remove the key for no limit";
                self.refuse(&format!("limits.budget_usd.{key}"), "is 0, with which the agent can do nothing", help);
            }
        }
        if let (Some(one), Some(day)) = (budget.per_execution, budget.per_day)
            && one > day
        {
            self.warn("limits.budget_usd.per_execution", "is more than `per_day` allows in all");
        }
        if self.written("limits.tool_timeout") && limits.tool_timeout > limits.timeout {
            self.warn("limits.tool_timeout", format!("is longer than the whole attempt may take ({})", limits.timeout));
        }
    }

    fn supervision(&mut self) {
        let supervision = &self.spec.supervision;
        self.backoff("supervision.backoff", supervision.backoff);
        for (key, value) in [("window", supervision.window), ("ping_every", supervision.ping_every)] {
            self.positive(&format!("supervision.{key}"), value);
        }
        if supervision.ping_every > HumanDuration::from_secs(60) {
            let message = format!("is {}; the most is 60s", supervision.ping_every);
            self.refuse("supervision.ping_every", message, "");
        }
    }

    fn backoff(&mut self, path: &str, RetryBackoff { min, max }: RetryBackoff) {
        if min > max {
            self.refuse(&format!("{path}.min"), format!("is {min}, more than `max` ({max})"), "");
        }
    }

    pub(super) fn positive(&mut self, path: &str, value: HumanDuration) {
        if value.0.is_zero() {
            self.refuse(path, "is 0s; it must be longer", "");
        }
    }
}
