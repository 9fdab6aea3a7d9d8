//! What the journal holds: facts, each with the instant at which we learned it.
//!
//! **stored**: the serde form of these types is the journal's format, version 1. A new fact is a
//! new variant; a new field is optional; nothing is renamed. `tests/data/ledger-v1` keeps the proof.

mod handover;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ack::StatedLicence;
use super::cross_check::{Counts, Difference};
use super::digest::Sha256;
use super::instance::{Account, DeviceName, Member, Site, Udi};
use super::message::Message;
use super::report::{ReportFacts, ReportId};
use super::settings::{Access, FileWay, Task};
use super::state::{DeviceState, ReportState};
use super::violation::{Finding, Kind, Severity, Subject, ViolationId};

pub use handover::{PostOutcome, SnapshotOwed, SnapshotPosted};

/// One fact and when we learned it. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    /// The person who asked for it, by the name of the system's user; `None`: nobody did, or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    pub fact: Fact,
}

/// Something that became known. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// A device told which product instance it is; written when that is new or changed.
    DeviceIdentified(DeviceIdentified),
    /// The licensing state of an instance; written when it differs from the last one.
    StateRead(StateRead),
    /// The device's own word on where reports stand; only what changed.
    ReportStates(ReportStates),
    /// A signed report is kept. `object` names its bytes.
    ReportCollected(ReportCollected),
    /// A newer reader made other facts out of a kept report's bytes (`rebuild --from-objects`).
    ReportReread(ReportReread),
    /// A report id came again with other bytes. The first is kept; the second is an object too.
    ReportConflict(ReportConflict),
    /// We wrote to a device.
    DeviceWritten(DeviceWritten),
    /// A device stopped answering, or answers wrongly.
    ContactLost(ContactLost),
    /// It answers again.
    ContactRestored(ContactRestored),
    /// A certificate or host key is trusted from now on.
    TrustPinned(TrustPinned),
    /// A device showed another certificate or key than the one pinned.
    TrustRefused(TrustRefused),
    /// A device refused a credential.
    CredentialRefused(CredentialRefused),
    /// An upstream refused a credential.
    UpstreamRefused(UpstreamRefused),
    /// A person let a held credential be used again.
    CredentialReleased(CredentialReleased),
    /// What worked on a device: remembered per software version.
    AccessLearned(AccessLearned),
    /// A bundle was written.
    BundleMade(BundleMade),
    /// A bundle left the house.
    BundleHandedOver(BundleHandedOver),
    /// An answer (ACK, policy, authorization) came in and belongs to an instance.
    AnswerReceived(AnswerReceived),
    /// An answer came in that we cannot place.
    AnswerQuarantined(AnswerQuarantined),
    /// An answer was sent to its device, or found installed there; how that ended.
    AnswerDelivered(AnswerDelivered),
    /// A person told that an answer is installed on a device on which nobody here can look.
    AnswerConfirmed(AnswerConfirmed),
    /// Answers were written out, for a person to carry them to their devices.
    AnswersExported(AnswersExported),
    /// Reports are about to be offered to an upstream's API.
    ReportsSubmitted(Box<ReportsSubmitted>),
    /// What the upstream said to them, at once or later.
    SubmissionMoved(SubmissionMoved),
    /// What an upstream knows of the fleet was read, and compared with what is known here.
    UpstreamRead(Box<UpstreamRead>),
    /// A scheduled run came to its end.
    ScheduleRan(ScheduleRan),
    /// A violation was found: for the first time, again after it was resolved, or with other evidence.
    ViolationFound(Box<Finding>),
    /// What was found before is so no longer.
    ViolationResolved(ViolationResolved),
    /// A person knows of it.
    ViolationAcknowledged(ViolationAcknowledged),
    /// Something is to be told, and to whom.
    MessageMade(Box<MessageMade>),
    /// One sink took a message, or will never get it.
    MessageSettled(MessageSettled),
    /// A person wants no messages about something for a time.
    SilenceSet(SilenceSet),
    SilenceEnded(SilenceEnded),
    /// License On-Prem synchronised with Cisco.
    OnPremSynced(OnPremSynced),
    /// A device is gone for good: its obligation ends, its evidence stays.
    DeviceRetired(DeviceRetired),
    /// Another chassis stands in for one that is gone.
    DeviceReplaced(DeviceReplaced),
    /// A snapshot is to be handed over to the receiver; of one that was before, that it is once more.
    SnapshotOwed(Box<SnapshotOwed>),
    /// How a try to hand it over ended.
    SnapshotPosted(SnapshotPosted),
}

