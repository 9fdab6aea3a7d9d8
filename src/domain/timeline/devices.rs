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

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Found {
    #[default]
    Never,
    /// Since then, and never with others.
    Alone(Seconds),
    /// With others at some time, and now with these; `None`: alone.
    Together(Option<Together>),
}

/// Gets whom something became of, since when, and what.
pub type Tell<'t> = &'t mut dyn FnMut(Udi, Seconds, Sighted);

impl Devices {
    /// Takes what happened to a device; `tell` gets what that is to which chassis.
    pub fn take(&mut self, at: Seconds, device: &DeviceName, what: Contact, reach: Reach, tell: Tell<'_>) {
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
            Contact::Lost => self.fate(at, device, Sighted::Lost, tell),
            Contact::Restored => self.fate(at, device, Sighted::Restored, tell),
        }
    }

    /// What happened to a device happened to the chassis that answers by its name, and by no other since.
    fn fate(&self, at: Seconds, device: &DeviceName, what: Sighted, tell: Tell<'_>) {
        if let Some(udi) = self.answering.get(device)
            && self.chassis.get(udi).and_then(|known| known.name.as_ref()) == Some(device)
        {
            tell(udi.clone(), at, what);
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
        match &mut known.found {
            found @ Found::Never => *found = Found::Alone(at),
            Found::Together(with @ Some(_)) => {
                *with = None;
                tell(udi.clone(), at, Sighted::Found(None));
            }
            Found::Alone(_) | Found::Together(None) => {}
        }
    }

    fn with_others(&mut self, udi: &Udi, at: Seconds, with: &Together, tell: Tell<'_>) {
        let known = self.chassis.entry(udi.clone()).or_default();
        let now = Found::Together(Some(with.clone()));
        if known.found == now {
            return;
        }
        if let Found::Alone(since) = std::mem::replace(&mut known.found, now) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn udi(sn: &str) -> Udi {
        Udi::new("C9300-24T", sn)
    }

    fn with(all: &[&str]) -> Together {
        all.iter().map(|sn| udi(sn)).collect()
    }

    /// What is told of whom, and since when, of devices that were found so.
    fn told(found: &[(Seconds, &str, &str, &[&str])]) -> Vec<(String, Seconds, Sighted)> {
        let (mut devices, mut told) = (Devices::default(), Vec::new());
        for (at, device, sn, all) in found {
            let what = Contact::Is(udi(sn), (!all.is_empty()).then(|| with(all)));
            let mut tell = |udi: Udi, at, what| told.push((udi.sn.to_string(), at, what));
            devices.take(*at, &(*device).into(), what, Reach::window(0, 100), &mut tell);
        }
        told
    }

    #[test]
    fn of_who_never_was_with_others_nothing_is_told() {
        assert_eq!(told(&[(1, "edge-1", "A", &[]), (2, "edge-1", "A", &[]), (200, "edge-1", "B", &[])]), []);
    }

    #[test]
    fn who_joins_a_stack_was_alone_before_and_is_again_when_it_leaves() {
        let both = || Sighted::Found(Some(with(&["A", "B"])));
        let stack: &[&str] = &["A", "B"];
        let told = told(&[
            (1, "edge-1", "A", &[]),
            (5, "edge-1", "A", stack),
            (6, "edge-1", "A", stack),
            (9, "edge-1", "A", &[]),
            (10, "edge-1", "A", &[]),
        ]);
        let expected =
            [("A", 1, Sighted::Found(None)), ("A", 5, both()), ("B", 5, both()), ("A", 9, Sighted::Found(None))];
        assert_eq!(told, expected.map(|(sn, at, what)| (sn.to_owned(), at, what)));
    }

    #[test]
    fn who_is_replaced_is_lost_from_sight_and_who_went_elsewhere_is_not() {
        let lost = |sn: &str, at| (sn.to_owned(), at, Sighted::Lost);
        assert_eq!(told(&[(1, "edge-1", "A", &[]), (3, "edge-1", "B", &[])]), [lost("A", 3)]);
        assert_eq!(told(&[(1, "edge-1", "A", &[]), (2, "edge-9", "A", &[]), (3, "edge-1", "B", &[])]), []);
    }
}
