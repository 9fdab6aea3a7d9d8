//! People told: the fleet judged, messages sent to sinks, one at a time to each, and the heartbeat.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::flow::tell::{self, Errand, Outbox, Sent};
use crate::flow::{Error, House};

/// The fleet is judged, and people are told, at most this often, unless something was changed by a person.
const JUDGE: Duration = Duration::from_secs(30);

/// How sending one message to one sink ended.
pub(super) type Told = Result<(Errand, Result<Sent, Error>), JoinError>;

/// Messages on their way, and those that wait.
#[derive(Default)]
pub(super) struct Telling {
    /// When everything was looked at last.
    judged: Option<Instant>,
    outbox: Outbox,
    running: JoinSet<(Errand, Result<Sent, Error>)>,
    /// The heartbeat, one at a time.
    beating: JoinSet<()>,
}

impl Telling {
    /// The fleet is judged at the next turn, however lately it was.
    pub fn hurry(&mut self) {
        self.judged = None;
    }

    /// Sinks may be others now: none has to wait for what came of the one before.
    pub fn reconfigure(&mut self) {
        self.outbox.rested();
        self.hurry();
    }

    /// Is it time to judge the fleet?
    pub fn is_due(&self) -> bool {
        self.judged.is_none_or(|judged| judged.elapsed() >= JUDGE)
    }

    /// Finds what is to be told, and says to the outside that all of this goes on.
    pub async fn judge(&mut self, house: &Arc<House>) -> Result<(), Error> {
        self.judged = Some(Instant::now());
        match tell::judge(house).await {
            Ok(()) => {}
            Err(Error::Ledger(error)) if error.ends_writing() => return Err(error.into()),
            // Reports are collected all the same.
            Err(error) => tracing::error!(%error, "the fleet was not judged, and nobody is told; tried again"),
        }
        while self.beating.try_join_next().is_some() {}
        if self.beating.is_empty() {
            let house = house.clone();
            self.beating.spawn(async move { tell::heartbeat(&house).await });
        }
        Ok(())
    }

    /// Sends what waits to every sink that is free; when to look again.
    pub fn send(&mut self, house: &Arc<House>) -> Option<Timestamp> {
        let now = house.clock.now();
        let errands = self.outbox.errands(&house.ledger.fleet(), now);
        for errand in errands {
            let house = house.clone();
            self.running.spawn(async move {
                let told = tell::send(&house, &errand).await;
                (errand, told)
            });
        }
        self.outbox.wake(now)
    }

    /// Waits until a sink has taken a message, or has not; `None`: none is on its way.
    pub async fn ended(&mut self) -> Option<Told> {
        self.running.join_next().await
    }

    /// Takes note of how a message's way ended; the next one for the sink may be waiting.
    pub fn note(&mut self, told: Told, now: Timestamp) -> Result<(), Error> {
        match told {
            Ok((errand, Ok(how))) => self.outbox.ended(&errand, how, now),
            Ok((_, Err(Error::Ledger(error)))) if error.ends_writing() => return Err(error.into()),
            Ok((errand, Err(error))) => {
                let sink = &errand.sink;
                tracing::warn!(%sink, %error, "a message went out, which is not on record; it goes out again");
                self.outbox.ended(&errand, Sent::NotNow, now);
            }
            Err(panic) => {
                tracing::error!(%panic, "telling ended abnormally; what waits goes out again");
                self.outbox = Outbox::default();
            }
        }
        Ok(())
    }
}
