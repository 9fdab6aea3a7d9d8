//! The questions and the parts of their answers: what the command line and the daemon say to each other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::life::SilenceLine;
use super::report_life::ReportLife;
use super::reports::{ReportBytes, ReportLine};
use super::upstreams::UpstreamLine;
use super::violations::{ViolationLine, ViolationQuery};
use crate::domain::bundle::Selection;
use crate::domain::deadline::ObligationState;
use crate::domain::digest::Sha256;
use crate::domain::event::Covers;
use crate::domain::evidence::Evidence;
use crate::domain::fleet::{Answer, Bundle, Credential, Instance};
use crate::domain::forecast::Week;
use crate::domain::instance::{DeviceName, Site};
use crate::domain::monitor::{Health, Thresholds};
use crate::domain::report::ReportId;
use crate::domain::status::Row;
use crate::domain::violation::ViolationId;
use crate::flow::brought::Brought;
use crate::flow::by_hand::{Exported, Which};
use crate::flow::check::Checked;
use crate::flow::consumption::{Asked, Snapped, SnapshotLine};
use crate::flow::deliver::Delivered;
use crate::flow::homeward::Taken;
use crate::flow::outward::Made;
use crate::flow::poll::{Ask, Polled};
use crate::flow::probe::Probe;
use crate::flow::record::Recording;
use crate::flow::rehearse::{Question, Rehearsal, Step};
use crate::flow::submit::Passed;
use crate::ledger::Backup;

/// One question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Poll these devices; none named: all.
    Poll {
        devices: Vec<DeviceName>,
        ask: Ask,
    },
    Status(StatusQuery),
    Devices,
    Device {
        name: DeviceName,
    },
    /// Try every access of this device.
    Probe {
        name: DeviceName,
    },
    /// The whole loop on this device, with a question before each write: the one request that waits for answers.
    Rehearse {
        name: DeviceName,
    },
    /// Note a session with this device, scrubbed.
    Record {
        name: DeviceName,
    },
    /// Show the certificates that were refused; pin those of `accept`, if they are still the ones shown.
    Trust {
        devices: Vec<DeviceName>,
        site: Option<Site>,
        accept: Vec<(DeviceName, Sha256)>,
    },
    Credentials,
    ReleaseCredential {
        name: String,
        note: Option<String>,
    },
    Reports {
        device: Option<DeviceName>,
        all: bool,
    },
    Report {
        id: ReportId,
    },
    /// The signed bytes of reports.
    ReportBytes {
        ids: Vec<ReportId>,
        device: Option<DeviceName>,
    },
    CreateBundle {
        selection: Selection,
        close: bool,
        tar: bool,
        out: Option<PathBuf>,
        at: Option<Timestamp>,
    },
    Bundles,
    Bundle {
        id: String,
    },
    HandOver {
        id: String,
        at: Option<Timestamp>,
        note: String,
    },
    /// Files from the portal: name and base64 of the bytes.
    ImportAnswers {
        files: Vec<(String, String)>,
        deliver: bool,
    },
    Answers,
    AssignAnswer {
        object: Sha256,
        devices: Vec<DeviceName>,
        note: String,
    },
    /// Files with RUM reports that a person saved: name and base64 of the bytes; whose they are, where a person says so.
    ImportReports {
        files: Vec<(String, String)>,
        device: Option<DeviceName>,
    },
    /// Write out what a person must carry to the devices of a site.
    ExportAnswers {
        site: Site,
        out: Option<PathBuf>,
    },
    /// A person's word that answers are installed.
    ConfirmAnswers {
        which: Which,
        at: Option<Timestamp>,
        note: String,
    },
    Violations(ViolationQuery),
    Violation {
        id: ViolationId,
    },
    AcknowledgeViolation {
        id: ViolationId,
        note: String,
        until: Option<Timestamp>,
    },
    /// End the obligation of a device or instance, by its name or UDI.
    Retire {
        whom: String,
        note: String,
    },
    /// Another chassis stands in for one that is gone.
    Replace {
        old: String,
        new: String,
        note: Option<String>,
    },
    Upstreams,
    /// Ask this upstream what it knows, and compare.
    CheckUpstream {
        upstream: String,
    },
    /// Submit what is owed to this upstream, and ask for answers that may be there.
    Submit {
        upstream: String,
        dry_run: bool,
    },
    OnPrem,
    OnPremSynced {
        name: String,
        at: Option<Timestamp>,
        note: Option<String>,
    },
    Silences {
        /// Also those that are over.
        all: bool,
    },
    AddSilence {
        covers: Covers,
        from: Option<Timestamp>,
        until: Timestamp,
        note: String,
    },
    EndSilence {
        id: String,
    },
    Monitor(Thresholds),
    Forecast {
        days: u16,
    },
    Evidence {
        from: Timestamp,
        to: Timestamp,
        account: Option<String>,
    },
    /// Copy the ledger into this file.
    Backup {
        file: PathBuf,
    },
    CreateSnapshot(Asked),
    /// A snapshot where `[snapshot]` wants them, as of now if no instant is given.
    PublishSnapshot {
        as_of: Option<Timestamp>,
    },
    /// The snapshots of a folder; of the state folder where none is given.
    Snapshots {
        folder: Option<PathBuf>,
    },
}

