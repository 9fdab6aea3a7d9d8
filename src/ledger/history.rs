//! Reading the journal: all segments as one.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::batch::{Batch, Link};
use super::error::{Error, Place};
use super::sealed::Sealed;
use super::segment::{self, Open};
use crate::domain::digest::Sha256;
use crate::domain::event::Event;
use crate::domain::fleet::Fleet;

/// The segments as of one moment. What it names stays readable, whatever the owner does meanwhile.
#[derive(Clone)]
pub(super) struct Layout {
    pub sealed: Arc<Vec<Arc<Sealed>>>,
    pub open: Arc<Open>,
}

impl Layout {
    pub(super) fn object(&self, hash: &Sha256) -> Result<Option<Vec<u8>>, Error> {
        if let Some(bytes) = self.open.object(hash)? {
            return Ok(Some(bytes));
        }
        for sealed in self.sealed.iter().rev() {
            if let Some(bytes) = sealed.object(hash)? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Is it in a sealed segment beyond number `searched`?
    pub(super) fn has_sealed(&self, hash: &Sha256, searched: u64) -> bool {
        self.sealed.iter().rev().take_while(|sealed| sealed.number() > searched).any(|sealed| sealed.has(hash))
    }

    /// The newest sealed segment's number.
    pub(super) fn last_sealed(&self) -> u64 {
        self.sealed.last().map_or(0, |sealed| sealed.number())
    }

    /// Visits events whose instant is not before `from`, in the order of the journal.
    pub(super) fn events(
        &self,
        from: Option<Timestamp>,
        visit: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let wanted = |newest: Timestamp| from.is_none_or(|from| newest >= from);
        let mut batch = |batch: &Batch| {
            if wanted(batch.at) {
                for event in batch.events()? {
                    if wanted(event.at) && visit(&event).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        };
        let sealed = self.sealed.iter().filter(|sealed| sealed.has_events && wanted(sealed.seal.newest));
        for sealed in sealed {
            if walk_sealed(sealed, &mut batch)?.is_break() {
                return Ok(());
            }
        }
        let _ = walk_open(&self.open, &mut batch)?;
        Ok(())
    }

    /// The fold of all events whose instant is not after `instant`.
    pub(super) fn fleet_at(&self, instant: Timestamp) -> Result<Fleet, Error> {
        let kept = self.sealed.iter().rposition(|sealed| sealed.seal.newest_so_far <= instant);
        let (mut fleet, after) = match kept {
            Some(at) => (self.sealed[at].checkpoint()?, at + 1),
            None => (Fleet::default(), 0),
        };
        let mut batch = |batch: &Batch| {
            for event in batch.events()?.iter().filter(|event| event.at <= instant) {
                fleet.apply(event);
            }
            Ok(ControlFlow::Continue(()))
        };
        for sealed in &self.sealed[after..] {
            // Without a checkpoint before, the journal must be whole from its first batch on.
            if !sealed.has_events || (kept.is_none() && after == 0 && self.sealed[0].seal.first_seq != 1) {
                return Err(Error::BeforeHistory { asked: instant, oldest: sealed.seal.newest_so_far });
            }
            let _ = walk_sealed(sealed, &mut batch)?;
        }
        let _ = walk_open(&self.open, &mut batch)?;
        Ok(fleet)
    }
}

/// What is done with a batch; an error is what is wrong with it.
pub(super) type Visit<'a> = dyn FnMut(&Batch) -> Result<ControlFlow<()>, String> + 'a;

fn walk_open(open: &Open, visit: &mut Visit) -> Result<ControlFlow<()>, Error> {
    let mut link = open.start;
    chained(&mut link, visit, |visit| segment::each_batch(&mut open.batches_from(0), &open.events_path(), visit))
}

/// Walks a sealed segment's batches and compares the chain with its seal.
pub(super) fn walk_sealed(sealed: &Sealed, visit: &mut Visit) -> Result<ControlFlow<()>, Error> {
    let path = sealed.events_path();
    let before = sealed.seal.first_seq.checked_sub(1).ok_or_else(|| bad_seal(&path))?;
    let mut link = Link { seq: before, head: sealed.seal.prev };
    let walked = chained(&mut link, visit, |visit| segment::each_batch(&mut sealed.batches()?, &path, visit))?;
    if walked.is_continue() && (link != Link { seq: sealed.seal.last_seq, head: sealed.seal.head }) {
        return Err(bad_seal(&path));
    }
    Ok(walked)
}

fn bad_seal(path: &Path) -> Error {
    Error::damaged(path, Place::Whole, "it does not end where its seal says")
}

fn chained(
    link: &mut Link,
    visit: &mut Visit,
    walk: impl FnOnce(&mut Visit) -> Result<ControlFlow<()>, Error>,
) -> Result<ControlFlow<()>, Error> {
    walk(&mut |batch| {
        batch.follows(link)?;
        *link = batch.link();
        visit(batch)
    })
}
