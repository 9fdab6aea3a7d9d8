//! How much of one licence one chassis counted, and when: measured by its reports, without a guess in between.
//!
//! The rules by which many reports become one quantity over time:
//!
//! * **Once.** A report that comes a second time is the same report: a chassis and a number. The first one counts.
//! * **Times are the device's own**, to the second, half-open: a measurement holds from its start until just before its
//!   end, and at its end too where nothing follows.
//! * **Overlap within a chassis**: the report with the higher number counts, and in one report the later measurement.
//!   Numbers count up whatever a clock does, so that a report that a wrong clock ended in the far future hides none of
//!   those after it.
//! * **Overlap between the chassis of one instance** (a pair after a switch-over, the members of a stack): they count
//!   the same licences, so that one counts: the one whose report ended later. Nothing is ever added up; what a pair or
//!   stack uses is in the report of whoever was active.
//! * **A chassis that was of a pair or stack and is not any more** signed reports of both. Each is of those whom it
//!   names (`ha_udi`), and goes with them; what polls saw goes by who answered as one then ([`Chassis::part`]).
//! * **A clock that was moved** within a measurement (`clock_change_delta`) is told as a [`Change`], and moves nothing:
//!   devices state such a measurement to begin where the one before it ended, by the old clock, and what was signed
//!   keeps the times that were signed. Only time that nobody lived is not taken for measured: a measurement in which
//!   the clock was moved forward, or which would end before it begins, is taken to begin at the start as the new clock
//!   would have shown it. (Of the recorded C9800-CL, set back, the number of samples fits the time between these two,
//!   and not the one that is stated.) By how much all of this may be wrong is told beside it: [`uncertainty`].
//! * **A reload** ends a measurement and is told; what comes until the next one begins is a gap.
//! * **A gap stays a gap.** No report, no quantity; in particular not 0.
//! * **Between reports** the count that polls saw fills in, marked observed ([`History::of`]). It never replaces what
//!   was measured, and neither peak nor average is taken from it.
//!
//! What comes out depends on the reports alone, not on the order in which they came.

mod clock;
mod company;
mod consumption;
mod devices;
mod history;
mod named;
mod note;
mod observed;
mod sweep;

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use clock::{Skew, uncertainty};
pub use company::Together;
pub use consumption::{Chassis, Chronicle, Consumption, Part, Reach, Unreadable};
pub use devices::{Contact, Devices, Sighted};
pub use history::{History, Origin, Peak, Run, Share};
pub use named::{Called, Named};
pub use note::{Note, Reading, Saying, sayings};
pub use observed::{Licence, Observed, observed};

use super::digest::Sha256;
use super::instance::Udi;
use super::report::{Measurement, ReportFacts, ReportId};
use sweep::{Piece, Rank};

/// Whole seconds of Unix time; devices tell no others.
pub type Seconds = i64;

/// The reports of one licence that one chassis signed, as stretches with a value.
///
/// Compact: 32 bytes a stretch and 40 a report, and a report usually is one stretch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// In the order of reports, those of one report in the order of their start; they may overlap.
    stretches: Vec<Stretch>,
    /// In the order of their numbers.
    sources: Vec<Source>,
    changes: Vec<Change>,
    /// The first instant that any report measured, whether it is still held or not.
    first: Option<Seconds>,
}

/// A time with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    report: ReportId,
    start: Seconds,
    end: Seconds,
    value: u64,
}

/// A report and where its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub report: ReportId,
    /// The signed bytes, an object of the ledger.
    pub object: Sha256,
}

/// Something that a report tells beside the count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub at: Seconds,
    pub report: ReportId,
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum What {
    /// The clock was moved by so many seconds, at some time in the measurement that began then.
    ClockMoved(i64),
    /// The device reloaded: nothing was measured from here to the next measurement.
    Reloaded,
    /// A member is counted no more.
    Left(Udi),
    /// A member began to be counted: an access point that joined.
    Joined(Udi),
}

