//! What is said of a file that is not an agent: every problem, in its place, with a remedy.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

mod tools;

use std::path::Path;

use greenroom_config::{Refused, parse};

/// A good agent in four lines; what is tried stands from line 5.
const HEAD: &str = "name: x\nagent_type: t\nexecution_mode: autonomous\nllm_config: {provider: auto}\n";

fn refused(text: &str) -> Refused {
    match parse(Path::new("config/agents/x.yaml"), text) {
        Ok(_) => panic!("this was taken:\n{text}"),
        Err(refused) => refused,
    }
}

/// The lines of a refusal without the file's name.
fn said(text: &str) -> Vec<String> {
    let refused = refused(text).to_string();
    refused
        .lines()
        .map(|line| line.trim_start_matches("config/agents/x.yaml").trim_start_matches(':').to_owned())
        .collect()
}

/// Asserts that `text` is refused with exactly these problems, each told by the beginning of its line.
#[track_caller]
fn assert_said(text: &str, expected: &[&str]) {
    let said = said(text);
    let matches =
        said.len() == expected.len() && said.iter().zip(expected).all(|(said, start)| said.starts_with(start));
    assert!(matches, "of\n{text}\nit says\n{}\ninstead of\n{}", said.join("\n"), expected.join("\n"));
}

#[track_caller]
fn assert_said_below_head(text: &str, expected: &[&str]) {
    assert_said(&format!("{HEAD}{text}"), expected);
}

fn drawn(refused: &Refused) -> String {
    let mut drawn = String::new();
    let theme = miette::GraphicalTheme::unicode_nocolor();
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(100);
    handler.render_report(&mut drawn, refused.report().as_ref()).unwrap();
    drawn
}

#[test]
fn a_misspelt_key_is_drawn_with_line_column_excerpt_and_suggestion() {
    let refused = refused(&format!("{HEAD}limits:\n  timout: 30s\n  max_steps: 5\n"));
    assert_eq!(refused.to_string(), "config/agents/x.yaml:6:3 limits.timout: unknown key; did you mean \"timeout\"?");
    let expected = r#"
  × limits.timout: unknown key
   ╭─[config/agents/x.yaml:6:3]
 5 │ limits:
 6 │   timout: 30s
   ·   ───┬──
   ·      ╰── here
 7 │   max_steps: 5
   ╰────
  help: did you mean "timeout"?
"#;
    assert_eq!(drawn(&refused).trim(), expected.trim());
}

#[test]
fn several_problems_are_found_and_drawn_at_once() {
    let text = format!("{HEAD}limits: {{timout: 30s, max_steps: many, retry: {{min: 2m, max: 1m}}}}\nschedul: {{}}\n");
    let refused = refused(&text);
    assert_said(
        &text,
        &[
            "5:10 limits.timout: unknown key; did you mean \"timeout\"?",
            "5:34 limits.max_steps: expected a whole number, found text",
            "5:53 limits.retry.min: is 2m, more than `max` (1m)",
            "6:1 schedul: unknown key; did you mean \"schedule\"?",
        ],
    );
    let drawn = drawn(&refused);
    assert!(drawn.contains("config/agents/x.yaml is refused for 4 problems"), "{drawn}");
    assert!(drawn.contains("[config/agents/x.yaml:5:53]") && drawn.contains("did you mean \"schedule\"?"), "{drawn}");
}

#[test]
fn what_is_no_agent_at_all() {
    assert_said("", &["1:1 the file is empty"]);
    assert_said("# nothing yet\n", &["1:1 the file is empty"]);
    assert_said("hello", &["1:1 expected an agent (`key: value`), found text"]);
    assert_said("- a\n- b\n", &["1:1 expected an agent (`key: value`), found a list"]);
    assert_said("null\n", &["1:1 expected an agent (`key: value`), found nothing"]);
    let missing = |key: &str| format!("1:1 {key}: is missing; ");
    let missing = ["name", "agent_type", "execution_mode", "llm_config"].map(missing);
    assert_said("{}", &missing.each_ref().map(String::as_str));
}

#[test]
fn what_is_no_yaml() {
    assert_said(&format!("{HEAD}limits:\n\ttimeout: 3s\n"), &["6:2 not YAML: tabs disallowed"]);
    assert!(said("limits:\n\ttimeout: 3s\n")[0].ends_with("the line is indented with a tab; YAML takes blanks only"));
    assert_said("name: x\n  bad: [\n", &["2:6 not YAML: mapping values are not allowed"]);
    assert_said("name: 'x\n", &["1:7 not YAML: while scanning a quoted scalar"]);
    assert_said("subscriptions: [*.done]\n", &["1:17 not YAML: "]);
    assert!(said("subscriptions: [*.done]\n")[0].contains("quote text that begins with `*`"));
    assert_said("name: x\n---\nname: y\n", &["2:1 a second document begins here; a file holds one agent"]);
    assert_said("name: !vault x\n", &["1:7 tags other than !!str"]);
    assert_said("? [a]\n: b\n", &["1:3 a key must be a plain word"]);
    assert_said("a: &a [*a]\n", &["1:8 this alias stands inside the value that it refers to"]);
}

