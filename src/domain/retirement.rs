//! The end of an obligation by a person's word: a device is gone for good, or another chassis stands in for it.
//!
//! What it owed stays owed: its reports are still of use to Cisco, and go into bundles as before.

use super::event::{DeviceReplaced, DeviceRetired};
use super::fleet::{Fleet, Instance};
use super::instance::{DeviceName, Udi};
use super::plan::{Watched, watched_as};

/// Why an obligation does not end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEnded {
    #[error("no device and no instance '{0}' is known; `status` shows names, and UDIs as PID:…,SN:…")]
    Unknown(String),
    #[error("'{0}' is still in the inventory: take it off first")]
    Listed(DeviceName),
    #[error("{0} is retired already")]
    Already(Udi),
    #[error(
        "nobody knows which instance '{0}' is: it was never reached, or did not say, or another chassis has its name"
    )]
    NeverReached(String),
    #[error(
        "'{old}' and '{new}' are the same instance, {udi}; where a new chassis has the old name, name the old one by its UDI"
    )]
    Same { old: String, new: String, udi: Udi },
    #[error("the end of an obligation needs a note that says why")]
    NoNote,
    #[error("{0} is retired, so it cannot stand in for another")]
    NewRetired(Udi),
}

/// The end of the obligation of a device or instance, by its name or UDI.
pub fn retire(fleet: &Fleet, watched: &[Watched], whom: &str, note: String) -> Result<DeviceRetired, NotEnded> {
    if note.trim().is_empty() {
        return Err(NotEnded::NoNote);
    }
    let (device, udi) = match find(fleet, watched, whom)? {
        Found::Instance(instance) => {
            let ending = ending(instance, watched)?;
            (ending.device.clone(), Some(ending.udi.clone()))
        }
        // Nothing is known of it, so nothing is lost.
        Found::NeverReached(name) => (Some(name), None),
    };
    Ok(DeviceRetired { device, udi, note })
}

/// Lets `new` stand in for `old`, each by its name or UDI.
pub fn replace(
    fleet: &Fleet,
    watched: &[Watched],
    old: &str,
    new: &str,
    note: Option<String>,
) -> Result<DeviceReplaced, NotEnded> {
    let reached = |whom: &str| match find(fleet, watched, whom)? {
        Found::Instance(instance) => Ok(instance),
        Found::NeverReached(_) => Err(NotEnded::NeverReached(whom.to_owned())),
    };
    let (gone, heir) = (reached(old)?, reached(new)?);
    if gone.udi == heir.udi {
        return Err(NotEnded::Same { old: old.to_owned(), new: new.to_owned(), udi: gone.udi.clone() });
    }
    if heir.retired.is_some() {
        return Err(NotEnded::NewRetired(heir.udi.clone()));
    }
    let gone = ending(gone, watched)?;
    Ok(DeviceReplaced { old: gone.udi.clone(), new: heir.udi.clone(), note })
}

enum Found<'a> {
    Instance(&'a Instance),
    /// A device that never told who it is.
    NeverReached(DeviceName),
}

fn find<'a>(fleet: &'a Fleet, watched: &[Watched], whom: &str) -> Result<Found<'a>, NotEnded> {
    let name = DeviceName::from(whom);
    if let Some(instance) = fleet.of_device(&name) {
        return Ok(Found::Instance(instance));
    }
    if fleet.devices.contains_key(&name) || watched_as(watched, &name).is_some() {
        return Ok(Found::NeverReached(name));
    }
    let unknown = || NotEnded::Unknown(whom.to_owned());
    let udi: Udi = whom.parse().map_err(|_| unknown())?;
    fleet.resolve(&udi).map(Found::Instance).ok_or_else(unknown)
}

