//! What no schema can say about an agent's tools.

use std::collections::BTreeMap;

use super::rules::Rules;
use crate::{
    address::{check_http_url, check_url_host_pattern},
    spec::{Auth, Builtin, BuiltinTool, McpServer, McpTool, ToolConfig},
};

/// Headers that the protocol or another key sets.
const TAKEN_HEADERS: [&str; 8] = [
    "accept",
    "authorization",
    "content-type",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
];

pub(super) fn check(rules: &mut Rules<'_>) {
    let mut seen = Vec::new();
    for (i, tool) in rules.spec.tools.iter().enumerate() {
        let path = format!("tools[{i}]");
        let twice = seen.iter().any(|other: &&ToolConfig| match (tool, other) {
            (ToolConfig::Builtin(one), ToolConfig::Builtin(other)) => one.builtin == other.builtin,
            _ => tool == *other,
        });
        if twice {
            rules.refuse(&path, "stands here twice", "keep one of them");
        }
        seen.push(tool);
        match tool {
            ToolConfig::Builtin(tool) => builtin(rules, &path, tool),
            ToolConfig::Mcp(McpTool { mcp: server }) => mcp(rules, &format!("{path}.mcp"), server),
        }
    }
}

fn builtin(rules: &mut Rules<'_>, path: &str, tool: &BuiltinTool) {
    asking(rules, path, tool);
    if tool.builtin == Builtin::HttpFetch {
        if tool.hosts.is_empty() {
            let help = "name the hosts that it may ask: `hosts: [docs.rs, \"*.example.com\"]`";
            rules.refuse(&format!("{path}.hosts"), "is missing; http_fetch needs it", help);
        }
        for (i, host) in tool.hosts.iter().enumerate() {
            if let Err(fault) = check_url_host_pattern(host) {
                rules.refuse(&format!("{path}.hosts[{i}]"), fault, "write for example docs.rs or *.example.com");
            }
        }
        if let Some(timeout) = tool.timeout {
            rules.positive(&format!("{path}.timeout"), timeout);
        }
        return;
    }
    let given = [
        ("hosts", !tool.hosts.is_empty()),
        ("private_addresses", tool.private_addresses),
        ("max_bytes", tool.max_bytes.is_some()),
        ("timeout", tool.timeout.is_some()),
    ];
    for (key, _) in given.into_iter().filter(|(_, given)| *given) {
        let message = format!("is for http_fetch; {} has no such key", tool.builtin.as_str());
        rules.refuse(&format!("{path}.{key}"), message, "");
    }
}

/// The keys of `ask_human` and `ask_agent`.
fn asking(rules: &mut Rules<'_>, path: &str, tool: &BuiltinTool) {
    let asks_agents = tool.builtin == Builtin::AskAgent;
    if let Some(within) = tool.answer_within {
        let path = format!("{path}.answer_within");
        match tool.builtin {
            Builtin::AskAgent | Builtin::AskHuman => rules.positive(&path, within),
            other => {
                let message = format!("is for ask_human and ask_agent; {} has no such key", other.as_str());
                rules.refuse(&path, message, "");
            }
        }
    }
    if asks_agents && tool.agents.is_empty() {
        let help = "name the agents that it may ask: `agents: [researcher, translator]`";
        rules.refuse(&format!("{path}.agents"), "is missing; ask_agent needs it", help);
    }
    for (i, agent) in tool.agents.iter().enumerate() {
        let path = format!("{path}.agents[{i}]");
        if !asks_agents {
            let message = format!("is for ask_agent; {} has no such key", tool.builtin.as_str());
            return rules.refuse(&path, message, "");
        }
        if *agent == rules.spec.name {
            rules.refuse(&path, "is the agent itself, which would wait for its own answer", "leave it out");
        }
    }
}

fn mcp(rules: &mut Rules<'_>, path: &str, mcp: &McpServer) {
    match (&mcp.command, &mcp.url) {
        (None, None) => {
            let help = "write `command:` for a program that speaks MCP, or `url:` for a server";
            rules.refuse(path, "has neither `command` nor `url`", help);
        }
        (Some(_), Some(_)) => {
            rules.refuse(&format!("{path}.url"), "stands beside `command`", "keep one of the two");
        }
        (Some(_), None) => {
            let help = "hand the program its credentials by `env_from`";
            for (key, given) in [("auth", mcp.auth.is_some()), ("headers_from", !mcp.headers_from.is_empty())] {
                if given {
                    rules.refuse(&format!("{path}.{key}"), "is for `url`; a program has no such header", help);
                }
            }
        }
        (None, Some(url)) => {
            let secret = mcp.auth.is_some() || !mcp.headers_from.is_empty();
            match check_http_url(url) {
                Err(fault) => rules.refuse(&format!("{path}.url"), fault, ""),
                Ok(plain) if plain && secret => {
                    rules.warn(&format!("{path}.url"), "sends its credentials unencrypted; use https");
                }
                Ok(_) => {}
            }
            for (key, given) in [("args", !mcp.args.is_empty()), ("env_from", !mcp.env_from.is_empty())] {
                if given {
                    rules.refuse(&format!("{path}.{key}"), "is for `command`; there is no program to start", "");
                }
            }
        }
    }
    if let Some(given) = &mcp.auth {
        auth(rules, &format!("{path}.auth"), given);
    }
    for (theirs, ours) in &mcp.env_from {
        let path = format!("{path}.env_from.{theirs}");
        rules.variable(&path, theirs);
        if ours != theirs {
            rules.variable(&path, ours);
        }
    }
    headers(rules, &format!("{path}.headers_from"), &mcp.headers_from);
    for (tool, timeout) in &mcp.timeouts {
        rules.positive(&format!("{path}.timeouts.{tool}"), *timeout);
    }
}

fn auth(rules: &mut Rules<'_>, path: &str, auth: &Auth) {
    match (&auth.bearer_env, &auth.oauth) {
        (None, None) => {
            rules.refuse(path, "has neither `bearer_env` nor `oauth`", "write one of them");
        }
        (Some(_), Some(_)) => {
            rules.refuse(&format!("{path}.oauth"), "stands beside `bearer_env`", "keep one of the two");
        }
        (Some(bearer), None) => rules.variable(&format!("{path}.bearer_env"), bearer),
        (None, Some(oauth)) => {
            rules.variable(&format!("{path}.oauth.client_id_env"), &oauth.client_id_env);
            rules.variable(&format!("{path}.oauth.client_secret_env"), &oauth.client_secret_env);
            match oauth.token_url.as_deref().map(check_http_url) {
                Some(Err(fault)) => rules.refuse(&format!("{path}.oauth.token_url"), fault, ""),
                Some(Ok(true)) => {
                    let message = "would be sent the client's secret unencrypted";
                    rules.refuse(&format!("{path}.oauth.token_url"), message, "use https");
                }
                Some(Ok(false)) | None => {}
            }
        }
    }
}

/// What does not look like a header is not shown: it may be the secret.
fn headers(rules: &mut Rules<'_>, path: &str, headers: &BTreeMap<String, String>) {
    for (header, variable) in headers {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if header.is_empty() || !header.chars().all(fits) {
            rules.refuse(path, "holds what is not the name of a header", "write for example X-Api-Key: TOOLS_KEY");
            continue;
        }
        let path = format!("{path}.{header}");
        if TAKEN_HEADERS.contains(&header.to_ascii_lowercase().as_str()) {
            rules.refuse(&path, "is set by the protocol, or by `auth`", "");
        }
        rules.variable(&path, variable);
    }
}
