//! One event of every kind, with invented names and serials. The fixture `ledger-v1` was made of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use slp_collector::domain::cross_check::{About, Counts, Difference};
use slp_collector::domain::deadline::ObligationState;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::*;
use slp_collector::domain::instance::{Account, DeviceName, Member, Role, Site, Udi};
use slp_collector::domain::message::{Line, Message, Topic};
use slp_collector::domain::policy::{ClassPolicy, LicenceClass, Policy, PolicyGroup};
use slp_collector::domain::report::{EntitlementTag, Measurement, ReportFacts, ReportId, ReportType};
use slp_collector::domain::settings::{Access, FileWay, Task};
use slp_collector::domain::snapshot::{Form, SnapshotId};
use slp_collector::domain::state::{
    Authorization, AuthorizationCode, Authorizations, Compliance, DeviceState, License, ListedReport, Model, Privacy,
    ReportState, ReportSummary, Reservation, Stamp, Transport, TrustCode, UsageReporting,
};
use slp_collector::domain::violation::{Evidence, Finding, Kind, Severity, Subject};

/// The bytes that the events name.
pub fn objects() -> Vec<Vec<u8>> {
    vec![
        report_bytes(),
        b"<smartLicense>answer one</smartLicense>".to_vec(),
        b"not an answer".to_vec(),
        b"what it said".to_vec(),
    ]
}

pub fn report_bytes() -> Vec<u8> {
    br#"{"payload":"{\"report_id\":1790000001}","header":{"type":"rum"},"signature":{"value":"AAAA"}}"#.to_vec()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn device() -> DeviceName {
    "core-1".into()
}

fn bundle_id() -> String {
    "2026-09-02-example-0001".to_owned()
}

fn active() -> Udi {
    Udi::new("C9500-24Y4C", "FCW0000A001")
}

fn standby() -> Udi {
    Udi::new("C9500-24Y4C", "FCW0000A002")
}

fn members() -> Vec<Member> {
    vec![Member { role: Role::Active, udi: active() }, Member { role: Role::Standby, udi: standby() }]
}

pub fn report() -> ReportFacts {
    ReportFacts {
        report_id: ReportId(1_790_000_001),
        payload_version: Some("2.0".to_owned()),
        udi: active(),
        product_instance_identifier: None,
        software_tag: Some("regid.2017-05.com.cisco.c9500,v1_0000".to_owned()),
        software_version: Some("17.12.4".to_owned()),
        entitlement_tag: Some(EntitlementTag("regid.2017-03.com.cisco.advantagek9,1.0_0001".into())),
        report_type: ReportType::Entitlement,
        members: members(),
        signing_type: Some("SHA256".to_owned()),
        payload_sha256: Sha256::of(b"payload"),
        measurements: vec![Measurement {
            metric: "ENTITLEMENT".to_owned(),
            start: Some(time("2026-08-01T00:00:00Z")),
            end: Some(time("2026-09-01T00:00:00Z")),
            samples: Some(2976),
            value: Some(2),
            termination_reason: Some("CurrentUsageRequested".to_owned()),
            close_reason: None,
            clock_change_seconds: Some(-7),
            added: vec![standby()],
            removed: vec![],
        }],
    }
}

