//! What a device said of its licensing, whichever way it was asked.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::instance::{Account, Member, Udi};
use super::policy::{LicenceClass, Policy};
use super::report::{EntitlementTag, ReportId};
use super::settings::words;
use super::shared::Shared;

/// The licensing model a device runs. **stored**
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    Slp,
    ClassicSmartLicensing,
    SpecificLicenseReservation,
    PermanentLicenseReservation,
    /// PAK, right-to-use, honour-based.
    Traditional,
    Disabled,
    #[default]
    Unknown,
}
words!(Model {
    Slp = "slp",
    ClassicSmartLicensing = "classic-smart-licensing",
    SpecificLicenseReservation = "specific-license-reservation",
    PermanentLicenseReservation = "permanent-license-reservation",
    Traditional = "traditional",
    Disabled = "disabled",
    Unknown = "unknown",
});

/// A time as it was printed, and as UTC where the zone can be known. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    pub text: Box<str>,
    pub utc: Option<Timestamp>,
}

impl Stamp {
    /// A stamp whose UTC instant is certain.
    pub fn utc(at: Timestamp) -> Self {
        Stamp { text: at.to_string().into(), utc: Some(at) }
    }
}

/// How the device itself would reach Cisco. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Transport {
    /// `off`, `cslu`, `smart`, `callhome`, `automatic`, or the device's own word.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub url: Option<String>,
}

/// Which names the device puts into what it reports: the block "Data Privacy" of `show license status`, or YANG
/// `privacy`. **stored**
///
/// That a leaf of the models set to true keeps the name back is inferred from its name; no answer with it set was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privacy {
    /// `Sending Hostname: yes`.
    pub sends_hostname: Option<bool>,
    /// `Version privacy: DISABLED`.
    pub sends_version: Option<bool>,
}

/// The block "Usage Reporting" of `show license status`, or YANG `rum-ack`. **stored**
///
/// Each in a box: few devices tell all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReporting {
    pub last_ack: Option<Box<Stamp>>,
    pub next_ack_deadline: Option<Box<Stamp>>,
    pub push_interval_days: Option<u32>,
    pub next_ack_push_check: Option<Box<Stamp>>,
    pub next_push: Option<Box<Stamp>>,
    pub last_push: Option<Box<Stamp>>,
    pub last_file_write: Option<Box<Stamp>>,
}

/// One trust code. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustCode {
    pub role: Option<super::instance::Role>,
    pub udi: Option<Udi>,
    pub installed: Option<Stamp>,
    pub expires: Option<Stamp>,
}

/// One licence that the device counts. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct License {
    pub name: Option<Arc<str>>,
    /// The whole `regid.…` name, or the short one of the CLI's column "Entitlement Tag".
    pub entitlement_tag: Option<EntitlementTag>,
    pub description: Option<Arc<str>>,
    pub count: Option<u64>,
    /// In the device's words: `IN USE`, `NOT IN USE`, …
    pub status: Option<Arc<str>>,
    /// `Perpetual`, `Subscription`, …; YANG does not tell it.
    pub license_type: Option<Arc<str>>,
    pub enforcement: Option<Arc<str>>,
}

impl License {
    /// Is anything of it counted?
    pub fn in_use(&self) -> bool {
        self.count.is_some_and(|count| count > 0)
    }

    /// The class whose numbers of the policy apply, where the device tells it.
    pub fn class(&self) -> Option<LicenceClass> {
        let enforcement = self.enforcement.as_deref().unwrap_or_default();
        // What nearly every licence has, first: a fleet is judged twice a minute.
        let enforced = !enforcement.eq_ignore_ascii_case("NOT ENFORCED");
        if enforced && holds(enforcement, "EXPORT") && !holds(enforcement, "NON-EXPORT") {
            return Some(LicenceClass::Export);
        }
        const ENFORCED: &str = "ENFORCED";
        if enforcement.get(..ENFORCED.len()).is_some_and(|start| start.eq_ignore_ascii_case(ENFORCED)) {
            return Some(LicenceClass::Enforced);
        }
        let class = self.license_type.as_deref()?;
        let known = [
            ("perpetual", LicenceClass::Perpetual),
            ("subscription", LicenceClass::Subscription),
            ("export", LicenceClass::Export),
        ];
        known.into_iter().find(|(word, _)| class.eq_ignore_ascii_case(word)).map(|(_, class)| class)
    }
}

/// Is `word` in `text`, in letters of any case?
fn holds(text: &str, word: &str) -> bool {
    text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// A count of one licence that an authorization code sets aside for one chassis. **stored**
///
/// A device upgraded to SLP keeps a reservation (SLR, PLR) that it was given before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub name: Option<Arc<str>>,
    pub entitlement_tag: Option<EntitlementTag>,
    pub description: Option<Arc<str>>,
    pub count: Option<u64>,
    /// In the device's words: `SPECIFIC INSTALLED`, …
    pub authorization: Option<Arc<str>>,
    pub license_type: Option<Arc<str>>,
    pub enforcement: Option<Arc<str>>,
    pub role: Option<super::instance::Role>,
    pub udi: Option<Udi>,
    pub installed: Option<Stamp>,
    pub start: Option<Stamp>,
    pub end: Option<Stamp>,
}

