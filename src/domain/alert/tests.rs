//! Who is told what, and what is not told twice.

use jiff::tz::TimeZone;

use super::*;
use crate::domain::event::{
    Covers, DeviceRetired, Event, Fact, MessageSettled, OnPremSynced, SilenceSet, StateRead, ViolationAcknowledged,
    ViolationResolved, made,
};
use crate::domain::instance::Udi;
use crate::domain::plan::tests::{settings, watched};
use crate::domain::policy::Policy;
use crate::domain::settings::Mode;
use crate::domain::state::{DeviceState, License, Model, Stamp};
use crate::domain::violation::{Finding, ViolationId};

/// The rules that tests go by.
pub(in crate::domain) fn rules() -> Rules {
    Rules {
        ladder: Ladder {
            rungs: vec![30, 14, 7, 3, 1],
            daily: Daily { at: jiff::civil::time(7, 0, 0, 0), zone: TimeZone::UTC },
        },
        group_wait: SignedDuration::ZERO,
        group_interval: SignedDuration::ZERO,
        maintenance: BTreeMap::new(),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn udi(name: &str) -> Udi {
    Udi::new("C9300-24T", format!("INVENTED-{name}"))
}

/// Devices whose last ACK was at some instant, under a policy of 90 days.
fn fleet(devices: &[(&str, &str)]) -> (Fleet, Vec<Watched>) {
    let mut fleet = Fleet::default();
    let mut all: Vec<Watched> = devices.iter().map(|(name, _)| watched(name, Mode::Deliver, 0)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    for (name, ack) in devices {
        let identified = made::identified(name, udi(name));
        fleet.apply(&Event { by: None, at: at("2026-01-01T00:00:00Z"), fact: Fact::DeviceIdentified(identified) });
        acknowledge(&mut fleet, name, ack);
    }
    (fleet, all)
}

fn acknowledge(fleet: &mut Fleet, name: &str, ack: &str) {
    let licence = License { count: Some(1), license_type: Some("Subscription".into()), ..License::default() };
    let mut state =
        DeviceState { model: Model::Slp, policy: Some(Policy::cisco_default().into()), ..DeviceState::default() };
    state.licenses = vec![licence.into()];
    state.usage_reporting.last_ack = Some(Stamp::utc(at(ack)).into());
    let read = StateRead { udi: udi(name), state: Box::new(state) };
    fleet.apply(&Event { by: None, at: at(ack), fact: Fact::StateRead(read) });
}

/// What is told at an instant, and noted.
fn told(fleet: &mut Fleet, watched: &[Watched], settings: &Settings, now: &str) -> Vec<(Topic, Severity, usize)> {
    let made = tell(fleet, watched, settings, at(now));
    let told = made.iter().map(|made| (made.message.topic, made.message.severity, made.message.lines.len())).collect();
    for made in made {
        fleet.apply(&Event { by: None, at: at(now), fact: Fact::MessageMade(Box::new(made)) });
    }
    told
}

#[test]
fn each_rung_is_told_once_then_daily_then_that_it_is_met() {
    let (mut fleet, watched) = fleet(&[("a", "2026-01-01T12:00:00Z")]);
    let settings = settings();
    let mut told = |now: &str| told(&mut fleet, &watched, &settings, now);
    // Due 2026-04-01T12:00, leave by 2026-03-22T12:00: 30 days before that is 2026-02-20.
    assert_eq!(told("2026-02-20T06:59:00Z"), []);
    assert_eq!(told("2026-02-20T07:00:00Z"), [(Topic::Reminder, Severity::Info, 1)]);
    assert_eq!(told("2026-02-20T07:01:00Z"), []);
    assert_eq!(told("2026-03-02T06:00:00Z"), []);
    // 30 days before due and 14 before leave-by, missed meanwhile: one word for both.
    assert_eq!(told("2026-03-10T00:00:00Z"), [(Topic::Reminder, Severity::Info, 1)]);
    assert_eq!(told("2026-03-15T07:00:00Z"), [(Topic::Reminder, Severity::Warning, 1)]);
    assert_eq!(told("2026-04-01T12:00:00Z"), [(Topic::Reminder, Severity::Warning, 1)]);
    assert_eq!(told("2026-04-01T12:00:01Z"), [(Topic::Overdue, Severity::Critical, 1)]);
    assert_eq!(told("2026-04-02T06:59:00Z"), []);
    assert_eq!(told("2026-04-02T07:00:00Z"), [(Topic::Overdue, Severity::Critical, 1)]);
    assert_eq!(told("2026-04-03T09:00:00Z"), [(Topic::Overdue, Severity::Critical, 1)]);
    acknowledge(&mut fleet, "a", "2026-04-03T10:00:00Z");
    let mut told = |now: &str| super::tests::told(&mut fleet, &watched, &settings, now);
    assert_eq!(told("2026-04-03T11:00:00Z"), [(Topic::Met, Severity::Info, 1)]);
    assert_eq!(told("2026-04-04T11:00:00Z"), []);
}

#[test]
fn many_due_on_one_day_are_one_message_a_site() {
    let names: Vec<String> = (0..300).map(|device| format!("d{device:03}")).collect();
    let minutes: Vec<String> =
        (0..300).map(|minute| format!("2026-01-01T{:02}:{:02}:00Z", 8 + minute / 60, minute % 60)).collect();
    let devices: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(minutes.iter().map(String::as_str)).collect();
    let (mut fleet, mut watched) = fleet(&devices);
    for device in &mut watched[..100] {
        device.site = Site::from("far");
    }
    let told = told(&mut fleet, &watched, &settings(), "2026-02-20T07:00:00Z");
    assert_eq!(told, [(Topic::Reminder, Severity::Info, 200), (Topic::Reminder, Severity::Info, 100)]);
}

#[test]
fn what_is_new_waits_for_company_and_messages_keep_their_distance() {
    let (mut fleet, watched) = fleet(&[("a", "2026-01-01T12:00:00Z"), ("b", "2026-01-01T12:20:00Z")]);
    let mut settings = settings();
    (settings.alerts.group_wait, settings.alerts.group_interval) =
        (SignedDuration::from_mins(5), SignedDuration::from_hours(1));
    let mut told = |now: &str| told(&mut fleet, &watched, &settings, now);
    assert_eq!(told("2026-03-31T07:05:00Z").len(), 1);
    assert_eq!(told("2026-04-01T12:04:00Z"), []);
    assert_eq!(told("2026-04-01T12:06:00Z"), [(Topic::Overdue, Severity::Critical, 1)]);
    assert_eq!(told("2026-04-01T12:30:00Z"), []);
    assert_eq!(told("2026-04-01T13:06:00Z"), [(Topic::Overdue, Severity::Critical, 1)]);
}

#[test]
fn an_acknowledgement_stops_the_daily_word_for_its_time() {
    let (mut fleet, watched) = fleet(&[("a", "2026-01-01T12:00:00Z")]);
    let settings = settings();
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-04-01T13:00:00Z").len(), 1);
    let found = finding(Kind::AckOverdue, Severity::Critical);
    let id = found.id();
    fleet.apply(&Event { by: None, at: at("2026-04-01T13:00:00Z"), fact: Fact::ViolationFound(Box::new(found)) });
    let known = ViolationAcknowledged { id, note: "courier".to_owned(), until: at("2026-04-10T00:00:00Z") };
    fleet.apply(&Event { by: None, at: at("2026-04-01T14:00:00Z"), fact: Fact::ViolationAcknowledged(known) });
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-04-05T13:00:00Z"), []);
    assert_eq!(
        told(&mut fleet, &watched, &settings, "2026-04-10T07:00:00Z"),
        [(Topic::Overdue, Severity::Critical, 1)]
    );
}

fn finding(kind: Kind, severity: Severity) -> Finding {
    Finding {
        kind,
        subject: Subject::Instance(udi("a")),
        device: Some("a".into()),
        site: Site::default(),
        severity,
        explanation: "so it is".to_owned(),
        evidence: Vec::new(),
    }
}

#[test]
fn what_is_overdue_is_told_as_its_violation_is_at_the_site() {
    let (mut fleet, watched) = fleet(&[("a", "2026-01-01T12:00:00Z")]);
    let mut settings = settings();
    let kind = Kind::AckOverdue;
    let silence = SilenceSet {
        id: "s-1".to_owned(),
        covers: Covers { kind: Some(kind), ..Covers::default() },
        from: at("2026-04-01T00:00:00Z"),
        until: at("2026-04-03T00:00:00Z"),
        note: "courier".to_owned(),
    };
    fleet.apply(&Event { by: None, at: at("2026-04-01T00:00:00Z"), fact: Fact::SilenceSet(silence) });
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-04-02T12:00:00Z"), [], "the kind is silenced");
    settings.violations.everywhere.severity.insert(kind, Severity::Warning);
    let found = finding(kind, Severity::Warning);
    fleet.apply(&Event {
        by: None,
        at: at("2026-04-02T12:00:00Z"),
        fact: Fact::ViolationFound(Box::new(found.clone())),
    });
    let made = tell(&fleet, &watched, &settings, at("2026-04-03T07:00:00Z"));
    assert_eq!(made.len(), 1);
    let message = &made[0].message;
    assert_eq!((message.topic, message.severity), (Topic::Overdue, Severity::Warning));
    assert_eq!((message.lines[0].kind, &message.lines[0].violation), (Some(kind), &Some(found.id())));
}

#[test]
fn a_violation_is_told_when_found_when_resolved_and_when_it_comes_back() {
    let (mut fleet, watched) = fleet(&[("a", "2026-01-01T12:00:00Z")]);
    let settings = settings();
    let found = |fleet: &mut Fleet, when: &str| {
        let found = finding(Kind::ClockSkew, Severity::Warning);
        fleet.apply(&Event { by: None, at: at(when), fact: Fact::ViolationFound(Box::new(found)) });
    };
    let resolved = |fleet: &mut Fleet, when: &str| {
        let id = ViolationId::of(Kind::ClockSkew, &Subject::Instance(udi("a")));
        let cause = "the clock is right again".to_owned();
        fleet.apply(&Event { by: None, at: at(when), fact: Fact::ViolationResolved(ViolationResolved { id, cause }) });
    };
    found(&mut fleet, "2026-01-02T00:00:00Z");
    resolved(&mut fleet, "2026-01-02T01:00:00Z");
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-01-02T02:00:00Z"), [], "over before anybody was told");
    found(&mut fleet, "2026-01-03T00:00:00Z");
    assert_eq!(
        told(&mut fleet, &watched, &settings, "2026-01-03T01:00:00Z"),
        [(Topic::Violation, Severity::Warning, 1)]
    );
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-01-03T02:00:00Z"), []);
    resolved(&mut fleet, "2026-01-04T00:00:00Z");
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-01-04T01:00:00Z"), [(Topic::Resolved, Severity::Info, 1)]);
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-01-04T02:00:00Z"), []);
    found(&mut fleet, "2026-01-05T00:00:00Z");
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-01-05T01:00:00Z").len(), 1);
}

#[test]
fn what_a_silence_or_maintenance_covers_is_told_when_that_ends() {
    let (mut fleet, watched) = fleet(&[("a", "2026-01-01T12:00:00Z")]);
    let mut settings = settings();
    let silence = SilenceSet {
        id: "s-1".to_owned(),
        covers: Covers { device: Some("a".into()), severity: Some(Severity::Critical), ..Covers::default() },
        from: at("2026-04-01T00:00:00Z"),
        until: at("2026-04-05T00:00:00Z"),
        note: "moving".to_owned(),
    };
    fleet.apply(&Event { by: None, at: at("2026-04-01T00:00:00Z"), fact: Fact::SilenceSet(silence) });
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-04-04T23:59:00Z"), []);
    let nightly = Windows::new([("daily 00:00-04:00".parse().unwrap(), TimeZone::UTC)]);
    settings.alerts.maintenance.insert(Site::default(), nightly);
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-04-05T00:00:00Z"), []);
    assert_eq!(
        told(&mut fleet, &watched, &settings, "2026-04-05T04:00:00Z"),
        [(Topic::Overdue, Severity::Critical, 1)]
    );
}

#[test]
fn on_prem_has_a_ladder_of_its_own() {
    let (mut fleet, watched) = fleet(&[]);
    let settings = settings();
    let synced = |fleet: &mut Fleet, when: &str| {
        let fact = OnPremSynced { name: "house".to_owned(), synced: at(when), note: None };
        fleet.apply(&Event { by: None, at: at(when), fact: Fact::OnPremSynced(fact) });
    };
    synced(&mut fleet, "2026-01-01T00:00:00Z");
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-01-30T23:59:59Z"), []);
    assert_eq!(
        told(&mut fleet, &watched, &settings, "2026-01-31T00:00:00Z"),
        [(Topic::Reminder, Severity::Warning, 1)],
        "On-Prem itself warns from here on"
    );
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-02-20T07:00:00Z"), []);
    assert_eq!(
        told(&mut fleet, &watched, &settings, "2026-03-02T07:00:00Z"),
        [(Topic::Reminder, Severity::Warning, 1)]
    );
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-03-02T08:00:00Z"), []);
    assert_eq!(
        told(&mut fleet, &watched, &settings, "2026-04-02T00:00:00Z"),
        [(Topic::Overdue, Severity::Critical, 1)]
    );
    synced(&mut fleet, "2026-04-03T00:00:00Z");
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-04-03T01:00:00Z"), [(Topic::Met, Severity::Info, 1)]);
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-04-04T01:00:00Z"), []);
}

#[test]
fn a_message_is_kept_until_every_sink_has_it_and_the_retired_are_met() {
    let (mut fleet, watched) = fleet(&[("a", "2026-01-01T12:00:00Z")]);
    let settings = settings();
    let mut made = tell(&fleet, &watched, &settings, at("2026-04-02T12:00:00Z"));
    made[0].sinks = vec!["mail".to_owned(), "syslog".to_owned()];
    let id = made[0].message.id.clone();
    fleet.apply(&Event { by: None, at: at("2026-04-02T12:00:00Z"), fact: Fact::MessageMade(Box::new(made.remove(0))) });
    for sink in ["mail", "syslog"] {
        assert!(fleet.messages.contains_key(&id), "{sink} has not got it yet");
        let settled = MessageSettled { message: id.clone(), sink: sink.to_owned(), dropped: None };
        fleet.apply(&Event { by: None, at: at("2026-04-02T12:01:00Z"), fact: Fact::MessageSettled(settled) });
    }
    assert!(fleet.messages.is_empty());
    let retired = DeviceRetired { device: Some("a".into()), udi: Some(udi("a")), note: "sold".to_owned() };
    fleet.apply(&Event { by: None, at: at("2026-04-02T13:00:00Z"), fact: Fact::DeviceRetired(retired) });
    assert_eq!(told(&mut fleet, &watched, &settings, "2026-04-02T14:00:00Z"), [(Topic::Met, Severity::Info, 1)]);
}

#[test]
fn the_digest_counts_everything_and_lists_the_soonest() {
    let (fleet, watched) = fleet(&[("a", "2026-01-01T12:00:00Z"), ("b", "2026-03-30T12:00:00Z")]);
    let message = digest(&fleet, &watched, &settings(), at("2026-04-06T07:00:00Z"));
    assert_eq!((message.topic, message.severity, message.lines.len()), (Topic::Digest, Severity::Warning, 1));
    let expected =
        "2 product instances, 1 overdue, 1 ok. No violation is open. 0 devices do not answer as they should.";
    assert_eq!(message.text, expected);
}
