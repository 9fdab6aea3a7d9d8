//! What the journal holds: facts, each with the instant at which we learned it.
//!
//! **stored**: the serde form of these types is the journal's format, version 1. A new fact is a
//! new variant; a new field is optional; nothing is renamed. `tests/data/ledger-v1` keeps the proof.

mod access;
mod answer;
mod bundle;
mod device;
mod handover;
#[cfg(test)]
pub(crate) mod made;
mod report;
mod trust;
mod upstream;
mod watch;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Sha256;
use super::violation::Finding;

pub use access::{AccessLearned, ImportForm, Learned};
pub use answer::{AnswerConfirmed, AnswerDelivered, AnswerQuarantined, AnswerReceived, AnswersExported, Outcome};
pub use bundle::{BundleHandedOver, BundleMade, BundleUpload, BundledReport};
pub use device::{
    Blame, ContactLost, ContactRestored, DeviceIdentified, DeviceReplaced, DeviceRetired, DeviceWritten, ScheduleRan,
    StateRead, Write,
};
pub use handover::{PostOutcome, SnapshotOwed, SnapshotPosted};
pub use report::{ReportCollected, ReportConflict, ReportReread, ReportStates, Source};
pub use trust::{CredentialRefused, CredentialReleased, Decider, TrustPinned, TrustRefused, UpstreamRefused};
pub use upstream::{OnPremSynced, Progress, ReportsSubmitted, SubmissionMoved, UpstreamRead};
pub use watch::{
    Covers, MessageMade, MessageSettled, SilenceEnded, SilenceSet, ViolationAcknowledged, ViolationResolved,
};

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
