//! Snapshots by schedule: one run at a time, away from the async threads.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::flow::consumption::Snapped;
use crate::flow::{Error, House, published};

/// So long is waited after a run that failed: the folder may be one that is mounted again by then.
const AGAIN: Duration = Duration::from_secs(15 * 60);

/// What a run came to.
pub(super) type Made = Result<(Timestamp, Result<Vec<Snapped>, Error>), JoinError>;

/// The run under way, and when the next may begin.
#[derive(Default)]
pub(super) struct Publishing {
    running: JoinSet<(Timestamp, Result<Vec<Snapped>, Error>)>,
    not_before: Option<Instant>,
}

impl Publishing {
    /// Begins a run that is due; when to look again.
    pub async fn look(&mut self, house: &Arc<House>, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        if published::begins(house) {
            published::note(house, now, 0).await?;
        }
        let may = self.not_before.is_none_or(|at| at <= Instant::now());
        if let Some(due) = published::due(house, now).filter(|_| may && self.running.is_empty()) {
            let house = house.clone();
            self.running.spawn_blocking(move || (due, published::run(&house, due)));
        }
        Ok(published::next(house, now))
    }

    /// Waits for the end of a run; `None`: there is none.
    pub async fn made(&mut self) -> Option<Made> {
        self.running.join_next().await
    }

    /// Puts it on record, or leaves it for later.
    pub async fn ended(&mut self, house: &House, made: Made) -> Result<(), Error> {
        let failed = match made {
            Ok((due, Ok(made))) => {
                for snapped in &made {
                    let (snapshot, corrects) = (&snapped.head.snapshot_id, snapped.head.corrects.as_ref());
                    let (path, corrects) = (snapped.path.display(), corrects.map(ToString::to_string));
                    tracing::info!(%snapshot, as_of = %snapped.head.as_of, %path, corrects, "snapshot published");
                }
                self.not_before = None;
                published::note(house, due, made.len() as u64).await?;
                tracing::info!(files = made.len(), "snapshots are up to date");
                return Ok(());
            }
            Ok((_, Err(Error::Ledger(error)))) if error.ends_writing() => return Err(error.into()),
            Ok((_, Err(error))) => error.to_string(),
            Err(panic) => format!("ended abnormally: {panic}"),
        };
        tracing::error!(error = failed, again_after = ?AGAIN, "no snapshot was published; it is tried again");
        self.not_before = Some(Instant::now() + AGAIN);
        Ok(())
    }
}
