//! Every kind found, not found, resolved and back again; and laws over fleets made up by chance.

use std::collections::BTreeSet;

use super::*;
use crate::domain::digest::Sha256;
use crate::domain::event::{Blame, BundleMade, Event, Fact};
use crate::domain::fleet::{
    Answer, AnswerKey, AnswerStatus, Bundle, Device as Known, OnPrem, OwedReport, Retirement, Trouble,
};
use crate::domain::instance::{Account, Udi};
use crate::domain::policy::{ClassPolicy, Policy};
use crate::domain::report::{ReportId, ReportType};
use crate::domain::settings::{Mode, Word};
use crate::domain::state::{
    Authorization, AuthorizationCode, Authorizations, DeviceState, License, ListedReport, Model, ReportState,
    ReportSummary, Stamp, Transport, TrustCode,
};
use crate::domain::violation::Stage;
use crate::domain::window::Windows;

fn at(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

fn udi(number: usize) -> Udi {
    Udi::new("C9300-24T", format!("FOC{number:08}"))
}

/// A fleet with its inventory, settings and hour.
struct World {
    fleet: Fleet,
    watched: Vec<Watched>,
    settings: Settings,
    now: Timestamp,
}

impl World {
    /// One device in good order: `edge-0`, asked lately, with no licence in use.
    fn new() -> Self {
        let settings = crate::domain::plan::tests::settings();
        let mut world = World { fleet: Fleet::default(), watched: Vec::new(), settings, now: at("2026-06-01") };
        world.add(0);
        world
    }

    fn add(&mut self, number: usize) {
        let name = format!("edge-{number}");
        let first_seen = at("2026-01-01");
        let mut instance = Instance::new(udi(number), first_seen);
        instance.device = Some(name.as_str().into());
        instance.software = Some("17.12.4".into());
        instance.os = Some("ios-xe".into());
        instance.state = Some(DeviceState {
            model: Model::Slp,
            smart_account: Some("Example".into()),
            virtual_account: Some("Branch".into()),
            transport: Some(Transport { kind: Some("off".to_owned()), url: None }.into()),
            policy: Some(Policy { name: Some("Custom Policy".to_owned()), ..Policy::cisco_default() }.into()),
            ..DeviceState::default()
        });
        let known = Known { instance: Some(udi(number)), ..Known::default() };
        self.fleet.instances.insert(udi(number), instance.into());
        self.fleet.devices.insert(name.as_str().into(), known.into());
        self.fleet.contacts.insert(name.as_str().into(), self.now);
        self.list(&name);
    }

    fn list(&mut self, name: &str) {
        self.watched.push(Watched {
            name: name.into(),
            site: Site::from("dark-1"),
            mode: Mode::Collect,
            reporter: Reporter::Collector,
            within_reach: true,
            credential: None,
            exchange_lead: SignedDuration::from_hours(240),
            account: Account::default(),
            offset: SignedDuration::ZERO,
            jitter: 0.0,
            windows: Windows::default(),
            tags: Vec::new(),
            environment: None,
        });
        self.watched.sort_by(|a, b| a.name.cmp(&b.name));
    }

    fn instance(&mut self) -> &mut Instance {
        self.fleet.instances.get_mut(&udi(0)).unwrap()
    }

    fn state(&mut self) -> &mut DeviceState {
        self.instance().state.as_mut().unwrap()
    }

    fn transport(&mut self, kind: &str, url: Option<&str>) {
        self.state().transport = Some(Transport { kind: Some(kind.to_owned()), url: url.map(str::to_owned) }.into());
    }

    fn find(&self) -> Vec<Finding> {
        find(&self.fleet, &self.watched, &self.settings, self.now)
    }

    fn of(&self, kind: Kind) -> Vec<Finding> {
        self.find().into_iter().filter(|finding| finding.kind == kind).collect()
    }

    /// Folds the news; tells what they were.
    fn look(&mut self) -> Vec<Fact> {
        let facts = news(&self.fleet, self.find(), self.now);
        for fact in &facts {
            self.fleet.apply(&Event { by: None, at: self.now, fact: fact.clone() });
        }
        facts
    }
}

fn owed(id: u64) -> OwedReport {
    OwedReport {
        udi: udi(0),
        report_id: ReportId(id),
        object: Sha256::ZERO,
        payload_sha256: Sha256::ZERO,
        entitlement_tag: None,
        report_type: ReportType::Entitlement,
        start: None,
        end: None,
        collected: at("2026-05-01"),
        state: None,
        presumed_acknowledged: false,
        bundle: None,
        change: None,
    }
}

fn license(name: &str, kind: &str, enforcement: &str) -> License {
    License {
        name: Some(name.to_owned()),
        count: Some(1),
        license_type: Some(kind.to_owned()),
        enforcement: Some(enforcement.to_owned()),
        ..License::default()
    }
}

fn stamp(day: &str) -> Option<Stamp> {
    Some(Stamp::utc(at(day)))
}

fn bundle(handed_over: &str) -> Bundle {
    Bundle {
        made: at(handed_over),
        facts: BundleMade {
            bundle_id: "b1".to_owned(),
            nonce: "n".to_owned(),
            site: None,
            manifest_sha256: Sha256::ZERO,
            name: "exchange-b1".to_owned(),
            uploads: Vec::new(),
            reports: Vec::new(),
            previous_bundle_id: None,
        },
        handed_over: Some(at(handed_over)),
        handover_note: None,
        answered: None,
        made_by: None,
        handed_over_by: None,
    }
}

fn answer(received: &str) -> Answer {
    Answer {
        name: "ACK_x.txt".to_owned(),
        received: at(received),
        udi: Some(udi(0)),
        parts: vec!["rum-ack".to_owned()],
        bundle_id: None,
        reports: Vec::new(),
        assigned: None,
        status: AnswerStatus::AwaitingDelivery,
        attempts: 0,
        last_attempt: None,
        last_cause: None,
        brought_by: None,
        word: None,
    }
}

type Change = fn(&mut World);

/// Of every kind: what is in order, what breaks it, and words of its explanation.
fn lives(kind: Kind) -> (Change, Change, &'static str) {
    match kind {
        Kind::AckOverdue => (
            |world| {
                world.state().usage_reporting.last_ack = stamp("2026-05-02").map(Into::into);
                world.state().usage_reporting.next_ack_deadline = stamp("2026-07-31").map(Into::into);
            },
            |world| {
                world.state().usage_reporting.last_ack = stamp("2026-01-02").map(Into::into);
                world.state().usage_reporting.next_ack_deadline = stamp("2026-04-02").map(Into::into);
            },
            "the ACK was due on 2026-04-02 00:00 UTC (device-stated); the last one was of 2026-01-02",
        ),
        Kind::FirstReportOverdue => (
            |world| world.state().usage_reporting.next_ack_deadline = stamp("2026-07-31").map(Into::into),
            |world| world.state().usage_reporting.next_ack_deadline = stamp("2026-04-02").map(Into::into),
            "the ACK was due on 2026-04-02 00:00 UTC (device-stated); there was none yet",
        ),
        Kind::ChangeUnreported => (
            |world| world.instance().owed.clear(),
            |world| world.instance().owed = vec![OwedReport { change: Some(at("2026-01-10")), ..owed(7) }],
            "changed on 2026-01-10; the 90 days to report a change ended on 2026-04-10",
        ),
        Kind::AckMissing => (
            |world| {
                drop(
                    world
                        .fleet
                        .answers
                        .insert(AnswerKey { udi: Some(udi(0)), object: Sha256::ZERO }, answer("2026-05-09")),
                )
            },
            |world| {
                world.fleet.answers.clear();
                world.fleet.bundles.insert("b1".to_owned(), bundle("2026-05-01"));
                world.instance().owed = vec![OwedReport { bundle: Some("b1".to_owned()), ..owed(7) }];
            },
            "1 report left in bundle b1 on 2026-05-01",
        ),
        Kind::ReportGap => (
            |world| world.state().reports = Some(ReportSummary { purged: Some(0), ..ReportSummary::default() }.into()),
            |world| world.state().reports = Some(ReportSummary { purged: Some(9), ..ReportSummary::default() }.into()),
            "the device purged 9 reports",
        ),
        Kind::CollectionStale => (
            |world| world.state().reports = None,
            |world| {
                world.instance().last_collected = Some(at("2026-05-01"));
                world.state().reports = Some(ReportSummary { available: Some(3), ..ReportSummary::default() }.into());
            },
            "the device has 3 to report, 0 of them are here, and the last one was collected on 2026-05-01",
        ),
        Kind::Unreachable => (
            |world| world.fleet.contacts.extend([("edge-0".into(), world.now)]),
            |world| world.fleet.contacts.extend([("edge-0".into(), at("2026-05-01"))]),
            "it last answered as it should on 2026-05-01",
        ),
        Kind::NotSlp => (
            |world| world.state().model = Model::Unknown,
            |world| world.state().model = Model::ClassicSmartLicensing,
            "it runs classic Smart Licensing, on software 17.12.4",
        ),
        Kind::TwoReporters => (
            |world| world.transport("off", None),
            |world| {
                world.transport("smart", None);
                world.state().usage_reporting.last_push = stamp("2026-05-20").map(Into::into);
            },
            "its transport is 'smart' and it last reported by itself on 2026-05-20",
        ),
        Kind::AuthorizationMissing => (
            |world| world.state().authorizations = None,
            |world| {
                world.state().licenses = vec![license("hseck9", "Export", "EXPORT RESTRICTED").into()];
                world.state().authorizations = Some(Authorizations::default().into());
            },
            "hseck9 (EXPORT RESTRICTED, count 1); no code is installed",
        ),
        Kind::OutOfCompliance => (
            |world| world.state().compliance.upgrade_right = Some("In Compliance".to_owned()),
            |world| world.state().compliance.upgrade_right = Some("Out of Compliance".to_owned()),
            "the device says 'Out of Compliance'",
        ),
        Kind::ClockSkew => (
            |world| world.instance().clock_skew_seconds = Some(-3600),
            |world| world.instance().clock_skew_seconds = Some(-97_260),
            "1 d 3 h 1 min behind ours",
        ),
        Kind::TrustMissing => (
            |world| {
                let installed = stamp("2026-01-01");
                world.state().trust_codes = vec![TrustCode { role: None, udi: None, installed, expires: None }];
            },
            |world| {
                world.transport("smart", None);
                world.state().trust_codes.clear();
            },
            "its transport is 'smart', and no chassis has a trust code",
        ),
        Kind::PolicyDiffers => (
            |world| world.state().policy.as_mut().unwrap().name = Some("Custom Policy".to_owned()),
            |world| {
                for other in 1..3 {
                    if !world.fleet.instances.contains_key(&udi(other)) {
                        world.add(other);
                    }
                }
                world.state().policy.as_mut().unwrap().name = Some("Old".to_owned());
            },
            "policy 'Old' (perpetual 365/0/90, subscription 90/90/90) is installed; most instances of Example / Branch",
        ),
        Kind::AccountMismatch => (
            |world| world.watched[0].account.smart_account = Some("example".into()),
            |world| world.watched[0].account.smart_account = Some("Other".into()),
            "the inventory says Other / -, the device Example / Branch",
        ),
        Kind::DuplicateInstance => (
            |world| {
                world.watched.truncate(1);
            },
            |world| {
                let known = Known { instance: Some(udi(0)), ..Known::default() };
                world.fleet.devices.insert("edge-9".into(), known.into());
                world.list("edge-9");
            },
            "'edge-0' and 'edge-9' of the inventory are one instance",
        ),
        Kind::ServiceAtRisk => (
            |world| world.state().usage_reporting.next_ack_deadline = stamp("2026-08-20").map(Into::into),
            |world| {
                world.instance().software = Some("17.03.03".into());
                world.watched[0].tags = vec!["Voice".to_owned()];
                world.state().usage_reporting.next_ack_deadline = stamp("2026-06-10").map(Into::into);
            },
            "the inventory tags it 'voice', and on 17.03.03 such services stop while the ACK due on 2026-06-10",
        ),
        Kind::CsluUnresolvable => (
            |world| world.transport("cslu", Some("http://192.0.2.7:8182/cslu/v1/pi")),
            |world| world.transport("cslu", None),
            "no address is configured, and it never reported by itself; on the device: `license smart transport off`",
        ),
        Kind::Orphaned => (
            |world| {
                if world.watched.is_empty() {
                    world.list("edge-0");
                }
            },
            |world| world.watched.clear(),
            "it was 'edge-0' and is not in the inventory any more; no report of it waits",
        ),
        Kind::OnPremSyncOverdue => (
            |world| drop(world.fleet.on_prem.insert("hq".to_owned(), on_prem("2026-05-20"))),
            |world| drop(world.fleet.on_prem.insert("hq".to_owned(), on_prem("2026-02-01"))),
            "it last synchronised on 2026-02-01; Cisco warns after 30 days and removes it after 90, on 2026-05-02",
        ),
    }
}

fn on_prem(synced: &str) -> OnPrem {
    OnPrem { synced: at(synced), note: None, told: at(synced) }
}

#[test]
fn every_kind_is_found_resolved_and_found_again() {
    for kind in Kind::ALL.iter().copied() {
        let (good, bad, words) = lives(kind);
        let mut world = World::new();
        assert_eq!(world.find(), [], "a world in order");
        good(&mut world);
        assert_eq!(world.of(kind), [], "{kind}");

        bad(&mut world);
        let found = world.of(kind);
        assert_eq!(found.len(), 1, "{kind}: {:?}", world.find());
        assert!(found[0].explanation.contains(words), "{kind}: {}", found[0].explanation);
        assert_eq!(found[0].severity, kind.severity(), "{kind}");
        let id = found[0].id();
        world.look();
        assert_eq!(world.fleet.violations[&id].stage(world.now), Stage::Open, "{kind}");
        assert_eq!(world.look(), [], "{kind}: nothing changed");

        good(&mut world);
        let resolved = world.look();
        let told =
            |fact: &Fact| matches!(fact, Fact::ViolationResolved(told) if told.id == id && !told.cause.is_empty());
        assert!(resolved.iter().any(told), "{kind}: {resolved:?}");
        assert_eq!(world.fleet.violations[&id].stage(world.now), Stage::Resolved, "{kind}");
        assert_eq!(world.look(), [], "{kind}: it is resolved once");

        bad(&mut world);
        world.look();
        let again = &world.fleet.violations[&id];
        assert_eq!((again.stage(world.now), again.reopened), (Stage::Open, 1), "{kind}");
    }
}

#[test]
fn a_kind_that_is_off_is_not_found_and_its_violation_ends() {
    for kind in Kind::ALL.iter().copied() {
        let (_, bad, _) = lives(kind);
        let mut world = World::new();
        bad(&mut world);
        world.look();
        world.settings.violations.everywhere.off.insert(kind);
        assert_eq!(world.of(kind), [], "{kind}");
        world.look();
        assert!(world.fleet.violations.values().all(|known| known.found.kind != kind || known.resolved.is_some()));
    }
}

#[test]
fn a_site_has_its_own_word() {
    let mut world = World::new();
    lives(Kind::NotSlp).1(&mut world);
    let mut own = world.settings.violations.everywhere.clone();
    own.severity.insert(Kind::NotSlp, Severity::Critical);
    world.settings.violations.sites.insert(Site::from("dark-1"), own.clone());
    assert_eq!(world.of(Kind::NotSlp)[0].severity, Severity::Critical);
    own.off.insert(Kind::NotSlp);
    world.settings.violations.sites.insert(Site::from("dark-1"), own);
    assert_eq!(world.of(Kind::NotSlp), []);
}

#[test]
fn a_retired_instance_breaks_nothing_and_its_violations_say_so() {
    for kind in Kind::ALL.iter().copied().filter(|kind| !matches!(kind, Kind::Unreachable | Kind::OnPremSyncOverdue)) {
        let (_, bad, _) = lives(kind);
        let mut world = World::new();
        bad(&mut world);
        world.look();
        world.instance().retired =
            Some(Retirement { at: at("2026-05-30"), note: None, replaced_by: None, by: None }.into());
        assert_eq!(world.of(kind), [], "{kind}");
        let causes: Vec<_> = world.look();
        let told = |fact: &Fact| matches!(fact, Fact::ViolationResolved(told) if told.cause.contains("2026-05-30"));
        assert!(causes.iter().any(told), "{kind}: {causes:?}");
    }
}

#[test]
fn where_another_reports_deadlines_stay_and_our_collecting_is_not_asked_for() {
    for (kind, stays) in [
        (Kind::AckOverdue, true),
        (Kind::FirstReportOverdue, true),
        (Kind::ChangeUnreported, true),
        (Kind::ServiceAtRisk, true),
        (Kind::NotSlp, true),
        (Kind::TrustMissing, true),
        (Kind::Unreachable, true),
        (Kind::AckMissing, false),
        (Kind::ReportGap, false),
        (Kind::CollectionStale, false),
        (Kind::TwoReporters, false),
    ] {
        let mut world = World::new();
        world.watched[0].reporter = Reporter::OnPrem;
        lives(kind).1(&mut world);
        assert_eq!(!world.of(kind).is_empty(), stays, "{kind}");
    }
}

#[test]
fn what_is_not_known_is_not_claimed() {
    let mut world = World::new();
    world.state().licenses = vec![license("hseck9", "Export", "EXPORT RESTRICTED").into()];
    assert_eq!(world.of(Kind::AuthorizationMissing), [], "codes were not printed");
    let code = AuthorizationCode { status: "SMART AUTHORIZATION INSTALLED".to_owned(), ..AuthorizationCode::default() };
    let mut printed = Authorizations { codes: vec![code], allowed: Vec::new() };
    world.state().authorizations = Some(printed.clone().into());
    assert_eq!(world.of(Kind::AuthorizationMissing), [], "what the code allows was not printed");
    let allowed = |name: &str| Authorization { name: Some(name.to_owned()), ..Authorization::default() };
    printed.allowed = vec![allowed("HSECK9")];
    world.state().authorizations = Some(printed.clone().into());
    assert_eq!(world.of(Kind::AuthorizationMissing), []);
    printed.allowed = vec![allowed("other")];
    world.state().authorizations = Some(printed.into());
    assert_eq!(world.of(Kind::AuthorizationMissing).len(), 1);
    world.state().licenses[0].count = Some(0);
    assert_eq!(world.of(Kind::AuthorizationMissing), [], "it is not in use");

    let mut world = World::new();
    world.transport("smart", None);
    world.state().policy = None;
    assert_eq!(world.of(Kind::TrustMissing), [], "a model that tells no trust");
    world.state().model = Model::Unknown;
    assert_eq!(world.of(Kind::NotSlp), []);
    world.fleet.contacts.clear();
    assert_eq!(world.of(Kind::Unreachable), [], "it was never asked");
}

#[test]
fn silence_without_a_contact_counts_from_the_first_failure() {
    let mut world = World::new();
    world.fleet.contacts.clear();
    let known = world.fleet.devices.get_mut(&"edge-0".into()).unwrap();
    let cause = "no answer from 192.0.2.1".to_owned();
    known.trouble = Some(Trouble { since: at("2026-05-20"), blame: Blame::Unreachable, cause }.into());
    let found = world.of(Kind::Unreachable);
    assert_eq!(found[0].explanation, "it has not answered as it should since 2026-05-20: no answer from 192.0.2.1");
    assert_eq!(found[0].subject, Subject::Device("edge-0".into()));
    world.watched[0].within_reach = false;
    assert_eq!(world.of(Kind::Unreachable), []);
}

#[test]
fn a_gap_is_what_exceeds_all_that_is_here_or_settled() {
    let mut world = World::new();
    let summary = ReportSummary { purged: Some(9), acknowledged: Some(5), ..ReportSummary::default() };
    world.state().reports = Some(summary.into());
    for id in 1..=3 {
        world.instance().collected.insert(&udi(0), ReportId(id));
    }
    assert_eq!(world.of(Kind::ReportGap).len(), 1, "9 are more than 3 and 5");
    world.instance().collected.insert(&udi(0), ReportId(4));
    assert_eq!(world.of(Kind::ReportGap), []);
    let listed = |id| {
        let state = Some(ReportState::Deleted);
        ListedReport { report_id: ReportId(id), state, feature: None, start: None, end: None }
    };
    world.state().rum_ids = vec![listed(3), listed(6)];
    let found = world.of(Kind::ReportGap);
    assert_eq!(found[0].explanation, "never collected, and deleted on the device: 1 report");
    assert!(found[0].evidence.contains(&Evidence::Report(ReportId(6))), "{:?}", found[0].evidence);
}

#[test]
fn closed_and_not_collected_is_stale_too() {
    let mut world = World::new();
    world.fleet.devices.get_mut(&"edge-0".into()).unwrap().last_close = Some(at("2026-05-10"));
    assert_eq!(world.of(Kind::CollectionStale).len(), 1);
    world.instance().last_collected = Some(at("2026-05-11"));
    assert_eq!(world.of(Kind::CollectionStale), []);
    lives(Kind::CollectionStale).1(&mut world);
    assert_eq!(world.of(Kind::CollectionStale).len(), 1);
    world.watched[0].mode = Mode::Observe;
    assert_eq!(world.of(Kind::CollectionStale), []);
}

#[test]
fn the_policy_expected_is_the_operators_or_that_of_the_majority() {
    let mut world = World::new();
    world.add(1);
    world.state().policy.as_mut().unwrap().subscription = Some(ClassPolicy::of(90, 60, 90));
    assert_eq!(world.of(Kind::PolicyDiffers), [], "two are no majority");
    world.add(2);
    assert_eq!(world.of(Kind::PolicyDiffers).len(), 1, "the same name with other numbers");
    world.add(3);
    world.fleet.instances.get_mut(&udi(3)).unwrap().state.as_mut().unwrap().policy.as_mut().unwrap().subscription =
        Some(ClassPolicy::of(90, 60, 90));
    assert_eq!(world.of(Kind::PolicyDiffers), [], "two and two");
    world.settings.violations.everywhere.expected_policy = Some("SLE Policy".to_owned());
    assert_eq!(world.of(Kind::PolicyDiffers).len(), 4);
    world.settings.violations.everywhere.expected_policy = Some("Custom Policy".to_owned());
    assert_eq!(world.of(Kind::PolicyDiffers), []);
}

#[test]
fn on_prem_is_warned_of_before_it_is_removed() {
    let mut world = World::new();
    world.fleet.on_prem.insert("hq".to_owned(), on_prem("2026-04-25"));
    let found = world.of(Kind::OnPremSyncOverdue);
    assert_eq!((found[0].severity, &found[0].subject), (Severity::Warning, &Subject::OnPrem("hq".to_owned())));
    world.look();
    world.now = at("2026-07-25");
    assert_eq!(world.of(Kind::OnPremSyncOverdue)[0].severity, Severity::Critical);
    assert!(world.look().iter().any(|fact| matches!(fact, Fact::ViolationFound(_))), "it is news that it is critical");
}

#[test]
fn voice_is_at_risk_only_near_its_deadline_on_the_named_releases() {
    let mut world = World::new();
    world.instance().software = Some("17.6.1a".into());
    world.state().licenses = vec![license("CUBE_T_STD", "Perpetual", "NOT ENFORCED").into()];
    world.state().usage_reporting.next_ack_deadline = stamp("2026-08-30").map(Into::into);
    assert_eq!(world.of(Kind::ServiceAtRisk), [], "it is far");
    world.state().usage_reporting.next_ack_deadline = stamp("2026-05-30").map(Into::into);
    assert!(world.of(Kind::ServiceAtRisk)[0].explanation.starts_with("CUBE_T_STD is in use, and on 17.6.1a"));
    world.instance().software = Some("17.9.4".into());
    assert_eq!(world.of(Kind::ServiceAtRisk), []);
}

/// Breaks a fleet at random; the seed is in every message.
fn by_chance(random: &mut fastrand::Rng) -> World {
    let mut world = World::new();
    for number in 1..random.usize(2..12) {
        world.add(number);
    }
    for kind in Kind::ALL.iter().copied() {
        match random.u8(0..4) {
            0 => lives(kind).0(&mut world),
            // It takes the whole inventory away.
            1 if kind == Kind::Orphaned && random.bool() => world.watched.truncate(1),
            1 => lives(kind).1(&mut world),
            _ => {}
        }
        if world.watched.is_empty() {
            world.list("edge-0");
        }
    }
    world.watched.dedup_by(|a, b| a.name == b.name);
    world
}

#[test]
fn looking_twice_finds_the_same_and_tells_nothing_new() {
    for seed in 0..300 {
        let mut world = by_chance(&mut fastrand::Rng::with_seed(seed));
        let found = world.find();
        assert_eq!(found, world.find(), "seed {seed}");
        let ids: BTreeSet<_> = found.iter().map(Finding::id).collect();
        assert_eq!(ids.len(), found.len(), "seed {seed}: two findings have one id");
        assert_eq!(world.look().len(), found.len(), "seed {seed}");
        assert_eq!(world.look(), [], "seed {seed}");
        // An hour makes findings, and takes some; it changes none.
        world.now = world.now.checked_add(SignedDuration::from_hours(1)).unwrap();
        for finding in world.find().iter().filter(|finding| ids.contains(&finding.id())) {
            assert!(found.contains(finding), "seed {seed}: {finding:?}");
        }
        let open = |world: &World| -> BTreeSet<_> {
            let open = world.fleet.violations.iter().filter(|(_, known)| known.resolved.is_none());
            open.map(|(id, _)| id.clone()).collect()
        };
        let mut other = by_chance(&mut fastrand::Rng::with_seed(seed + 1000));
        other.fleet.violations = world.fleet.violations.clone();
        other.look();
        let found: BTreeSet<_> = other.find().iter().map(Finding::id).collect();
        assert_eq!(open(&other), found, "seed {seed}: what is open is what is found");
    }
}

#[test]
fn an_upstream_that_has_it_in_another_account_is_told_until_both_agree_or_it_was_long_ago() {
    use crate::domain::cross_check::{About, Counts, Difference};
    use crate::domain::event::UpstreamRead;

    let mut world = World::new();
    let there = Account { smart_account: Some("Example".into()), virtual_account: Some("Head".into()) };
    let about = About::Account { there, here: Account::default() };
    let read = UpstreamRead {
        upstream: "cisco".to_owned(),
        object: Sha256::of(b"said"),
        devices: 1,
        counts: Counts { account: 1, ..Counts::default() },
        differences: vec![Difference { about, udi: udi(0), since: at("2026-05-02") }],
        version: None,
        certificate_until: None,
    };
    let fact = Fact::UpstreamRead(Box::new(read.clone()));
    world.fleet.apply(&Event { by: None, at: at("2026-05-20"), fact: fact.clone() });
    let found = world.of(Kind::AccountMismatch);
    assert_eq!(
        found[0].explanation,
        "the upstream 'cisco' has it in Example / Head, and here it is in Example / Branch (Smart / Virtual Account)"
    );
    let what = "'cisco' said Example / Head".to_owned();
    assert_eq!(found[0].evidence, [Evidence::Event { at: at("2026-05-02"), what }]);
    // Read again with nothing new: the finding is the same, so that nothing is written.
    assert_eq!(world.look().len(), 1);
    world.fleet.apply(&Event { by: None, at: at("2026-05-21"), fact });
    assert_eq!(world.look(), []);
    // The device says another thing than the inventory too: one violation with both.
    world.watched[0].account.virtual_account = Some("Other".into());
    let both = &world.of(Kind::AccountMismatch)[0];
    assert!(both.explanation.starts_with("the inventory says - / Other, the device"), "{}", both.explanation);
    assert_eq!(both.evidence.len(), 2);
    world.watched[0].account = Account::default();
    world.state().virtual_account = Some("head".into());
    assert_eq!(world.of(Kind::AccountMismatch), []);
    world.state().virtual_account = Some("Branch".into());
    world.now = at("2026-06-20");
    assert_eq!(world.of(Kind::AccountMismatch).len(), 1);
    world.now = at("2026-06-21");
    assert_eq!(world.of(Kind::AccountMismatch), []);
}
