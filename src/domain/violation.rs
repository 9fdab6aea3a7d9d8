//! What breaks policy: the kinds, what each means and what mends it, and the life of one violation.
//!
//! A violation is named by its kind and its subject, so that the same one found again is the same one. [`find`](fn@find) looks
//! for them, [`news`] compares what was found with what is on record.

pub mod find;
mod rules;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::find::{find, news};
pub use self::rules::{Rules, SiteRules};
use super::digest::Sha256;
use super::instance::{DeviceName, Site, Udi};
use super::report::ReportId;
use super::settings::words;

/// What is wrong. **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    AckOverdue,
    FirstReportOverdue,
    ChangeUnreported,
    AckMissing,
    ReportGap,
    CollectionStale,
    Unreachable,
    NotSlp,
    TwoReporters,
    AuthorizationMissing,
    OutOfCompliance,
    ClockSkew,
    TrustMissing,
    PolicyDiffers,
    AccountMismatch,
    DuplicateInstance,
    ServiceAtRisk,
    CsluUnresolvable,
    Orphaned,
    OnPremSyncOverdue,
}
words!(Kind {
    AckOverdue = "ack-overdue",
    FirstReportOverdue = "first-report-overdue",
    ChangeUnreported = "change-unreported",
    AckMissing = "ack-missing",
    ReportGap = "report-gap",
    CollectionStale = "collection-stale",
    Unreachable = "unreachable",
    NotSlp = "not-slp",
    TwoReporters = "two-reporters",
    AuthorizationMissing = "authorization-missing",
    OutOfCompliance = "out-of-compliance",
    ClockSkew = "clock-skew",
    TrustMissing = "trust-missing",
    PolicyDiffers = "policy-differs",
    AccountMismatch = "account-mismatch",
    DuplicateInstance = "duplicate-instance",
    ServiceAtRisk = "service-at-risk",
    CsluUnresolvable = "cslu-unresolvable",
    Orphaned = "orphaned",
    OnPremSyncOverdue = "on-prem-sync-overdue",
});

/// How soon a person must act. **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// To know.
    Info,
    /// To plan.
    Warning,
    /// Now.
    Critical,
}
words!(Severity { Info = "info", Warning = "warning", Critical = "critical" });

/// Whom it is about. **stored**
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    Instance(Udi),
    /// A device of the inventory that never told who it is, or whose contact is what is wrong.
    Device(DeviceName),
    /// A License On-Prem server, by the operator's name.
    OnPrem(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Instance(udi) => udi.fmt(f),
            Subject::Device(name) => name.fmt(f),
            Subject::OnPrem(name) => write!(f, "On-Prem {name}"),
        }
    }
}

/// `v-` and ten hex digits, made of kind and subject. **stored**
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ViolationId(String);

impl ViolationId {
    pub fn of(kind: Kind, subject: &Subject) -> Self {
        let named = match subject {
            Subject::Instance(udi) => format!("{kind}\0instance\0{}\0{}", udi.pid, udi.sn),
            Subject::Device(name) => format!("{kind}\0device\0{name}"),
            Subject::OnPrem(name) => format!("{kind}\0on-prem\0{name}"),
        };
        ViolationId(format!("v-{}", &Sha256::of(named.as_bytes()).to_string()[..10]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ViolationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no violation's id.
#[derive(Debug, thiserror::Error)]
#[error("expected `v-` and ten hex digits, as `violation list` shows, got {0:?}")]
pub struct NotAnId(String);

impl FromStr for ViolationId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let good = text.strip_prefix("v-").is_some_and(|hex| {
            hex.len() == 10 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        });
        if good { Ok(ViolationId(text.to_owned())) } else { Err(NotAnId(text.chars().take(80).collect())) }
    }
}

/// What a violation rests on. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A report of the instance.
    Report(ReportId),
    /// What the device printed, in its own words.
    Printed(String),
    /// Something on record, and when.
    Event { at: Timestamp, what: String },
    /// A bundle, by its id.
    Bundle(String),
}

/// A violation as it is found now. Nothing in it depends on the hour, so that one found again is equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: Kind,
    pub subject: Subject,
    /// By which the device is listed, where there is one.
    pub device: Option<DeviceName>,
    pub site: Site,
    pub severity: Severity,
    /// One sentence: what is so, with its numbers.
    pub explanation: String,
    pub evidence: Vec<Evidence>,
}

