//! Events that together say everything that runs keep.

use jiff::Timestamp;

use crate::domain::ack::StatedLicence;
use crate::domain::digest::Sha256;
use crate::domain::event::{
    AnswerReceived, Blame, ContactLost, ContactRestored, DeviceIdentified, Event, Fact, ReportCollected, ReportReread,
    Source, StateRead, made as facts,
};
use crate::domain::instance::{Member, Role, Udi};
use crate::domain::report::{EntitlementTag, Measurement, ReportFacts, ReportType, made};
use crate::domain::state::{DeviceState, License};

const ADVANTAGE: &str = "regid.2017-03.com.cisco.advantagek9,1.0_invented-1";
const ACCESS_POINT: &str = "regid.2018-06.com.cisco.DNA_NWStack,1.0_invented-2";
const HOUR: i64 = 3600;

/// The `n`th chassis.
pub fn udi(n: u8) -> Udi {
    Udi::new("C9300-24T", format!("9INVENTED{n:02}"))
}

/// In the order of the journal.
pub fn events() -> Vec<Event> {
    let stack = || vec![member(Role::Active, 1), member(Role::Standby, 2)];
    let facts = [
        identified("core-1", 1, stack(), Some(-95)),
        identified("wlc-1", 3, Vec::new(), None),
        seen(1, licenses()),
        collected(
            report(1, 1_790_000_001, ADVANTAGE, stack(), lived()),
            Some("network-advantage (C9300-24 Advantage)"),
        ),
        collected(report(3, u64::MAX, ACCESS_POINT, vec![member(Role::Active, 3)], joined_and_left()), None),
        collected(report(2, 7, ADVANTAGE, Vec::new(), vec![measured(None, None, 4)]), Some("network-advantage")),
        collected(telemetry(), None),
        collected(
            ReportFacts { entitlement_tag: None, ..report(2, 9, ADVANTAGE, stack(), lived()) },
            Some("of nothing"),
        ),
        reread(report(1, 1_790_000_001, ADVANTAGE, stack(), vec![measured(Some(0), Some(HOUR), 3)])),
        answered(vec![stated(ADVANTAGE), untold(ACCESS_POINT), untold(ADVANTAGE)]),
        Fact::ContactLost(ContactLost {
            device: "core-1".into(),
            blame: Blame::Unreachable,
            cause: "no answer".to_owned(),
        }),
        Fact::ContactRestored(ContactRestored { device: "core-1".into() }),
        // After a switch-over, and alone.
        identified("core-1", 2, vec![member(Role::Active, 2)], Some(2 * HOUR)),
        seen(2, Vec::new()),
    ];
    let at = |hour| instant(100 * HOUR + hour * HOUR);
    facts.into_iter().zip(0..).map(|(fact, hour)| Event { at: at(hour), by: None, fact }).collect()
}

fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn member(role: Role, n: u8) -> Member {
    Member { role, udi: udi(n) }
}

fn identified(device: &str, n: u8, members: Vec<Member>, clock_skew_seconds: Option<i64>) -> Fact {
    Fact::DeviceIdentified(DeviceIdentified { members, clock_skew_seconds, ..facts::identified(device, udi(n)) })
}

fn seen(n: u8, licenses: Vec<License>) -> Fact {
    Fact::StateRead(StateRead {
        udi: udi(n),
        state: Box::new(DeviceState {
            licenses: licenses.into_iter().map(Into::into).collect(),
            ..DeviceState::default()
        }),
    })
}

/// By the whole tag, by a name, by the short tag alone, and one without a count.
fn licenses() -> Vec<License> {
    let license = |tag: Option<&str>, name: Option<&str>, count| License {
        entitlement_tag: tag.map(|tag| EntitlementTag(tag.into())),
        name: name.map(str::to_owned).map(Into::into),
        count,
        ..License::default()
    };
    vec![
        license(Some(ADVANTAGE), Some("network-advantage"), Some(2)),
        license(Some("C9300_24_DNAA"), Some("dna-advantage"), Some(0)),
        license(Some("C9300_24_HSEC"), None, Some(u64::MAX)),
        license(None, Some("hseck9"), None),
    ]
}

fn measured(start: Option<i64>, end: Option<i64>, value: u64) -> Measurement {
    made::measurement(start.map(instant), end.map(instant), value)
}

/// Whatever one licence of a switch can go through.
fn lived() -> Vec<Measurement> {
    let measured = |from: i64, to: i64, value| measured(Some(from * HOUR), Some(to * HOUR), value);
    vec![
        measured(0, 10, 2),
        measured(10, 20, 2),
        // Two at once.
        measured(15, 25, 3),
        Measurement { clock_change_seconds: Some(2 * HOUR), ..measured(30, 40, 1) },
        Measurement { clock_change_seconds: Some(-HOUR), ..measured(40, 50, u64::MAX) },
        Measurement { termination_reason: Some("ProductReload".to_owned()), ..measured(50, 60, 1) },
        Measurement { close_reason: Some("productreload".to_owned()), ..measured(61, 62, 0) },
        Measurement { value: None, ..measured(62, 63, 0) },
        // Lasts no time.
        measured(63, 63, 8),
        Measurement { metric: "FEATURE".to_owned(), ..measured(63, 64, 9) },
        Measurement { metric: String::new(), ..measured(64, 65, 5) },
    ]
}

fn joined_and_left() -> Vec<Measurement> {
    let first = Measurement { added: vec![udi(11), udi(12)], ..measured(Some(0), Some(HOUR), 2) };
    let next = Measurement { added: vec![udi(13)], removed: vec![udi(11)], ..measured(Some(HOUR), Some(2 * HOUR), 2) };
    vec![first, next]
}

fn report(n: u8, id: u64, tag: &str, members: Vec<Member>, measurements: Vec<Measurement>) -> ReportFacts {
    ReportFacts { members, ..made::report(udi(n), id, Some(tag), measurements) }
}

fn telemetry() -> ReportFacts {
    ReportFacts { report_type: ReportType::Telemetry, ..report(1, 8, ADVANTAGE, Vec::new(), lived()) }
}

fn object(report: &ReportFacts) -> Sha256 {
    Sha256::of(report.report_id.to_string().as_bytes())
}

fn collected(report: ReportFacts, feature: Option<&str>) -> Fact {
    Fact::ReportCollected(ReportCollected {
        device: None,
        object: object(&report),
        report,
        source: Source::SavedFile,
        parser: 1,
        presumed_acknowledged: false,
        feature: feature.map(str::to_owned),
    })
}

fn reread(report: ReportFacts) -> Fact {
    Fact::ReportReread(ReportReread { object: object(&report), report, parser: 2 })
}

fn answered(licences: Vec<StatedLicence>) -> Fact {
    Fact::AnswerReceived(AnswerReceived {
        object: Sha256::of(b"answer"),
        name: "ACK_UD_lab.tar.gz".to_owned(),
        udi: udi(1),
        parts: vec!["authorization".to_owned()],
        bundle_id: None,
        reports: Vec::new(),
        assigned: None,
        licences,
    })
}

fn stated(tag: &str) -> StatedLicence {
    StatedLicence {
        entitlement_tag: EntitlementTag(tag.into()),
        name: Some("C9300 24P Network Advantage".to_owned()),
        description: Some("an invented one".to_owned()),
        license_type: Some("PERPETUAL".to_owned()),
        count: Some(2),
    }
}

fn untold(tag: &str) -> StatedLicence {
    let entitlement_tag = EntitlementTag(tag.into());
    StatedLicence { entitlement_tag, name: None, description: None, license_type: None, count: None }
}
