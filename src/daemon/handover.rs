//! Snapshots to their receiver: one pass at a time, beside everything else.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::flow::{Error, House, handover};

/// So long is waited when the ledger does not take what happened: nothing is sent again and again.
const AGAIN: Duration = Duration::from_secs(60);

/// What a pass came to: the keys of what was taken.
pub(super) type Passed = Result<Result<Vec<String>, Error>, JoinError>;

/// The pass under way, and when the next may begin.
#[derive(Default)]
pub(super) struct HandingOver {
    running: JoinSet<Result<Vec<String>, Error>>,
    not_before: Option<Instant>,
}

impl HandingOver {
    /// Begins a pass if one is due; when to look again.
    pub fn look(&mut self, house: &Arc<House>, now: Timestamp) -> Option<Timestamp> {
        let due = handover::due(house, now)?;
        if due > now || !self.running.is_empty() {
            return Some(due).filter(|due| *due > now);
        }
        if self.not_before.is_some_and(|at| at > Instant::now()) {
            return None;
        }
        let house = house.clone();
        self.running.spawn(async move { handover::pass(&house).await });
        None
    }

    /// Waits for the end of a pass; `None`: there is none.
    pub async fn ended(&mut self) -> Option<Passed> {
        self.running.join_next().await
    }

    /// Takes note of how it ended; each try is on record already.
    pub fn note(&mut self, passed: Passed) -> Result<(), Error> {
        let failed = match passed {
            Ok(Ok(_)) => {
                self.not_before = None;
                return Ok(());
            }
            Ok(Err(Error::Ledger(error))) if error.ends_writing() => return Err(error.into()),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("ended abnormally: {panic}"),
        };
        tracing::error!(error = failed, again_after = ?AGAIN, "a try is not on record; it goes out again under its key");
        self.not_before = Some(Instant::now() + AGAIN);
        Ok(())
    }
}
