//! Who is who as chassis come, move and go: identified, retired, replaced.
//!
//! An instance has one name at most, the one that told it last. A serial at another name is a move; another serial at
//! the same name takes the name away from the old one, which stays in the register as one that nobody lists. A
//! retired instance that is seen again is not retired.

use jiff::Timestamp;

use super::{Fleet, Instance, RecordKey, Retirement};
use crate::domain::event::{DeviceIdentified, DeviceReplaced, DeviceRetired};
use crate::domain::instance::{Site, Udi};

impl Fleet {
    pub(super) fn identified(&mut self, at: Timestamp, fact: &DeviceIdentified) -> Vec<RecordKey> {
        let known = self.known_as(fact).unwrap_or_else(|| fact.udi.clone());
        // Whoever had the name before is another chassis, and no answer for it may go to this one.
        let before = self.of_device(&fact.device).map(|before| before.udi.clone()).filter(|before| *before != known);
        let mut touched = self.device(&fact.device, |device| device.instance = Some(known.clone()));
        if let Some(before) = before.and_then(|before| self.instances.get_mut(&before)) {
            before.device = None;
            touched.push(RecordKey::Instance(before.udi.clone()));
        }
        if self.aliases.remove(&known).is_some() {
            touched.push(RecordKey::Alias(known.clone()));
        }
        let chassis = std::iter::once(&fact.udi).chain(fact.members.iter().map(|member| &member.udi));
        for udi in chassis.filter(|udi| **udi != known) {
            self.aliases.insert(udi.clone(), known.clone());
            touched.push(RecordKey::Alias(udi.clone()));
        }
        let [os, site] = [&*fact.os, &*fact.site.0].map(|text| self.pool.text(text));
        let software = fact.software.as_deref().map(|text| self.pool.text(text));
        let instance = self.instance_mut(&known, at);
        instance.device = Some(fact.device.clone());
        instance.site = Site(site);
        instance.uuid = fact.uuid.clone();
        instance.members = fact.members.clone();
        if !fact.os.is_empty() {
            instance.os = Some(os);
        }
        instance.software = software;
        instance.hostname = fact.hostname.clone();
        instance.clock_skew_seconds = fact.clock_skew_seconds;
        instance.retired = None;
        touched.push(RecordKey::Instance(known));
        touched
    }

    /// A pair is known by any of its chassis, so that a switch-over makes no new obligation. One that left its stack
    /// and stands alone under another name is itself.
    fn known_as(&self, fact: &DeviceIdentified) -> Option<Udi> {
        let chassis = || std::iter::once(&fact.udi).chain(fact.members.iter().map(|member| &member.udi));
        let mut known = chassis().filter_map(|udi| self.resolve(udi));
        let same = |instance: &&Instance| {
            instance.device.as_ref().is_none_or(|name| *name == fact.device)
                || chassis().any(|udi| *udi == instance.udi)
        };
        known.find(same).map(|instance| instance.udi.clone())
    }

    pub(super) fn retired(&mut self, at: Timestamp, by: Option<&String>, fact: &DeviceRetired) -> Vec<RecordKey> {
        let Some(udi) = &fact.udi else { return Vec::new() };
        let note = Some(fact.note.clone());
        self.ended(udi, Retirement { at, note, replaced_by: None, by: by.cloned() })
    }

    pub(super) fn replaced(&mut self, at: Timestamp, by: Option<&String>, fact: &DeviceReplaced) -> Vec<RecordKey> {
        let replaced_by = Some(fact.new.clone());
        self.ended(&fact.old, Retirement { at, note: fact.note.clone(), replaced_by, by: by.cloned() })
    }

    fn ended(&mut self, udi: &Udi, retirement: Retirement) -> Vec<RecordKey> {
        let primary = self.primary(udi).clone();
        let Some(instance) = self.instances.get_mut(&primary) else { return Vec::new() };
        instance.retired = Some(retirement.into());
        vec![RecordKey::Instance(primary)]
    }
}
