//! What a bundle takes, selection by selection.

use super::*;
use crate::domain::digest::Sha256;
use crate::domain::event::{
    AnswerDelivered, AnswerReceived, BundleMade, BundledReport, DeviceIdentified, Event, Fact, Outcome,
    ReportCollected, Source, StateRead, made as facts,
};
use crate::domain::plan::tests::{settings, watched};
use crate::domain::report::{ReportFacts, made};
use crate::domain::settings::Mode;
use crate::domain::state::{Model, Stamp, UsageReporting};

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + day * 86_400).unwrap()
}

fn udi(name: &str) -> Udi {
    Udi::new("C9300-24T", name)
}

fn collected(name: &str, id: u64, report_type: ReportType, presumed_acknowledged: bool) -> Fact {
    let payload_sha256 = Sha256::of(format!("{name} {id}").as_bytes());
    Fact::ReportCollected(ReportCollected {
        device: Some(name.into()),
        report: ReportFacts { report_type, payload_sha256, ..made::report(udi(name), id, None, Vec::new()) },
        object: payload_sha256,
        source: Source::Rest,
        parser: 1,
        presumed_acknowledged,
        feature: None,
    })
}

/// Three devices: `a` due in 10 days, `b` in 60, `c` reports to On-Prem. And `gone`, which left the inventory.
fn fleet() -> (Fleet, Vec<Watched>) {
    let mut fleet = Fleet::default();
    let mut apply = |fact| drop(fleet.apply(&Event { at: at(0), by: None, fact }));
    for (name, due) in [("a", 10), ("b", 60), ("c", 10), ("gone", 60)] {
        let identified = facts::identified(name, udi(name));
        apply(Fact::DeviceIdentified(DeviceIdentified { site: Site::from("north"), ..identified }));
        let usage_reporting =
            UsageReporting { next_ack_deadline: Some(Stamp::utc(at(due)).into()), ..UsageReporting::default() };
        let state = DeviceState { model: Model::Slp, usage_reporting, ..DeviceState::default() };
        apply(Fact::StateRead(StateRead { udi: udi(name), state: Box::new(state) }));
        apply(collected(name, 1, ReportType::Entitlement, false));
        apply(collected(name, 2, ReportType::Entitlement, true));
        apply(collected(name, 3, ReportType::Telemetry, false));
    }
    let mut devices: Vec<Watched> = ["a", "b", "c"].map(|name| watched(name, Mode::Collect, 0)).into();
    devices[0].site = Site::from("north");
    devices[0].account = Account { smart_account: Some("sa".into()), virtual_account: Some("va".into()) };
    devices[2].reporter = Reporter::OnPrem;
    (fleet, devices)
}

fn taken(fleet: &Fleet, devices: &[Watched], selection: &Selection) -> Vec<(String, Vec<u64>)> {
    let contributions = owed(fleet, devices, &settings(), selection, at(1));
    let ids = |one: &Contribution<'_>| one.reports.iter().map(|report| report.report_id.0).collect();
    contributions.iter().map(|one| (one.udi.sn.to_string(), ids(one))).collect()
}

fn of(names: &[(&str, &[u64])]) -> Vec<(String, Vec<u64>)> {
    names.iter().map(|(name, ids)| ((*name).to_owned(), ids.to_vec())).collect()
}

#[test]
fn the_default_is_what_is_owed_and_each_selection_changes_one_thing() {
    let (fleet, devices) = fleet();
    type Taken = &'static [(&'static str, &'static [u64])];
    let cases: [(Selection, Taken); 9] = [
        (Selection::default(), &[("a", &[1]), ("b", &[1]), ("gone", &[1])]),
        (
            Selection { include_presumed: true, ..Selection::default() },
            &[("a", &[1, 2]), ("b", &[1, 2]), ("gone", &[1, 2])],
        ),
        (
            Selection { include_telemetry: true, ..Selection::default() },
            &[("a", &[1, 3]), ("b", &[1, 3]), ("gone", &[1, 3])],
        ),
        (Selection { site: Some(Site::from("north")), ..Selection::default() }, &[("a", &[1]), ("gone", &[1])]),
        (Selection { account: Some("sa".to_owned()), ..Selection::default() }, &[("a", &[1])]),
        (Selection { account: Some("va".to_owned()), ..Selection::default() }, &[("a", &[1])]),
        (Selection { account: Some("other".to_owned()), ..Selection::default() }, &[]),
        (Selection { due_within: Some(SignedDuration::from_hours(30 * 24)), ..Selection::default() }, &[("a", &[1])]),
        (Selection { all: true, ..Selection::default() }, &[("a", &[1]), ("b", &[1]), ("gone", &[1])]),
    ];
    for (selection, expected) in cases {
        assert_eq!(taken(&fleet, &devices, &selection), of(expected), "{selection:?}");
    }
}

#[test]
fn what_is_in_a_bundle_goes_again_until_its_answer_is_here() {
    let (mut fleet, devices) = fleet();
    let apply = |fleet: &mut Fleet, fact| drop(fleet.apply(&Event { at: at(1), by: None, fact }));
    let bundled = BundledReport { udi: udi("a"), report_id: ReportId(1), payload_sha256: Sha256::of(b"a 1") };
    apply(
        &mut fleet,
        Fact::BundleMade(BundleMade {
            bundle_id: "first".to_owned(),
            nonce: "n".to_owned(),
            site: None,
            manifest_sha256: Sha256::ZERO,
            name: "exchange-all".to_owned(),
            uploads: Vec::new(),
            reports: vec![bundled],
            previous_bundle_id: None,
        }),
    );
    let (default, all) = (Selection::default(), Selection { all: true, ..Selection::default() });
    let everything = of(&[("a", &[1]), ("b", &[1]), ("gone", &[1])]);
    assert_eq!(taken(&fleet, &devices, &default), everything, "it may be lost");

    let object = Sha256::of(b"the answer");
    let answer = AnswerReceived {
        object,
        name: "ACK_x.txt".to_owned(),
        udi: udi("a"),
        parts: vec!["rum-ack".to_owned()],
        bundle_id: Some("first".to_owned()),
        reports: vec![ReportId(1)],
        assigned: None,
        licences: Vec::new(),
    };
    apply(&mut fleet, Fact::AnswerReceived(answer));
    let others = of(&[("b", &[1]), ("gone", &[1])]);
    assert_eq!(taken(&fleet, &devices, &default), others, "Cisco has answered");
    assert_eq!(taken(&fleet, &devices, &all), everything);

    let delivered = |outcome| {
        Fact::AnswerDelivered(AnswerDelivered { object, device: "a".into(), udi: None, outcome, found: false })
    };
    apply(&mut fleet, delivered(Outcome::AwaitingHandImport));
    assert_eq!(taken(&fleet, &devices, &default), others);
    fleet.apply(&Event {
        by: None,
        at: at(2),
        fact: delivered(Outcome::Failed { cause: "the device refuses it".to_owned(), again: false }),
    });
    assert_eq!(taken(&fleet, &devices, &default), everything, "that answer will never do");
}
