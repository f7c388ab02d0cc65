//! Access tokens by client credentials: got where the configuration or the server says, renewed before they run out.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, RequestBuilder, StatusCode, Url, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::veil::Veil;
use crate::llm::shown;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const LONGEST: usize = 256 * 1024;
/// A token is renewed so long before its end, or when nine tenths of its life are over if that is later.
const AHEAD: Duration = Duration::from_secs(60);
const PROTECTED_RESOURCE: &str = "oauth-protected-resource";

/// Who we are to the authorization server.
pub(super) struct ClientCredentials {
    pub(super) id: SecretString,
    pub(super) secret: SecretString,
    pub(super) token_url: Option<Url>,
    /// What is asked for; empty leaves it to the server.
    pub(super) scope: String,
    /// The tool server, for which alone the token is to be good.
    pub(super) resource: Url,
}

/// The tokens for one server.
pub(super) struct Tokens {
    http: Client,
    credentials: ClientCredentials,
    veil: Arc<Veil>,
    present: Mutex<Present>,
}

#[derive(Default)]
struct Present {
    endpoint: Option<Endpoint>,
    token: Option<Token>,
}

#[derive(Clone)]
struct Endpoint {
    url: Url,
    /// Whether the secret goes into the body, because the server does not take it as basic authentication.
    in_body: bool,
}

struct Token {
    value: SecretString,
    /// When it is renewed, and when it is of no use any more.
    ends: Option<(Instant, Instant)>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    expires_in: Option<f64>,
}

#[derive(Deserialize)]
struct Resource {
    resource: Option<String>,
    authorization_servers: Vec<String>,
}

#[derive(Deserialize)]
struct Issuer {
    issuer: Option<String>,
    token_endpoint: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Tokens {
    pub(super) fn new(http: Client, credentials: ClientCredentials, veil: Arc<Veil>) -> Self {
        Self { http, credentials, veil, present: Mutex::default() }
    }

    /// A token that is good now. Fails with the reason, which shows no secret.
    pub(super) async fn token(&self) -> Result<SecretString, String> {
        // Held while one is got, so that many calls do not get one each. Each question has its own limit.
        let mut present = self.present.lock().await;
        let now = Instant::now();
        if let Some(token) = &present.token
            && token.ends.is_none_or(|(renew, _)| now < renew)
        {
            return Ok(token.value.clone());
        }
        match self.get(&mut present).await {
            Ok(token) => Ok(present.token.insert(token).value.clone()),
            Err(reason) => match &present.token {
                // It is still good for a while, and the next call tries again.
                Some(token) if token.ends.is_some_and(|(_, end)| now < end) => {
                    tracing::warn!(reason, "An access token could not be renewed yet; the old one is still used.");
                    Ok(token.value.clone())
                }
                _ => Err(reason),
            },
        }
    }

    /// The server did not take this token: it is not used again.
    pub(super) async fn refused(&self, token: &SecretString) {
        let mut present = self.present.lock().await;
        if present.token.as_ref().is_some_and(|held| held.value.expose_secret() == token.expose_secret()) {
            present.token = None;
        }
    }

    async fn get(&self, present: &mut Present) -> Result<Token, String> {
        let endpoint = match &present.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => present.endpoint.insert(self.find_endpoint().await?).clone(),
        };
        let credentials = &self.credentials;
        let (id, secret) = (credentials.id.expose_secret(), credentials.secret.expose_secret());
        let mut form = vec![("grant_type", "client_credentials"), ("resource", credentials.resource.as_str())];
        if !credentials.scope.is_empty() {
            form.push(("scope", &credentials.scope));
        }
        let mut request = self.http.post(endpoint.url.clone());
        if endpoint.in_body {
            form.extend([("client_id", id), ("client_secret", secret)]);
        } else {
            request = request.basic_auth(encoded(id), Some(encoded(secret)));
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let asked = Instant::now();
        let granted: Granted = match ask(request).await {
            Ok(granted) => granted,
            Err(reason) => {
                // It may have moved.
                present.endpoint = None;
                return Err(format!("no access token came from {}: {reason}", shown(&endpoint.url)));
            }
        };
        self.veil.token(&granted.access_token);
        let life = granted.expires_in.filter(|life| life.is_finite() && *life > 0.0).map(|life| life.min(1e9));
        let ends = life.map(Duration::from_secs_f64).map(|life| {
            let renew = life.saturating_sub(AHEAD).max(life.mul_f64(0.9));
            (asked + renew, asked + life)
        });
        Ok(Token { value: granted.access_token, ends })
    }

    /// Where tokens are given: as configured, else as the tool server and its authorization server say (RFC 9728, 8414).
    async fn find_endpoint(&self) -> Result<Endpoint, String> {
        if let Some(url) = &self.credentials.token_url {
            return Ok(Endpoint { url: url.clone(), in_body: false });
        }
        let issuer = self.find_issuer().await?;
        let mut reason = String::new();
        for url in metadata_of(&issuer) {
            let found: Issuer = match ask(self.http.get(url.clone())).await {
                Ok(found) => found,
                Err(error) => {
                    reason = format!("{}: {error}", shown(&url));
                    continue;
                }
            };
            if !found.issuer.is_some_and(|said| is_same(&said, &issuer)) {
                return Err(format!("{} does not speak for the issuer that was asked (RFC 8414)", shown(&url)));
            }
            let url: Url = found.token_endpoint.parse().map_err(|_| "the token endpoint is no address".to_owned())?;
            if !is_safe(&url) {
                return Err(format!("the token endpoint {} is not encrypted", shown(&url)));
            }
            let takes =
                |method: &str| found.token_endpoint_auth_methods_supported.iter().flatten().any(|m| m == method);
            return Ok(Endpoint { url, in_body: takes("client_secret_post") && !takes("client_secret_basic") });
        }
        Err(format!("where tokens are given could not be found ({reason}); write auth.oauth.token_url"))
    }

    async fn find_issuer(&self) -> Result<Url, String> {
        let resource = &self.credentials.resource;
        for url in well_known(resource, PROTECTED_RESOURCE) {
            let Ok(found) = ask::<Resource>(self.http.get(url.clone())).await else { continue };
            if !found.resource.is_some_and(|said| speaks_for(&url, &said, resource)) {
                return Err(format!("{} does not speak for this tool server (RFC 9728)", shown(&url)));
            }
            let Some(issuer) = found.authorization_servers.first() else { continue };
            let issuer: Url = issuer.parse().map_err(|_| "the authorization server is no address".to_owned())?;
            return match is_safe(&issuer) {
                true => Ok(issuer),
                false => Err(format!("the authorization server {} is not encrypted", shown(&issuer))),
            };
        }
        // Servers before June 2025 are their own authorization servers.
        resource.join("/").map_err(|error| error.to_string())
    }
}

/// Whether metadata at `place` that is said to be of `said` is that of `resource`. At the place for the whole host, the host
/// may stand for all that it has.
fn speaks_for(place: &Url, said: &str, resource: &Url) -> bool {
    let is_host = || resource.join("/").is_ok_and(|host| is_same(said, &host));
    is_same(said, resource) || (place.path().ends_with(PROTECTED_RESOURCE) && is_host())
}

/// Whether a server's name for something is this address. A slash at the end is written by some and left out by others.
fn is_same(said: &str, url: &Url) -> bool {
    said.trim_end_matches('/') == url.as_str().trim_end_matches('/')
}

/// Whether a secret may be sent there: encrypted, or not leaving the machine.
fn is_safe(url: &Url) -> bool {
    let local = match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && local)
}

