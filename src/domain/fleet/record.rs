//! The records of the fold: one for each instance, device, bundle, answer, credential and schedule.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::ReportSet;
use crate::domain::digest::Sha256;
use crate::domain::event::{Blame, BundleMade, Covers, Learned, Progress, ReportsSubmitted, UpstreamRead, Write};
use crate::domain::instance::{DeviceName, Member, Site, Udi};
use crate::domain::report::{EntitlementTag, ReportFacts, ReportId, ReportType};
use crate::domain::state::{DeviceState, ReportState};
use crate::domain::violation::Severity;

/// A kept report that is not known to be acknowledged. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwedReport {
    /// The chassis that signed it.
    pub udi: Udi,
    pub report_id: ReportId,
    pub object: Sha256,
    pub payload_sha256: Sha256,
    pub entitlement_tag: Option<EntitlementTag>,
    pub report_type: ReportType,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub collected: Timestamp,
    /// The device's last word on it.
    pub state: Option<ReportState>,
    pub presumed_acknowledged: bool,
    /// The newest bundle it is in, or the newest submission that arrived.
    pub bundle: Option<String>,
    /// When the use that it records began to differ from that of the report before it.
    pub change: Option<Timestamp>,
}

/// How an acknowledgement was established. **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmation {
    /// Weakest: a person told so of a device on which nobody here can look.
    ByPerson,
    /// Weaker: the last-ACK time moved after our import.
    ByTime,
    ById,
}

/// One product instance and its obligation. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub udi: Udi,
    pub uuid: Option<String>,
    /// The pair or stack; the obligation is one, whoever is active.
    pub members: Vec<Member>,
    pub device: Option<DeviceName>,
    pub site: Site,
    pub os: Option<Arc<str>>,
    pub software: Option<Arc<str>>,
    pub hostname: Option<String>,
    pub first_seen: Timestamp,
    /// The first time we saw a licence in use.
    pub first_in_use: Option<Timestamp>,
    /// When the earliest known report began.
    pub earliest_report: Option<Timestamp>,
    pub state: Option<DeviceState>,
    pub state_read: Option<Timestamp>,
    pub last_collected: Option<Timestamp>,
    /// Every report of which we hold the bytes.
    pub collected: ReportSet,
    /// Every report that the device listed as acknowledged, or that was confirmed by time.
    pub acknowledged: ReportSet,
    /// How the newest acknowledgement was established.
    pub confirmation: Option<Confirmation>,
    /// When we learned that a report which waited here is acknowledged.
    #[serde(default)]
    pub last_acknowledged: Option<Timestamp>,
    pub owed: Vec<OwedReport>,
    /// When a report was last handed over (a policy without ACK is met by it).
    pub last_handed_over: Option<Timestamp>,
    pub conflicts: u32,
    /// So far its clock was ahead of ours when that was last news, in seconds; negative when it was behind.
    #[serde(default)]
    pub clock_skew_seconds: Option<i64>,
    /// The newest use of each licence that its reports tell.
    #[serde(default)]
    pub usage: Vec<LastUse>,
    /// Its obligation ended.
    #[serde(default)]
    pub retired: Option<Box<Retirement>>,
}

/// What the newest report of a licence tells. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastUse {
    pub entitlement_tag: EntitlementTag,
    pub value: u64,
    /// The end of the measurement.
    pub until: Timestamp,
}

/// How the obligation of an instance ended. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    pub at: Timestamp,
    pub note: Option<String>,
    /// Who stands in for it.
    pub replaced_by: Option<Udi>,
    /// Whose word it is.
    #[serde(default)]
    pub by: Option<String>,
}

/// Of which deadline was told last, and when. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub at: Timestamp,
    /// `None`: that it is met.
    pub due: Option<Timestamp>,
    pub severity: Severity,
}

