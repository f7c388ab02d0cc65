//! What `doctor` finds out about the servers of a cluster.

use std::time::Duration;

use greenroom_config::NodeConfig;
use greenroom_contract::port::bus::Bus;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The oldest RabbitMQ that the tests run on: quorum queues with dead letters at least once came with it.
const OLDEST_BROKER: (u32, u32) = (3, 10);
/// The oldest Redis that the cache's client speaks to.
const OLDEST_REDIS: (u32, u32) = (6, 0);

/// One finding for each server that is configured: what it is, or what is wrong with it.
pub(super) fn look(config: &NodeConfig) -> Vec<Result<String, String>> {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return vec![Err(error.to_string())],
    };
    runtime.block_on(async {
        let mut findings = Vec::new();
        if let Some(url) = &config.cluster.database_url {
            let found = greenroom_state::postgres::inspect(url.expose_secret()).await;
            findings.push(found.map_err(|error| format!("GREENROOM_DATABASE_URL: {error}")));
        }
        if let Some(url) = &config.cluster.amqp_url {
            findings.push(broker(url).await.map_err(|error| format!("GREENROOM_AMQP_URL: {error}")));
        }
        if let Some(url) = &config.cluster.redis_url {
            findings.push(within(redis(url)).await.map_err(|error| format!("GREENROOM_REDIS_URL: {error}")));
        }
        findings
    })
}

async fn within(look: impl Future<Output = Result<String, String>>) -> Result<String, String> {
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
}

