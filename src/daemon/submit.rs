//! Reports offered to upstreams: with each one pass at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use crate::flow::submit::{self, Passed};
use crate::flow::{Error, House};

/// How a pass at the upstream of that name ended.
pub(super) type Pass = Result<(String, Result<Passed, Error>), JoinError>;

/// Passes under way.
#[derive(Default)]
pub(super) struct Submitting {
    /// The upstreams that are being talked to.
    at: BTreeSet<String>,
    running: JoinSet<(String, Result<Passed, Error>)>,
}

impl Submitting {
    /// Begins a pass at each of these where none is under way.
    pub fn begin(&mut self, house: &Arc<House>, upstreams: Vec<String>) {
        for name in upstreams {
            if self.at.insert(name.clone()) {
                let house = house.clone();
                self.running.spawn(async move {
                    let passed = submit::pass(&house, &name, false).await;
                    (name, passed)
                });
            }
        }
    }

    /// Waits for the end of a pass; `None`: there is none.
    pub async fn ended(&mut self) -> Option<Pass> {
        self.running.join_next().await
    }

    /// Takes note of how it ended; what it came to is on record, and told here once.
    pub fn note(&mut self, pass: Pass) -> Result<(), Error> {
        match pass {
            Ok((name, passed)) => {
                self.at.remove(&name);
                match passed {
                    Ok(passed) => tell(&passed),
                    Err(Error::Ledger(error)) if error.ends_writing() => return Err(error.into()),
                    Err(error) => tracing::warn!(upstream = %name, %error, "left for the next plan"),
                }
            }
            Err(panic) => {
                tracing::error!(%panic, "a pass at an upstream ended abnormally; the next plan tries again");
                self.at.clear();
            }
        }
        Ok(())
    }
}

/// What it answered, as the log has it.
fn tell(passed: &Passed) {
    let upstream = &passed.upstream;
    for line in &passed.submissions {
        let (submission, outcome) = (line.submission.as_deref().unwrap_or_default(), &line.outcome);
        tracing::info!(upstream, submission, reports = line.reports, outcome, "submission");
    }
    for left_out in &passed.left_out {
        tracing::warn!(upstream, left_out, "not submitted, or not taken home");
    }
    if let Some(failure) = &passed.failure {
        tracing::warn!(upstream, failure, "the upstream could not be talked to; the plan says when it is tried again");
    }
}