/// No messages about something, for a time. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    pub covers: Covers,
    pub from: Timestamp,
    pub until: Timestamp,
    pub note: String,
    /// Whose wish it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A License On-Prem server and its own duty. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnPrem {
    pub synced: Timestamp,
    pub note: Option<String>,
    /// When we were told.
    pub told: Timestamp,
}

impl Instance {
    /// One of which nothing is known yet.
    pub(in crate::domain) fn new(udi: Udi, at: Timestamp) -> Self {
        Instance {
            udi,
            uuid: None,
            members: Vec::new(),
            device: None,
            site: Site::default(),
            os: None,
            software: None,
            hostname: None,
            first_seen: at,
            first_in_use: None,
            earliest_report: None,
            state: None,
            state_read: None,
            last_collected: None,
            collected: ReportSet::default(),
            acknowledged: ReportSet::default(),
            confirmation: None,
            last_acknowledged: None,
            owed: Vec::new(),
            last_handed_over: None,
            conflicts: 0,
            clock_skew_seconds: None,
            usage: Vec::new(),
            retired: None,
        }
    }

    /// Takes in what a report tells of its licence; returns when its use began to differ from what was known. The
    /// first use of all is no change: the first-report requirement covers it.
    pub(super) fn used(&mut self, tag: &EntitlementTag, report: &ReportFacts) -> Option<Timestamp> {
        let mut change = None;
        for measured in &report.measurements {
            let (Some(start), Some(until), Some(value)) = (measured.start, measured.end, measured.value) else {
                continue;
            };
            match self.usage.iter_mut().find(|last| last.entitlement_tag == *tag) {
                None => self.usage.push(LastUse { entitlement_tag: tag.clone(), value, until }),
                // An older one that came late tells nothing of what came after it.
                Some(last) if until <= last.until => {}
                Some(last) => {
                    if last.value != value {
                        change = change.or(Some(start));
                    }
                    (last.value, last.until) = (value, until);
                }
            }
        }
        change
    }

    /// Reports that still want an acknowledgement from Cisco. Telemetry counts no licence: no bundle takes it
    /// unasked, so nothing waits for its acknowledgement.
    pub fn waiting(&self) -> impl Iterator<Item = &OwedReport> {
        let counts = |owed: &&OwedReport| owed.report_type == ReportType::Entitlement;
        self.owed.iter().filter(|owed| !owed.presumed_acknowledged).filter(counts)
    }

    /// Is the report of that number here, or known to be acknowledged, whichever chassis signed it?
    pub fn has_seen(&self, id: ReportId) -> bool {
        self.chassis().any(|udi| self.collected.contains(udi, id) || self.acknowledged.contains(udi, id))
    }

    /// Its own UDI and those of the other members.
    pub fn chassis(&self) -> impl Iterator<Item = &Udi> {
        std::iter::once(&self.udi).chain(self.members.iter().map(|member| &member.udi))
    }

    /// The kept report of that chassis and number, while it is owed.
    pub fn owed(&self, udi: &Udi, id: ReportId) -> Option<&OwedReport> {
        self.owed.iter().find(|owed| owed.report_id == id && owed.udi == *udi)
    }

    pub(super) fn owed_mut(&mut self, udi: &Udi, id: ReportId) -> Option<&mut OwedReport> {
        self.owed.iter_mut().find(|owed| owed.report_id == id && owed.udi == *udi)
    }

    pub(super) fn acknowledge(&mut self, at: Timestamp, udi: &Udi, id: ReportId, how: Confirmation) {
        if self.acknowledged.insert(udi, id) {
            // What was acknowledged before we came tells nothing of when.
            if self.owed(udi, id).is_some_and(|owed| owed.collected < at) {
                self.last_acknowledged = self.last_acknowledged.max(Some(at));
            }
            self.owed.retain(|owed| owed.report_id != id || owed.udi != *udi);
            self.confirmation = Some(how);
        }
    }
}

/// Why a device does not answer as it should. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    pub since: Timestamp,
    pub blame: Blame,
    pub cause: String,
}

