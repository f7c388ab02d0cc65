//! Lanes: the tasks that write. Each has a connection of its own and takes what waits, together.
//!
//! What a lane takes at once is several statements, one for each kind of request. Where there is more than one, they are committed
//! without waiting for the disk, and one last commit waits for all of them (`disk`): a log that is on the disk up to some place is
//! there up to every earlier one. Nobody is answered before that.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use greenroom_contract::{port::state::Error, task};
use sqlx::{Connection, PgConnection};
use tokio::{sync::mpsc, time::Instant};

use super::{
    ask::{AnySingle, Ask, Batched, Waiting},
    disk::Disk,
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
    let lane =
        Lane { server, time, conn: None, disk: Disk::default(), used: Instant::now(), doubts: Doubts::default() };
    task::spawn("postgres-lane", lane.run(rx));
    tx
}

struct Lane {
    server: Server,
    time: Time,
    conn: Option<PgConnection>,
    disk: Disk,
    used: Instant,
    doubts: Doubts,
}

/// Tells those who asked how it went; or that it is not known, if the last commit of the round did not reach the disk.
type Tell = Box<dyn FnOnce(&mut Doubts, Option<&str>) + Send>;

/// What goes out together: no two are about the same row.
#[derive(Default)]
struct Round {
    /// What need not be on the disk when it is answered.
    light: Vec<Ask<super::journal::Journaling>>,
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
        let Round { light, submits, accepts, journals, finishes, settles, singles } = round;
        if let Some(tell) = self.batch(light).await {
            tell(&mut self.doubts, None);
        }
        let kinds = [submits.len(), accepts.len(), journals.len(), finishes.len(), settles.len()];
        let statements = kinds.iter().filter(|count| **count > 0).count() + singles.len();
        let light = statements > 1 && self.lighten().await;
        let mut told: Vec<Tell> = Vec::with_capacity(statements);
        told.extend(self.batch(submits).await);
        told.extend(self.batch(accepts).await);
        told.extend(self.batch(journals).await);
        told.extend(self.batch(finishes).await);
        told.extend(self.batch(settles).await);
        for mut single in singles {
            let fault = self.single(single.as_mut()).await.err();
            let place = self.server.place.clone();
            told.push(Box::new(move |doubts, off_disk| {
                let fault = fault.or_else(|| off_disk.map(|reason| Fault::Lost(reason.to_owned())));
                let failed = fault.is_some();
                let lost = matches!(fault, Some(Fault::Lost(_)));
                let awaited = single.answer(fault, &place);
                if lost || !awaited && !failed {
                    doubts.add(single.claim());
                }
            }));
        }
        let off_disk = if light { self.wait_for_disk().await.err() } else { None };
        let off_disk = off_disk.map(|fault| format!("it is not known to be on the disk: {fault:?}"));
        for tell in told {
            tell(&mut self.doubts, off_disk.as_deref());
        }
    }

    /// From here on commits do not wait for the disk. Returns whether that is so.
    async fn lighten(&mut self) -> bool {
        if self.connected().await.is_err() {
            return false;
        }
        let Some(conn) = &mut self.conn else { return false };
        let done = self.server.in_time(self.disk.lighten(conn)).await;
        self.judge(done).is_ok()
    }

    /// Waits until all that was committed since is on the disk.
    async fn wait_for_disk(&mut self) -> Job<()> {
        let Some(conn) = &mut self.conn else {
            return Err(Fault::Lost("the connection was lost before the disk was waited for".to_owned()));
        };
        let done = self.server.in_time(self.disk.settle(conn)).await;
        self.judge(done.map_err(|fault| Fault::Lost(format!("{fault:?}"))))
    }

    async fn batch<B: Batched>(&mut self, asks: Vec<Ask<B>>) -> Option<Tell> {
        if asks.is_empty() {
            return None;
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
        let place = self.server.place.clone();
        Some(Box::new(move |doubts, off_disk| {
            for ((answer, reply), request) in answers.into_iter().zip(replies).zip(&requests) {
                let answer = match off_disk {
                    Some(reason) if answer.is_ok() => Err(Fault::Lost(reason.to_owned()).into_error(&place)),
                    _ => answer,
                };
                let in_doubt = off_disk.is_some();
                if reply.send(answer).is_err() || in_doubt {
                    doubts.add(request.claim());
                }
            }
        }))
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
            self.server.in_time(self.disk.anew(&mut conn)).await.map_err(unable)?;
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
            Waiting::Journal(ask) if ask.request.is_light() => round.light.push(ask),
            Waiting::Journal(ask) => round.journals.push(ask),
            Waiting::Finish(ask) => round.finishes.push(*ask),
            Waiting::Settle(ask) => round.settles.push(ask),
            Waiting::Single { single, .. } => round.singles.push(single),
        }
    }
    round
}
