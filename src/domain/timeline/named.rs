//! What tags are called, as the journal has it: reports name a licence by its tag alone.
//!
//! * A device lists the numbers of its reports beside what it calls the licence (`show license rum id all`), and the
//!   report of that number has the tag. So the device itself says both.
//! * An authorization code that came back from Cisco lists tags with names.

use std::collections::BTreeMap;

use crate::domain::ack::StatedLicence;
use crate::domain::report::EntitlementTag;

/// More names of one tag are not kept.
const MOST: usize = 16;

/// What one tag is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// By devices, each once, in the order in which it was first said.
    by_devices: Vec<String>,
    by_answers: Option<StatedLicence>,
}

impl Named {
    pub fn by_devices(&self) -> &[String] {
        &self.by_devices
    }

    /// By the first answer that told of it.
    pub fn by_answers(&self) -> Option<&StatedLicence> {
        self.by_answers.as_ref()
    }
}

/// All tags of which anything is said.
#[derive(Clone, Debug, Default)]
pub struct Called(BTreeMap<EntitlementTag, Named>);

impl Called {
    /// Takes that a device lists a report of that tag by this name.
    pub fn listed(&mut self, tag: &EntitlementTag, feature: &str) {
        if !self.0.contains_key(tag) {
            self.0.insert(tag.clone(), Named::default());
        }
        if let Some(named) = self.0.get_mut(tag)
            && named.by_devices.len() < MOST
            && !named.by_devices.iter().any(|known| known == feature)
        {
            named.by_devices.push(feature.to_owned());
        }
    }

    /// Takes what an answer says; the first counts.
    pub fn answered(&mut self, licence: &StatedLicence) {
        let named = self.0.entry(licence.entitlement_tag.clone()).or_default();
        named.by_answers.get_or_insert_with(|| licence.clone());
    }

    pub fn each(&self) -> impl Iterator<Item = (&EntitlementTag, &Named)> {
        self.0.iter()
    }
}
