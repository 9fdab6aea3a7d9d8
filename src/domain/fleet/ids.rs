//! Sets of report ids: compact, because ids count up.

use serde::{Deserialize, Serialize};

use crate::domain::instance::Udi;
use crate::domain::report::ReportId;

/// A set of report ids, kept as ranges because ids count up; most sets are one range, and a fleet has many. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct IdSet(Ranges);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ranges {
    One((u64, u64)),
    /// Never one.
    Some(Vec<(u64, u64)>),
}

impl Default for IdSet {
    fn default() -> Self {
        IdSet(Ranges::Some(Vec::new()))
    }
}

impl From<Vec<(u64, u64)>> for IdSet {
    fn from(ranges: Vec<(u64, u64)>) -> Self {
        match ranges.as_slice() {
            [range] => IdSet(Ranges::One(*range)),
            _ => IdSet(Ranges::Some(ranges)),
        }
    }
}

impl From<IdSet> for Vec<(u64, u64)> {
    fn from(IdSet(ranges): IdSet) -> Self {
        match ranges {
            Ranges::One(range) => vec![range],
            Ranges::Some(ranges) => ranges,
        }
    }
}

impl IdSet {
    pub fn contains(&self, id: ReportId) -> bool {
        let ranges = self.ranges();
        let at = ranges.partition_point(|&(first, _)| first <= id.0);
        at > 0 && ranges[at - 1].1 >= id.0
    }

    /// Adds an id; tells whether it was new.
    pub fn insert(&mut self, id: ReportId) -> bool {
        if self.contains(id) {
            return false;
        }
        let ReportId(id) = id;
        if let Ranges::One((_, last)) = &mut self.0
            && last.checked_add(1) == Some(id)
        {
            *last = id;
            return true;
        }
        let mut ranges = Vec::from(std::mem::take(self));
        let at = ranges.partition_point(|&(first, _)| first < id);
        let joins_before = at > 0 && ranges[at - 1].1.checked_add(1) == Some(id);
        let joins_after = at < ranges.len() && id.checked_add(1) == Some(ranges[at].0);
        match (joins_before, joins_after) {
            (true, true) => {
                ranges[at - 1].1 = ranges[at].1;
                ranges.remove(at);
            }
            (true, false) => ranges[at - 1].1 = id,
            (false, true) => ranges[at].0 = id,
            (false, false) => ranges.insert(at, (id, id)),
        }
        *self = IdSet::from(ranges);
        true
    }

    pub fn len(&self) -> u64 {
        self.ranges()
            .iter()
            .fold(0u64, |sum, &(first, last)| sum.saturating_add(last.saturating_sub(first).saturating_add(1)))
    }

    pub fn is_empty(&self) -> bool {
        self.ranges().is_empty()
    }

    pub fn ranges(&self) -> &[(u64, u64)] {
        match &self.0 {
            Ranges::One(range) => std::slice::from_ref(range),
            Ranges::Some(ranges) => ranges,
        }
    }
}

/// Which reports, of which chassis: ids are unique to a UDI, and a pair has several. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReportSet(Vec<(Udi, IdSet)>);

impl ReportSet {
    pub fn contains(&self, udi: &Udi, id: ReportId) -> bool {
        self.of(udi).is_some_and(|ids| ids.contains(id))
    }

    /// Adds a report; tells whether it was new.
    pub fn insert(&mut self, udi: &Udi, id: ReportId) -> bool {
        if let Some((_, ids)) = self.0.iter_mut().find(|(own, _)| own == udi) {
            return ids.insert(id);
        }
        let mut ids = IdSet::default();
        ids.insert(id);
        self.0.push((udi.clone(), ids));
        true
    }

    /// The ids of one chassis.
    pub fn of(&self, udi: &Udi) -> Option<&IdSet> {
        self.0.iter().find(|(own, _)| own == udi).map(|(_, ids)| ids)
    }

    pub(super) fn udis_mut(&mut self) -> impl Iterator<Item = &mut Udi> {
        self.0.iter_mut().map(|(udi, _)| udi)
    }

    pub fn len(&self) -> u64 {
        self.0.iter().map(|(_, ids)| ids.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
