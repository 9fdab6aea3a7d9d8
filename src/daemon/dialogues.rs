//! Dialogues with devices, so many at a time as are allowed: polls, and answers delivered.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use crate::control;
use crate::domain::fleet::AnswerKey;
use crate::domain::instance::DeviceName;
use crate::domain::plan::PollTask;
use crate::flow::{Error, House, deliver};

/// How a dialogue ended.
pub(super) type Ended = Result<Result<Done, Error>, JoinError>;

/// What a dialogue came to.
pub(super) enum Done {
    Poll {
        failed: bool,
    },
    /// Nothing was sent: the way to its site is broken.
    PutOff(DeviceName),
    Delivery(AnswerKey),
}

/// Dialogues under way, and those that wait for a place.
#[derive(Default)]
pub(super) struct Dialogues {
    polls: VecDeque<PollTask>,
    deliveries: VecDeque<AnswerKey>,
    /// Answers on their way, so that no second delivery of them is started.
    delivering: BTreeSet<AnswerKey>,
    running: JoinSet<Result<Done, Error>>,
}

impl Dialogues {
    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.running.len()
    }

    /// Does any wait for a place?
    pub fn any_waits(&self) -> bool {
        !self.polls.is_empty() || !self.deliveries.is_empty()
    }

    /// Takes what is to be polled, behind all that waits.
    pub fn poll(&mut self, tasks: Vec<PollTask>) {
        self.polls.extend(tasks);
    }

    /// Takes answers that are to be delivered, as far as they are not on their way.
    pub fn deliver(&mut self, answers: Vec<AnswerKey>) {
        self.deliveries.extend(answers.into_iter().filter(|key| self.delivering.insert(key.clone())));
    }

    /// Lets go of what was not begun; the polls of that.
    pub fn recall(&mut self) -> VecDeque<PollTask> {
        for key in self.deliveries.drain(..) {
            self.delivering.remove(&key);
        }
        std::mem::take(&mut self.polls)
    }

    /// Fills the free places, answers first.
    pub fn begin(&mut self, house: &Arc<House>) {
        while self.running.len() < house.config.poll.concurrency {
            let house = house.clone();
            if let Some(key) = self.deliveries.pop_front() {
                self.running.spawn(async move { deliver(&house, key).await });
            } else if let Some(task) = self.polls.pop_front() {
                self.running.spawn(async move { poll(&house, task).await });
            } else {
                break;
            }
        }
    }

    /// Waits for the end of a dialogue; `None`: none is under way.
    pub async fn ended(&mut self) -> Option<Ended> {
        self.running.join_next().await
    }

    /// Takes note of how it ended; what it came to, if to anything.
    pub fn note(&mut self, ended: Ended) -> Result<Option<Done>, Error> {
        let done = match ended {
            Ok(Ok(done)) => Some(done),
            Ok(Err(Error::Ledger(error))) if error.ends_writing() => return Err(error.into()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "left for the next plan");
                None
            }
            Err(panic) => {
                tracing::error!(%panic, "a dialogue ended abnormally; the next run tries again");
                None
            }
        };
        if let Some(Done::Delivery(key)) = &done {
            self.delivering.remove(key);
        }
        if self.running.is_empty() {
            // What failed half-way is planned again like everything else.
            self.delivering.clear();
        }
        Ok(done)
    }
}

async fn deliver(house: &Arc<House>, key: AnswerKey) -> Result<Done, Error> {
    let delivered = deliver::deliver(house, &key).await?;
    tracing::info!(device = %delivered.device, answer = %delivered.name,
        outcome = ?delivered.outcome, "answer delivered");
    Ok(Done::Delivery(key))
}

async fn poll(house: &House, task: PollTask) -> Result<Done, Error> {
    let Some(polled) = control::poll_task(house, &task).await? else { return Ok(Done::Poll { failed: false }) };
    if polled.not_before.is_some() {
        // Said once, when the circuit opened.
        return Ok(Done::PutOff(polled.device));
    }
    let device = &polled.device;
    for problem in &polled.problems {
        tracing::warn!(%device, problem, "told by the poll; the rest of the answer is kept");
    }
    match &polled.failure {
        Some((blame, cause)) => {
            let blame = serde_json::to_value(blame).unwrap_or_default();
            tracing::warn!(%device, %blame, cause, "poll failed; the next run tries again");
        }
        None => tracing::debug!(%device, collected = polled.collected, missing = polled.missing, "polled"),
    }
    Ok(Done::Poll { failed: polled.failure.is_some() })
}
