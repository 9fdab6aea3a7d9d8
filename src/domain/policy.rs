//! The reporting policy: within how many days which class of licence must be reported.

use serde::{Deserialize, Serialize};

/// The three numbers of one licence class, in days; 0 means "no such duty". **stored**
///
/// `first_report_days` is CLI "First report requirement" and file `firstTimeReport`,
/// `reporting_frequency_days` is "Reporting frequency" and `onGoingReporting`,
/// `report_on_change_days` is "Report on change" and `reportOnMACD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassPolicy {
    pub first_report_days: Option<u32>,
    pub reporting_frequency_days: Option<u32>,
    pub report_on_change_days: Option<u32>,
}

impl ClassPolicy {
    pub const fn of(first: u32, frequency: u32, change: u32) -> Self {
        ClassPolicy {
            first_report_days: Some(first),
            reporting_frequency_days: Some(frequency),
            report_on_change_days: Some(change),
        }
    }
}

/// A class of licences with numbers of its own in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LicenceClass {
    Perpetual,
    Subscription,
    Enforced,
    Export,
}

impl LicenceClass {
    pub const ALL: [LicenceClass; 4] =
        [LicenceClass::Perpetual, LicenceClass::Subscription, LicenceClass::Enforced, LicenceClass::Export];
}

/// The policy in use on a device, or one carried by an ACK or policy file. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// `null` where the device names none (the platform's default has no name).
    pub name: Option<String>,
    /// Where it came from, in the words of the source: `default`, `customer`, `custom`, …
    pub source: Option<String>,
    pub ack_required: Option<bool>,
    pub perpetual: Option<ClassPolicy>,
    pub subscription: Option<ClassPolicy>,
    pub enforced: Option<ClassPolicy>,
    pub export: Option<ClassPolicy>,
    /// Only policy files carry it; no CLI shows it.
    #[serde(default)]
    pub generic: Option<ClassPolicy>,
}

impl Policy {
    /// What IOS XE 17 and NX-OS apply when no policy is installed.
    pub fn cisco_default() -> Policy {
        Policy {
            source: Some("default".to_owned()),
            ack_required: Some(true),
            perpetual: Some(ClassPolicy::of(365, 0, 90)),
            subscription: Some(ClassPolicy::of(90, 90, 90)),
            enforced: Some(ClassPolicy::of(0, 0, 0)),
            export: Some(ClassPolicy::of(0, 0, 0)),
            ..Policy::default()
        }
    }

    /// The numbers of one class, if stated.
    pub fn class(&self, class: LicenceClass) -> Option<&ClassPolicy> {
        match class {
            LicenceClass::Perpetual => self.perpetual.as_ref(),
            LicenceClass::Subscription => self.subscription.as_ref(),
            LicenceClass::Enforced => self.enforced.as_ref(),
            LicenceClass::Export => self.export.as_ref(),
        }
    }
}