/// One write to a device. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteRecord {
    pub at: Timestamp,
    pub write: Write,
    pub detail: String,
    pub refused: Option<String>,
}

/// An SSH host key. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKey {
    /// SHA-256 of the key blob, as OpenSSH takes it.
    pub fingerprint: Sha256,
    /// Such as `ssh-rsa`.
    pub key_type: String,
}

/// What was learned of a device of the inventory. **stored**
///
/// In boxes what few devices have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Device {
    pub instance: Option<Udi>,
    /// The certificate that is trusted.
    pub pin: Option<Sha256>,
    /// The one it showed instead, until a person decides.
    pub refused_pin: Option<Box<Sha256>>,
    /// The SSH host key that is trusted.
    pub host_key: Option<Box<HostKey>>,
    /// The one it showed instead, until a person decides.
    pub refused_host_key: Option<Box<HostKey>>,
    pub trouble: Option<Box<Trouble>>,
    /// The newest writes, at most [`Device::WRITES_KEPT`]; the journal has them all.
    pub writes: Vec<WriteRecord>,
    /// When reports were last closed, or may have been: the answer was lost.
    pub last_close: Option<Timestamp>,
    /// The one before, in case the device refuses.
    #[serde(default)]
    pub close_before: Option<Timestamp>,
    /// What worked, and on which software.
    pub learned: Learned,
    pub learned_on: Option<Arc<str>>,
    /// The credential that it refused, until released.
    pub refused_credential: Option<Box<str>>,
}

impl Device {
    pub const WRITES_KEPT: usize = 50;
}

/// One bundle and the five facts of its life that are its own. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    pub made: Timestamp,
    #[serde(flatten)]
    pub facts: BundleMade,
    pub handed_over: Option<Timestamp>,
    pub handover_note: Option<String>,
    /// When the first answer to it came in.
    pub answered: Option<Timestamp>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// Who told that it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over_by: Option<String>,
}

/// A [`Bundle`] for a form without names, where nothing can be flattened or skipped. **stored**
#[derive(Serialize, Deserialize)]
pub(super) struct CompactBundle<'a> {
    made: Timestamp,
    facts: Cow<'a, BundleMade>,
    handed_over: Option<Timestamp>,
    handover_note: Option<String>,
    answered: Option<Timestamp>,
    made_by: Option<String>,
    handed_over_by: Option<String>,
}

impl<'a> CompactBundle<'a> {
    pub(super) fn of(bundle: &'a Bundle) -> Self {
        let Bundle { made, facts, handed_over, handover_note, answered, made_by, handed_over_by } = bundle;
        CompactBundle {
            made: *made,
            facts: Cow::Borrowed(facts),
            handed_over: *handed_over,
            handover_note: handover_note.clone(),
            answered: *answered,
            made_by: made_by.clone(),
            handed_over_by: handed_over_by.clone(),
        }
    }
}

impl From<CompactBundle<'_>> for Bundle {
    fn from(compact: CompactBundle<'_>) -> Self {
        let CompactBundle { made, facts, handed_over, handover_note, answered, made_by, handed_over_by } = compact;
        let facts = facts.into_owned();
        Bundle { made, facts, handed_over, handover_note, answered, made_by, handed_over_by }
    }
}

/// Where an answer stands. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerStatus {
    Quarantined {
        reason: String,
    },
    AwaitingDelivery,
    AwaitingHandImport,
    /// The device took it; reading back shows no change yet.
    Unconfirmed,
    Confirmed(Confirmation),
    /// Will not be tried again without a person.
    Failed {
        cause: String,
    },
}

/// Which answer: the same file may be meant for several instances, and its way to each is its own. **stored**
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AnswerKey {
    /// Whose it is, as it was placed; `None` while nobody knows.
    pub udi: Option<Udi>,
    /// The file byte for byte.
    pub object: Sha256,
}