impl Timeline {
    /// Takes a report in; `false` where it is there already, or counts nothing.
    ///
    /// Of what ended before `since` only the latest stretch is kept: it tells when was last measured, and no instant
    /// from `since` on depends on more.
    pub fn take(&mut self, facts: &ReportFacts, object: Sha256, since: Seconds) -> bool {
        self.add(Reading::of(facts, object), since)
    }

    /// The same of a report of which nothing else is left.
    pub fn add(&mut self, reading: Reading, since: Seconds) -> bool {
        let Reading { source, counts, span: _, stretches, changes, with: _, tells_nobody: _ } = reading;
        let id = source.report;
        let Err(place) = self.sources.binary_search_by_key(&id, |source| source.report) else { return false };
        if !counts {
            return false;
        }
        if !changes.is_empty() {
            self.changes.extend(changes.into_iter().map(|(at, what)| Change { at, report: id, what }));
            // A report that was let go of may come again.
            self.changes.sort();
            self.changes.dedup();
        }
        self.sources.insert(place, source);
        self.first = stretches.first().map(|(start, ..)| *start).into_iter().chain(self.first).min();
        let at = self.stretches.partition_point(|stretch| stretch.report < id);
        let own = stretches.into_iter().map(|(start, end, value)| Stretch { report: id, start, end, value });
        self.stretches.splice(at..at, own);
        self.forget_before(since);
        true
    }

    /// Lets go of a report, if it is held and has these bytes.
    pub fn forget(&mut self, report: ReportId, object: Sha256) -> bool {
        let held = self.source(report).is_some_and(|source| source.object == object);
        if held {
            self.stretches.retain(|stretch| stretch.report != report);
            self.changes.retain(|change| change.report != report);
            self.sources.retain(|source| source.report != report);
        }
        held
    }

    /// Those reports of it. When the first of all began is known to whom the earliest that is held is.
    pub(super) fn part(&self, of: impl Fn(ReportId) -> bool) -> Timeline {
        let stretches: Vec<Stretch> = self.stretches.iter().filter(|one| of(one.report)).copied().collect();
        let earliest = |stretches: &[Stretch]| stretches.iter().map(|one| (one.start, one.report)).min();
        let own = earliest(&stretches);
        let first = if own == earliest(&self.stretches) { self.first } else { own.map(|(start, _)| start) };
        Timeline {
            stretches,
            sources: self.sources.iter().filter(|one| of(one.report)).copied().collect(),
            changes: self.changes.iter().filter(|one| of(one.report)).cloned().collect(),
            first,
        }
    }

    fn forget_before(&mut self, since: Seconds) {
        let past = |stretch: &Stretch| stretch.end < since;
        let latest = self.stretches.iter().filter(|one| past(one)).map(|one| (one.end, one.report)).max();
        if let Some(latest) = latest {
            self.stretches.retain(|one| !past(one) || (one.end, one.report) == latest);
            let held = |id: ReportId| self.stretches.binary_search_by_key(&id, |one| one.report).is_ok();
            self.sources.retain(|source| held(source.report));
        }
    }

    /// The first instant that any report measured.
    pub fn first(&self) -> Option<Seconds> {
        self.first
    }

