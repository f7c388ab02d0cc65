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

/// Connects as a node does: the bus itself says what is wrong, a version that is too old included.
async fn broker(url: &SecretString) -> Result<String, String> {
    let options = greenroom_bus::amqp::Options { name: "greenroom doctor".to_owned(), ..Default::default() };
    let bus = greenroom_bus::AmqpBus::start(url.expose_secret(), options).await.map_err(|error| error.to_string())?;
    let began = tokio::time::Instant::now();
    loop {
        match tokio::time::timeout(PATIENCE, bus.health()).await {
            Ok(Ok(())) => return Ok("RabbitMQ answers, and lets its queues be made".to_owned()),
            Ok(Err(error)) if began.elapsed() > PATIENCE => return Err(error.to_string()),
            Err(_) => return Err(format!("no answer within {PATIENCE:?}")),
            Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
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