/// What a person told of an answer that nobody here could bring. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// When it was installed.
    pub installed: Timestamp,
    pub by: Option<String>,
    pub note: String,
}

/// One answer file from the portal, on its way to one instance. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub name: String,
    pub received: Timestamp,
    pub udi: Option<Udi>,
    pub parts: Vec<String>,
    pub bundle_id: Option<String>,
    pub reports: Vec<ReportId>,
    pub assigned: Option<String>,
    pub status: AnswerStatus,
    pub attempts: u32,
    pub last_attempt: Option<Timestamp>,
    pub last_cause: Option<String>,
    /// Who brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought_by: Option<String>,
    /// A person's word that it is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<Word>,
}

impl Answer {
    /// Is nothing left to be done with it, whatever the device may tell some day?
    pub fn is_settled(&self) -> bool {
        match self.status {
            AnswerStatus::Confirmed(_) => true,
            AnswerStatus::Quarantined { .. }
            | AnswerStatus::AwaitingDelivery
            | AnswerStatus::AwaitingHandImport
            | AnswerStatus::Unconfirmed
            | AnswerStatus::Failed { .. } => false,
        }
    }

    /// Does nothing go on with it by itself? Brought again by a person, it starts anew.
    pub fn needs_person(&self) -> bool {
        match self.status {
            AnswerStatus::Quarantined { .. }
            | AnswerStatus::Failed { .. }
            | AnswerStatus::Unconfirmed
            | AnswerStatus::AwaitingHandImport => true,
            AnswerStatus::AwaitingDelivery | AnswerStatus::Confirmed(_) => false,
        }
    }

    /// Does it carry an acknowledgement of reports?
    pub fn acknowledges(&self) -> bool {
        self.parts.iter().any(|part| part == "rum-ack")
    }
}

/// Reports that were offered to an upstream's API. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    pub at: Timestamp,
    #[serde(flatten)]
    pub facts: ReportsSubmitted,
    /// The upstream's last word; `None`: none came, so it may have it or not.
    pub progress: Option<Progress>,
    pub moved: Option<Timestamp>,
    /// The reports for which an answer to it came in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub answered: BTreeSet<(Udi, ReportId)>,
}

impl Submission {
    pub(super) fn new(at: Timestamp, facts: ReportsSubmitted) -> Self {
        Submission { at, facts, progress: None, moved: None, answered: BTreeSet::new() }
    }

    /// When its reports left the house; `None` when it is not known that they arrived.
    pub fn handed_over(&self) -> Option<Timestamp> {
        match &self.progress {
            Some(Progress::Accepted { .. } | Progress::Answered | Progress::Duplicate { .. }) => Some(self.at),
            Some(Progress::Failed { .. }) | None => None,
        }
    }

    /// Did an answer to it come for this report?
    pub fn answers(&self, owed: &OwedReport) -> bool {
        self.answered.contains(&(owed.udi.clone(), owed.report_id))
    }

    /// The name under which the reports of a chassis went out, so that their answer is placed as one to a file is.
    pub fn upload_name(&self, udi: &Udi) -> String {
        let plain = |text: &str| -> String {
            text.chars().map(|char| if char.is_ascii_alphanumeric() || char == '-' { char } else { '-' }).collect()
        };
        format!("{}_{}_{}.xml", self.facts.submission, plain(&udi.pid), plain(&udi.sn))
    }
}

/// What an upstream last told. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upstream {
    pub read: Timestamp,
    #[serde(flatten)]
    pub facts: UpstreamRead,
}

/// Which devices refused a credential since it was last released. **stored**
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    pub refused_by: BTreeSet<DeviceName>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub refused_by_upstreams: BTreeSet<String>,
    pub last_refusal: Option<Timestamp>,
    pub released: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_by: Option<String>,
}

/// When a schedule last ran. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRun {
    pub due: Timestamp,
    pub ended: Timestamp,
    pub polled: u64,
    pub failed: u64,
}