    /// The reports that are held, in the order of their numbers.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub fn source(&self, report: ReportId) -> Option<&Source> {
        let at = self.sources.binary_search_by_key(&report, |source| source.report).ok()?;
        self.sources.get(at)
    }

    /// What the reports tell beside the count, in the order of time.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// What it measured: in order, without overlap. `chassis` is its number among those of the instance.
    fn pieces(&self, chassis: u32) -> Vec<Piece> {
        let closed = |id: ReportId| self.of(id).iter().map(|one| one.end).max().unwrap_or(Seconds::MIN);
        let mut pieces = Vec::with_capacity(self.stretches.len());
        let mut last: Option<(ReportId, Seconds)> = None;
        for stretch in &self.stretches {
            let closed = match last {
                Some((id, closed)) if id == stretch.report => closed,
                Some(_) | None => closed(stretch.report),
            };
            last = Some((stretch.report, closed));
            // Within a chassis the number decides alone.
            let rank = Rank { closed: 0, report: stretch.report.0, chassis };
            pieces.push(Piece { start: stretch.start, end: stretch.end, value: stretch.value, rank });
        }
        let mut settled = sweep::settle(&pieces);
        for piece in &mut settled {
            piece.rank.closed = closed(ReportId(piece.rank.report));
        }
        settled
    }

    fn of(&self, id: ReportId) -> &[Stretch] {
        let from = self.stretches.partition_point(|one| one.report < id);
        let to = self.stretches.partition_point(|one| one.report <= id);
        self.stretches.get(from..to).unwrap_or_default()
    }
}

/// What the chassis of one instance measured of one licence: in order, without overlap, never added up.
pub fn measured(timelines: &[&Timeline]) -> Vec<Run> {
    let numbered = timelines.iter().zip(0u32..);
    let pieces: Vec<Piece> = numbered.flat_map(|(timeline, chassis)| timeline.pieces(chassis)).collect();
    let run = |piece: Piece| Run {
        start: piece.start,
        end: piece.end,
        value: piece.value,
        origin: Origin::Report { chassis: piece.rank.chassis, report: ReportId(piece.rank.report) },
    };
    history::joined(sweep::settle(&pieces).into_iter().map(run))
}

/// The members that the chassis of one instance counted at an instant, as far as their reports told who joined and who
/// left: access points of a controller, whichever of its chassis was active then.
pub fn members_at<'t>(timelines: &[&'t Timeline], at: Seconds) -> BTreeSet<&'t Udi> {
    let mut changes: Vec<&Change> = timelines.iter().flat_map(|timeline| timeline.changes()).collect();
    changes.retain(|change| change.at <= at);
    changes.sort();
    let mut members = BTreeSet::new();
    for change in changes {
        match &change.what {
            What::Joined(udi) => drop(members.insert(udi)),
            What::Left(udi) => drop(members.remove(udi)),
            What::ClockMoved(_) | What::Reloaded => {}
        }
    }
    members
}

/// When a measurement held, if it lasted at all.
fn time(measured: &Measurement) -> Option<Range<Seconds>> {
    let (start, end) = (measured.start?.as_second(), measured.end?.as_second());
    let moved = measured.clock_change_seconds.unwrap_or(0);
    let by_new_clock = start.checked_add(moved);
    let start = match by_new_clock {
        Some(later) if moved > 0 && later <= end => later,
        Some(earlier) if moved < 0 && end <= start => earlier,
        Some(_) | None => start,
    };
    (end > start).then_some(start..end)
}

/// What a measurement tells beside the count, and when.
fn changes(measured: &Measurement) -> impl Iterator<Item = (Seconds, What)> {
    let (start, end) = (measured.start.map(Timestamp::as_second), measured.end.map(Timestamp::as_second));
    let clock = measured.clock_change_seconds.filter(|moved| *moved != 0);
    let reasons = || [&measured.termination_reason, &measured.close_reason].into_iter().flatten();
    let reloaded = reasons().any(|reason| reason.eq_ignore_ascii_case("ProductReload"));
    let clock = start.zip(clock.map(What::ClockMoved));
    let reload = end.filter(|_| reloaded).map(|end| (end, What::Reloaded));
    let joined = measured.added.iter().filter_map(move |udi| Some((start?, What::Joined(udi.clone()))));
    let left = measured.removed.iter().filter_map(move |udi| Some((start?, What::Left(udi.clone()))));
    clock.into_iter().chain(reload).chain(left).chain(joined)
}

#[cfg(test)]
mod tests;