impl Finding {
    pub fn id(&self) -> ViolationId {
        ViolationId::of(self.kind, &self.subject)
    }
}

/// A person's word on an open violation. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    pub at: Timestamp,
    pub note: String,
    /// Daily reminders rest until then; state, metric and `monitor` do not.
    pub until: Timestamp,
    /// Whose word it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// One violation and its life. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    pub found: Finding,
    /// Since when it is open, or was last.
    pub opened: Timestamp,
    pub resolved: Option<Timestamp>,
    pub acknowledged: Option<Acknowledgement>,
    /// How often it came back after it was resolved.
    pub reopened: u32,
    /// When a message last told of it.
    #[serde(default)]
    pub told: Option<Timestamp>,
}

/// Where a violation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Open,
    Acknowledged,
    Resolved,
}
words!(Stage { Open = "open", Acknowledged = "acknowledged", Resolved = "resolved" });

impl Violation {
    /// Takes what was found anew: it comes back when it was resolved.
    pub(super) fn found_again(&mut self, at: Timestamp, found: &Finding) {
        self.found = found.clone();
        if self.resolved.take().is_some() {
            (self.opened, self.acknowledged) = (at, None);
            self.reopened = self.reopened.saturating_add(1);
        }
    }

    /// Where it stands at an instant: an acknowledgement ends with its time.
    pub fn stage(&self, at: Timestamp) -> Stage {
        match (self.resolved, &self.acknowledged) {
            (Some(_), _) => Stage::Resolved,
            (None, Some(acknowledged)) if at < acknowledged.until => Stage::Acknowledged,
            (None, _) => Stage::Open,
        }
    }
}

impl Kind {
    /// The severity where the operator sets none.
    pub fn severity(self) -> Severity {
        match self {
            Kind::AckOverdue
            | Kind::FirstReportOverdue
            | Kind::AuthorizationMissing
            | Kind::OutOfCompliance
            | Kind::ServiceAtRisk
            | Kind::OnPremSyncOverdue => Severity::Critical,
            Kind::ChangeUnreported
            | Kind::AckMissing
            | Kind::ReportGap
            | Kind::CollectionStale
            | Kind::Unreachable
            | Kind::TwoReporters
            | Kind::ClockSkew
            | Kind::TrustMissing
            | Kind::AccountMismatch
            | Kind::DuplicateInstance
            | Kind::CsluUnresolvable
            | Kind::Orphaned => Severity::Warning,
            Kind::NotSlp | Kind::PolicyDiffers => Severity::Info,
        }
    }

