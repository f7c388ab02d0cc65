//! The kit's real servers: what a test of the cluster backends may rely on.
#![expect(clippy::unwrap_used, reason = "a test fails where its own sockets do")]

use std::time::Duration;

use kit::{
    proxy::Proxy,
    servers::{Kind, Server, shared},
    wait,
};
use sqlx::{Connection, PgConnection, Row};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const LIMIT: Duration = wait::PATIENCE;

#[tokio::test]
async fn each_test_has_its_own_place_in_the_shared_servers() {
    let (one, other) = (shared().backends().await, shared().backends().await);
    assert_ne!(one.amqp.url, other.amqp.url);
    assert_ne!(one.redis.url, other.redis.url);
    assert_eq!(one.amqp.ask("vhosts").await["name"], one.amqp.name.as_str());

    let mut connection = PgConnection::connect(&one.database.url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE mine (id int)").execute(&mut connection).await.unwrap();
    let mut connection = PgConnection::connect(&other.database.url).await.unwrap();
    let theirs = sqlx::raw_sql("SELECT count(*) FROM pg_tables WHERE tablename = 'mine'");
    assert_eq!(theirs.fetch_one(&mut connection).await.unwrap().get::<i64, _>(0), 0);

    // A database is dropped although somebody is in it.
    let name = one.database.name.clone();
    drop(one);
    let there = sqlx::query("SELECT count(*) FROM pg_database WHERE datname = $1").bind(name);
    assert_eq!(there.fetch_one(&mut connection).await.unwrap().get::<i64, _>(0), 0);
}

#[tokio::test]
async fn a_private_postgres_survives_a_kill_with_its_data_and_port() {
    let mut server = Server::start(Kind::Postgres).await;
    let url = server.url().to_owned();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)").execute(&mut connection).await.unwrap();
    server.kill().await;
    assert!(!server.lives());
    assert!(PgConnection::connect(&url).await.is_err());
    server.start_again().await;
    assert_eq!(server.url(), url);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let kept = sqlx::raw_sql("SELECT id FROM kept").fetch_one(&mut connection).await.unwrap();
    assert_eq!(kept.get::<i32, _>(0), 7);

    // Frozen means that nobody answers, not even a backend that has long been connected.
    server.freeze();
    let asked = sqlx::raw_sql("SELECT 1").fetch_one(&mut connection);
    assert!(tokio::time::timeout(Duration::from_millis(200), asked).await.is_err());
    server.thaw();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("SELECT 1").fetch_one(&mut connection).await.unwrap();

    // A stop does not wait for its clients.
    server.stop().await;
    assert!(!server.lives());
}

#[tokio::test]
async fn a_private_redis_keeps_what_it_was_given() {
    let mut server = Server::start(Kind::Redis).await;
    assert_eq!(redis(server.url(), "SET kept 7").await, "+OK");
    server.stop().await;
    server.start_again().await;
    assert_eq!(redis(server.url(), "GETDEL kept").await, "$1");
    server.kill().await;
    server.start_again().await;
    assert_eq!(redis(server.url(), "PING").await, "+PONG");
}

#[tokio::test]
async fn a_private_rabbitmq_can_be_killed_and_frozen_behind_a_proxy() {
    let mut server = Server::start(Kind::RabbitMq).await;
    let proxy = Proxy::before(server.url()).await;
    assert!(greets(&proxy).await);
    server.freeze();
    let frozen = tokio::time::timeout(Duration::from_millis(200), greets(&proxy)).await;
    assert!(frozen.is_err(), "a frozen broker said something");
    server.thaw();
    wait::until("the broker to greet again", LIMIT, async || greets(&proxy).await).await;
    server.kill().await;
    assert!(!greets(&proxy).await);
    server.start_again().await;
    assert!(greets(&proxy).await);
}

/// Whether the broker begins to speak AMQP 0.9.1.
async fn greets(proxy: &Proxy) -> bool {
    let Ok(mut stream) = TcpStream::connect(proxy.address()).await else { return false };
    stream.write_all(b"AMQP\x00\x00\x09\x01").await.is_ok() && stream.read_u8().await.is_ok_and(|first| first == 1)
}

/// The first line of Redis's answer to an inline command.
async fn redis(url: &str, command: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("redis://")).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.contains('\r') {
        let byte = tokio::time::timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap();
        answer.push(char::from(byte));
    }
    answer.trim().to_owned()
}
