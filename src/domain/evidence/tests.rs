//! A period, by invented events.

use super::*;
use crate::domain::digest::Sha256;
use crate::domain::event::{
    AnswerDelivered, AnswerReceived, BundleHandedOver, BundleMade, BundledReport, DeviceIdentified, DeviceRetired,
    OnPremSynced, ReportCollected, ReportStates, Source, StateRead, made as facts,
};
use crate::domain::policy::{ClassPolicy, Policy};
use crate::domain::report::{ReportFacts, ReportId, made};
use crate::domain::state::{DeviceState, License, Model, ReportState, Stamp};

fn at(day: &str) -> Timestamp {
    format!("{day}T00:00:00Z").parse().unwrap()
}

fn udi(name: &str) -> Udi {
    Udi::new("C9300-24T", format!("FOC-{name}"))
}

fn rules() -> Rules {
    let policy = Policy::cisco_default();
    let due_soon = SignedDuration::from_hours(30 * 24);
    Rules { due_soon, ios_xe: policy.clone(), ios_xr: policy.clone(), nx_os: policy }
}

fn identified(name: &str) -> Fact {
    Fact::DeviceIdentified(DeviceIdentified { site: Site::from("dark-1"), ..facts::identified(name, udi(name)) })
}

/// A state with an ACK of that day and a policy of so many days.
fn acked(name: &str, last_ack: Option<&str>, days: u32) -> Fact {
    let subscription = Some(ClassPolicy::of(days, days, days));
    let licence = License { count: Some(1), license_type: Some("Subscription".into()), ..License::default() };
    let mut state = DeviceState {
        model: Model::Slp,
        smart_account: Some("example.com".into()),
        virtual_account: Some("Branch".into()),
        policy: Some(Policy { subscription, ..Policy::default() }.into()),
        licenses: vec![licence.into()],
        ..DeviceState::default()
    };
    state.usage_reporting.last_ack = last_ack.map(|day| Stamp::utc(at(day))).map(Into::into);
    Fact::StateRead(StateRead { udi: udi(name), state: Box::new(state) })
}

fn collected(name: &str, id: u64) -> Fact {
    Fact::ReportCollected(ReportCollected {
        device: Some(name.into()),
        report: ReportFacts {
            payload_sha256: Sha256::of(&id.to_be_bytes()),
            ..made::report(udi(name), id, None, Vec::new())
        },
        object: Sha256::of(&id.to_le_bytes()),
        source: Source::Rest,
        parser: 1,
        presumed_acknowledged: false,
        feature: None,
    })
}

fn acknowledged(name: &str, id: u64) -> Fact {
    Fact::ReportStates(ReportStates { udi: udi(name), states: vec![(ReportId(id), ReportState::Acknowledged)] })
}

fn reckon(from: &str, to: &str, account: Option<&str>, events: &[(&str, Fact)]) -> Evidence {
    let rules = rules();
    let account = account.map(str::to_owned);
    let mut reckoner =
        Reckoner::new(Fleet::default(), Timestamp::UNIX_EPOCH, false, (at(from), at(to)), account, &[], &rules);
    for (day, fact) in events {
        reckoner.take(&Event { by: None, at: at(day), fact: fact.clone() });
    }
    reckoner.end()
}

/// Name, deadline's day, outcome, and days late, of every obligation.
fn told(evidence: &Evidence) -> Vec<(&str, String, Outcome, Option<f64>)> {
    let obligations = evidence.groups.iter().flat_map(|group| &group.obligations);
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    obligations.map(|one| (one.name.as_str(), day(one.due), one.outcome, one.late_days)).collect()
}