/// The instance, when its obligation may end.
fn ending<'a>(instance: &'a Instance, watched: &[Watched]) -> Result<&'a Instance, NotEnded> {
    if instance.retired.is_some() {
        return Err(NotEnded::Already(instance.udi.clone()));
    }
    match &instance.device {
        Some(name) if watched_as(watched, name).is_some() => Err(NotEnded::Listed(name.clone())),
        Some(_) | None => Ok(instance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{Event, Fact, made};
    use crate::domain::plan::tests::watched;
    use crate::domain::settings::Mode;
    use jiff::Timestamp;

    fn identified(name: &str, sn: &str) -> Fact {
        Fact::DeviceIdentified(made::identified(name, Udi::new("C9300-24T", sn)))
    }

    fn fold(facts: &[Fact]) -> Fleet {
        let mut fleet = Fleet::default();
        for fact in facts {
            fleet.apply(&Event { by: None, at: Timestamp::UNIX_EPOCH, fact: fact.clone() });
        }
        fleet
    }

    const OLD: &str = "PID:C9300-24T,SN:FOC0000T001";
    const NEW: &str = "PID:C9300-24T,SN:FOC0000T002";

    #[test]
    fn what_the_inventory_lists_does_not_retire_and_what_nobody_knows_neither() {
        let fleet = fold(&[identified("edge-1", "FOC0000T001")]);
        let retire = |watched: &[Watched], whom: &str| retire(&fleet, watched, whom, "gone".to_owned());
        let still = [watched("edge-1", Mode::Deliver, 0), watched("edge-2", Mode::Deliver, 0)];
        assert_eq!(retire(&still, "edge-1"), Err(NotEnded::Listed("edge-1".into())));
        assert_eq!(retire(&still, OLD), Err(NotEnded::Listed("edge-1".into())));
        let udi: Udi = OLD.parse().unwrap();
        let fact = |device: &str, udi: Option<&Udi>| {
            let (device, udi) = (Some(device.into()), udi.cloned());
            Ok(DeviceRetired { device, udi, note: "gone".to_owned() })
        };
        assert_eq!(retire(&[], "edge-1"), fact("edge-1", Some(&udi)));
        assert_eq!(retire(&[], OLD), fact("edge-1", Some(&udi)));
        assert_eq!(retire(&still, "edge-2"), fact("edge-2", None), "never reached");
        assert_eq!(super::retire(&fleet, &[], "edge-1", " ".to_owned()), Err(NotEnded::NoNote));
        for nobody in ["edge-9", NEW, "PID:,SN:"] {
            assert_eq!(retire(&still, nobody), Err(NotEnded::Unknown(nobody.to_owned())));
        }
    }

    #[test]
    fn only_another_living_instance_stands_in() {
        let mut facts = vec![identified("edge-1", "FOC0000T001"), identified("edge-1", "FOC0000T002")];
        let fleet = fold(&facts);
        let watched = [watched("edge-1", Mode::Deliver, 0), watched("edge-3", Mode::Deliver, 0)];
        let replaced = replace(&fleet, &watched, OLD, "edge-1", None).unwrap();
        let expected = DeviceReplaced { old: OLD.parse().unwrap(), new: NEW.parse().unwrap(), note: None };
        assert_eq!(replaced, expected);
        let refused = |fleet: &Fleet, old: &str, new: &str| replace(fleet, &watched, old, new, None).unwrap_err();
        assert!(refused(&fleet, "edge-1", NEW).to_string().contains("the same instance"));
        assert_eq!(refused(&fleet, OLD, "edge-3"), NotEnded::NeverReached("edge-3".to_owned()));
        assert_eq!(refused(&fleet, OLD, "edge-9"), NotEnded::Unknown("edge-9".to_owned()));
        facts.push(Fact::DeviceReplaced(replaced));
        let fleet = fold(&facts);
        assert_eq!(refused(&fleet, OLD, "edge-1"), NotEnded::Already(OLD.parse().unwrap()));
        assert_eq!(refused(&fleet, "edge-1", OLD), NotEnded::NewRetired(OLD.parse().unwrap()));
    }
}
