//! The kit's breakable proxy, before a server that echoes.
#![expect(clippy::unwrap_used, reason = "a test fails where its own sockets do")]

use std::{io::ErrorKind, time::Duration};

use greenroom_contract::task::{Scoped, spawn, spawn_scoped};
use kit::{
    proxy::{Direction, Proxy},
    wait,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const LIMIT: Duration = wait::PATIENCE;
/// So long nothing may arrive where nothing should. A fault can only be missed by it, never be made up.
const QUIET: Duration = Duration::from_millis(150);

#[tokio::test]
async fn what_passes_arrives_with_its_end() {
    let (proxy, _echo) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut read, mut write) = client.split();
    let mut received = Vec::new();
    let (sending, receiving) = tokio::join!(
        async {
            write.write_all(&sent).await?;
            write.shutdown().await
        },
        read.read_to_end(&mut received)
    );
    sending.unwrap();
    receiving.unwrap();
    assert!(received == sent, "{} of {} bytes came back", received.len(), sent.len());
    wait::until("the connection to be counted out", LIMIT, async || proxy.connections() == 0).await;
}

#[tokio::test]
async fn a_cut_resets_what_stands_and_what_comes_until_it_heals() {
    let (proxy, _echo) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    say(&mut client, b"here").await;
    proxy.cut();
    assert_eq!(ending(&mut client).await, Some(ErrorKind::ConnectionReset));
    let mut second = connect(&proxy).await;
    assert_eq!(ending(&mut second).await, Some(ErrorKind::ConnectionReset));
    proxy.heal();
    say(&mut connect(&proxy).await, b"again").await;
}

#[tokio::test]
async fn a_reset_concerns_only_the_connections_of_the_moment() {
    let (proxy, _echo) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    say(&mut client, b"here").await;
    proxy.reset();
    assert_eq!(ending(&mut client).await, Some(ErrorKind::ConnectionReset));
    say(&mut connect(&proxy).await, b"again").await;
}

#[tokio::test]
async fn a_stall_keeps_quiet_and_loses_nothing() {
    let (proxy, _echo) = echo_behind_proxy().await;
    let mut old = connect(&proxy).await;
    say(&mut old, b"here").await;
    proxy.stall();
    let mut new = connect(&proxy).await;
    for client in [&mut old, &mut new] {
        client.write_all(b"into the void").await.unwrap();
        assert!(quiet(client).await);
    }
    proxy.heal();
    for client in [&mut old, &mut new] {
        assert_eq!(hear(client, 13).await, b"into the void");
    }
}

#[tokio::test]
async fn half_a_connection_carries_one_way() {
    let (proxy, _echo) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    say(&mut client, b"here").await;
    for open in [Direction::ToServer, Direction::ToClient] {
        proxy.half(open);
        client.write_all(b"echo").await.unwrap();
        assert!(quiet(&mut client).await, "{open:?} is not enough for an echo");
        proxy.heal();
        assert_eq!(hear(&mut client, 4).await, b"echo");
    }
}

#[tokio::test]
async fn slow_means_later() {
    let (proxy, _echo) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    say(&mut client, b"here").await;
    let by = Duration::from_millis(60);
    proxy.slow(by);
    let start = std::time::Instant::now();
    say(&mut client, b"there and back").await;
    // Less than this is impossible; more is a busy machine.
    assert!(start.elapsed() >= 2 * by, "it took {:?}", start.elapsed());
}

#[tokio::test]
async fn without_a_server_the_client_is_reset() {
    let (proxy, echo) = echo_behind_proxy().await;
    drop(echo);
    wait::until("the server to be gone", LIMIT, async || {
        ending(&mut connect(&proxy).await).await == Some(ErrorKind::ConnectionReset)
    })
    .await;
}

async fn echo_behind_proxy() -> (Proxy, Scoped) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://guest:guest@{}/vhost", listener.local_addr().unwrap());
    let echo = spawn_scoped("test echo server", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            spawn("test echo", async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.ok();
            });
        }
    });
    let proxy = Proxy::before(&url).await;
    assert_eq!(proxy.url(), format!("amqp://guest:guest@{}/vhost", proxy.address()));
    (proxy, echo)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn say(client: &mut TcpStream, words: &[u8]) {
    client.write_all(words).await.unwrap();
    assert_eq!(hear(client, words.len()).await, words);
}

async fn hear(client: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut heard = vec![0; length];
    tokio::time::timeout(LIMIT, client.read_exact(&mut heard)).await.unwrap().unwrap();
    heard
}

async fn quiet(client: &mut TcpStream) -> bool {
    tokio::time::timeout(QUIET, client.read_u8()).await.is_err()
}

/// How the connection ended: an error's kind, or nothing for an orderly end.
async fn ending(client: &mut TcpStream) -> Option<ErrorKind> {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(LIMIT, client.read_to_end(&mut rest)).await.unwrap();
    ended.err().map(|error| error.kind())
}