impl Request {
    /// May the answer change what a plan rests on?
    pub(super) fn changes(&self) -> bool {
        match self {
            Request::Poll { .. }
            | Request::Probe { .. }
            | Request::Record { .. }
            | Request::Rehearse { .. }
            | Request::Trust { .. }
            | Request::ReleaseCredential { .. }
            | Request::CreateBundle { .. }
            | Request::HandOver { .. }
            | Request::ImportAnswers { .. }
            | Request::AssignAnswer { .. }
            | Request::ImportReports { .. }
            | Request::ExportAnswers { .. }
            | Request::ConfirmAnswers { .. }
            | Request::AcknowledgeViolation { .. }
            | Request::Retire { .. }
            | Request::Replace { .. }
            | Request::OnPremSynced { .. }
            | Request::Submit { .. }
            | Request::CheckUpstream { .. }
            | Request::AddSilence { .. }
            | Request::EndSilence { .. } => true,
            Request::Status(_)
            | Request::Devices
            | Request::Device { .. }
            | Request::Credentials
            | Request::Reports { .. }
            | Request::Report { .. }
            | Request::ReportBytes { .. }
            | Request::Bundles
            | Request::Bundle { .. }
            | Request::Answers
            | Request::Violations(_)
            | Request::Violation { .. }
            | Request::OnPrem
            | Request::Upstreams
            | Request::Silences { .. }
            | Request::Monitor(_)
            | Request::Forecast { .. }
            | Request::Evidence { .. }
            | Request::Backup { .. }
            | Request::CreateSnapshot(_)
            | Request::PublishSnapshot { .. }
            | Request::Snapshots { .. } => false,
        }
    }
}

/// Which rows of the register, and as of when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StatusQuery {
    pub at: Option<Timestamp>,
    pub site: Option<Site>,
    pub state: Option<ObligationState>,
    pub due_within: Option<SignedDuration>,
    /// Also what is retired.
    #[serde(default)]
    pub retired: bool,
    /// Without the License On-Prem servers.
    #[serde(default)]
    pub devices_only: bool,
}

/// One part of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// So many things are to be done.
    Total(usize),
    /// Some rows of the register, in its order.
    Rows(Vec<Row>),
    Polled(Polled),
    Taken(Taken),
    Delivered(Delivered),
    Brought(Brought),
    Bytes(ReportBytes),
    Step(Step),
    /// Something is written only after an answer: one line of JSON, a [`Leave`](crate::flow::rehearse::Leave).
    Question(Question),
    /// The answer is complete.
    Done(Answered),
    /// It cannot be given; whose mistake it is.
    Failed {
        input: bool,
        reason: String,
    },
}

/// The last part of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// Everything was said on the way.
    Nothing,
    /// The rows of those whom a question names.
    Rows(Vec<Row>),
    Device(Box<DeviceSheet>),
    Probe(Box<Probe>),
    Rehearsal(Rehearsal),
    Recording(Recording),
    Trust(Vec<TrustLine>),
    Credentials(BTreeMap<String, CredentialLine>),
    Reports(Vec<ReportLine>),
    Report(Vec<ReportLife>),
    Made(Made),
    Bundles(BTreeMap<String, Bundle>),
    Answers(Vec<AnswerLine>),
    Exported(Exported),
    /// A list, or the one asked for.
    Violations(Vec<ViolationLine>),
    Silences(Vec<SilenceLine>),
    Upstreams(Vec<UpstreamLine>),
    Checked(Box<Checked>),
    Passed(Passed),
    Health(Health),
    Weeks(Vec<Week>),
    Evidence(Box<Evidence>),
    Backup(Backup),
    Snapshot(Box<Snapped>),
    Published(Vec<Snapped>),
    Snapshots(Vec<SnapshotLine>),
}

/// All that is known of one device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceSheet {
    pub row: Row,
    /// `host:port`; `null` for a device that a person visits.
    pub address: Option<String>,
    pub credential: Option<String>,
    pub trust: String,
    /// When the plan may write to it; `null`: at any time.
    pub windows: Option<String>,
    pub known: crate::domain::fleet::Device,
    pub instance: Option<Instance>,
}

/// One certificate or SSH host key, and the one that waits for a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrustLine {
    pub device: DeviceName,
    /// The type of a host key; `None` for a certificate.
    pub key_type: Option<String>,
    pub pinned: Option<Sha256>,
    /// `None`: the device showed no other one.
    pub presented: Option<Sha256>,
    pub accepted: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CredentialLine {
    pub username: String,
    pub held: bool,
    #[serde(flatten)]
    pub known: Credential,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnswerLine {
    pub object: Sha256,
    pub device: Option<DeviceName>,
    pub site: Option<Site>,
    /// What keeps it from being delivered.
    pub waits_for: Option<String>,
    /// Nothing brings it by itself: a person carries it.
    pub by_hand: bool,
    /// When the plan brings it to its device, or tries to again; `null`: never by itself.
    pub next_try: Option<Timestamp>,
    #[serde(flatten)]
    pub answer: Answer,
}
