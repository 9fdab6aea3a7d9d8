//! The figures of the fleet, computed when they are asked for and something changed, and kept until the next time.
//!
//! A scrape must not wait for a hundred thousand obligations. So whoever asks starts the computing, waits a little, and
//! takes what was computed before when that is not over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;

use super::View;
use crate::domain::overview::Overview;
use crate::metrics;

/// Devices looked at while nothing can be appended to the ledger.
const PART: usize = 5_000;
/// States and contacts change by time alone; so long nobody minds. In seconds.
const STEP: i64 = 15;

/// Everything that is answered, as of one instant.
pub(super) struct Figures {
    pub(super) view: Arc<View>,
    pub(super) overview: Overview,
    /// The fleet's part of the metrics.
    pub(super) text: Bytes,
    /// What the ledger takes on disk.
    pub(super) bytes: u64,
    /// As of which batch of the journal, and which step of time.
    state: (u64, i64),
}

/// The newest figures.
#[derive(Default)]
pub(super) struct Cache {
    newest: Mutex<Option<Arc<Figures>>>,
    /// One computes at a time.
    computing: tokio::sync::Mutex<()>,
}

impl Cache {
    /// The present figures, or after `patience` those that were there before; the first ones are waited for. `None`: a
    /// mistake of ours.
    pub(super) async fn figures(self: &Arc<Self>, view: &Arc<View>, patience: Duration) -> Option<Arc<Figures>> {
        let kept = self.newest();
        if let Some(kept) = kept.as_ref().filter(|kept| kept.are_of(view)) {
            return Some(kept.clone());
        }
        let refreshing = self.refresh(view.clone());
        let Some(kept) = kept else { return refreshing.await.ok()? };
        match tokio::time::timeout(patience, refreshing).await {
            Ok(refreshed) => refreshed.ok()?,
            Err(_) => Some(kept),
        }
    }

    /// Computes, even if nobody waits for it any more.
    pub(super) fn refresh(self: &Arc<Self>, view: Arc<View>) -> tokio::task::JoinHandle<Option<Arc<Figures>>> {
        let cache = self.clone();
        tokio::spawn(async move {
            let _turn = cache.computing.lock().await;
            if let Some(newest) = cache.newest().filter(|newest| newest.are_of(&view)) {
                return Some(newest);
            }
            let computed = tokio::task::spawn_blocking(move || Arc::new(Figures::compute(view))).await;
            let computed = computed.inspect_err(|panic| tracing::error!(%panic, "no figures of the fleet")).ok()?;
            *cache.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(computed.clone());
            Some(computed)
        })
    }

    fn newest(&self) -> Option<Arc<Figures>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Figures {
    fn compute(view: Arc<View>) -> Figures {
        let state = state(&view);
        let View { watched, settings, ledger, .. } = &*view;
        let mut overview = Overview::begun((view.now)());
        for from in (0..watched.len()).step_by(PART) {
            let part = from..watched.len().min(from + PART);
            overview.add(&ledger.fleet(), watched, part, settings);
        }
        overview.finish(&ledger.fleet(), watched, settings);
        let text = metrics::fleet(&overview, watched, view.per_device).into();
        let bytes = ledger.bytes();
        Figures { overview, text, bytes, state, view }
    }

    /// Is nothing newer known?
    fn are_of(&self, view: &Arc<View>) -> bool {
        Arc::ptr_eq(&self.view, view) && self.state == state(view)
    }
}

fn state(view: &View) -> (u64, i64) {
    (view.ledger.standing().seq, (view.now)().as_second().div_euclid(STEP))
}
