//! A place of its own for each test in the shared servers. It is removed when it is dropped, with everybody in it.

use std::{
    future::Future,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

use crate::http;

/// No answer of a server on this machine takes longer.
const LIMIT: Duration = crate::wait::PATIENCE;

/// One of each: what a cluster of nodes needs.
#[derive(Debug)]
pub struct Backends {
    /// RabbitMQ.
    pub amqp: Vhost,
    /// PostgreSQL.
    pub database: Database,
    /// Redis.
    pub redis: RedisDatabase,
}

impl Backends {
    /// The variables by which a node finds them.
    pub fn variables(&self) -> Vec<(String, String)> {
        vec![
            ("GREENROOM_AMQP_URL".to_owned(), self.amqp.url.clone()),
            ("GREENROOM_DATABASE_URL".to_owned(), self.database.url.clone()),
            ("GREENROOM_REDIS_URL".to_owned(), self.redis.url.clone()),
        ]
    }
}

/// A vhost of RabbitMQ.
#[derive(Debug)]
pub struct Vhost {
    /// `amqp://…/name`.
    pub url: String,
    /// Its name.
    pub name: String,
    admin: String,
}

impl Vhost {
    pub(super) async fn create(amqp: &str, admin: &str) -> Self {
        let name = unique();
        let url = with_path(amqp, &name);
        let vhost = Self { url, name, admin: admin.to_owned() };
        vhost.manage("PUT").await.unwrap_or_else(|error| panic!("no vhost could be made: {error}"));
        vhost
    }

    /// RabbitMQ's management API about this vhost: `queues` gives `/api/queues/NAME`.
    ///
    /// # Panics
    /// When it does not answer with 200.
    pub async fn ask(&self, about: &str) -> serde_json::Value {
        let url = format!("{}/api/{about}/{}", self.admin, self.name);
        http::send(http::client().get(url)).await.expect(200).json
    }

    /// The broker's version, `(4, 0)` for example.
    ///
    /// # Panics
    /// When its management does not say.
    pub async fn broker_version(&self) -> (u32, u32) {
        let overview = http::send(http::client().get(format!("{}/api/overview", self.admin))).await.expect(200);
        let version = overview.str("/rabbitmq_version");
        let mut parts = version.split('.').map(str::parse);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
            _ => panic!("RabbitMQ calls its version {version:?}"),
        }
    }

    async fn manage(&self, method: &str) -> Result<(), String> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
        let request = http::client().request(method, format!("{}/api/vhosts/{}", self.admin, self.name));
        let answer = http::try_send(request).await.map_err(|error| format!("{error:?}"))?;
        if answer.status < 300 { Ok(()) } else { Err(format!("status {}: {}", answer.status, answer.text)) }
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        in_peace(async { self.manage("DELETE").await.ok() });
    }
}

/// A database of PostgreSQL.
#[derive(Debug)]
pub struct Database {
    /// `postgres://…/name`.
    pub url: String,
    /// Its name.
    pub name: String,
    server: String,
}

impl Database {
    pub(super) async fn create(server: &str) -> Self {
        let name = unique();
        let database = Self { url: with_path(server, &name), name, server: server.to_owned() };
        let made = database.execute(format!("CREATE DATABASE {}", database.name)).await;
        made.unwrap_or_else(|error| panic!("no database could be made: {error}"));
        database
    }

    async fn execute(&self, statement: String) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.server).await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        in_peace(async { self.execute(format!("DROP DATABASE {} WITH (FORCE)", self.name)).await.ok() });
    }
}

/// A numbered database of Redis.
#[derive(Debug)]
pub struct RedisDatabase {
    /// `redis://…/number`.
    pub url: String,
}

impl RedisDatabase {
    /// Takes the next number, round and round: Redis has a fixed set of them. Number 0 counts.
    pub(super) fn take(server: &str) -> Self {
        let taken = take_number(server).unwrap_or_else(|error| panic!("no Redis database could be taken: {error}"));
        Self { url: with_path(server, &taken.to_string()) }
    }
}

fn take_number(server: &str) -> std::io::Result<u64> {
    let url = Url::parse(server).map_err(std::io::Error::other)?;
    let address = (url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(6379));
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut server = Redis { reader: BufReader::new(stream.try_clone()?), stream };
    if let Some(password) = url.password() {
        server.call(&format!("AUTH {password}"))?;
    }
    let there_are: u64 = server.call("CONFIG GET databases")?.parse().unwrap_or(16);
    let taken: u64 = server.call("INCR greenroom-kit:taken")?.parse().map_err(std::io::Error::other)?;
    let number = 1 + taken % (there_are - 1).min(HIGHEST);
    server.call(&format!("SELECT {number}"))?;
    server.call("FLUSHDB")?;
    Ok(number)
}

/// The node's client of Redis counts databases in a byte.
const HIGHEST: u64 = 255;

/// A connection to Redis that knows its inline commands, and of an answer only the last line.
struct Redis {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Redis {
    fn call(&mut self, command: &str) -> std::io::Result<String> {
        write!(self.stream, "{command}\r\n")?;
        let first = self.line()?;
        match first.split_at_checked(1) {
            Some(("+" | ":", value)) => Ok(value.to_owned()),
            // A list of texts, each a line of its length and a line of its own.
            Some(("*", number)) => {
                let mut last = String::new();
                for _ in 0..2 * number.parse::<usize>().unwrap_or_default() {
                    last = self.line()?;
                }
                Ok(last)
            }
            _ => Err(std::io::Error::other(first)),
        }
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

/// Runs a goodbye to its end on a thread of its own: a test's runtime may be gone already, and a destructor cannot wait.
fn in_peace<T: Send>(goodbye: impl Future<Output = T> + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime
                .ok()
                .and_then(|runtime| runtime.block_on(async { tokio::time::timeout(LIMIT, goodbye).await.ok() }));
        });
    });
}

/// A server's URL with another path.
fn with_path(url: &str, path: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            url.set_path(path);
            url.to_string()
        }
        Err(error) => panic!("a server's URL is none: {error}"),
    }
}

/// A name that no other test has, in this process or another.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_nanos()).unwrap_or_default();
    format!("t{nanos:x}_{:x}_{:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