/// What a device printed of authorization codes (SLAC, and what reservations and export keys count as). **stored**
///
/// The form of installed codes is Cisco's guides'; recorded outputs only had codes without a list of what they allow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorizations {
    /// The chassis that have a code; one that printed `NOT INSTALLED` has no entry.
    pub codes: Vec<AuthorizationCode>,
    /// What the codes allow, as far as it was listed.
    pub allowed: Vec<Authorization>,
}

/// One chassis' code. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationCode {
    pub role: Option<super::instance::Role>,
    pub udi: Option<Udi>,
    /// In the device's words: `SMART AUTHORIZATION INSTALLED`, `SPECIFIC INSTALLED`, …
    pub status: String,
    pub installed: Option<Stamp>,
}

/// One licence that codes allow. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    pub name: Option<Arc<str>>,
    pub entitlement_tag: Option<EntitlementTag>,
    pub description: Option<Arc<str>>,
    /// Over all chassis.
    pub count: Option<u64>,
    pub enforcement: Option<Arc<str>>,
    pub license_type: Option<Arc<str>>,
}

/// What the device itself says of being in or out of compliance. **stored**
///
/// Without dates and without the days that remain of a grace period: those change from poll to poll.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Compliance {
    /// Classic Smart Licensing, `License Authorization: Status:` (`AUTHORIZED`, `OUT OF COMPLIANCE`, `EVAL MODE`, …).
    pub authorization: Option<String>,
    /// IOS XR, `SIA Status:` or `Upgrade License Status:` (`In Compliance`, `Out of Compliance`,
    /// `Out of Compliance(Grace Period Expired)`).
    pub upgrade_right: Option<String>,
}

impl Compliance {
    /// The words by which the device says that it is not in compliance.
    pub fn breaches(&self) -> impl Iterator<Item = &str> {
        const BREACHES: [&str; 4] = ["OUT OF COMPLIANCE", "OUT-OF-COMPLIANCE", "AUTHORIZATION EXPIRED", "EVAL EXPIRED"];
        let words = [&self.authorization, &self.upgrade_right].into_iter().flatten().map(String::as_str);
        words.filter(|words| BREACHES.iter().any(|breach| holds(words, breach)))
    }
}

/// Where a RUM report stands, as its device says (YANG `rum-report-state-enum`, CLI column State). **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportState {
    Invalid,
    Open,
    Closed,
    Pending,
    Unacknowledged,
    Acknowledged,
    /// CLI `DELETED`: purged from storage; says nothing of an acknowledgement.
    Deleted,
}

impl ReportState {
    /// A state by its word in the model (`closed`, `acknowledged`, …) or the CLI (`CLOSED`, `ACK`, …).
    pub fn read(word: &str) -> Option<ReportState> {
        match word.to_ascii_lowercase().as_str() {
            "invalid" => Some(ReportState::Invalid),
            "open" => Some(ReportState::Open),
            "closed" => Some(ReportState::Closed),
            "pending" => Some(ReportState::Pending),
            "unacknowledged" | "unacked" | "unack" => Some(ReportState::Unacknowledged),
            "acknowledged" | "acked" | "ack" => Some(ReportState::Acknowledged),
            "deleted" => Some(ReportState::Deleted),
            _ => None,
        }
    }
}

/// One line of the device's own list of reports. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedReport {
    pub report_id: ReportId,
    /// `null` where the list tells ids only.
    pub state: Option<ReportState>,
    pub feature: Option<String>,
    #[serde(default)]
    pub start: Option<Timestamp>,
    #[serde(default)]
    pub end: Option<Timestamp>,
}

/// The block "Usage Report Summary". **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportSummary {
    pub total: Option<u64>,
    pub purged: Option<u64>,
    pub acknowledged: Option<u64>,
    pub waiting_for_ack: Option<u64>,
    pub available: Option<u64>,
}

/// Everything a device said of its licensing at one moment. **stored**
///
/// A fact that was not told is `None` or empty, never a guess.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceState {
    pub model: Model,
    pub smart_account: Option<Arc<str>>,
    pub virtual_account: Option<Arc<str>>,
    pub transport: Option<Shared<Transport>>,
    pub policy: Option<Shared<Policy>>,
    pub usage_reporting: UsageReporting,
    pub trust_codes: Vec<TrustCode>,
    pub udi: Option<Udi>,
    pub uuid: Option<String>,
    pub members: Vec<Member>,
    pub licenses: Vec<Shared<License>>,
    /// Reservations, whichever the model.
    #[serde(default)]
    pub reserved: Vec<Reservation>,
    pub reports: Option<Box<ReportSummary>>,
    pub rum_ids: Vec<ListedReport>,
    pub agent_version: Option<Arc<str>>,
    /// `None` where the device printed nothing of codes: says nothing of whether it has some.
    #[serde(default)]
    pub authorizations: Option<Box<Authorizations>>,
    #[serde(default)]
    pub compliance: Shared<Compliance>,
    /// `None` where the device told nothing of it.
    #[serde(default)]
    pub privacy: Option<Privacy>,
}

impl DeviceState {
    /// The account that the device says it belongs to.
    pub fn account(&self) -> Account {
        Account { smart_account: self.smart_account.clone(), virtual_account: self.virtual_account.clone() }
    }
}
