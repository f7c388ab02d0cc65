//! Lanes: the tasks that write. Each has a connection of its own and takes what waits, together.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use greenroom_contract::{port::state::Error, task};
use sqlx::{Connection, PgConnection};
use tokio::{sync::mpsc, time::Instant};

use super::{
    ask::{AnySingle, Ask, Batched, Waiting},
    doubt::Doubts,
    fault::{Fault, Job},
    options::Time,
    server::Server,
};

/// How many requests a lane takes at once.
const MOST: usize = 64;
/// How many may wait for a lane.
const QUEUE: usize = 1024;
/// How often a call that collides with another is made.
const TRIES: u32 = 6;
/// A connection that lay idle for longer is asked whether it is still there before it is trusted with a write.
const TRUSTED: Duration = Duration::from_secs(1);

/// Starts a lane. It ends when its senders are gone and what waited is done.
pub(super) fn start(server: Server, time: Time) -> mpsc::Sender<Waiting> {
    let (tx, rx) = mpsc::channel(QUEUE);
    let lane = Lane { server, time, conn: None, used: Instant::now(), doubts: Doubts::default() };
    task::spawn("postgres-lane", lane.run(rx));
    tx
}

struct Lane {
    server: Server,
    time: Time,
    conn: Option<PgConnection>,
    used: Instant,
    doubts: Doubts,
}

/// What goes out together: no two are about the same row.
#[derive(Default)]
struct Round {
    submits: Vec<Ask<super::submit::Submitting>>,
    accepts: Vec<Ask<super::inbox::Accepting>>,
    journals: Vec<Ask<super::journal::Journaling>>,
    finishes: Vec<Ask<super::finish::Finishing>>,
    settles: Vec<Ask<super::relay::Settlement>>,
    singles: Vec<Box<dyn AnySingle>>,
}

impl Lane {
    async fn run(mut self, mut rx: mpsc::Receiver<Waiting>) {
        let mut waiting = VecDeque::new();
        let mut taken = Vec::with_capacity(MOST);
        loop {
            let count = match self.doubts.due() {
                None => rx.recv_many(&mut taken, MOST).await,
                Some(due) => match tokio::time::timeout_at(due, rx.recv_many(&mut taken, MOST)).await {
                    Ok(count) => count,
                    Err(_) => {
                        self.settle_doubts().await;
                        continue;
                    }
                },
            };
            if count == 0 {
                break;
            }
            waiting.extend(taken.drain(..));
            while !waiting.is_empty() {
                let round = next_round(&mut waiting);
                self.write(round).await;
            }
            if self.doubts.due().is_some_and(|due| due <= Instant::now()) {
                self.settle_doubts().await;
            }
        }
        if let Some(conn) = self.conn {
            drop(tokio::time::timeout(TRUSTED, conn.close()).await);
        }
    }

    async fn write(&mut self, round: Round) {
        let Round { submits, accepts, journals, finishes, settles, singles } = round;
        self.batch(submits).await;
        self.batch(accepts).await;
        self.batch(journals).await;
        self.batch(finishes).await;
        self.batch(settles).await;
        for mut single in singles {
            let fault = self.single(single.as_mut()).await.err();
            let failed = fault.is_some();
            let lost = matches!(fault, Some(Fault::Lost(_)));
            let awaited = single.answer(fault, &self.server.place);
            if lost || !awaited && !failed {
                self.doubts.add(single.claim());
            }
        }
    }

    async fn batch<B: Batched>(&mut self, asks: Vec<Ask<B>>) {
        if asks.is_empty() {
            return;
        }
        let (requests, replies): (Vec<_>, Vec<_>) = asks.into_iter().map(|ask| (ask.request, ask.reply)).unzip();
        let answers = match self.together(&requests).await {
            Ok(answers) => answers,
            Err(Fault::Lost(reason)) => {
                for request in &requests {
                    self.doubts.add(request.claim());
                }
                let place = &self.server.place;
                requests.iter().map(|_| Err(Fault::Lost(reason.clone()).into_error(place))).collect()
            }
            Err(fault) if requests.len() == 1 => vec![Err(fault.into_error(&self.server.place))],
            // One of them is the cause: alone it fails alone.
            Err(_) => {
                let mut answers = Vec::with_capacity(requests.len());
                for request in requests.chunks(1) {
                    answers.push(self.alone(request).await);
                }
                answers
            }
        };
        for ((answer, reply), request) in answers.into_iter().zip(replies).zip(&requests) {
            if reply.send(answer).is_err() {
                self.doubts.add(request.claim());
            }
        }
    }