fn state() -> DeviceState {
    DeviceState {
        model: Model::Slp,
        smart_account: Some("Example".into()),
        virtual_account: Some("Default".into()),
        transport: Some(Transport { kind: Some("off".to_owned()), url: None }.into()),
        policy: Some(
            Policy {
                installed: Some(Stamp { text: "Sep 10 2026".into(), utc: None }),
                groups: vec![PolicyGroup {
                    name: "Unenforced/Non-Export Perpetual Attributes".to_owned(),
                    class: Some(LicenceClass::Perpetual),
                    days: ClassPolicy::of(365, 0, 90),
                }],
                ..Policy::cisco_default()
            }
            .into(),
        ),
        usage_reporting: UsageReporting {
            last_ack: Some(
                Stamp { text: "Jul 01 10:00:00 2026 UTC".into(), utc: Some(time("2026-07-01T10:00:00Z")) }.into(),
            ),
            next_ack_deadline: Some(Stamp::utc(time("2026-09-29T10:00:00Z")).into()),
            push_interval_days: Some(30),
            next_push: Some(Stamp { text: "<none>".into(), utc: None }.into()),
            ..UsageReporting::default()
        },
        trust_codes: vec![TrustCode {
            role: Some(Role::Active),
            udi: Some(active()),
            installed: Some(Stamp::utc(time("2026-01-01T00:00:00Z"))),
            expires: None,
        }],
        udi: Some(active()),
        uuid: Some("00000000-0000-4000-8000-000000000001".to_owned()),
        members: members(),
        licenses: vec![
            License {
                name: Some("network-advantage".into()),
                entitlement_tag: Some(EntitlementTag("regid.2017-03.com.cisco.advantagek9,1.0_0001".into())),
                description: Some("C9500 Network Advantage — “perpetual”".into()),
                count: Some(2),
                status: Some("IN USE".into()),
                license_type: Some("Perpetual".into()),
                enforcement: Some("NOT ENFORCED".into()),
            }
            .into(),
        ],
        reserved: vec![Reservation {
            name: Some("hseck9".into()),
            count: Some(1),
            authorization: Some("SPECIFIC INSTALLED".into()),
            udi: Some(active()),
            role: Some(Role::Active),
            ..Reservation::default()
        }],
        reports: Some(ReportSummary { total: Some(4), waiting_for_ack: Some(1), ..ReportSummary::default() }.into()),
        rum_ids: vec![ListedReport {
            report_id: ReportId(1_790_000_001),
            state: Some(ReportState::Closed),
            feature: Some("network-advantage".to_owned()),
            start: None,
            end: None,
        }],
        agent_version: Some("5.8.6_rel/126".into()),
        authorizations: Some(
            Authorizations {
                codes: vec![AuthorizationCode {
                    role: Some(Role::Active),
                    udi: Some(active()),
                    status: "SMART AUTHORIZATION INSTALLED".to_owned(),
                    installed: Some(Stamp::utc(time("2026-01-01T00:00:00Z"))),
                }],
                allowed: vec![Authorization {
                    name: Some("hseck9".into()),
                    count: Some(1),
                    enforcement: Some("EXPORT RESTRICTED".into()),
                    ..Authorization::default()
                }],
            }
            .into(),
        ),
        privacy: Some(Privacy { sends_hostname: Some(false), sends_version: None }),
        compliance: Compliance { upgrade_right: Some("In Compliance".to_owned()), ..Compliance::default() }.into(),
    }
}

