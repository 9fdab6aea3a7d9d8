//! Making the register anew, and reading kept reports again with a newer reader.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;

use super::error::Error;
use super::history::FoldFrom;
use super::identity::Identity;
use super::start::{self, From, Started};
use super::{Healing, Hooks, Ledger, Options};
use crate::domain::digest::Sha256;
use crate::domain::event::{Fact, ReportReread};
use crate::domain::report::ReportFacts;

/// What a rebuild made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Records in the new register.
    pub records: u64,
    /// The last batch folded in.
    pub seq: u64,
    /// What else was mended on the way.
    pub healings: Vec<Healing>,
}

/// Makes the register anew from the journal, into a new folder; this is also how its space comes back.
///
/// The ledger must not be open elsewhere. The journal is not changed.
pub fn rebuild(dir: &Path, options: Options, from: FoldFrom) -> Result<Rebuilt, Error> {
    if Identity::read(dir)?.is_none() {
        let what = format!("there is no {}", Identity::NAME);
        return Err(Error::NotALedger { dir: dir.to_owned(), what });
    }
    let hooks = Hooks::default();
    let started = start::start(dir, &options, &*hooks.handles, From::Journal(from), Timestamp::now())?;
    let Started { fleet, mut register, writer, mut healings, lock, .. } = started;
    register.flush().map_err(|e| Error::Register { dir: dir.to_owned(), what: e.to_string() })?;
    drop(register);
    healings.retain(|healing| match healing {
        Healing::RegisterRebuilt { set_aside, .. } => {
            // The new one is whole; that the old one stays behind would only cost space.
            if let Some(dir) = set_aside {
                let _ = std::fs::remove_dir_all(dir);
            }
            false
        }
        Healing::TornTail { .. }
        | Healing::ConfirmedBatchLost { .. }
        | Healing::SnapshotsMovedAway { .. }
        | Healing::SealUndone { .. }
        | Healing::SealFinished { .. } => true,
    });
    drop(lock);
    Ok(Rebuilt { records: fleet.records(), seq: writer.link.seq, healings })
}

/// What reading the kept reports again brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reread {
    /// Reports whose bytes were read.
    pub read: u64,
    /// Of these, with other facts than before; each is an event now.
    pub mended: u64,
    /// Reports whose bytes are no longer kept, or that the reader refuses: they stay as they are.
    pub left: u64,
}

/// Events that go into one append.
const CHUNK: usize = 500;

impl Ledger {
    /// Reads every kept report with a newer reader (of version `parser`); where that gives other facts, a
    /// [`Fact::ReportReread`] is written. The journal stays the truth, and a second run writes nothing.
    ///
    /// A reader that finds another instance or report id in the bytes is not believed: that would be
    /// another report.
    pub fn reread(
        &self,
        at: Timestamp,
        parser: u32,
        read: &dyn Fn(&[u8]) -> Option<ReportFacts>,
    ) -> Result<Reread, Error> {
        let mut known: HashMap<Sha256, ReportFacts> = HashMap::new();
        self.events(None, &mut |event| {
            if let Fact::ReportReread(fact) = &event.fact {
                known.insert(fact.object, fact.report.clone());
            }
            ControlFlow::Continue(())
        })?;
        let mut done = Reread::default();
        let mut facts = Vec::new();
        let mut failure = None;
        let mut objects = self.objects();
        self.events(None, &mut |event| {
            let Fact::ReportCollected(fact) = &event.fact else { return ControlFlow::Continue(()) };
            let object = match objects.read(&fact.object) {
                Ok(object) => object,
                Err(cause) => {
                    failure = Some(cause);
                    return ControlFlow::Break(());
                }
            };
            let before = known.get(&fact.object).unwrap_or(&fact.report);
            let same = |report: &ReportFacts| (&report.udi, report.report_id) == (&before.udi, before.report_id);
            let Some(report) = object.and_then(|bytes| read(&bytes)).filter(same) else {
                done.left += 1;
                return ControlFlow::Continue(());
            };
            done.read += 1;
            if report != *before {
                done.mended += 1;
                known.insert(fact.object, report.clone());
                facts.push(Fact::ReportReread(ReportReread { report, object: fact.object, parser }));
            }
            if facts.len() >= CHUNK
                && let Err(cause) = self.append(at, std::mem::take(&mut facts), Vec::new())
            {
                failure = Some(cause);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        if let Some(cause) = failure {
            return Err(cause);
        }
        self.append(at, facts, Vec::new())?;
        Ok(done)
    }
}
