//! How a server is reached, from its configuration and the environment.

use std::time::Duration;

use greenroom_config::{Environment, spec::McpServer};
use greenroom_contract::execution::Effect;
use reqwest::{Client, Url};
use secrecy::SecretString;

use crate::{
    Unusable,
    llm::{http_client_builder, shown},
};

/// Of our own environment, a child sees these, because programs do not start without them, and nothing else.
const PASSED_ON: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SYSTEMROOT"];
/// Programs that run another one, which is what the server is known by.
const RUNNERS: [&str; 12] =
    ["npx", "npm", "bunx", "pnpm", "uvx", "uv", "pipx", "node", "python", "python3", "deno", "docker"];

/// How one server is reached. Has no `Debug`, because of its secrets.
pub(in crate::tools) struct Link {
    name: String,
    pub(super) target: Target,
    pub(super) allow: Vec<String>,
    pub(super) effect: Option<Effect>,
    pub(super) start_timeout: Duration,
}

/// Where a server is.
pub(super) enum Target {
    /// A program that is started, with exactly these variables.
    Program { command: String, args: Vec<String>, env: Vec<(String, String)> },
    /// A server that runs somewhere.
    Http { client: Client, url: Url, bearer: Option<SecretString> },
}

impl Link {
    /// Reads everything that the server needs. Fails, naming the variable, when one is missing.
    pub(in crate::tools) fn new(config: &McpServer, env: &Environment) -> Result<Self, Unusable> {
        let (name, target) = match (&config.command, &config.url) {
            (Some(command), None) => {
                let name = program_name(command, &config.args);
                let env = variables(config, env, &name)?;
                (name, Target::Program { command: command.clone(), args: config.args.clone(), env })
            }
            (None, Some(url)) => {
                let url: Url = url.parse().map_err(|error| {
                    Unusable::new(
                        format!("a tool server's url is malformed ({error})"),
                        "write it like https://host/mcp",
                    )
                })?;
                let name = fit(url.host_str().unwrap_or("server"));
                let bearer = match &config.auth {
                    Some(auth) => Some(secret(env, &auth.bearer_env, &name)?),
                    None => None,
                };
                (name, Target::Http { client: client()?, url, bearer })
            }
            _ => {
                return Err(Unusable::new("a tool server has neither or both of command and url", "write one of them"));
            }
        };
        Ok(Self {
            name,
            target,
            allow: config.allow.clone(),
            effect: config.effect,
            start_timeout: config.start_timeout.0,
        })
    }

    /// What the server is called in messages, and before its tools' names where those clash.
    pub(in crate::tools) fn name(&self) -> &str {
        &self.name
    }

    /// The name without the number that tells two of a kind apart.
    pub(in crate::tools) fn kind_name(&self) -> &str {
        self.name.rsplit_once('#').map_or(&self.name, |(kind, _)| kind)
    }

    /// Tells it apart from others of the same name.
    pub(in crate::tools) fn number(&mut self, number: usize) {
        self.name = format!("{}#{number}", self.name);
    }

    /// The server and where it is, for messages.
    pub(super) fn describe(&self) -> String {
        match &self.target {
            Target::Program { command, .. } => format!("the tool server {:?} (program {command:?})", self.name),
            Target::Http { url, .. } => format!("the tool server {:?} (at {})", self.name, shown(url)),
        }
    }
}

/// A client that opens a connection for each call. One kept from the last call may be closed by the server at the
/// moment of the next, and then nobody knows whether that call happened.
fn client() -> Result<Client, Unusable> {
    http_client_builder().pool_max_idle_per_host(0).build().map_err(|error| {
        Unusable::new(format!("no HTTP client can be made ({error})"), "check the machine's TLS certificates")
    })
}

