//! How often a device must report, by class of licence.

use serde::Serialize;

use crate::licence::Class;

/// The three numbers of a class, in days; 0 means "never because of this".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Frequency {
    pub first: u32,
    pub ongoing: u32,
    pub change: u32,
}

impl Frequency {
    pub const fn days(first: u32, ongoing: u32, change: u32) -> Frequency {
        Frequency { first, ongoing, change }
    }
}

/// A reporting policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// `None` is the one a device is born with; such a device prints no name.
    pub name: Option<String>,
    pub ack_required: bool,
    pub perpetual: Frequency,
    pub subscription: Frequency,
    pub enforced: Frequency,
    pub export: Frequency,
}

impl Policy {
    /// The `CISCO default` of IOS XE: perpetual 365/0/90, subscription 90/90/90, the others nothing.
    pub const fn cisco_default() -> Policy {
        Policy {
            name: None,
            ack_required: true,
            perpetual: Frequency::days(365, 0, 90),
            subscription: Frequency::days(90, 90, 90),
            enforced: Frequency::days(0, 0, 0),
            export: Frequency::days(0, 0, 0),
        }
    }

    /// A policy of a customer, with the same numbers in every class.
    pub fn custom(name: impl Into<String>, first: u32, ongoing: u32, change: u32) -> Policy {
        let all = Frequency::days(first, ongoing, change);
        Policy {
            name: Some(name.into()),
            ack_required: true,
            perpetual: all,
            subscription: all,
            enforced: all,
            export: all,
        }
    }

    pub fn of(&self, class: Class) -> Frequency {
        match class {
            Class::Perpetual => self.perpetual,
            Class::Subscription => self.subscription,
            Class::Enforced => self.enforced,
            Class::Export => self.export,
        }
    }

    /// The smallest number of days that is not 0, over the classes given.
    pub fn shortest(&self, classes: &[Class], number: impl Fn(Frequency) -> u32) -> Option<u32> {
        classes.iter().map(|class| number(self.of(*class))).filter(|days| *days > 0).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_never_wins() {
        let policy = Policy::cisco_default();
        assert_eq!(policy.shortest(&[Class::Perpetual], |f| f.ongoing), None);
        assert_eq!(policy.shortest(&[Class::Perpetual, Class::Subscription], |f| f.ongoing), Some(90));
        assert_eq!(policy.shortest(&[Class::Perpetual], |f| f.first), Some(365));
        assert_eq!(policy.shortest(&[Class::Export], |f| f.first), None);
    }
}
