//! Sets of report ids: compact, because ids count up.

use serde::{Deserialize, Serialize};

use crate::domain::instance::Udi;
use crate::domain::report::ReportId;

/// A set of report ids, kept as ranges because ids count up. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdSet(Vec<(u64, u64)>);

impl IdSet {
    pub fn contains(&self, id: ReportId) -> bool {
        let at = self.0.partition_point(|&(first, _)| first <= id.0);
        at > 0 && self.0[at - 1].1 >= id.0
    }

    /// Adds an id; tells whether it was new.
    pub fn insert(&mut self, id: ReportId) -> bool {
        if self.contains(id) {
            return false;
        }
        let ReportId(id) = id;
        let at = self.0.partition_point(|&(first, _)| first < id);
        let joins_before = at > 0 && self.0[at - 1].1.checked_add(1) == Some(id);
        let joins_after = at < self.0.len() && id.checked_add(1) == Some(self.0[at].0);
        match (joins_before, joins_after) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = id,
            (false, true) => self.0[at].0 = id,
            (false, false) => self.0.insert(at, (id, id)),
        }
        true
    }

    pub fn len(&self) -> u64 {
        self.0.iter().fold(0u64, |sum, &(first, last)| sum.saturating_add(last.saturating_sub(first).saturating_add(1)))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.0
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