#[test]
fn keys_that_stand_twice() {
    assert_said_below_head(
        "limits: {max_steps: 3, max_steps: 4}\nname: y\n",
        &[
            "5:24 max_steps: stands here again; it is already in line 5",
            "6:1 name: stands here again; it is already in line 1",
        ],
    );
}

#[test]
fn unknown_keys() {
    // The key that was meant; where a key of this name belongs; the keys that there are.
    assert_said(
        "nmae: x\n",
        &[
            "1:1 nmae: unknown key; did you mean \"name\"?",
            "1:1 agent_type: is missing",
            "1:1 execution_mode: is missing; How it runs. One of autonomous, collaborative, continuous, scheduled.",
            "1:1 llm_config: is missing",
        ],
    );
    assert_said_below_head("timeout: 30s\n", &["5:1 timeout: unknown key; it belongs at `limits.timeout`"]);
    assert_said_below_head("max_tokens: 3\n", &["5:1 max_tokens: unknown key; it belongs at `llm_config.max_tokens`"]);
    assert_said_below_head("idle: {color: red}\n", &["5:8 idle.color: unknown key; the keys here are flush_after"]);
    assert_said_below_head("\"we\\nird\": 1\n", &["5:1 \"we\\nird\": unknown key"]);
}

#[test]
fn values_of_a_wrong_kind() {
    assert_said_below_head("limits:\n", &["5:1 limits: expected keys below it, found nothing; indent them"]);
    assert_said_below_head(
        "limits: {timeout: 30}\n",
        &["5:19 limits.timeout: expected a duration, found the number 30; write a whole number and a unit: 500ms, 30s"],
    );
    assert_said_below_head("limits: {timeout: 30 s}\n", &["5:19 limits.timeout: \"30 s\" is not a duration"]);
    assert_said_below_head(
        "description: 5\n",
        &["5:14 description: expected text, found the number 5; put it in quotes: \"5\""],
    );
    assert_said_below_head("system_prompt: [a]\n", &["5:16 system_prompt: expected text, found a list"]);
    assert_said_below_head("instances: 1.5\n", &["5:12 instances: expected a whole number, found 1.5"]);
    assert_said_below_head("instances: 99999999999\n", &["5:12 instances: is 99999999999; the most is 256"]);
    assert_said_below_head("concurrency: 0\n", &["5:14 concurrency: is 0; the least is 1"]);
    assert_said_below_head(
        "supervision: {max_restarts: -1}\n",
        &["5:29 supervision.max_restarts: is -1; the least is 0"],
    );
    assert_said_below_head("tools: emit_event\n", &["5:8 tools: expected a list, found text"]);
    assert_said_below_head(
        "subscriptions:\n  - #done\n",
        &["6:10 subscriptions[0]: expected text, found nothing; write it in quotes if it begins with `#`"],
    );
    assert_said_below_head(
        "subscriptions: [a..b, x*y]\n",
        &[
            "5:17 subscriptions[0]: \"a..b\" has an empty word",
            "5:23 subscriptions[1]: \"x*y\" has a wildcard inside the word",
        ],
    );
    assert_said(
        "name: Big\nagent_type: ''\nexecution_mode: schedule\nllm_config: {provider: opena, temperature: 9}\n",
        &[
            "1:7 name: \"Big\" is not an agent's name",
            "2:13 agent_type: is empty",
            "3:17 execution_mode: \"schedule\" is none of autonomous, collaborative, continuous, scheduled; \
             did you mean \"scheduled\"?",
            "4:24 llm_config.provider: \"opena\" is none of bedrock, openai, anthropic, ollama, openai-compatible, \
             auto, scripted; did you mean \"openai\"?",
        ],
    );
}

#[test]
fn schedules() {
    assert_said_below_head("schedule: {}\n", &["5:1 schedule: has neither `cron` nor `every`"]);
    assert_said_below_head("schedule: {cron: 0 9 * * *, every: 3s}\n", &["5:36 schedule.every: stands beside `cron`"]);
    assert_said_below_head(
        "schedule: {cron: 61 * * * *, timezone: Europe/Londn}\n",
        &[
            "5:18 schedule.cron: minute \"61\": 61 is not within 0 to 59",
            "5:40 schedule.timezone: \"Europe/Londn\" is not a known time zone; did you mean \"Europe/London\"?",
        ],
    );
    assert_said_below_head("schedule: {every: 10ms}\n", &["5:19 schedule.every: is 10ms; the least is 1s"]);
    let text = HEAD.replace("autonomous", "scheduled");
    assert_said(&text, &["3:17 execution_mode: `scheduled` needs a schedule; add `schedule: {cron: "]);
    // A misspelt key is one fault, not two.
    assert_said(&format!("{text}shedule: {{every: 15m}}\n"), &["5:1 shedule: unknown key; did you mean \"schedule\"?"]);
}

