//! What polls saw: the count that a device tells of its licences when it is asked.
//!
//! The journal has a state where it differs from the one before. Until the next one the count held at every poll, as
//! long as there was contact: from the loss of contact to its return nothing was observed.

use std::ops::Range;
use std::sync::Arc;

use super::Seconds;
use super::sweep::{self, Piece, Rank};
use crate::domain::report::EntitlementTag;
use crate::domain::state::License;

/// A licence as a device names it: some accesses tell the tag that reports carry, others only a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Licence {
    Tag(EntitlementTag),
    Name(Arc<str>),
}

impl Licence {
    pub fn of(license: &License) -> Option<Licence> {
        let whole = license.entitlement_tag.as_ref().filter(|tag| tag.0.starts_with("regid."));
        let name = || license.name.clone().or_else(|| license.entitlement_tag.as_ref().map(|tag| tag.0.clone()));
        whole.map(|tag| Licence::Tag(tag.clone())).or_else(|| name().map(Licence::Name))
    }
}

/// A time in which polls saw one count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    pub start: Seconds,
    pub end: Seconds,
    pub value: u64,
}

/// What polls saw of the licences of one chassis.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sight {
    licences: Vec<(Licence, Seen)>,
    /// In contact since; `None`: contact is lost.
    since: Option<Seconds>,
}

/// What polls saw of one licence.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    past: Vec<Observed>,
    /// The count at the last poll.
    count: Option<u64>,
}

impl Seen {
    fn end(&mut self, since: Seconds, at: Seconds, keep_from: Seconds) {
        let Some(value) = self.count else { return };
        match self.past.last_mut() {
            Some(last) if last.end == since && last.value == value => last.end = at,
            Some(_) | None if since < at && at >= keep_from => {
                self.past.push(Observed { start: since, end: at, value });
            }
            Some(_) | None => {}
        }
    }
}

impl Sight {
    pub(super) fn read(&mut self, at: Seconds, told: Vec<(Licence, u64)>, keep_from: Seconds) {
        self.lost(at, keep_from);
        self.since = Some(at);
        for (_, seen) in &mut self.licences {
            seen.count = None;
        }
        for (licence, count) in told {
            match self.licences.iter_mut().find(|(known, _)| *known == licence) {
                Some((_, seen)) => seen.count = Some(seen.count.unwrap_or(0).saturating_add(count)),
                None => self.licences.push((licence, Seen { past: Vec::new(), count: Some(count) })),
            }
        }
    }

    pub(super) fn lost(&mut self, at: Seconds, keep_from: Seconds) {
        if let Some(since) = self.since.take() {
            self.licences.iter_mut().for_each(|(_, seen)| seen.end(since, at, keep_from));
        }
    }

    pub(super) fn restored(&mut self, at: Seconds) {
        self.since.get_or_insert(at);
    }

    /// What was seen within these times, in their order. What holds on after the last of them was seen up to its end.
    pub(super) fn within(&self, times: &[Range<Seconds>]) -> Sight {
        let lasting = times.last().filter(|last| last.end == Seconds::MAX);
        let cut = |seen: &Seen| {
            let going_on =
                self.since.zip(seen.count).map(|(start, value)| Observed { start, end: Seconds::MAX, value });
            let parts = seen.past.iter().copied().chain(going_on).flat_map(|one| {
                let part = move |time: &Range<Seconds>| {
                    let (start, end) = (one.start.max(time.start), one.end.min(time.end));
                    (start < end && end < Seconds::MAX).then_some(Observed { start, end, value: one.value })
                };
                times.iter().filter_map(part)
            });
            Seen { past: parts.collect(), count: seen.count.filter(|_| lasting.is_some()) }
        };
        let since = self.since.zip(lasting).map(|(since, last)| since.max(last.start));
        Sight { licences: self.licences.iter().map(|(licence, seen)| (licence.clone(), cut(seen))).collect(), since }
    }

    /// What was seen up to `until` and at it, where contact lasts.
    pub(super) fn licences(&self, until: Seconds) -> impl Iterator<Item = (&Licence, Vec<Observed>)> {
        self.licences.iter().map(move |(licence, seen)| {
            let mut seen = seen.clone();
            if let Some(since) = self.since {
                seen.end(since, until.saturating_add(1), Seconds::MIN);
            }
            (licence, seen.past)
        })
    }
}

/// What polls saw of one licence by several chassis of an instance, one after the other: who was seen from later on
/// counts.
pub fn observed(seen: &[Vec<Observed>]) -> Vec<Observed> {
    let piece = |(chassis, one): (u32, &Observed)| {
        let rank = Rank { closed: one.start, report: 0, chassis };
        Piece { start: one.start, end: one.end, value: one.value, rank }
    };
    let numbered = seen.iter().zip(0u32..).flat_map(|(list, chassis)| list.iter().map(move |one| (chassis, one)));
    let pieces: Vec<Piece> = numbered.map(piece).collect();
    let settled = sweep::settle(&pieces).into_iter();
    settled.map(|piece| Observed { start: piece.start, end: piece.end, value: piece.value }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_on_is_cut_to_the_times_too() {
        let mut sight = Sight::default();
        let licence = || Licence::Name("network-advantage".into());
        sight.read(10, vec![(licence(), 12)], Seconds::MIN);
        let seen = |times: &[(Seconds, Seconds)]| {
            let times: Vec<Range<Seconds>> = times.iter().map(|(start, end)| *start..*end).collect();
            let sight = sight.within(&times);
            let all = sight.licences(100).flat_map(|(_, seen)| seen);
            all.map(|one| (one.start, one.end, one.value)).collect::<Vec<_>>()
        };
        assert_eq!(seen(&[(Seconds::MIN, 20)]), [(10, 20, 12)]);
        assert_eq!(seen(&[(20, Seconds::MAX)]), [(20, 101, 12)]);
        assert_eq!(
            seen(&[(Seconds::MIN, 20), (30, 40), (50, Seconds::MAX)]),
            [(10, 20, 12), (30, 40, 12), (50, 101, 12)]
        );
        assert_eq!(seen(&[(0, 5)]), []);
    }
}
