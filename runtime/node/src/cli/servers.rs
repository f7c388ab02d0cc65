//! What `doctor` finds out about the servers of a cluster.

use std::time::Duration;

use greenroom_config::NodeConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// This version has no client for it.
async fn broker(url: &SecretString) -> Result<String, String> {
    let reached = async { connect(url, 5672).await.map(|(place, _)| place) };
    let place = within(reached).await?;
    Err(format!("RabbitMQ at {place} is there, and cannot be used yet in this version"))
}

/// Whether something that speaks Redis is there; whether it lets us in is seen at the start.
async fn redis(url: &SecretString) -> Result<String, String> {
    let (place, mut stream) = connect(url, 6379).await?;
    stream.write_all(b"PING\r\n").await.map_err(|error| format!("{place}: {error}"))?;
    let mut answer = [0_u8; 128];
    let length = stream.read(&mut answer).await.map_err(|error| format!("{place}: {error}"))?;
    match &answer[..length] {
        [b'+', ..] => Ok(format!("Redis at {place} answers")),
        [b'-', ..] => Ok(format!("Redis at {place} answers, and wants a password")),
        _ => Err(format!("what answers at {place} is no Redis")),
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