fn variables(config: &McpServer, env: &Environment, server: &str) -> Result<Vec<(String, String)>, Unusable> {
    let mut variables = Vec::new();
    for name in PASSED_ON {
        if let Ok(Some(value)) = env.text(name) {
            variables.push((name.to_owned(), value));
        }
    }
    for (theirs, ours) in &config.env_from {
        let value = env.text(ours).map_err(|error| unreadable(server, &error))?;
        variables.push((theirs.clone(), value.ok_or_else(|| missing(server, ours))?));
    }
    Ok(variables)
}

fn secret(env: &Environment, name: &str, server: &str) -> Result<SecretString, Unusable> {
    env.secret(name).map_err(|error| unreadable(server, &error))?.ok_or_else(|| missing(server, name))
}

fn missing(server: &str, variable: &str) -> Unusable {
    Unusable::new(
        format!("the tool server {server:?} needs {variable}, which is not set"),
        format!("set {variable} (or {variable}_FILE) in the environment or in .env"),
    )
}

fn unreadable(server: &str, error: &greenroom_config::env::Error) -> Unusable {
    Unusable::new(format!("the tool server {server:?}: {error}"), "make the file readable or unset the variable")
}

/// What a program is known by: `npx -y @scope/server-files@1.2 ./data` is `files`.
fn program_name(command: &str, args: &[String]) -> String {
    let stem = |path: &str| {
        let last = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let last = last.split('@').next().unwrap_or(last).split(':').next().unwrap_or(last);
        [".exe", ".js", ".mjs", ".ts", ".py", ".sh"]
            .iter()
            .find_map(|end| last.strip_suffix(end))
            .unwrap_or(last)
            .to_owned()
    };
    let program = stem(command);
    let known_by = match RUNNERS.contains(&program.as_str()) {
        true => args.iter().find(|arg| !arg.starts_with('-') && !["run", "exec", "x", "tool"].contains(&arg.as_str())),
        false => None,
    };
    let name = known_by.map(|arg| stem(arg)).filter(|name| !name.is_empty()).unwrap_or(program);
    let short = ["mcp-server-", "server-", "mcp-"].iter().find_map(|start| name.strip_prefix(start)).unwrap_or(&name);
    fit(short)
}

fn fit(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let fitted: String = name.chars().map(|c| if fits(c) { c } else { '_' }).take(32).collect();
    if fitted.is_empty() { "server".to_owned() } else { fitted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: serde_json::Value) -> McpServer {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_server_is_known_by_what_it_is() {
        let name = |command: &str, args: &[&str]| {
            program_name(command, &args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(name("npx", &["-y", "@modelcontextprotocol/server-filesystem", "./data"]), "filesystem");
        assert_eq!(name("npx", &["-y", "@acme/tickets@2.1.0"]), "tickets");
        assert_eq!(name("uvx", &["mcp-server-time", "--local-timezone", "UTC"]), "time");
        assert_eq!(name("/usr/bin/python3", &["-u", "tools/weather.py"]), "weather");
        assert_eq!(name("./bin/mcp-github", &["stdio"]), "github");
        assert_eq!(name("node", &[]), "node");
    }

    #[test]
    fn a_child_sees_what_it_was_given_and_nothing_else() {
        let env = Environment::from_pairs([("PATH", "/bin"), ("OPENAI_API_KEY", "sk-canary"), ("OURS", "token")]);
        let link = Link::new(&config(serde_json::json!({ "command": "x", "env_from": { "THEIRS": "OURS" } })), &env);
        let Target::Program { env, .. } = link.unwrap().target else { panic!("it is a program") };
        assert_eq!(env, [("PATH".into(), "/bin".into()), ("THEIRS".into(), "token".into())]);
    }

    #[test]
    fn a_missing_variable_is_named() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let env = Environment::from_pairs([]);
        for server in [
            serde_json::json!({ "command": "x", "env_from": { "THEIRS": "OURS" } }),
            serde_json::json!({ "url": "https://tools.test/mcp", "auth": { "bearer_env": "OURS" } }),
        ] {
            let unusable = Link::new(&config(server), &env).err().unwrap();
            assert!(unusable.reason.contains("OURS"), "{unusable}");
        }
    }
}
