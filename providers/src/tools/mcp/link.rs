//! How a server is reached, from its configuration and the environment.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use greenroom_config::{
    Environment,
    spec::{Auth, McpServer},
};
use reqwest::{
    Client, Url,
    header::{HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{
    name,
    oauth::{ClientCredentials, Tokens},
    veil::Veil,
};
use crate::{
    Unusable,
    llm::{http_client_builder, no_http_client, shown},
};

/// Of our own environment, a child sees these, because programs do not start without them, and nothing else.
const PASSED_ON: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SYSTEMROOT"];

/// How one server is reached. Has no `Debug`, because of its secrets.
pub(in crate::tools) struct Link {
    name: String,
    pub(super) target: Target,
    pub(super) veil: Arc<Veil>,
    pub(super) start_timeout: Duration,
    identity: [u8; 32],
    /// Whether the server spoke the older lifecycle when it was last reached: then that is what it is asked for first.
    legacy: AtomicBool,
}

/// Where a server is.
pub(super) enum Target {
    /// A program that is started, with exactly these variables.
    Program { command: String, args: Vec<String>, env: Vec<(String, String)> },
    /// A server that runs somewhere.
    Http(Box<Remote>),
}

/// A server that runs somewhere.
pub(super) struct Remote {
    pub(super) client: Client,
    pub(super) url: Url,
    pub(super) headers: HashMap<HeaderName, HeaderValue>,
    pub(super) access: Access,
}

/// How we say who we are.
pub(super) enum Access {
    /// Not at all, or by headers.
    Open,
    /// By a token that does not change.
    Bearer(SecretString),
    /// By tokens that are got, and renewed.
    OAuth(Arc<Tokens>),
}

impl Link {
    /// Reads everything that the server needs. Fails, naming the variable, when one is missing.
    pub(in crate::tools) fn new(config: &McpServer, env: &Environment) -> Result<Self, Unusable> {
        let mut veil = Veil::default();
        let mut identity = Sha256::new();
        let (name, target, veil) = match (&config.command, &config.url) {
            (Some(command), None) => {
                let name = name::of_program(command, &config.args);
                let env = variables(config, env, &name, &mut veil)?;
                identity.update(serde_json::json!(["program", command, config.args, env]).to_string());
                let target = Target::Program { command: command.clone(), args: config.args.clone(), env };
                (name, target, Arc::new(veil))
            }
            (None, Some(url)) => {
                let url: Url = url.parse().map_err(|error| {
                    Unusable::new(
                        format!("a tool server's url is malformed ({error})"),
                        "write it like https://host/mcp",
                    )
                })?;
                let name = name::of_host(url.host_str());
                identity.update(serde_json::json!(["http", url.as_str(), config.auth]).to_string());
                let headers = headers(config, env, &name, &mut veil, &mut identity)?;
                let client = client()?;
                let (access, veil) = access(config.auth.as_ref(), env, &name, &url, &client, veil, &mut identity)?;
                (name, Target::Http(Box::new(Remote { client, url, headers, access })), veil)
            }
            _ => {
                return Err(Unusable::new("a tool server has neither or both of command and url", "write one of them"));
            }
        };
        let (identity, legacy) = (identity.finalize().into(), AtomicBool::new(false));
        Ok(Self { name, target, veil, start_timeout: config.start_timeout.0, identity, legacy })
    }

    /// What the server is called in messages.
    pub(in crate::tools) fn name(&self) -> &str {
        &self.name
    }

    /// Tells it apart from others of the same name.
    pub(in crate::tools) fn number(&mut self, number: usize) {
        self.name = format!("{}#{number}", self.name);
    }

    /// The same for servers that are reached in the same way, with the same credentials.
    pub(in crate::tools) fn identity(&self) -> [u8; 32] {
        self.identity
    }

    /// The server and where it is, for messages.
    pub(super) fn describe(&self) -> String {
        match &self.target {
            Target::Program { command, .. } => format!("the tool server {:?} (program {command:?})", self.name),
            Target::Http(remote) => format!("the tool server {:?} (at {})", self.name, shown(&remote.url)),
        }
    }

    pub(super) fn is_legacy(&self) -> bool {
        self.legacy.load(Ordering::Relaxed)
    }

    pub(super) fn set_legacy(&self, legacy: bool) {
        self.legacy.store(legacy, Ordering::Relaxed);
    }
}

/// A client that opens a connection for each call. One kept from the last call may be closed by the server at the
/// moment of the next, and then nobody knows whether that call happened.
fn client() -> Result<Client, Unusable> {
    http_client_builder().pool_max_idle_per_host(0).build().map_err(no_http_client)
}

fn variables(
    config: &McpServer,
    env: &Environment,
    server: &str,
    veil: &mut Veil,
) -> Result<Vec<(String, String)>, Unusable> {
    let mut variables = Vec::new();
    for name in PASSED_ON {
        if let Ok(Some(value)) = env.text(name) {
            variables.push((name.to_owned(), value));
        }
    }
    for (theirs, ours) in &config.env_from {
        let value = env.text(ours).map_err(|error| unreadable(server, &error))?;
        let value = value.ok_or_else(|| missing(server, ours))?;
        veil.variable(&value);
        variables.push((theirs.clone(), value));
    }
    Ok(variables)
}

fn headers(
    config: &McpServer,
    env: &Environment,
    server: &str,
    veil: &mut Veil,
    identity: &mut Sha256,
) -> Result<HashMap<HeaderName, HeaderValue>, Unusable> {
    let mut headers = HashMap::new();
    for (header, variable) in &config.headers_from {
        let value = secret(env, variable, server)?;
        let unfit = |what: &str| {
            Unusable::new(format!("the tool server {server:?}: {what}"), format!("mend headers_from or {variable}"))
        };
        let name: HeaderName = header.parse().map_err(|_| unfit("a name in headers_from is no header"))?;
        let mut sent = HeaderValue::from_str(value.expose_secret())
            .map_err(|_| unfit(&format!("{variable} holds what no header can carry")))?;
        sent.set_sensitive(true);
        for part in [header.as_str(), value.expose_secret()] {
            identity.update([0]);
            identity.update(part);
        }
        veil.credential(&value);
        headers.insert(name, sent);
    }
    Ok(headers)
}

fn access(
    auth: Option<&Auth>,
    env: &Environment,
    server: &str,
    url: &Url,
    client: &Client,
    mut veil: Veil,
    identity: &mut Sha256,
) -> Result<(Access, Arc<Veil>), Unusable> {
    let mut read = |variable: &str, veil: &mut Veil| {
        let value = secret(env, variable, server)?;
        identity.update([0]);
        identity.update(value.expose_secret());
        veil.credential(&value);
        Ok::<_, Unusable>(value)
    };
    let Some(auth) = auth else { return Ok((Access::Open, Arc::new(veil))) };
    if let Some(variable) = &auth.bearer_env {
        let token = read(variable, &mut veil)?;
        if HeaderValue::from_str(token.expose_secret()).is_err() {
            let reason = format!("the tool server {server:?}: {variable} holds what no header can carry");
            return Err(Unusable::new(reason, format!("mend {variable}: a line break at its end, for one")));
        }
        return Ok((Access::Bearer(token), Arc::new(veil)));
    }
    let Some(oauth) = &auth.oauth else { return Ok((Access::Open, Arc::new(veil))) };
    let credentials = ClientCredentials {
        id: read(&oauth.client_id_env, &mut veil)?,
        secret: read(&oauth.client_secret_env, &mut veil)?,
        token_url: oauth.token_url.as_deref().and_then(|url| url.parse().ok()),
        scope: oauth.scopes.join(" "),
        resource: url.clone(),
    };
    let veil = Arc::new(veil);
    Ok((Access::OAuth(Arc::new(Tokens::new(client.clone(), credentials, Arc::clone(&veil)))), veil))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn link(server: serde_json::Value, env: &[(&str, &str)]) -> Result<Link, Unusable> {
        rustls::crypto::ring::default_provider().install_default().ok();
        Link::new(&serde_json::from_value(server).unwrap(), &Environment::from_pairs(env.iter().copied()))
    }

    #[test]
    fn a_child_sees_what_it_was_given_and_nothing_else() {
        let env = [("PATH", "/bin"), ("OPENAI_API_KEY", "sk-canary"), ("OURS", "token")];
        let link = link(json!({ "command": "x", "env_from": { "THEIRS": "OURS" } }), &env).unwrap();
        let Target::Program { env, .. } = link.target else { panic!("it is a program") };
        assert_eq!(env, [("PATH".into(), "/bin".into()), ("THEIRS".into(), "token".into())]);
    }

    #[test]
    fn a_missing_variable_is_named() {
        let oauth = json!({ "client_id_env": "OURS", "client_secret_env": "OURS" });
        for server in [
            json!({ "command": "x", "env_from": { "THEIRS": "OURS" } }),
            json!({ "url": "https://tools.test/mcp", "auth": { "bearer_env": "OURS" } }),
            json!({ "url": "https://tools.test/mcp", "headers_from": { "X-Api-Key": "OURS" } }),
            json!({ "url": "https://tools.test/mcp", "auth": { "oauth": oauth } }),
        ] {
            let unusable = link(server, &[]).err().unwrap();
            assert!(unusable.reason.contains("OURS"), "{unusable}");
        }
    }

    #[test]
    fn a_header_with_a_line_break_is_refused_and_not_shown() {
        let env = [("KEY", "canary-one\ncanary-two")];
        for server in [
            json!({ "url": "https://tools.test/mcp", "headers_from": { "X-Api-Key": "KEY" } }),
            json!({ "url": "https://tools.test/mcp", "auth": { "bearer_env": "KEY" } }),
        ] {
            let unusable = link(server, &env).err().unwrap();
            assert!(unusable.reason.contains("KEY") && !unusable.to_string().contains("canary"), "{unusable}");
        }
    }

    #[test]
    fn servers_are_the_same_when_they_are_reached_in_the_same_way() {
        let identity = |server, env: &[(&str, &str)]| link(server, env).unwrap().identity();
        let server = |more: serde_json::Value| {
            let mut server = json!({ "url": "https://tools.test/mcp", "headers_from": { "X-Api-Key": "KEY" } });
            server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            server
        };
        let one = identity(server(json!({})), &[("KEY", "a")]);
        assert_eq!(one, identity(server(json!({ "allow": ["x"], "effect": "none" })), &[("KEY", "a")]));
        assert_ne!(one, identity(server(json!({})), &[("KEY", "b")]));
        assert_ne!(one, identity(server(json!({ "auth": { "bearer_env": "KEY" } })), &[("KEY", "a")]));
    }
}
