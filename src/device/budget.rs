//! The memory that all polls in flight may fill together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const UNIT: u64 = 4096;

/// A budget of bytes, shared by all sessions.
#[derive(Clone, Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    all: u32,
}

/// A part of the budget, given back when dropped.
#[derive(Debug, Default)]
pub struct Share {
    permit: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Gives back what goes beyond `bytes`, once it is known how large a body is.
    pub fn keep(&mut self, bytes: u64) {
        let units = usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX);
        if let Some(permit) = &mut self.permit {
            drop(permit.split(permit.num_permits().saturating_sub(units)));
        }
    }
}

impl Budget {
    /// A budget of `bytes`, rounded up to whole pages of 4 KiB.
    pub fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX >> 4).min(u32::MAX >> 4);
        Budget { units: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits until `bytes` are free. The whole of a body is taken at once, before it is read, so
    /// that two half-read bodies never wait for each other. More than the budget takes all of it.
    pub async fn share(&self, bytes: u64) -> Share {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(self.all).min(self.all);
        Share { permit: self.units.clone().acquire_many_owned(units).await.ok() }
    }

    /// Bytes free now.
    pub fn free(&self) -> u64 {
        self.units.available_permits() as u64 * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_share_comes_back_and_the_largest_takes_all() {
        let budget = Budget::new(40_960);
        let share = budget.share(10_000).await;
        assert_eq!(budget.free(), 40_960 - 3 * 4096);
        drop(share);
        let mut share = budget.share(u64::MAX).await;
        share.keep(4097);
        assert_eq!(budget.free(), 40_960 - 2 * 4096);
        share.keep(u64::MAX);
        assert_eq!(budget.free(), 40_960 - 2 * 4096);
        drop(share);
        let all = budget.share(u64::MAX).await;
        assert_eq!(budget.free(), 0);
        drop(all);
        assert_eq!(budget.free(), 40_960);
    }
}