/// One event of every kind, in an order that makes sense.
pub fn all() -> Vec<Event> {
    let (report_object, answer, foreign) =
        (Sha256::of(&objects()[0]), Sha256::of(&objects()[1]), Sha256::of(&objects()[2]));
    let id = report().report_id;
    let mut facts = vec![
        Fact::TrustPinned(TrustPinned {
            device: device(),
            fingerprint: Sha256::of(b"cert"),
            key_type: None,
            by: Decider::FirstContact,
        }),
        Fact::DeviceIdentified(DeviceIdentified {
            device: device(),
            site: Site::from("lab"),
            udi: active(),
            uuid: Some("00000000-0000-4000-8000-000000000001".to_owned()),
            members: members(),
            os: "ios-xe".to_owned(),
            software: Some("17.12.4".to_owned()),
            hostname: Some("core-1".to_owned()),
            clock_skew_seconds: Some(-95),
        }),
        Fact::StateRead(StateRead { udi: active(), state: Box::new(state()) }),
        Fact::DeviceWritten(DeviceWritten {
            device: device(),
            write: Write::CloseReports,
            detail: "closed 1 report".to_owned(),
            refused: None,
            unanswered: false,
        }),
        Fact::ReportCollected(ReportCollected {
            device: Some(device()),
            report: report(),
            object: report_object,
            source: Source::Rest,
            parser: 1,
            presumed_acknowledged: false,
            feature: None,
        }),
        Fact::ReportCollected(ReportCollected {
            device: None,
            report: ReportFacts {
                report_id: ReportId(1_790_000_000),
                payload_version: None,
                entitlement_tag: None,
                report_type: ReportType::Other("custom".to_owned()),
                measurements: vec![],
                ..report()
            },
            object: Sha256::of(b"an older one"),
            source: Source::Import,
            parser: 1,
            presumed_acknowledged: true,
            feature: None,
        }),
        Fact::ReportStates(ReportStates { udi: active(), states: vec![(id, ReportState::Unacknowledged)] }),
        Fact::ReportConflict(ReportConflict {
            udi: active(),
            report_id: id,
            kept: report_object,
            differing: Sha256::of(b"differing"),
        }),
        Fact::ReportReread(ReportReread {
            report: ReportFacts { report_type: ReportType::Telemetry, ..report() },
            object: report_object,
            parser: 2,
        }),
        Fact::ContactLost(ContactLost {
            device: device(),
            blame: Blame::Unreachable,
            cause: "connection refused".to_owned(),
        }),
        Fact::ContactRestored(ContactRestored { device: device() }),
        Fact::TrustRefused(TrustRefused {
            device: device(),
            pinned: Sha256::of(b"cert"),
            presented: Sha256::of(b"another"),
            key_type: Some("ssh-ed25519".to_owned()),
        }),
        Fact::CredentialRefused(CredentialRefused { credential: "fleet".to_owned(), device: device() }),
        Fact::CredentialReleased(CredentialReleased {
            credential: "fleet".to_owned(),
            note: Some("rotated".to_owned()),
        }),
        Fact::AccessLearned(AccessLearned {
            device: device(),
            software: Some("17.12.4".to_owned()),
            learned: Learned {
                access: Some(Access::Rest),
                teller: Some(Access::Ssh),
                import_form: Some(ImportForm::Json("file".to_owned())),
                get: Some(FileWay::Inline),
                put: Some(FileWay::Scp),
                commands: BTreeMap::from([(Task::SaveAll, "license smart save usage all {file}".to_owned())]),
            },
        }),
        Fact::BundleMade(BundleMade {
            bundle_id: bundle_id(),
            nonce: "0f0f0f0f".to_owned(),
            site: Some(Site::from("lab")),
            manifest_sha256: Sha256::of(b"manifest"),
            name: "lab-2026-09-02".to_owned(),
            uploads: vec![BundleUpload { name: "UD_lab.tar.gz".to_owned(), udi: Some(active()) }],
            reports: vec![BundledReport { udi: active(), report_id: id, payload_sha256: Sha256::of(b"payload") }],
            previous_bundle_id: None,
        }),
        Fact::BundleHandedOver(BundleHandedOver {
            bundle_id: bundle_id(),
            handed_over: time("2026-09-02T12:00:00Z"),
            note: "by courier".to_owned(),
        }),
        Fact::AnswerReceived(AnswerReceived {
            object: answer,
            name: "ACK_UD_lab.tar.gz".to_owned(),
            udi: active(),
            parts: vec!["rum-ack".to_owned(), "policy".to_owned()],
            bundle_id: Some(bundle_id()),
            reports: vec![id],
            assigned: None,
            licences: Vec::new(),
        }),
        Fact::AnswerQuarantined(AnswerQuarantined {
            object: foreign,
            name: "notes.txt".to_owned(),
            reason: "no answer of any kind".to_owned(),
        }),
        Fact::AnswerDelivered(AnswerDelivered {
            object: answer,
            device: device(),
            udi: None,
            outcome: Outcome::Failed { cause: "timed out".to_owned(), again: true },
            found: false,
        }),
        Fact::AnswerDelivered(AnswerDelivered {
            object: answer,
            device: device(),
            udi: Some(active()),
            outcome: Outcome::ConfirmedByTime,
            found: true,
        }),
        Fact::ScheduleRan(ScheduleRan {
            schedule: "daily".to_owned(),
            due: time("2026-09-03T02:00:00Z"),
            polled: 1,
            failed: 0,
        }),
    ];
    facts.extend(watching());
    let first = time("2026-09-01T08:00:00.5Z");
    let instant = |minutes: i64| first + jiff::SignedDuration::from_mins(minutes);
    facts.into_iter().zip(0..).map(|(fact, minutes)| Event { by: None, at: instant(minutes), fact }).collect()
}