#[test]
fn an_ack_before_the_deadline_meets_it_and_one_after_is_late() {
    let events = [
        ("2026-01-02", identified("a")),
        ("2026-01-02", acked("a", Some("2026-01-01"), 30)),
        ("2026-01-02", identified("b")),
        ("2026-01-02", acked("b", Some("2026-01-01"), 30)),
        ("2026-01-21", acked("a", Some("2026-01-20"), 30)),
        ("2026-02-06", acked("b", Some("2026-02-05"), 30)),
    ];
    let january = reckon("2026-01-01", "2026-02-01", None, &events);
    let due = || "2026-01-31".to_owned();
    assert_eq!(told(&january), [("a", due(), Outcome::Met, None), ("b", due(), Outcome::Missed, Some(1.0))]);
    // What was open when the period ended is told by the next one, and only there as late.
    let february = reckon("2026-02-01", "2026-03-01", None, &events);
    assert_eq!(
        told(&february),
        [("b", due(), Outcome::Late, Some(5.0)), ("a", "2026-02-19".to_owned(), Outcome::Missed, Some(10.0))]
    );
    assert!(february.groups[0].obligations[0].carried_over);
    assert_eq!(february.groups[0].counts, [(Outcome::Late, 1), (Outcome::Missed, 1)].into());
    let group = &february.groups[0];
    assert_eq!((&*group.site.0, group.virtual_account.as_deref()), ("dark-1", Some("Branch")));
    assert_eq!(told(&reckon("2026-01-01", "2026-02-01", Some("Other"), &events)), []);
    assert_eq!(told(&reckon("2026-01-01", "2026-02-01", Some("Branch"), &events)).len(), 2);
}

#[test]
fn a_policy_that_changes_moves_the_deadline_and_cannot_unmake_a_missed_one() {
    let events = [
        ("2026-01-02", identified("a")),
        ("2026-01-02", acked("a", Some("2026-01-01"), 30)),
        ("2026-01-10", acked("a", Some("2026-01-01"), 20)),
        ("2026-01-25", acked("a", Some("2026-01-01"), 90)),
    ];
    let evidence = reckon("2026-01-01", "2026-05-01", None, &events);
    assert_eq!(
        told(&evidence),
        [
            ("a", "2026-01-21".to_owned(), Outcome::Missed, Some(4.0)),
            ("a", "2026-04-01".to_owned(), Outcome::Missed, Some(30.0))
        ]
    );
    let moves = &evidence.groups[0].obligations[0].moves;
    assert_eq!(moves.len(), 1);
    assert_eq!((moves[0].from, moves[0].to), (at("2026-01-31"), at("2026-01-21")));
}

#[test]
fn what_is_retired_or_no_longer_asked_for_is_neither_met_nor_missed() {
    let retired = DeviceRetired { device: Some("a".into()), udi: Some(udi("a")), note: "scrapped".to_owned() };
    let events = [
        ("2026-01-02", identified("a")),
        ("2026-01-02", acked("a", Some("2026-01-01"), 30)),
        ("2026-01-02", identified("b")),
        ("2026-01-02", acked("b", Some("2026-01-01"), 30)),
        ("2026-01-10", Fact::DeviceRetired(retired)),
        ("2026-01-11", acked("b", Some("2026-01-01"), 0)),
    ];
    let evidence = reckon("2026-01-01", "2026-03-01", None, &events);
    let outcomes: Vec<Outcome> = told(&evidence).into_iter().map(|(_, _, outcome, _)| outcome).collect();
    assert_eq!(outcomes, [Outcome::Retired, Outcome::NotRequired]);
    let notes: Vec<&str> = evidence.notes.iter().map(|note| note.note.as_str()).collect();
    assert_eq!(notes, ["scrapped"]);
}

