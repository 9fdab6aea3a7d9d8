//! Together with whom a chassis was: whose its reports are depends on it when it goes its own way later.
//!
//! A report names the pair or stack that it is of (`ha_udi`), and a poll those that answered as one. A chassis that was
//! active in a stack and stands alone since has signed reports of both; each is of whom it names.

use std::ops::Range;
use std::sync::Arc;

use super::Seconds;
use crate::domain::instance::{Member, Udi};
use crate::domain::report::ReportId;

/// Chassis that were one instance, in their order: two at least.
pub type Together = Arc<[Udi]>;

/// All of them, `udi` among them; `None` where it was alone, or nothing tells.
pub(super) fn together(udi: &Udi, members: &[Member]) -> Option<Together> {
    if members.iter().all(|member| member.udi == *udi) {
        return None;
    }
    let mut all: Vec<Udi> = members.iter().map(|member| member.udi.clone()).chain([udi.clone()]).collect();
    all.sort_unstable();
    all.dedup();
    Some(all.into())
}

/// The company that one chassis kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Company {
    /// Its reports that name others, in the order of their numbers.
    reports: Vec<(ReportId, Together)>,
    /// How it was found by polls, from an instant on, in the order of time; `None`: alone. Nothing: always alone.
    found: Vec<(Seconds, Option<Together>)>,
}

impl Company {
    pub(super) fn report(&mut self, id: ReportId, with: Option<Together>) {
        match (self.reports.binary_search_by_key(&id, |(known, _)| *known), with) {
            (Ok(at), Some(with)) => self.reports[at].1 = with,
            (Ok(at), None) => drop(self.reports.remove(at)),
            (Err(at), Some(with)) => self.reports.insert(at, (id, with)),
            (Err(_), None) => {}
        }
    }

    pub(super) fn found(&mut self, at: Seconds, with: Option<Together>) {
        if self.found.last().is_none_or(|(_, last)| *last != with) {
            self.found.push((at, with));
        }
    }

    /// With whom that report says it was.
    pub(super) fn of(&self, id: ReportId) -> Option<&Together> {
        let at = self.reports.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        self.reports.get(at).map(|(_, with)| with)
    }

    /// Everybody with whom it ever was.
    pub(super) fn all(&self) -> impl Iterator<Item = &Together> {
        let found = self.found.iter().filter_map(|(_, with)| with.as_ref());
        self.reports.iter().map(|(_, with)| with).chain(found)
    }

    /// The times in which polls found it so. Before the first of them it was as it was found then.
    pub(super) fn times(&self, wanted: impl Fn(Option<&Together>) -> bool) -> Vec<Range<Seconds>> {
        let alone = [(Seconds::MIN, None)];
        let found = if self.found.is_empty() { &alone[..] } else { &self.found };
        let starts = found.iter().enumerate().map(|(at, (start, _))| if at == 0 { Seconds::MIN } else { *start });
        let ends = found.iter().skip(1).map(|(start, _)| *start).chain([Seconds::MAX]);
        let spans = starts.zip(ends).zip(found);
        spans.filter(|(_, (_, with))| wanted(with.as_ref())).map(|((start, end), _)| start..end).collect()
    }
}
