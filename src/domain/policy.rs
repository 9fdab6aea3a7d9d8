//! The reporting policy: within how many days which class of licence must be reported.

use serde::{Deserialize, Serialize};

use super::state::Stamp;

/// The three numbers of one licence class, in days; 0 means "no such duty". **stored**
///
/// `first_report_days` is CLI "First report requirement" and file `firstTimeReport`,
/// `reporting_frequency_days` is "Reporting frequency" and `onGoingReporting`,
/// `report_on_change_days` is "Report on change" and `reportOnMACD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

    /// The class of a group of the policy by its printed name: `Unenforced/Non-Export Perpetual Attributes`,
    /// `Enforced (Perpetual/Subscription) License Attributes`, …; the names differ between systems.
    pub fn of_group(name: &str) -> Option<LicenceClass> {
        let name = name.to_ascii_lowercase();
        if name.replace("non-export", "").contains("export") {
            return Some(LicenceClass::Export);
        }
        if name.replace("unenforced", "").contains("enforced") && !name.contains("not enforced") {
            return Some(LicenceClass::Enforced);
        }
        match (name.contains("perpetual"), name.contains("subscription")) {
            (true, false) => Some(LicenceClass::Perpetual),
            (false, true) => Some(LicenceClass::Subscription),
            (true, true) | (false, false) => None,
        }
    }
}

/// The policy in use on a device, or one carried by an ACK or policy file. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// When it was installed on the device; `None` for a policy that nobody installed.
    #[serde(default)]
    pub installed: Option<Stamp>,
    /// The groups of numbers under the names that the CLI prints, those of no known class too.
    #[serde(default)]
    pub groups: Vec<PolicyGroup>,
}

/// One group of numbers, named as the device names it. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PolicyGroup {
    pub name: String,
    pub class: Option<LicenceClass>,
    pub days: ClassPolicy,
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

    /// Takes numbers for a class, unless it has some.
    pub fn set_class(&mut self, class: LicenceClass, days: ClassPolicy) {
        let place = match class {
            LicenceClass::Perpetual => &mut self.perpetual,
            LicenceClass::Subscription => &mut self.subscription,
            LicenceClass::Enforced => &mut self.enforced,
            LicenceClass::Export => &mut self.export,
        };
        place.get_or_insert(days);
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