/// Connects as a node does: the bus itself says what is wrong. Its version is read from its greeting.
async fn broker(url: &SecretString) -> Result<String, String> {
    let options = greenroom_bus::amqp::Options { name: "greenroom doctor".to_owned(), ..Default::default() };
    let bus = greenroom_bus::AmqpBus::start(url.expose_secret(), options).await.map_err(|error| error.to_string())?;
    let began = tokio::time::Instant::now();
    loop {
        match tokio::time::timeout(PATIENCE, bus.health()).await {
            Ok(Ok(())) => {
                let what = || "RabbitMQ answers, and lets its queues be made".to_owned();
                return match tokio::time::timeout(PATIENCE, broker_version(url)).await.ok().flatten() {
                    Some(version) => new_enough(&version, OLDEST_BROKER, what),
                    None => Ok(what()),
                };
            }
            Ok(Err(error)) if began.elapsed() > PATIENCE => return Err(error.to_string()),
            Err(_) => return Err(format!("no answer within {PATIENCE:?}")),
            Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// The version that the broker tells in its greeting, which the client does not hand on. `None` where it cannot be read: over
/// TLS, or from something that is no RabbitMQ.
async fn broker_version(url: &SecretString) -> Option<String> {
    if url.expose_secret().starts_with("amqps") {
        return None;
    }
    let (_, mut stream) = connect(url, 5672).await.ok()?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").await.ok()?;
    let mut greeting = vec![0_u8; 4096];
    let length = stream.read(&mut greeting).await.ok()?;
    told(&greeting[..length], "version")
}

/// A long string out of the table of a broker's greeting: its name with the length before it, `S`, a length, the text.
fn told(greeting: &[u8], name: &str) -> Option<String> {
    let key = [&[u8::try_from(name.len()).ok()?], name.as_bytes(), b"S"].concat();
    let at = greeting.windows(key.len()).position(|window| window == key)? + key.len();
    let length = u32::from_be_bytes(greeting.get(at..at + 4)?.try_into().ok()?) as usize;
    let text = greeting.get(at + 4..at + 4 + length)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Asks Redis for its version, as the user of the URL. One behind TLS is not spoken to: a password in clear is none any more.
async fn redis(url: &SecretString) -> Result<String, String> {
    let (place, mut stream) = connect(url, 6379).await?;
    if url.expose_secret().starts_with("rediss:") {
        return Ok(format!(
            "{place} can be reached; whether Redis lets us in there over TLS is seen at the node's start"
        ));
    }
    let broken = |error: std::io::Error| format!("{place}: {error}");
    if let Some((name, password)) = user(url.expose_secret()) {
        let decoded = |text: &str| String::from_utf8_lossy(&percent_decoded(text)).into_owned();
        let login = [decoded(name), decoded(password)];
        let login = login.iter().map(String::as_str).filter(|word| !word.is_empty());
        let command: Vec<&str> = std::iter::once("AUTH").chain(login).collect();
        let answer = exchange(&mut stream, &command).await.map_err(broken)?;
        if answer.starts_with('-') {
            return Err(format!("Redis at {place} does not let us in: {}", answer.trim_start_matches('-').trim()));
        }
    }
    let answer = exchange(&mut stream, &["INFO", "server"]).await.map_err(broken)?;
    let version = answer.lines().find_map(|line| line.strip_prefix("redis_version:"));
    match version.map(str::trim) {
        Some(version) => new_enough(version, OLDEST_REDIS, || format!("Redis at {place}")),
        None if answer.starts_with('-') => Ok(format!("Redis at {place} answers, and wants a password")),
        None => Err(format!("what answers at {place} is no Redis")),
    }
}

/// The user and password of an address, as they stand there.
fn user(url: &str) -> Option<(&str, &str)> {
    let authority = url.split_once("://")?.1.split(['/', '?']).next()?;
    authority.rsplit_once('@')?.0.split_once(':')
}

/// Sends a command and returns the beginning of its answer.
async fn exchange(stream: &mut TcpStream, command: &[&str]) -> std::io::Result<String> {
    let words = command.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    let sent = format!("*{}\r\n{}", command.len(), words.collect::<String>());
    stream.write_all(sent.as_bytes()).await?;
    let mut answer = vec![0_u8; 8192];
    let length = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &tail[2..];
            }
            None => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}

/// Says which version a server has, or that it is too old. One that cannot be compared is believed.
fn new_enough(version: &str, oldest: (u32, u32), what: impl Fn() -> String) -> Result<String, String> {
    let mut numbers = version.split(['.', '-', '+']).map(|number| number.parse::<u32>().ok());
    let found = (numbers.next().flatten(), numbers.next().flatten());
    match found {
        (Some(major), minor) if (major, minor.unwrap_or(0)) < oldest => {
            Err(format!("{}: version {version} is too old; {}.{} or later is needed", what(), oldest.0, oldest.1))
        }
        _ => Ok(format!("{}, version {version}", what())),
    }
}

/// A connection, and where it leads, without the password.
async fn connect(url: &SecretString, port: u16) -> Result<(String, TcpStream), String> {
    let rest = url.expose_secret().split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let place = if has_port { host.to_owned() } else { format!("{host}:{port}") };
    match TcpStream::connect(&place).await {
        Ok(stream) => Ok((place, stream)),
        Err(error) => Err(format!("{place} cannot be reached: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let what = || "it".to_owned();
        for good in ["3.10.8", "3.10", "4.0.5", "4", "3.13.7+debian", "unknown"] {
            assert_eq!(new_enough(good, OLDEST_BROKER, what), Ok(format!("it, version {good}")));
        }
        for old in ["3.9.29", "3.8", "2.8.4", "3"] {
            let refused = new_enough(old, OLDEST_BROKER, what).unwrap_err();
            assert_eq!(refused, format!("it: version {old} is too old; 3.10 or later is needed"));
        }
    }

    #[test]
    fn a_brokers_greeting_tells_its_version() {
        let greeting = b"\x01\0\0...\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.10.8\x08platform";
        assert_eq!(told(greeting, "version").as_deref(), Some("3.10.8"));
        assert_eq!(told(greeting, "product").as_deref(), Some("RabbitMQ"));
        assert_eq!(told(greeting, "cluster_name"), None);
        assert_eq!(told(&greeting[..40], "version"), None);
    }

    #[tokio::test]
    async fn a_server_behind_tls_is_sent_nothing_in_clear() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = SecretString::from(format!("rediss://me:secret@{address}/0"));
        let found = redis(&url).await.unwrap();
        assert!(found.contains(&address.to_string()) && !found.contains("secret"), "{found}");
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = Vec::new();
        stream.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent, b"");
    }

    #[test]
    fn a_password_is_used_as_it_was_meant() {
        assert_eq!(percent_decoded("p%40ss%2Fw%zz%"), b"p@ss/w%zz%");
        assert_eq!(user("redis://:p%40ss@host:1/0"), Some(("", "p%40ss")));
        assert_eq!(user("rediss://me:secret@host"), Some(("me", "secret")));
        assert_eq!((user("redis://host:6379"), user("nonsense")), (None, None));
    }
}
