//! Which chassis answers as which device, while events go by, and what that is to the chassis.

use std::collections::BTreeMap;

use super::company::Together;
use super::{Reach, Seconds};
use crate::domain::instance::{DeviceName, Udi};

/// What happened to a device of the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// This chassis answered, and with whom it did so as one.
    Is(Udi, Option<Together>),
    Lost,
    Restored,
}

impl Contact {
    /// With whom its chassis was found.
    pub fn with(&self) -> Option<&Together> {
        match self {
            Contact::Is(_, with) => with.as_ref(),
            Contact::Lost | Contact::Restored => None,
        }
    }
}

/// What a device's fate is to a chassis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighted {
    Lost,
    Restored,
    /// From here on with these; `None`: alone. Of one that was never found with others nothing is told.
    Found(Option<Together>),
}

/// The devices so far.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    answering: BTreeMap<DeviceName, Udi>,
    chassis: BTreeMap<Udi, Known>,
    /// The name by which chassis went together that were found as one, the last one.
    names: BTreeMap<Together, DeviceName>,
}

/// What is known of a chassis by way of its devices.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The name by which it answered last.
    name: Option<DeviceName>,
    found: Found,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Found {
    #[default]
    Never,
    /// Since then, and never with others.
    Alone(Seconds),
    WithOthers,
}

/// Gets whom something became of, since when, and what.
pub(super) type Tell<'t> = &'t mut dyn FnMut(Udi, Seconds, Sighted);

impl Devices {
    /// Takes what happened to a device; `tell` gets what that is to which chassis.
    pub fn take(
        &mut self,
        at: Seconds,
        device: &DeviceName,
        what: Contact,
        reach: Reach,
        tell: &mut dyn FnMut(Udi, Seconds, Sighted),
    ) {
        if at > reach.until {
            return;
        }
        match what {
            Contact::Is(udi, with) => {
                match with {
                    None => self.alone(&udi, at, tell),
                    Some(with) => {
                        with.iter().for_each(|udi| self.with_others(udi, at, &with, tell));
                        self.names.insert(with, device.clone());
                    }
                }
                self.answered(udi, at, device, tell);
            }
            Contact::Lost => {
                if let Some(udi) = self.answering.get(device) {
                    tell(udi.clone(), at, Sighted::Lost);
                }
            }
            Contact::Restored => {
                if let Some(udi) = self.answering.get(device) {
                    tell(udi.clone(), at, Sighted::Restored);
                }
            }
        }
    }

    /// The device that these were found to be together, the last one.
    pub fn name_of(&self, together: &[Udi]) -> Option<&DeviceName> {
        self.names.get(together)
    }

    /// The same, with all others let go of.
    pub fn into_names(self) -> BTreeMap<Together, DeviceName> {
        self.names
    }

    fn alone(&mut self, udi: &Udi, at: Seconds, tell: Tell<'_>) {
        let known = self.chassis.entry(udi.clone()).or_default();
        match known.found {
            Found::Never => known.found = Found::Alone(at),
            Found::Alone(_) => {}
            Found::WithOthers => tell(udi.clone(), at, Sighted::Found(None)),
        }
    }

    fn with_others(&mut self, udi: &Udi, at: Seconds, with: &Together, tell: Tell<'_>) {
        let known = self.chassis.entry(udi.clone()).or_default();
        if let Found::Alone(since) = std::mem::replace(&mut known.found, Found::WithOthers) {
            tell(udi.clone(), since, Sighted::Found(None));
        }
        tell(udi.clone(), at, Sighted::Found(Some(with.clone())));
    }

    /// Where another chassis answers, what the one before said is no longer seen, if that did not go elsewhere.
    fn answered(&mut self, udi: Udi, at: Seconds, device: &DeviceName, tell: Tell<'_>) {
        let known = self.chassis.entry(udi.clone()).or_default();
        if known.name.as_ref() != Some(device) {
            known.name = Some(device.clone());
        }
        if self.answering.get(device) == Some(&udi) {
            return;
        }
        if let Some(before) = self.answering.insert(device.clone(), udi) {
            let went = self.chassis.get(&before).and_then(|known| known.name.as_ref());
            if went.is_none_or(|name| name == device) {
                tell(before, at, Sighted::Lost);
            }
        }
    }
}
