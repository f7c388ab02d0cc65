//! Publishing: in order on one channel, in windows, each answered once the broker has confirmed or refused it.
//!
//! A publisher is a task with a channel of its own. Callers that wait together are sent together as a group, and a group is
//! answered when the last of it is confirmed: the client hands a message that was returned to *some* confirm of its channel,
//! not to its own, so only a whole group tells which ones found no queue. There are two publishers: what may cost the
//! channel (bodies that a broker may refuse, topics whose queue did not confirm lately) goes by the second one.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use greenroom_contract::{port::bus::Error, task};
use lapin::{
    Channel, Confirmation,
    options::{BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions},
    types::ShortString,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    call::{call, unavailable},
    link::{Link, Up},
    message::Parcel,
    options::Options,
};

/// How many callers wait without having been taken up.
const INBOX: usize = 64;

/// What became of a parcel.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// Confirmed.
    Taken,
    /// Confirmed, and returned: no queue is bound to the topic.
    Returned,
    /// Not confirmed, and not known to be lost either.
    Failed(Error),
    /// The broker did not say in time.
    Late,
}

/// A publisher's handle. Its task ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub(super) struct Publisher {
    inbox: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    parcels: Vec<Parcel>,
    answer: oneshot::Sender<Vec<Outcome>>,
}

impl Publisher {
    pub(super) fn start(link: Link, options: &Options) -> Self {
        let (inbox, jobs) = mpsc::channel(INBOX);
        let (window, deadline) = (options.window.max(1), options.confirm_deadline);
        let task = Task { link, window, deadline, patience: options.patience, lane: None };
        drop(task::spawn("bus-publisher", task.run(jobs)));
        Self { inbox }
    }

    /// Sends the parcels in order and says of each what became of it.
    pub(super) async fn send(&self, parcels: Vec<Parcel>) -> Vec<Outcome> {
        self.hand_in(parcels).await.answer().await
    }

    /// The parcels are on their way in order when this returns: whatever is handed in later goes later.
    pub(super) async fn hand_in(&self, parcels: Vec<Parcel>) -> HandedIn {
        let count = parcels.len();
        let (answer, answered) = oneshot::channel();
        if count == 0 {
            drop(answer.send(Vec::new()));
            return HandedIn { count, answered };
        }
        // A task that has ended drops the answer's other end, which says so.
        drop(self.inbox.send(Job { parcels, answer }).await);
        HandedIn { count, answered }
    }
}

/// Parcels on their way.
pub(super) struct HandedIn {
    count: usize,
    answered: oneshot::Receiver<Vec<Outcome>>,
}

impl HandedIn {
    /// What became of each.
    pub(super) async fn answer(self) -> Vec<Outcome> {
        let closed = || vec![Outcome::Failed(unavailable("the bus is closed")); self.count];
        self.answered.await.unwrap_or_else(|_| closed())
    }
}

struct Task {
    link: Link,
    window: usize,
    deadline: Duration,
    patience: Duration,
    lane: Option<(Arc<Up>, Channel)>,
}

impl Task {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            let mut size = job.parcels.len();
            let mut group = vec![job];
            while size < self.window
                && let Ok(job) = jobs.try_recv()
            {
                size += job.parcels.len();
                group.push(job);
            }
            let parcels: Vec<&Parcel> = group.iter().flat_map(|job| &job.parcels).collect();
            let outcomes = match self.channel().await {
                Ok(channel) => {
                    let outcomes = send(&channel, &parcels, self.window, self.deadline).await;
                    if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Late)) {
                        self.give_up_channel();
                    }
                    outcomes
                }
                Err(error) => vec![Outcome::Failed(error); parcels.len()],
            };
            let mut outcomes = outcomes.into_iter();
            for Job { parcels, answer } in group {
                // Who has gone away does not want to know.
                drop(answer.send(outcomes.by_ref().take(parcels.len()).collect()));
            }
        }
    }

    /// The channel, opened if there is none or the old one is gone. Says at once when the broker is not there.
    async fn channel(&mut self) -> Result<Channel, Error> {
        let up = self.link.up()?;
        up.open_for(self.patience).await?;
        if let Some((of, channel)) = &self.lane
            && of.epoch == up.epoch
            && channel.status().connected()
        {
            return Ok(channel.clone());
        }
        let channel = up.channel().await?;
        call("asking for confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        self.lane = Some((up, channel.clone()));
        Ok(channel)
    }

    /// Confirms that are overdue would pile up in the client as long as their channel lives.
    fn give_up_channel(&mut self) {
        if let Some((_, channel)) = self.lane.take() {
            drop(task::spawn("bus-channel-end", async move {
                drop(call("closing a channel", channel.close(200, "confirms are overdue".into())).await);
            }));
        }
    }
}