/// Violations, messages, silences, and the life of a fleet.
fn watching() -> Vec<Fact> {
    let found = Finding {
        kind: Kind::AckOverdue,
        subject: Subject::Instance(active()),
        device: Some(device()),
        site: Site::from("lab"),
        severity: Severity::Critical,
        explanation: "due 2026-08-31, and no acknowledgement".to_owned(),
        evidence: vec![
            Evidence::Report(ReportId(1_790_000_001)),
            Evidence::Printed("Next ACK deadline: Aug 31 2026 08:00:00 UTC".to_owned()),
            Evidence::Event { at: time("2026-08-31T08:00:00Z"), what: "due".to_owned() },
            Evidence::Bundle(bundle_id()),
        ],
    };
    let line = Line {
        name: device().to_string(),
        device: Some(device()),
        udi: Some(active()),
        site: Site::from("lab"),
        account: Account { smart_account: Some("example.com".into()), virtual_account: None },
        state: Some(ObligationState::Overdue),
        due: Some(time("2026-08-31T08:00:00Z")),
        leave_by: Some(time("2026-08-21T08:00:00Z")),
        violation: Some(found.id()),
        kind: Some(found.kind),
        what: found.explanation.clone(),
        remedy: Some(found.kind.remedy().to_owned()),
    };
    let message = |id: &str| Message {
        id: id.to_owned(),
        at: time("2026-09-03T02:00:00Z"),
        topic: Topic::Overdue,
        severity: Severity::Critical,
        site: Some(Site::from("lab")),
        title: "1 device overdue at lab".to_owned(),
        text: String::new(),
        lines: vec![line.clone()],
    };
    let made = |id: &str| MessageMade {
        message: message(id),
        sinks: vec!["mail".to_owned(), "syslog".to_owned()],
        told: vec![
            (Subject::Instance(active()), line.due),
            (Subject::Device(device()), None),
            (Subject::OnPrem("house".to_owned()), None),
        ],
    };
    let settled = |message: &str, sink: &str| MessageSettled {
        message: message.to_owned(),
        sink: sink.to_owned(),
        dropped: (sink == "syslog").then(|| "the sink is gone".to_owned()),
    };
    let silence = |id: &str| SilenceSet {
        id: id.to_owned(),
        covers: Covers {
            site: Some(Site::from("lab")),
            device: Some(device()),
            kind: Some(Kind::Unreachable),
            severity: Some(Severity::Warning),
        },
        from: time("2026-09-03T02:00:00Z"),
        until: time("2026-09-04T02:00:00Z"),
        note: "the lab moves".to_owned(),
    };
    let (until, note) = (time("2026-09-20T00:00:00Z"), "courier on his way".to_owned());
    vec![
        Fact::ViolationFound(Box::new(found.clone())),
        Fact::ViolationAcknowledged(ViolationAcknowledged { id: found.id(), note: note.clone(), until }),
        Fact::ViolationResolved(ViolationResolved { id: found.id(), cause: "acknowledged".to_owned() }),
        Fact::ViolationFound(Box::new(found)),
        Fact::MessageMade(Box::new(made("m-0000000001"))),
        Fact::MessageMade(Box::new(made("m-0000000002"))),
        Fact::MessageSettled(settled("m-0000000001", "mail")),
        Fact::MessageSettled(settled("m-0000000001", "syslog")),
        Fact::MessageSettled(settled("m-0000000002", "syslog")),
        Fact::SilenceSet(silence("s-0000000001")),
        Fact::SilenceSet(silence("s-0000000002")),
        Fact::SilenceEnded(SilenceEnded { id: "s-0000000001".to_owned() }),
        Fact::OnPremSynced(OnPremSynced { name: "house".to_owned(), synced: until, note: Some(note.clone()) }),
        Fact::DeviceRetired(DeviceRetired { device: Some(device()), udi: Some(active()), note: note.clone() }),
        Fact::DeviceReplaced(DeviceReplaced {
            old: active(),
            new: Udi::new("C9300-24T", "9INVENTED02"),
            note: Some(note.clone()),
        }),
        Fact::AnswersExported(AnswersExported {
            objects: vec![Sha256::of(b"<smartLicense>answer one</smartLicense>")],
            folder: "acks-dark-3-20260903T000000Z".to_owned(),
        }),
        Fact::AnswerConfirmed(AnswerConfirmed {
            object: Sha256::of(b"<smartLicense>answer one</smartLicense>"),
            udi: active(),
            installed: until,
            note,
        }),
        Fact::ReportsSubmitted(Box::new(submitted())),
        moved(Progress::Accepted { poll_id: u64::MAX, ask: until }),
        moved(Progress::Duplicate { said: "a duplicate report".to_owned() }),
        moved(Progress::Failed { cause: "HTTP 500".to_owned(), again: true, unanswered: true }),
        moved(Progress::Answered),
        Fact::UpstreamRead(Box::new(read())),
        Fact::UpstreamRefused(UpstreamRefused { credential: "client".to_owned(), upstream: "cisco".to_owned() }),
        owed("0123", None),
        posted("0123", PostOutcome::Failed { cause: "HTTP 500".to_owned(), again: until, over_it: true }),
        posted("0123", PostOutcome::Taken { status: 201 }),
        owed("4567", Some("0123")),
        posted(
            "4567",
            PostOutcome::Refused { cause: "HTTP 401".to_owned(), login: true, settings: Sha256::of(b"settings") },
        ),
        owed("89ab", None),
        posted("89ab", PostOutcome::Failed { cause: "no answer".to_owned(), again: until, over_it: false }),
    ]
}