/// The well-known places of `base`: with its path, and without.
fn well_known(base: &Url, what: &str) -> Vec<Url> {
    let path = base.path().trim_end_matches('/');
    let mut places = vec![format!("/.well-known/{what}{path}")];
    if !path.is_empty() {
        places.push(format!("/.well-known/{what}"));
    }
    places.iter().filter_map(|place| base.join(place).ok()).collect()
}

fn metadata_of(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let mut places = vec![
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{path}/.well-known/openid-configuration"));
    }
    places.iter().filter_map(|place| issuer.join(place).ok()).collect()
}

/// Names and secrets are form-encoded before they become basic authentication (RFC 6749, 2.3.1).
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Asks, within limits. A refusal is told by its status and its code, never by its words, which may repeat a secret.
async fn ask<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, String> {
    let asked = async {
        let mut answer =
            request.header(header::ACCEPT, "application/json").send().await.map_err(crate::llm::describe)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(crate::llm::describe)? {
            if body.len() + piece.len() > LONGEST {
                return Err(format!("its answer is longer than {LONGEST} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        match status.is_success() {
            true => serde_json::from_slice(&body).map_err(|_| "its answer is not what the protocol says".to_owned()),
            false => Err(refusal(status, &body)),
        }
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
}

fn refusal(status: StatusCode, body: &[u8]) -> String {
    let said: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    // Registered codes are words like `invalid_client`.
    let code = said["error"]
        .as_str()
        .filter(|code| code.len() < 40 && code.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    match code {
        Some(code) => format!("{status} ({code})"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_a_resource_is_its_own_or_its_host_s() {
        let ours: Url = "https://tools.test/mcp".parse().unwrap();
        let places = well_known(&ours, PROTECTED_RESOURCE);
        let [own, host] = &places[..] else { panic!("there are two places") };
        for (place, said, fits) in [
            (own, "https://tools.test/mcp", true),
            (own, "https://tools.test/mcp/", true),
            (own, "https://tools.test", false),
            (own, "https://tools.test/other", false),
            (host, "https://tools.test/", true),
            (host, "https://tools.test/mcp", true),
            (host, "https://tools.test/other", false),
            (host, "https://other.test", false),
        ] {
            assert_eq!(speaks_for(place, said, &ours), fits, "{said} at {place}");
        }
    }
}
