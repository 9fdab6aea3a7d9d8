//! Reading the journal: all segments as one.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::batch::{Batch, Link};
use super::error::{Error, Place};
use super::register::Applied;
use super::sealed::{Seal, Sealed, Unpacked};
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
    pub(super) fn object(&self, hash: &Sha256, last: &mut Option<Unpacked>) -> Result<Option<Vec<u8>>, Error> {
        if let Some(bytes) = self.open.object(hash)? {
            return Ok(Some(bytes));
        }
        for sealed in self.sealed.iter().rev() {
            if let Some(bytes) = sealed.object(hash, last)? {
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

    /// From when on every event is kept; `None`: from the first one.
    pub(super) fn kept_from(&self) -> Option<Timestamp> {
        let cut = self.sealed.first().filter(|first| first.seal.first_seq != 1);
        let gone = self.sealed.iter().rev().find(|sealed| !sealed.has_events);
        gone.or(cut).map(|sealed| sealed.seal.newest_so_far)
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
        let before = |sealed: Option<&Arc<Sealed>>| {
            let oldest = sealed.map_or(instant, |sealed| sealed.seal.newest_so_far);
            Error::BeforeHistory { asked: instant, oldest }
        };
        let base = self.base(&|seal| seal.newest_so_far <= instant)?;
        let (mut fleet, after) = base.ok_or_else(|| before(self.sealed.first()))?;
        let mut batch = |batch: &Batch| {
            for event in batch.events()?.iter().filter(|event| event.at <= instant) {
                fleet.apply(event);
            }
            Ok(ControlFlow::Continue(()))
        };
        for sealed in &self.sealed[after..] {
            if !sealed.has_events {
                return Err(before(Some(sealed)));
            }
            let _ = walk_sealed(sealed, &mut batch)?;
        }
        let _ = walk_open(&self.open, &mut batch)?;
        Ok(fleet)
    }

    /// The fold at the end of the last sealed segment, from its checkpoint or, if wanted, from the first event.
    pub(super) fn fleet_sealed(&self, from: FoldFrom) -> Result<Fleet, Error> {
        let base = match from {
            FoldFrom::Checkpoint => self.base(&|_| true)?,
            FoldFrom::FirstEvent => self.base(&|_| false)?,
        };
        let (mut fleet, after) = match base {
            Some(base) => base,
            None => {
                // The first events are no longer kept: the checkpoint that was kept in their place must do.
                let at = self.sealed.iter().rposition(|sealed| !sealed.has_events).unwrap_or(0);
                (self.sealed[at].checkpoint()?, at + 1)
            }
        };
        for sealed in &self.sealed[after..] {
            let _ = walk_sealed(sealed, &mut |batch| {
                for event in &batch.events()? {
                    fleet.apply(event);
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(fleet)
    }

    /// The newest checkpoint that may be used, or nothing at all where every event is kept;
    /// with the index of the first segment that is not in it.
    fn base(&self, usable: &dyn Fn(&Seal) -> bool) -> Result<Option<(Fleet, usize)>, Error> {
        let ours = |sealed: &Arc<Sealed>| sealed.seal.schema == Applied::SCHEMA && usable(&sealed.seal);
        if let Some(at) = self.sealed.iter().rposition(ours) {
            return Ok(Some((self.sealed[at].checkpoint()?, at + 1)));
        }
        let whole = self.sealed.first().is_none_or(|first| first.seal.first_seq == 1 && first.has_events);
        Ok(whole.then(|| (Fleet::default(), 0)))
    }
}

/// Where a fold begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldFrom {
    /// The newest checkpoint.
    Checkpoint,
    /// The very first event, or the oldest that is kept.
    FirstEvent,
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

pub(super) fn bad_seal(path: &Path) -> Error {
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