    async fn alone<B: Batched>(&mut self, request: &[B]) -> Result<B::Done, Error> {
        let place = self.server.place.clone();
        let answer = self.together(request).await.map_err(|fault| {
            if matches!(fault, Fault::Lost(_)) {
                self.doubts.add(request.first().and_then(Batched::claim));
            }
            fault.into_error(&place)
        })?;
        answer
            .into_iter()
            .next()
            .unwrap_or_else(|| Err(Fault::Wrong("no answer to a request".to_owned()).into_error(&place)))
    }

    async fn together<B: Batched>(&mut self, requests: &[B]) -> Job<Vec<Result<B::Done, Error>>> {
        for again in 1.. {
            self.connected().await?;
            let now = self.time.now();
            let Some(conn) = &mut self.conn else { continue };
            let done = self.server.in_time(B::run(requests, conn, now)).await;
            match self.judge(done) {
                Err(Fault::Again(_)) if again < TRIES => pause(again).await,
                done => return done,
            }
        }
        Err(Fault::Again("too many collisions".to_owned()))
    }

    async fn single(&mut self, single: &mut dyn AnySingle) -> Job<()> {
        for again in 1.. {
            self.connected().await?;
            let now = self.time.now();
            let Some(conn) = &mut self.conn else { continue };
            let done = self.server.in_time(single.run(conn, now)).await;
            match self.judge(done) {
                Err(Fault::Again(_)) if again < TRIES => pause(again).await,
                done => return done,
            }
        }
        Err(Fault::Again("too many collisions".to_owned()))
    }

    /// Throws a connection away that was lost.
    fn judge<T>(&mut self, done: Job<T>) -> Job<T> {
        if matches!(done, Err(Fault::Lost(_))) {
            self.conn = None;
        }
        self.used = Instant::now();
        done
    }

    /// Sees to it that there is a connection. A fault here is no doubt: nothing was asked of the server yet.
    async fn connected(&mut self) -> Job<()> {
        if let Some(conn) = &mut self.conn
            && self.used.elapsed() > TRUSTED
        {
            let pinged = async { Ok(conn.ping().await?) };
            if self.server.in_time(pinged).await.is_err() {
                self.conn = None;
            }
        }
        if self.conn.is_none() {
            let mut conn = self.server.connect().await.map_err(unable)?;
            let now = self.time.now();
            self.server.in_time(self.doubts.give_back(&mut conn, now)).await.map_err(unable)?;
            self.conn = Some(conn);
        }
        Ok(())
    }

    async fn settle_doubts(&mut self) {
        if self.connected().await.is_err() {
            return;
        }
        let now = self.time.now();
        if let Some(conn) = &mut self.conn {
            let done = self.server.in_time(self.doubts.give_back(conn, now)).await;
            if let Err(fault) = self.judge(done) {
                tracing::debug!(?fault, "Claims in doubt could not be looked for; tried again.");
            }
        }
    }
}

/// No connection: nothing was asked, so nothing is in doubt.
fn unable(fault: Fault) -> Fault {
    match fault {
        Fault::Lost(reason) => Fault::Unable(reason),
        other => other,
    }
}

async fn pause(tries: u32) {
    tokio::time::sleep(Duration::from_millis(u64::from(tries * tries) * 2)).await;
}

/// Takes from the front what can go out together. Of requests about one row only the first goes; the others stay, in order.
fn next_round(waiting: &mut VecDeque<Waiting>) -> Round {
    let mut round = Round::default();
    let mut seen = HashSet::new();
    for next in std::mem::take(waiting) {
        let mut free = true;
        for key in next.keys() {
            free &= seen.insert(key);
        }
        if !free {
            waiting.push_back(next);
            continue;
        }
        match next {
            Waiting::Submit(ask) => round.submits.push(ask),
            Waiting::Accept(ask) => round.accepts.push(ask),
            Waiting::Journal(ask) => round.journals.push(ask),
            Waiting::Finish(ask) => round.finishes.push(*ask),
            Waiting::Settle(ask) => round.settles.push(ask),
            Waiting::Single { single, .. } => round.singles.push(single),
        }
    }
    round
}
