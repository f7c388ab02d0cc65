//! `greenroom doctor`: one line for each thing that a node needs, with the remedy where it is missing.

use std::{net::TcpListener, path::Path};

use greenroom_config::{Environment, NodeConfig, env};
use serde_json::json;

use super::{exit::Exit, output, servers};

/// A finding.
enum Finding {
    Good(String),
    /// Works without it.
    Missing(String),
    Bad(String),
}

pub(super) fn doctor(environment: Result<Environment, env::Error>) -> Result<(), Exit> {
    let environment = environment?;
    let config = NodeConfig::from_env(&environment)?;
    let mut findings = vec![
        Finding::Good("environment is readable".to_owned()),
        agents(&config),
        providers(&config),
        data_folder(&config.data_dir),
        address(&config),
        model(&config),
        slack(&config),
    ];
    for found in servers::look(&config) {
        findings.push(found.map_or_else(Finding::Bad, Finding::Good));
    }
    let mut bad = 0;
    for finding in &findings {
        match finding {
            Finding::Good(text) => output::answer(format_args!("✓ {text}")),
            Finding::Missing(text) => output::answer(format_args!("○ {text}")),
            Finding::Bad(text) => {
                bad += 1;
                output::answer(format_args!("✗ {text}"));
            }
        }
    }
    if bad == 0 { Ok(()) } else { Err(Exit::failed(format!("{bad} of {} checks failed", findings.len()))) }
}

/// Every variable that is read.
pub(super) fn variables(as_json: bool) {
    if as_json {
        let list: Vec<_> = greenroom_config::VARIABLES
            .iter()
            .map(|v| json!({ "name": v.name, "default": v.default, "secret": v.secret, "purpose": v.purpose }))
            .collect();
        return output::json(&json!(list));
    }
    let rows: Vec<Vec<String>> = greenroom_config::VARIABLES
        .iter()
        .map(|v| vec![v.name.to_owned(), v.default.unwrap_or("-").to_owned(), v.purpose.to_owned()])
        .collect();
    output::answer(output::table(&["VARIABLE", "DEFAULT", "PURPOSE"], &rows));
}

fn agents(config: &NodeConfig) -> Finding {
    match greenroom_config::load(&config.config_dir) {
        Err(error) => Finding::Bad(error.to_string()),
        Ok(loaded) if loaded.refused.is_empty() => {
            Finding::Good(format!("{} agents in {}", loaded.agents.len(), config.config_dir.join("agents").display()))
        }
        Ok(loaded) => Finding::Bad(format!("{} files are refused; see `greenroom check`", loaded.refused.len())),
    }
}

fn data_folder(folder: &Path) -> Finding {
    let probe = folder.join(".probe");
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, "x"))
        .and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => Finding::Good(format!("data folder {} is writable", folder.display())),
        Err(error) => {
            Finding::Bad(format!("data folder {} is not writable ({error}); set GREENROOM_DATA_DIR", folder.display()))
        }
    }
}

fn address(config: &NodeConfig) -> Finding {
    match TcpListener::bind(config.http.addr) {
        Ok(_) => Finding::Good(format!("{} is free", config.http.addr)),
        Err(error) => Finding::Missing(format!(
            "{} cannot be bound ({error}): a node is up there, or set GREENROOM_HTTP_ADDR",
            config.http.addr
        )),
    }
}

/// What `provider: auto` would take first, by what is set. Whether it answers is seen when it is asked.
fn model(config: &NodeConfig) -> Finding {
    let greenroom_config::node::Providers { anthropic, openai, ollama_host, aws, .. } = &config.providers;
    let aws_key = aws.bearer_token.is_some() || aws.access_key_id.is_some() || aws.profile.is_some();
    if anthropic.api_key.is_some() {
        Finding::Good("ANTHROPIC_API_KEY is set".to_owned())
    } else if let Some(url) = &openai.base_url {
        Finding::Good(format!("models are asked at OPENAI_BASE_URL ({})", without_userinfo(url)))
    } else if openai.api_key.is_some() {
        Finding::Good("OPENAI_API_KEY is set".to_owned())
    } else if aws_key && aws.region.is_some() {
        Finding::Good("AWS's credentials and a region are set, for Amazon Bedrock".to_owned())
    } else if let Some(host) = ollama_host {
        Finding::Good(format!("models are asked of Ollama (OLLAMA_HOST: {})", without_userinfo(host)))
    } else {
        let keys = "ANTHROPIC_API_KEY, OPENAI_API_KEY, OPENAI_BASE_URL, or AWS's credentials and AWS_REGION";
        Finding::Missing(format!(
            "no model: agents with `provider: auto` ask an Ollama on this machine if it runs, else get the scripted stand-in; \
             set {keys}"
        ))
    }
}

/// The limits towards providers; a mistake there keeps the node from starting.
fn providers(config: &NodeConfig) -> Finding {
    match greenroom_config::provider_rules(&config.config_dir) {
        Ok(_) => Finding::Good("limits towards providers are readable (providers.yaml, or the defaults)".to_owned()),
        Err(error) => Finding::Bad(error.to_string()),
    }
}

fn slack(config: &NodeConfig) -> Finding {
    match &config.slack.signing_secret {
        _ if config.slack.app_token.is_some() => {
            Finding::Good("Slack's requests come by Socket Mode (SLACK_APP_TOKEN is set)".to_owned())
        }
        Some(_) => Finding::Good("Slack requests are verified (SLACK_SIGNING_SECRET is set)".to_owned()),
        None => {
            Finding::Missing("Slack is off: set SLACK_SIGNING_SECRET and point the app at /slack/events".to_owned())
        }
    }
}

/// An address may carry a password.
fn without_userinfo(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host)),
        None => url.rsplit_once('@').map_or(url, |(_, host)| host).to_owned(),
    }
}