    /// What it means, for somebody who sees it for the first time.
    pub fn meaning(self) -> &'static str {
        match self {
            Kind::AckOverdue => "The policy's deadline for the next acknowledgement from Cisco is past.",
            Kind::FirstReportOverdue => "The first report was never acknowledged, and its deadline is past.",
            Kind::ChangeUnreported => {
                "The use of a licence changed, and the policy's time to report a change is past without an \
                 acknowledgement."
            }
            Kind::AckMissing => "Reports were handed over, and no acknowledgement came back in the time that is usual.",
            Kind::ReportGap => {
                "Reports of the device are missing here: it purged or lost them before they were collected."
            }
            Kind::CollectionStale => {
                "The device lists finished reports, and none of them was collected in the time in which polls should \
                 have done so."
            }
            Kind::Unreachable => "The device has not answered for longer than silence is fine.",
            Kind::NotSlp => {
                "The device does not run Smart Licensing Using Policy, so nothing of it is reported this way."
            }
            Kind::TwoReporters => {
                "The device itself reports to Cisco, and this collector is told to report for it too."
            }
            Kind::AuthorizationMissing => {
                "A licence that needs an authorization code (export-controlled or enforced) is in use without one."
            }
            Kind::OutOfCompliance => "The device says that more is used than was bought or authorized.",
            Kind::ClockSkew => {
                "The device's clock is more than an hour off: its reports carry wrong times, and trust codes are \
                 refused."
            }
            Kind::TrustMissing => "The device's own transport needs a trust code, and none is installed.",
            Kind::PolicyDiffers => {
                "The policy installed differs from that of its Virtual Account, or from the one expected."
            }
            Kind::AccountMismatch => "The device belongs to another account than the one that the inventory names.",
            Kind::DuplicateInstance => "Two devices of the inventory are the same product instance.",
            Kind::ServiceAtRisk => {
                "On this software voice services (CUBE, Unified CME, SRST) stop when the reporting deadline is missed."
            }
            Kind::CsluUnresolvable => {
                "The device is left at its default transport, CSLU, without an address that it could resolve."
            }
            Kind::Orphaned => "The device is no longer in the inventory, and what it owes stays owed.",
            Kind::OnPremSyncOverdue => "License On-Prem has not synchronised with Cisco in the time that Cisco allows.",
        }
    }

    /// What a person can do.
    pub fn remedy(self) -> &'static str {
        match self {
            Kind::AckOverdue | Kind::FirstReportOverdue | Kind::ServiceAtRisk => {
                "collect (`poll --close`), hand a bundle over (`bundle create`) and bring the ACK home (`ack import`)"
            }
            Kind::ChangeUnreported => "make a bundle with the reports of the change, and bring the ACK home",
            Kind::AckMissing => {
                "look the upload up in the portal; import the ACK that is there, or hand the same bundle over again"
            }
            Kind::ReportGap => {
                "nothing brings purged reports back: note it for the auditor, and poll and report more often"
            }
            Kind::CollectionStale => {
                "`device probe NAME` says what keeps reports from being fetched; mode `observe` fetches none"
            }
            Kind::Unreachable => "`device probe NAME` tells each access and why it fails; or `device retire NAME`",
            Kind::NotSlp => "upgrade to a release with Smart Licensing Using Policy, or take it off the inventory",
            Kind::TwoReporters => {
                "set `reporter` to who really reports, or `license smart transport off` on the device"
            }
            Kind::AuthorizationMissing => {
                "request an authorization code (SLAC) for it and import it: `ack import FILE`"
            }
            Kind::OutOfCompliance => "buy or move licences, or use fewer, until the device says that it is authorized",
            Kind::ClockSkew => "configure `ntp server` on the device",
            Kind::TrustMissing => "`license smart trust idtoken TOKEN local`, with a token of the Virtual Account",
            Kind::PolicyDiffers => "the next ACK brings the account's policy; if not, ask Cisco which one holds",
            Kind::AccountMismatch => "move the instance in the portal, or correct the account in the inventory",
            Kind::DuplicateInstance => "take one of the entries off the inventory",
            Kind::CsluUnresolvable => {
                "`license smart transport off` where this collector reports; else `license smart url cslu URL`"
            }
            Kind::Orphaned => "`device retire NAME --note WHY`, `device replace OLD NEW`, or list it again",
            Kind::OnPremSyncOverdue => "synchronise On-Prem with Cisco, then `on-prem synced NAME --at TIME`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::settings::Word;

    /// The manual's table has a row a kind, in the order of the enum, with the severity that it has here.
    #[test]
    fn the_manual_lists_every_kind() {
        let manual = include_str!("../../docs/operations.md");
        let row = |line: &str| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let kind: Kind = cells.next()?.strip_prefix('`')?.strip_suffix('`')?.parse().ok()?;
            Some((kind, cells.next()?.parse::<Severity>().ok()?))
        };
        let listed: Vec<(Kind, Severity)> =
            manual.lines().filter(|line| line.starts_with('|')).filter_map(row).collect();
        let kinds: Vec<(Kind, Severity)> = Kind::ALL.iter().map(|kind| (*kind, kind.severity())).collect();
        assert_eq!(listed, kinds);
    }

    /// The shipped configuration shows each kind at the severity that it has.
    #[test]
    fn the_shipped_configuration_names_every_severity() {
        let shipped = include_str!("../../config/slp-collector.toml");
        for kind in Kind::ALL {
            let line = format!("#   {kind} = \"{}\"", kind.severity());
            assert!(shipped.lines().any(|shown| shown == line), "{line}");
        }
    }

    #[test]
    fn an_id_is_that_of_kind_and_subject() {
        let subject = Subject::Device("edge-1".into());
        let id = ViolationId::of(Kind::Unreachable, &subject);
        assert_eq!(id.as_str().parse::<ViolationId>().unwrap(), id);
        assert_ne!(id, ViolationId::of(Kind::Unreachable, &Subject::OnPrem("edge-1".to_owned())));
        assert_ne!(id, ViolationId::of(Kind::Orphaned, &subject));
        for wrong in ["", "v-", "v-012345678", "v-0123456789a", "V-0123456789", "v-012345678G"] {
            assert!(wrong.parse::<ViolationId>().is_err(), "{wrong}");
        }
    }
}