fn owed(id: &str, corrects: Option<&str>) -> Fact {
    Fact::SnapshotOwed(Box::new(SnapshotOwed {
        key: id.to_owned(),
        snapshot_id: SnapshotId(id.to_owned()),
        corrects: corrects.map(|old| SnapshotId(old.to_owned())),
        as_of: time("2026-09-01T00:00:00Z"),
        form: Form::Json,
        file: format!("snapshot-20260901T000000Z-{id}.json"),
        size: 4711,
        sha256: Sha256::of(id.as_bytes()),
    }))
}

fn posted(key: &str, outcome: PostOutcome) -> Fact {
    Fact::SnapshotPosted(SnapshotPosted { key: key.to_owned(), outcome })
}

fn account(virtual_account: &str) -> Account {
    Account { smart_account: Some("example.com".into()), virtual_account: Some(virtual_account.into()) }
}

fn submitted() -> ReportsSubmitted {
    ReportsSubmitted {
        submission: "0011223344556677".to_owned(),
        upstream: "cisco".to_owned(),
        account: account("Branch"),
        nonce: "8899aabbccddeeff".to_owned(),
        reports: vec![BundledReport { udi: active(), report_id: ReportId(7), payload_sha256: Sha256::of(b"payload") }],
    }
}

fn moved(progress: Progress) -> Fact {
    Fact::SubmissionMoved(SubmissionMoved { submission: "0011223344556677".to_owned(), progress })
}

fn read() -> UpstreamRead {
    let about = |about| Difference { about, udi: active(), since: time("2026-08-01T00:00:00Z") };
    UpstreamRead {
        upstream: "house".to_owned(),
        object: Sha256::of(b"what it said"),
        devices: 3,
        counts: Counts { account: 1, contact: 1, only_here: 1, only_there: 1 },
        differences: vec![
            about(About::OnlyThere),
            about(About::OnlyHere),
            about(About::Contact { there: None, here: Some(time("2026-09-01T00:00:00Z")) }),
            about(About::Account { there: account("Branch"), here: account("Head") }),
        ],
        version: Some("9-202407".to_owned()),
        certificate_until: Some(time("2027-01-01T00:00:00Z")),
    }
}

/// The number of a kind; does not compile when a kind is missing here, and so in [`all`].
pub fn kind(fact: &Fact) -> usize {
    match fact {
        Fact::DeviceIdentified(_) => 0,
        Fact::StateRead(_) => 1,
        Fact::ReportStates(_) => 2,
        Fact::ReportCollected(_) => 3,
        Fact::ReportReread(_) => 4,
        Fact::ReportConflict(_) => 5,
        Fact::DeviceWritten(_) => 6,
        Fact::ContactLost(_) => 7,
        Fact::ContactRestored(_) => 8,
        Fact::TrustPinned(_) => 9,
        Fact::TrustRefused(_) => 10,
        Fact::CredentialRefused(_) => 11,
        Fact::CredentialReleased(_) => 12,
        Fact::AccessLearned(_) => 13,
        Fact::BundleMade(_) => 14,
        Fact::BundleHandedOver(_) => 15,
        Fact::AnswerReceived(_) => 16,
        Fact::AnswerQuarantined(_) => 17,
        Fact::AnswerDelivered(_) => 18,
        Fact::ScheduleRan(_) => 19,
        Fact::ViolationFound(_) => 20,
        Fact::ViolationResolved(_) => 21,
        Fact::ViolationAcknowledged(_) => 22,
        Fact::MessageMade(_) => 23,
        Fact::MessageSettled(_) => 24,
        Fact::SilenceSet(_) => 25,
        Fact::SilenceEnded(_) => 26,
        Fact::OnPremSynced(_) => 27,
        Fact::DeviceRetired(_) => 28,
        Fact::DeviceReplaced(_) => 29,
        Fact::AnswerConfirmed(_) => 30,
        Fact::AnswersExported(_) => 31,
        Fact::ReportsSubmitted(_) => 32,
        Fact::SubmissionMoved(_) => 33,
        Fact::UpstreamRead(_) => 34,
        Fact::UpstreamRefused(_) => 35,
        Fact::SnapshotOwed(_) => 36,
        Fact::SnapshotPosted(_) => 37,
    }
}

/// How many kinds there are.
pub const KINDS: usize = 38;