#[test]
fn the_chain_of_custody_names_each_step_and_stays_with_its_obligation() {
    let ack = Sha256::of(b"ack");
    let bundle = BundleMade {
        bundle_id: "b1".to_owned(),
        nonce: "00".to_owned(),
        site: None,
        manifest_sha256: Sha256::ZERO,
        name: "exchange-b1".to_owned(),
        uploads: Vec::new(),
        reports: vec![BundledReport {
            udi: udi("a"),
            report_id: ReportId(1),
            payload_sha256: Sha256::of(&1u64.to_be_bytes()),
        }],
        previous_bundle_id: None,
    };
    let handed_over = at("2026-01-12");
    let events = [
        ("2026-01-02", identified("a")),
        ("2026-01-02", acked("a", Some("2026-01-01"), 30)),
        ("2026-01-10", collected("a", 1)),
        ("2026-01-11", Fact::BundleMade(bundle)),
        (
            "2026-01-13",
            Fact::BundleHandedOver(BundleHandedOver {
                bundle_id: "b1".to_owned(),
                handed_over,
                note: "courier".to_owned(),
            }),
        ),
        (
            "2026-01-15",
            Fact::AnswerReceived(AnswerReceived {
                object: ack,
                name: "ACK_a.txt".to_owned(),
                udi: udi("a"),
                parts: vec!["rum-ack".to_owned()],
                bundle_id: Some("b1".to_owned()),
                reports: vec![ReportId(1)],
                assigned: None,
                licences: Vec::new(),
            }),
        ),
        ("2026-01-16", acked("a", Some("2026-01-16"), 30)),
        ("2026-01-16", acknowledged("a", 1)),
        (
            "2026-01-16",
            Fact::AnswerDelivered(AnswerDelivered {
                object: ack,
                device: "a".into(),
                udi: None,
                found: false,
                outcome: crate::domain::event::Outcome::ConfirmedById,
            }),
        ),
        ("2026-01-20", collected("a", 2)),
    ];
    let evidence = reckon("2026-01-01", "2026-04-01", None, &events);
    let obligations = &evidence.groups[0].obligations;
    let ids = |at: usize| obligations[at].reports.iter().map(|one| one.report_id.0).collect::<Vec<_>>();
    assert_eq!((ids(0), ids(1)), (vec![1], vec![2]));
    let chain = &obligations[0].reports[0];
    assert_eq!(chain.object, Sha256::of(&1u64.to_le_bytes()));
    assert_eq!(chain.bundles, ["b1"]);
    assert_eq!(
        (chain.handed_over, chain.answered, chain.answer),
        (Some(handed_over), Some(at("2026-01-15")), Some(ack))
    );
    assert_eq!((chain.delivered, chain.delivery.as_deref()), (Some(at("2026-01-16")), Some("confirmed by id")));
    assert_eq!(chain.confirmed, Some(at("2026-01-16")));
    let waiting = &obligations[1].reports[0];
    assert_eq!((waiting.handed_over, waiting.confirmed, waiting.bundles.len()), (None, None, 0));
}

#[test]
fn a_fold_in_the_middle_tells_the_same_as_one_from_the_beginning() {
    let events = [
        ("2026-01-02", identified("a")),
        ("2026-01-02", acked("a", Some("2026-01-01"), 30)),
        ("2026-01-10", collected("a", 1)),
        ("2026-02-06", acked("a", Some("2026-02-05"), 30)),
        ("2026-02-06", acknowledged("a", 1)),
    ];
    let whole = reckon("2026-02-01", "2026-03-01", None, &events);
    let (before, rest) = events.split_at(3);
    let mut fleet = Fleet::default();
    for (day, fact) in before {
        fleet.apply(&Event { by: None, at: at(day), fact: fact.clone() });
    }
    let rules = rules();
    let period = (at("2026-02-01"), at("2026-03-01"));
    let mut reckoner = Reckoner::new(fleet, at("2026-01-20"), true, period, None, &[], &rules);
    for (day, fact) in rest {
        reckoner.take(&Event { by: None, at: at(day), fact: fact.clone() });
    }
    let part = reckoner.end();
    assert_eq!(part.incomplete_before, Some(at("2026-01-20")));
    assert_eq!(told(&part), told(&whole));
    assert_eq!(part.groups[0].obligations[0].reports, whole.groups[0].obligations[0].reports);
}

#[test]
fn on_prem_is_an_obligation_like_others() {
    let synced = |day: &str| {
        let fact = OnPremSynced { name: "ssm-1".to_owned(), synced: at(day), note: Some("by hand".to_owned()) };
        Fact::OnPremSynced(fact)
    };
    let events = [("2026-01-01", synced("2026-01-01")), ("2026-04-05", synced("2026-04-03"))];
    let evidence = reckon("2026-01-01", "2026-05-01", None, &events);
    assert_eq!(told(&evidence), [("On-Prem ssm-1", "2026-04-01".to_owned(), Outcome::Late, Some(2.0))]);
    assert_eq!(evidence.notes.len(), 2);
}