impl Fact {
    /// The objects that it names.
    pub fn objects(&self) -> Vec<Sha256> {
        match self {
            Fact::ReportCollected(fact) => vec![fact.object],
            Fact::ReportReread(fact) => vec![fact.object],
            Fact::ReportConflict(fact) => vec![fact.kept, fact.differing],
            Fact::AnswerReceived(fact) => vec![fact.object],
            Fact::AnswerQuarantined(fact) => vec![fact.object],
            Fact::AnswerDelivered(fact) => vec![fact.object],
            Fact::AnswerConfirmed(fact) => vec![fact.object],
            Fact::AnswersExported(fact) => fact.objects.clone(),
            Fact::UpstreamRead(fact) => vec![fact.object],
            Fact::DeviceIdentified(_)
            | Fact::StateRead(_)
            | Fact::ReportStates(_)
            | Fact::DeviceWritten(_)
            | Fact::ContactLost(_)
            | Fact::ContactRestored(_)
            | Fact::TrustPinned(_)
            | Fact::TrustRefused(_)
            | Fact::CredentialRefused(_)
            | Fact::CredentialReleased(_)
            | Fact::UpstreamRefused(_)
            | Fact::AccessLearned(_)
            | Fact::BundleMade(_)
            | Fact::BundleHandedOver(_)
            | Fact::ReportsSubmitted(_)
            | Fact::SubmissionMoved(_)
            | Fact::ScheduleRan(_)
            | Fact::ViolationFound(_)
            | Fact::ViolationResolved(_)
            | Fact::ViolationAcknowledged(_)
            | Fact::MessageMade(_)
            | Fact::MessageSettled(_)
            | Fact::SilenceSet(_)
            | Fact::SilenceEnded(_)
            | Fact::OnPremSynced(_)
            | Fact::DeviceRetired(_)
            | Fact::DeviceReplaced(_)
            | Fact::SnapshotOwed(_)
            | Fact::SnapshotPosted(_) => Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceIdentified {
    pub device: DeviceName,
    pub site: Site,
    pub udi: Udi,
    pub uuid: Option<String>,
    pub members: Vec<Member>,
    /// `ios-xe`, `ios-xr`, `nx-os`; empty where nothing tells.
    pub os: String,
    pub software: Option<String>,
    pub hostname: Option<String>,
    /// So far the device's clock was ahead of ours, in seconds; negative when it was behind. Kept where UTC of what it
    /// printed is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateRead {
    pub udi: Udi,
    /// Of `rum_ids` only those deleted on the device that never came here; the others are in [`ReportStates`].
    pub state: Box<DeviceState>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportStates {
    pub udi: Udi,
    pub states: Vec<(ReportId, ReportState)>,
}

/// Where a report came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The device's own REST interface.
    Rest,
    /// A file saved on the device and copied.
    SavedFile,
    /// A file that a person brought.
    Import,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportCollected {
    pub device: Option<DeviceName>,
    pub report: ReportFacts,
    /// The report object (payload, header, signature) byte for byte.
    pub object: Sha256,
    pub source: Source,
    /// Version of the reader that made `report` out of `object`.
    pub parser: u32,
    /// It ended before the device's last ACK and its state cannot be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub presumed_acknowledged: bool,
    /// What the device calls the licence in its list of reports, beside the number of this one: a report itself names
    /// only the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportReread {
    pub report: ReportFacts,
    pub object: Sha256,
    /// Version of the reader that made `report` this time.
    pub parser: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportConflict {
    pub udi: Udi,
    pub report_id: ReportId,
    pub kept: Sha256,
    pub differing: Sha256,
}

/// What we may do to a device, and nothing beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Write {
    CloseReports,
    /// Reading report bodies moves them from closed to unacknowledged.
    FetchReports,
    /// Saving usage to a file: ends the running reports, as closing does.
    SaveUsage,
    /// Saving one finished report to a file: ends nothing.
    SaveReport,
    CopyFile,
    ImportFile,
    DeleteOwnFile,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceWritten {
    pub device: DeviceName,
    pub write: Write,
    /// What exactly: which reports, which answer, in which form.
    pub detail: String,
    /// `None`: it is about to be sent. A second event with the cause follows when that fails.
    pub refused: Option<String>,
    /// The cause is that no answer came: the device may have done it all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
}

/// Whose fault a failure is: that is who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// No answer, or the connection broke.
    Unreachable,
    /// It answered and said no: credentials, privilege.
    Refused,
    /// Its certificate or key is not the one we trust.
    Untrusted,
    /// It answered something that no device should.
    Misbehaved,
    /// It does not offer what we need.
    Unsupported,
    /// Our own side: disk, memory, configuration.
    Ours,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactLost {
    pub device: DeviceName,
    pub blame: Blame,
    pub cause: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactRestored {
    pub device: DeviceName,
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decider {
    /// First contact under `trust = learn`.
    FirstContact,
    /// A person, by a verb.
    Operator,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrustPinned {
    pub device: DeviceName,
    /// The type of a host key, such as `ssh-rsa`; `None` for a certificate.
    pub key_type: Option<String>,
    /// SHA-256 of the certificate (DER) or host key.
    pub fingerprint: Sha256,
    pub by: Decider,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrustRefused {
    pub device: DeviceName,
    /// As in [`TrustPinned`].
    pub key_type: Option<String>,
    pub pinned: Sha256,
    pub presented: Sha256,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CredentialRefused {
    /// The credential's name, never its value.
    pub credential: String,
    pub device: DeviceName,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpstreamRefused {
    /// The credential's name, never its value.
    pub credential: String,
    /// The upstream's name in the configuration.
    pub upstream: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CredentialReleased {
    pub credential: String,
    pub note: Option<String>,
}

/// A way of handing an ACK over; which one `/smartlic-service/import` of a release takes is not published.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportForm {
    /// The file's own bytes.
    Raw,
    /// The file in base64, as the whole body.
    Base64,
    /// `{"<key>":"<base64>"}`.
    Json(String),
    /// As a file on the device, which it is told to install.
    File,
}

impl std::fmt::Display for ImportForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImportForm::Raw => f.write_str("raw"),
            ImportForm::Base64 => f.write_str("base64"),
            ImportForm::Json(key) => write!(f, "json:{key}"),
            ImportForm::File => f.write_str("file"),
        }
    }
}

/// What worked on a device, remembered until its software changes. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    pub access: Option<Access>,
    /// The access that tells state, where the other cannot.
    pub teller: Option<Access>,
    pub import_form: Option<ImportForm>,
    /// How files come off the device.
    pub get: Option<FileWay>,
    /// How they get onto it.
    pub put: Option<FileWay>,
    /// The command lines that were taken where there is a choice, with their blanks.
    pub commands: BTreeMap<Task, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessLearned {
    pub device: DeviceName,
    /// On which it worked.
    pub software: Option<String>,
    /// The whole of it: nothing of what was known before stays.
    pub learned: Learned,
}

/// One report inside a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledReport {
    pub udi: Udi,
    pub report_id: ReportId,
    pub payload_sha256: Sha256,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleMade {
    pub bundle_id: String,
    pub nonce: String,
    /// `None`: all sites.
    pub site: Option<Site>,
    pub manifest_sha256: Sha256,
    /// The name of the folder or tar that was written.
    pub name: String,
    /// Names of the files meant for upload; answers carry them with `ACK_` in front.
    pub uploads: Vec<BundleUpload>,
    pub reports: Vec<BundledReport>,
    pub previous_bundle_id: Option<String>,
}

/// A file of a bundle that a person uploads, and the instance inside when there is just one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleUpload {
    pub name: String,
    pub udi: Option<Udi>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleHandedOver {
    pub bundle_id: String,
    /// When it left; may be earlier than the event.
    pub handed_over: Timestamp,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerReceived {
    /// The answer file byte for byte.
    pub object: Sha256,
    pub name: String,
    pub udi: Udi,
    /// What it carries: `rum-ack`, `policy`, `authorization`, `account-info`, `trust`.
    pub parts: Vec<String>,
    pub bundle_id: Option<String>,
    /// Report ids it acknowledges, where they could be read.
    pub reports: Vec<ReportId>,
    /// A person placed it (`ack assign`).
    pub assigned: Option<String>,
    /// What it says of licences by their tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licences: Vec<StatedLicence>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerQuarantined {
    pub object: Sha256,
    pub name: String,
    pub reason: String,
}

/// How a delivery ended, by read-back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The device lists the reports as acknowledged.
    ConfirmedById,
    /// Ids cannot be read; the last-ACK time moved after our import. Weaker.
    ConfirmedByTime,
    /// The device took it, but reading back shows no change.
    Unconfirmed,
    /// The device, or the way to it, refused; retried by the plan when `again`.
    Failed { cause: String, again: bool },
    /// No way in: waits for a person with the file.
    AwaitingHandImport,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerDelivered {
    pub object: Sha256,
    pub device: DeviceName,
    /// As in the [`AnswerReceived`] of the answer; `None` in what was written before one file could be for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udi: Option<Udi>,
    pub outcome: Outcome,
    /// Nobody here sent it: reading the device showed that it is installed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerConfirmed {
    pub object: Sha256,
    pub udi: Udi,
    /// When it was installed, by the person's word.
    pub installed: Timestamp,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswersExported {
    pub objects: Vec<Sha256>,
    /// The name of the folder that was written.
    pub folder: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportsSubmitted {
    /// Its own id, never used twice.
    pub submission: String,
    /// The upstream's name in the configuration.
    pub upstream: String,
    pub account: Account,
    pub nonce: String,
    pub reports: Vec<BundledReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionMoved {
    pub submission: String,
    pub progress: Progress,
}

/// How far a submission is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// The upstream has it; from `ask` on the answer may be asked for under this number.
    Accepted { poll_id: u64, ask: Timestamp },
    /// The answer came.
    Answered,
    /// The upstream had these reports before, so there is no answer to this submission.
    Duplicate { said: String },
    /// It was refused, or never answered; `again`: offered anew by the plan.
    Failed {
        cause: String,
        again: bool,
        /// No answer came to it: the upstream may have these reports all the same.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unanswered: bool,
    },
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Progress::Accepted { poll_id, .. } => write!(f, "accepted under {poll_id}"),
            Progress::Answered => f.write_str("answered"),
            Progress::Duplicate { said } => write!(
                f,
                "Cisco had these reports before ({said}), and no acknowledgement comes for this submission: fetch it at \
                 the portal, then `ack import`"
            ),
            Progress::Failed { cause, again: true, .. } => write!(f, "failed, and is offered again: {cause}"),
            Progress::Failed { cause, again: false, .. } => write!(f, "failed for good: {cause}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamRead {
    /// The upstream's name in the configuration.
    pub upstream: String,
    /// What it said, as JSON of ours.
    pub object: Sha256,
    /// So many product instances it knows.
    pub devices: u64,
    /// So many differences of each kind.
    pub counts: Counts,
    /// The differences, at most [`KEPT`](super::cross_check::KEPT) of them; the object has all.
    pub differences: Vec<Difference>,
    /// The software of the server, where it told.
    pub version: Option<String>,
    /// Until when the server's certificate is valid.
    pub certificate_until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRan {
    pub schedule: String,
    /// The instant it was due.
    pub due: Timestamp,
    pub polled: u64,
    pub failed: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViolationResolved {
    pub id: ViolationId,
    /// Why it is so no longer, in one sentence.
    pub cause: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViolationAcknowledged {
    pub id: ViolationId,
    pub note: String,
    pub until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageMade {
    pub message: Message,
    /// The names of those who are to get it.
    pub sinks: Vec<String>,
    /// The obligations of which it tells, with the deadline told.
    pub told: Vec<(Subject, Option<Timestamp>)>,
}

/// How one sink's part in a message ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSettled {
    pub message: String,
    pub sink: String,
    /// `None`: taken. Else why it will never be sent: the sink is gone from the configuration.
    pub dropped: Option<String>,
}

/// What a silence covers; what is not given covers all. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covers {
    pub site: Option<Site>,
    pub device: Option<DeviceName>,
    pub kind: Option<Kind>,
    /// Up to this severity.
    pub severity: Option<Severity>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceSet {
    /// `s-` and ten hex digits.
    pub id: String,
    pub covers: Covers,
    pub from: Timestamp,
    pub until: Timestamp,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceEnded {
    pub id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnPremSynced {
    /// The operator's name for the server.
    pub name: String,
    pub synced: Timestamp,
    /// `None`: its API told.
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRetired {
    /// `None` for an instance that no device of the inventory ever was.
    pub device: Option<DeviceName>,
    /// `None` for a device that never told who it is.
    pub udi: Option<Udi>,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReplaced {
    pub old: Udi,
    pub new: Udi,
    pub note: Option<String>,
}