#[test]
fn models() {
    let with = |llm: &str| HEAD.replace("{provider: auto}", llm);
    assert_said(&with("{provider: openai}"), &["4:1 llm_config.model: is missing; openai needs it"]);
    assert_said(&with("{provider: openai-compatible, model: m}"), &["4:1 llm_config.base_url: is missing"]);
    assert_said(
        &with("{provider: openai-compatible, model: m, base_url: 'localhost:80'}"),
        &["4:63 llm_config.base_url: is not a web address; it must begin with http:// or https://"],
    );
    assert_said(
        &with("{provider: ollama, model: m, script: [{reply: a}]}"),
        &["4:42 llm_config.script: is for `provider: scripted`"],
    );
    assert_said(
        &with("{provider: ollama, model: m, fallback: [{provider: openai}]}"),
        &["4:53 llm_config.fallback[0].model: is missing; openai needs it"],
    );
    assert_said(
        &with("{provider: ollama, model: m, temperature: 9}"),
        &["4:55 llm_config.temperature: is greater than 2"],
    );
}

#[test]
fn modes_limits_and_subscriptions() {
    let text = HEAD.replace("autonomous", "continuous");
    assert_said(
        &format!("{text}instances: 2\nconcurrency: 4\n"),
        &[
            "5:12 instances: is 2; a continuous agent is one conversation",
            "6:14 concurrency: is 4; a continuous agent is one conversation",
        ],
    );
    assert!(parse(Path::new("x.yaml"), &format!("{text}instances: 1\nconcurrency: 1\n")).is_ok());
    assert_said_below_head(
        "limits: {timeout: 0s, budget_usd: {per_day: 0, per_execution: -1}}\n",
        &[
            "5:19 limits.timeout: is 0s; it must be longer",
            "5:45 limits.budget_usd.per_day: is 0, with which the agent can do nothing",
            "5:63 limits.budget_usd.per_execution: is lower than 0",
        ],
    );
    assert_said_below_head(
        "supervision: {ping_every: 61s}\n",
        &["5:27 supervision.ping_every: is 61s; the most is 60s"],
    );
    assert_said_below_head(
        "subscriptions: [a.b, a.b, 'agent.output.#']\n",
        &[
            "5:22 subscriptions[1]: a.b stands here twice",
            "5:27 subscriptions[2]: agent.output.# takes in agent.output.x: the agent would be woken by its own",
        ],
    );
}

#[test]
fn secrets_in_the_wrong_place_are_not_spread() {
    for text in [
        "api_key: canary-1\n",
        "llm_config: {provider: auto, api_key: \"canary-1\"}\n",
        "llm_config: {provider: openai, model: m, api_key_env: canary-1}\n",
        "tools: [{mcp: {url: 'https://x', auth: {bearer_env: canary-1}}}]\n",
        "tools: [{mcp: {command: x, env_from: {GITHUB_TOKEN: canary-1}}}]\n",
        "tools: [{mcp: {url: 'https://me:canary-1@host/'}}]\n",
        "tools: [{mcp: {url: 'https://x', headers_from: {X-Api-Key: 'canary-1'}}}]\n",
        "tools: [{mcp: {url: 'https://x', auth: {oauth: {client_id_env: I, client_secret_env: canary-1}}}}]\n",
    ] {
        let head =
            if text.starts_with("llm") { HEAD.replace("llm_config: {provider: auto}\n", "") } else { HEAD.to_owned() };
        let refused = refused(&format!("{head}{text}"));
        assert!(!format!("{refused} {refused:?}").contains("canary"), "{refused}");
        assert_eq!(refused.agent.unwrap().as_str(), "x");
    }
    let refused = refused(&format!("{HEAD}api_key: canary-1\n"));
    assert!(refused.to_string().contains("put it into the environment or `.env`"), "{refused}");
    assert!(!drawn(&refused).contains("canary"), "{}", drawn(&refused));
}

#[test]
fn an_excerpt_cannot_steer_a_terminal() {
    let refused = refused(&format!("{HEAD}colour: \"\u{1b}[2J\"\n"));
    assert!(!drawn(&refused).contains('\u{1b}'));
}

#[test]
fn odd_but_allowed_is_a_warning() {
    let text = format!(
        "{}subscriptions: [agent.input.x]\nschedule: {{every: 1h, timezone: UTC}}\n\
         limits: {{timeout: 10s, tool_timeout: 20s, budget_usd: {{per_execution: 2, per_day: 1}}}}\n\
         tools: [{{mcp: {{url: 'http://tools.internal', auth: {{bearer_env: T}}}}}}]\n",
        HEAD.replace(
            "{provider: auto}",
            "{provider: scripted, base_url: 'http://x', script: [{reply: a}, {reply: b}]}"
        )
    );
    let warnings = parse(Path::new("x.yaml"), &text).unwrap().warnings;
    let places: Vec<_> = warnings.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "x.yaml:6:33 schedule.timezone",
            "x.yaml:4:44 llm_config.base_url",
            "x.yaml:4:65 llm_config.script[0]",
            "x.yaml:5:17 subscriptions[0]",
            "x.yaml:8:21 tools[0].mcp.url",
            "x.yaml:7:71 limits.budget_usd.per_execution",
            "x.yaml:7:38 limits.tool_timeout",
        ]
    );
}