async fn send(channel: &Channel, parcels: &[&Parcel], window: usize, deadline: Duration) -> Vec<Outcome> {
    let mut answers: Vec<Option<lapin::Result<Confirmation>>> = Vec::with_capacity(parcels.len());
    answers.resize_with(parcels.len(), || None);
    let mut sent_at = VecDeque::with_capacity(window);
    // The first that is not answered, and the first that is not sent.
    let (mut oldest, mut next) = (0, 0);
    let mut flight = FuturesUnordered::new();
    loop {
        // New ones are polled first in the order in which they are pushed, and the first poll sends.
        while flight.len() < window && next < parcels.len() {
            flight.push(one(channel, next, parcels[next]));
            sent_at.push_back(Instant::now());
            next += 1;
        }
        let Some(since) = sent_at.front() else { break };
        match timeout_at(*since + deadline, flight.next()).await {
            Ok(Some((index, answer))) => answers[index] = Some(answer),
            Ok(None) | Err(_) => break,
        }
        while oldest < next && answers[oldest].is_some() {
            oldest += 1;
            sent_at.pop_front();
        }
    }
    let whole = next == parcels.len() && oldest == parcels.len();
    // What the broker answers to this was sent after every return that belongs to an answer we have.
    let told =
        whole || call("asking whether all was heard", channel.basic_qos(1, BasicQosOptions::default())).await.is_ok();
    let returned: HashSet<(ShortString, ShortString)> = answers.iter_mut().flatten().filter_map(returned).collect();
    let judge = |(parcel, answer): (&&Parcel, Option<lapin::Result<Confirmation>>)| match answer {
        None => Outcome::Late,
        Some(Err(error)) => Outcome::Failed(unavailable(error)),
        Some(Ok(Confirmation::Ack(_))) if !parcel.mandatory => Outcome::Taken,
        Some(Ok(Confirmation::Ack(_))) if !told => Outcome::Late,
        Some(Ok(Confirmation::Ack(_))) => {
            let is_returned = !returned.is_empty() && returned.contains(&(parcel.id.clone(), parcel.key.clone()));
            if is_returned { Outcome::Returned } else { Outcome::Taken }
        }
        Some(Ok(_)) => Outcome::Failed(unavailable("the broker refused the message; is its queue full?")),
    };
    parcels.iter().zip(answers).map(judge).collect()
}

async fn one(channel: &Channel, index: usize, parcel: &Parcel) -> (usize, lapin::Result<Confirmation>) {
    let options = BasicPublishOptions { mandatory: parcel.mandatory, immediate: false };
    let exchange = ShortString::from(parcel.exchange);
    let published =
        channel.basic_publish(exchange, parcel.key.clone(), options, &parcel.body, parcel.properties.clone());
    let answer = async { published.await?.await };
    (index, answer.await)
}

/// Which message a confirm brought back, which need not be the one it confirms.
fn returned(answer: &mut lapin::Result<Confirmation>) -> Option<(ShortString, ShortString)> {
    match answer {
        Ok(Confirmation::Ack(message) | Confirmation::Nack(message)) => {
            let message = message.take()?;
            let id = message.properties.message_id().clone().unwrap_or_default();
            Some((id, message.routing_key.clone()))
        }
        _ => None,
    }
}
