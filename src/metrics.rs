//! Every metric, in one place and handed in: what is counted while the daemon works ([`Metrics`]), and what the fleet
//! adds up to ([`text::fleet`]). Nothing is registered anywhere.
//!
//! A name begins with `slp_` and is in base units. Labels are words of closed sets, sites, sinks, and devices of the
//! inventory; so the operator's files bound how many series there are.

mod family;
mod text;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::domain::event::Blame;
use crate::domain::settings::words;

pub use family::{FAMILIES, Family, Type};
pub use text::{Ledger, fleet, own};

/// The upper bounds of the histogram of poll durations, in seconds.
const BOUNDS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// What is counted from the daemon's start.
#[derive(Debug, Default)]
pub struct Metrics {
    polls: Mutex<Polls>,
    sinks: Mutex<BTreeMap<String, Sink>>,
    posts: Mutex<BTreeMap<Posted, u64>>,
    turned: Mutex<Option<(Instant, Timestamp)>>,
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PollOutcome {
    Answered,
    Unreachable,
    Refused,
    Untrusted,
    Misbehaved,
    Unsupported,
    Ours,
    /// Nothing was sent: its credential is held, or the way to its site is broken.
    NotTried,
}
words!(PollOutcome {
    Answered = "answered",
    Unreachable = "unreachable",
    Refused = "refused",
    Untrusted = "untrusted",
    Misbehaved = "misbehaved",
    Unsupported = "unsupported",
    Ours = "ours",
    NotTried = "not-tried",
});

impl From<Option<Blame>> for PollOutcome {
    fn from(blame: Option<Blame>) -> Self {
        match blame {
            None => PollOutcome::Answered,
            Some(Blame::Unreachable) => PollOutcome::Unreachable,
            Some(Blame::Refused) => PollOutcome::Refused,
            Some(Blame::Untrusted) => PollOutcome::Untrusted,
            Some(Blame::Misbehaved) => PollOutcome::Misbehaved,
            Some(Blame::Unsupported) => PollOutcome::Unsupported,
            Some(Blame::Ours) => PollOutcome::Ours,
        }
    }
}

/// How a try to hand a snapshot over ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Posted {
    Taken,
    /// Tried again.
    Failed,
    /// For good.
    Refused,
}
words!(Posted { Taken = "taken", Failed = "failed", Refused = "refused" });

#[derive(Clone, Debug, Default)]
struct Polls {
    outcomes: BTreeMap<PollOutcome, u64>,
    /// So many dialogues took at most each of [`BOUNDS`], and longer than the one before it.
    durations: [u64; BOUNDS.len()],
    longer: u64,
    seconds: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sink {
    messages: u64,
    errors: u64,
}

impl Metrics {
    /// A dialogue with a device ended.
    pub fn polled(&self, outcome: PollOutcome, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut polls = held(&self.polls);
        *polls.outcomes.entry(outcome).or_default() += 1;
        polls.seconds += seconds;
        match BOUNDS.iter().position(|bound| seconds <= *bound) {
            Some(at) => polls.durations[at] += 1,
            None => polls.longer += 1,
        }
    }

    /// A device had its turn, and nothing was sent to it.
    pub fn not_tried(&self) {
        *held(&self.polls).outcomes.entry(PollOutcome::NotTried).or_default() += 1;
    }

    /// These sinks are configured: their series begin at 0, so that the first error is an increase.
    pub fn sinks<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let mut sinks = held(&self.sinks);
        for name in names {
            sinks.entry(name.to_owned()).or_default();
        }
    }

    /// A sink took a message.
    pub fn sink_sent(&self, name: &str) {
        held(&self.sinks).entry(name.to_owned()).or_default().messages += 1;
    }

    /// A sink did not take a message; it is tried again.
    pub fn sink_error(&self, name: &str) {
        held(&self.sinks).entry(name.to_owned()).or_default().errors += 1;
    }

    /// A try to hand a snapshot over ended.
    pub fn posted(&self, how: Posted) {
        *held(&self.posts).entry(how).or_default() += 1;
    }

    /// The daemon's loop turned.
    pub fn turned(&self, now: Timestamp) {
        *held(&self.turned) = Some((Instant::now(), now));
    }

    /// How long ago the loop turned; `None` before its first turn.
    pub fn still(&self) -> Option<Duration> {
        held(&self.turned).map(|(at, _)| at.elapsed())
    }
}

/// Counters stay good, whoever panicked while counting.
fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
