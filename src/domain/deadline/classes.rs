//! The licence classes whose numbers of the policy apply.

use std::fmt;

use crate::domain::policy::{ClassPolicy, LicenceClass, Policy};
use crate::domain::state::DeviceState;

/// Which classes are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// The device tells the class of every licence in use: a bit each, in the order of [`LicenceClass::ALL`].
    Stated(u8),
    /// It does not tell all of them, so the earliest deadline of any class is taken.
    Any,
}

impl Classes {
    pub(super) fn of(state: Option<&DeviceState>) -> Classes {
        let mut classes = 0;
        for license in state.into_iter().flat_map(|state| &state.licenses).filter(|license| license.in_use()) {
            let Some(class) = license.class() else { return Classes::Any };
            classes |= 1 << class as u8;
        }
        if classes == 0 { Classes::Any } else { Classes::Stated(classes) }
    }

    fn iter(self) -> impl Iterator<Item = LicenceClass> {
        let among = move |class: &LicenceClass| match self {
            Classes::Stated(classes) => classes & (1 << *class as u8) != 0,
            Classes::Any => true,
        };
        LicenceClass::ALL.into_iter().filter(among)
    }

    /// The smallest of these numbers that is not zero.
    pub(super) fn smallest(self, policy: &Policy, number: impl Fn(&ClassPolicy) -> Option<u32>) -> Option<i64> {
        let numbers = self.iter().filter_map(|class| number(policy.class(class)?));
        numbers.filter(|days| *days > 0).min().map(i64::from)
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Classes::Any {
            return f.write_str("the earliest of all classes (the device does not tell its own)");
        }
        for (index, class) in self.iter().enumerate() {
            let word = match class {
                LicenceClass::Perpetual => "perpetual",
                LicenceClass::Subscription => "subscription",
                LicenceClass::Enforced => "enforced",
                LicenceClass::Export => "export-controlled",
            };
            write!(f, "{}{word}", if index == 0 { "" } else { " and " })?;
        }
        f.write_str(" licences in use")
    }
}
