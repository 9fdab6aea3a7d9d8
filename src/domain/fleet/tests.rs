//! The fold, event by event.

use std::collections::BTreeSet;

use super::*;
use crate::domain::event::{
    AnswerConfirmed, AnswerQuarantined, AnswerReceived, BundleHandedOver, BundleUpload, BundledReport, ContactLost,
    CredentialRefused, CredentialReleased, DeviceIdentified, DeviceReplaced, DeviceRetired, DeviceWritten, Outcome,
    Source, TrustPinned, TrustRefused,
};
use crate::domain::instance::{Member, Role, Site};
use crate::domain::report::{ReportFacts, ReportId, made};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn udi(sn: &str) -> Udi {
    Udi::new("C9500-40X", sn)
}

fn identified(device: &str, active: &str, others: &[&str]) -> Fact {
    let member = |(role, sn): (Role, &str)| Member { role, udi: udi(sn) };
    let members = if others.is_empty() {
        Vec::new()
    } else {
        std::iter::once((Role::Active, active))
            .chain(others.iter().map(|sn| (Role::Standby, *sn)))
            .map(member)
            .collect()
    };
    Fact::DeviceIdentified(DeviceIdentified {
        device: device.into(),
        site: Site::from("dark-1"),
        udi: udi(active),
        uuid: None,
        members,
        os: "ios-xe".to_owned(),
        software: Some("17.12.4".to_owned()),
        hostname: None,
        clock_skew_seconds: None,
    })
}

fn collected(sn: &str, id: u64) -> Fact {
    let measurement = made::measurement(Some(at(id as i64)), Some(at(id as i64 + 60)), 2);
    Fact::ReportCollected(ReportCollected {
        device: None,
        report: ReportFacts {
            payload_sha256: Sha256::of(&id.to_be_bytes()),
            ..made::report(udi(sn), id, None, vec![measurement])
        },
        object: Sha256::of(&id.to_le_bytes()),
        source: Source::Rest,
        parser: 1,
        presumed_acknowledged: false,
        feature: None,
    })
}

fn states(sn: &str, states: &[(u64, ReportState)]) -> Fact {
    let states = states.iter().map(|&(id, state)| (ReportId(id), state)).collect();
    Fact::ReportStates(ReportStates { udi: udi(sn), states })
}

fn bundle(id: &str, reports: &[(&str, u64)]) -> Fact {
    let bundled = |&(sn, id): &(&str, u64)| BundledReport {
        udi: udi(sn),
        report_id: ReportId(id),
        payload_sha256: Sha256::of(&id.to_be_bytes()),
    };
    Fact::BundleMade(BundleMade {
        bundle_id: id.to_owned(),
        nonce: "00".to_owned(),
        site: None,
        manifest_sha256: Sha256::ZERO,
        name: format!("exchange-{id}"),
        uploads: vec![BundleUpload { name: format!("{id}.txt"), udi: None }],
        reports: reports.iter().map(bundled).collect(),
        previous_bundle_id: None,
    })
}

fn answer(object: &[u8], sn: &str, bundle_id: Option<&str>, reports: &[u64]) -> Fact {
    Fact::AnswerReceived(AnswerReceived {
        object: Sha256::of(object),
        name: "ACK_x.txt".to_owned(),
        udi: udi(sn),
        parts: vec!["rum-ack".to_owned()],
        bundle_id: bundle_id.map(str::to_owned),
        reports: reports.iter().map(|id| ReportId(*id)).collect(),
        assigned: None,
        licences: Vec::new(),
    })
}

fn key(object: &[u8], sn: Option<&str>) -> AnswerKey {
    AnswerKey { udi: sn.map(udi), object: Sha256::of(object) }
}

fn delivered(object: &[u8], outcome: Outcome) -> Fact {
    let (object, device) = (Sha256::of(object), "core-1".into());
    Fact::AnswerDelivered(AnswerDelivered { object, device, udi: None, outcome, found: false })
}

fn fold(facts: impl IntoIterator<Item = Fact>) -> Fleet {
    let mut fleet = Fleet::default();
    for (second, fact) in facts.into_iter().enumerate() {
        fleet.apply(&Event { by: None, at: at(second as i64), fact });
    }
    fleet
}

#[test]
fn a_set_of_ids_is_a_set_and_stays_compact() {
    let seed = 7;
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut ids, mut model) = (IdSet::default(), BTreeSet::new());
    for _ in 0..5_000 {
        let id = random.u64(0..600);
        assert_eq!(ids.insert(ReportId(id)), model.insert(id), "seed {seed}, id {id}");
    }
    assert_eq!(ids.len(), model.len() as u64);
    assert!((0..700).all(|id| ids.contains(ReportId(id)) == model.contains(&id)));
    let gaps = model.iter().zip(model.iter().skip(1)).filter(|(a, b)| *a + 1 < **b).count();
    assert_eq!(ids.ranges().len(), gaps + 1);
    assert!(ids.insert(ReportId(u64::MAX)) && ids.contains(ReportId(u64::MAX)));
}

#[test]
fn a_switch_over_makes_no_second_obligation() {
    let fleet = fold([
        identified("core-1", "FOC0001", &["FOC0002"]),
        collected("FOC0001", 10),
        identified("core-1", "FOC0002", &["FOC0001"]),
        collected("FOC0002", 10),
    ]);
    assert_eq!(fleet.instances.len(), 1);
    let instance = fleet.of_device(&"core-1".into()).unwrap();
    assert_eq!(instance.udi, udi("FOC0001"));
    assert_eq!(fleet.resolve(&udi("FOC0002")).unwrap().udi, instance.udi);
    // Ids are unique to a chassis only: both reports with number 10 are kept.
    assert_eq!((instance.owed.len(), instance.collected.len()), (2, 2));
}

#[test]
fn the_same_serial_at_another_name_is_a_move() {
    let fleet =
        fold([identified("core-1", "FOC0001", &[]), collected("FOC0001", 10), identified("core-9", "FOC0001", &[])]);
    assert_eq!(fleet.instances.len(), 1);
    let moved = fleet.of_device(&"core-9".into()).unwrap();
    assert_eq!((moved.device.clone(), moved.owed.len()), (Some("core-9".into()), 1));
    assert_eq!(fleet.of_device(&"core-1".into()), None, "listed once");
    assert_eq!(fleet.told_by(&"core-1".into()).unwrap().udi, moved.udi);
}

#[test]
fn another_serial_at_the_same_name_leaves_the_old_one_in_the_register_without_a_name() {
    let facts =
        vec![identified("core-1", "FOC0001", &[]), collected("FOC0001", 10), identified("core-1", "FOC0002", &[])];
    let fleet = fold(facts.clone());
    assert_eq!(fleet.of_device(&"core-1".into()).unwrap().udi, udi("FOC0002"));
    let old = fleet.resolve(&udi("FOC0001")).unwrap();
    assert_eq!((&old.device, old.owed.len(), &old.retired), (&None, 1, &None));
    // It comes back under another name, then under its own, and each time it has just that one.
    let moved = fold([facts.clone(), vec![identified("lab-1", "FOC0001", &[])]].concat());
    assert_eq!(moved.of_device(&"lab-1".into()).unwrap().owed.len(), 1);
    let back = fold([facts, vec![identified("core-1", "FOC0001", &[])]].concat());
    assert_eq!(back.of_device(&"core-1".into()).unwrap().udi, udi("FOC0001"));
    assert_eq!(back.resolve(&udi("FOC0002")).unwrap().device, None);
}

#[test]
fn a_chassis_that_left_its_stack_is_an_instance_of_its_own() {
    let fleet = fold([
        identified("core-1", "FOC0001", &["FOC0002"]),
        identified("core-1", "FOC0001", &[]),
        identified("edge-7", "FOC0002", &[]),
    ]);
    assert_eq!(fleet.of_device(&"core-1".into()).unwrap().udi, udi("FOC0001"));
    assert_eq!(fleet.of_device(&"edge-7".into()).unwrap().udi, udi("FOC0002"));
    assert_eq!(fleet.resolve(&udi("FOC0002")).unwrap().udi, udi("FOC0002"));
}

#[test]
fn two_swapped_names_are_two_moves() {
    let fleet = fold([
        identified("core-1", "FOC0001", &[]),
        identified("core-2", "FOC0002", &[]),
        identified("core-1", "FOC0002", &[]),
        identified("core-2", "FOC0001", &[]),
    ]);
    for (name, sn) in [("core-1", "FOC0002"), ("core-2", "FOC0001")] {
        assert_eq!(fleet.of_device(&name.into()).unwrap().udi, udi(sn));
    }
}

#[test]
fn what_is_retired_or_replaced_keeps_what_it_owes_and_comes_back_when_it_is_seen() {
    let retired = Fact::DeviceRetired(DeviceRetired {
        device: Some("core-1".into()),
        udi: Some(udi("FOC0001")),
        note: "scrapped".to_owned(),
    });
    let seen = vec![identified("core-1", "FOC0001", &["FOC0003"]), collected("FOC0001", 10)];
    let fleet = fold([seen.clone(), vec![retired]].concat());
    let old = fleet.resolve(&udi("FOC0001")).unwrap();
    assert_eq!(old.retired.as_ref().unwrap().note.as_deref(), Some("scrapped"));
    assert_eq!(old.owed.len(), 1);

    // Named by another chassis of the pair.
    let replaced = Fact::DeviceReplaced(DeviceReplaced { old: udi("FOC0003"), new: udi("FOC0002"), note: None });
    let mut facts = [seen, vec![identified("core-2", "FOC0002", &[]), replaced]].concat();
    let fleet = fold(facts.clone());
    assert_eq!(fleet.resolve(&udi("FOC0001")).unwrap().retired.as_ref().unwrap().replaced_by, Some(udi("FOC0002")));
    facts.push(identified("core-7", "FOC0001", &["FOC0003"]));
    let fleet = fold(facts);
    let back = fleet.of_device(&"core-7".into()).unwrap();
    assert_eq!((&back.retired, back.owed.len()), (&None, 1));
}

#[test]
fn a_report_is_owed_once_and_until_the_device_says_acknowledged() {
    let mut facts = vec![identified("core-1", "FOC0001", &[]), collected("FOC0001", 10), collected("FOC0001", 10)];
    assert_eq!(fold(facts.clone()).of_device(&"core-1".into()).unwrap().owed.len(), 1);
    facts.push(states("FOC0001", &[(10, ReportState::Unacknowledged)]));
    let fleet = fold(facts.clone());
    let instance = fleet.of_device(&"core-1".into()).unwrap();
    assert_eq!(instance.owed(&udi("FOC0001"), ReportId(10)).unwrap().state, Some(ReportState::Unacknowledged));
    facts.push(states("FOC0001", &[(10, ReportState::Deleted)]));
    assert_eq!(fold(facts.clone()).of_device(&"core-1".into()).unwrap().owed.len(), 1, "purged is not acknowledged");
    facts.push(states("FOC0001", &[(10, ReportState::Acknowledged)]));
    facts.push(collected("FOC0001", 10));
    let fleet = fold(facts);
    let instance = fleet.of_device(&"core-1".into()).unwrap();
    assert!(instance.owed.is_empty() && instance.acknowledged.contains(&udi("FOC0001"), ReportId(10)));
    assert_eq!(instance.confirmation, Some(Confirmation::ById));
    assert_eq!(instance.earliest_report, Some(at(10)));
}

#[test]
fn made_handed_over_answered_and_confirmed_are_facts_of_their_own() {
    let mut facts = vec![
        identified("core-1", "FOC0001", &[]),
        collected("FOC0001", 10),
        collected("FOC0001", 11),
        bundle("b1", &[("FOC0001", 10), ("FOC0001", 11)]),
    ];
    let fleet = fold(facts.clone());
    let owed = &fleet.of_device(&"core-1".into()).unwrap().owed;
    assert!(owed.iter().all(|owed| owed.bundle.as_deref() == Some("b1")));
    assert_eq!((fleet.bundles["b1"].handed_over, fleet.bundles["b1"].answered), (None, None));

    let mut by_hand = facts.clone();
    by_hand.push(Fact::BundleHandedOver(BundleHandedOver {
        bundle_id: "b1".to_owned(),
        handed_over: at(3),
        note: "courier".to_owned(),
    }));
    let fleet = fold(by_hand);
    assert_eq!(fleet.bundles["b1"].handed_over, Some(at(3)));
    assert_eq!(fleet.of_device(&"core-1".into()).unwrap().last_handed_over, Some(at(3)));

    facts.push(answer(b"ack", "FOC0001", Some("b1"), &[10, 11]));
    let fleet = fold(facts.clone());
    assert_eq!((fleet.bundles["b1"].handed_over, fleet.bundles["b1"].answered), (Some(at(4)), Some(at(4))));
    assert_eq!(fleet.of_device(&"core-1".into()).unwrap().owed.len(), 2, "an answer at home acknowledges nothing");

    facts.push(delivered(b"ack", Outcome::Failed { cause: "no answer".to_owned(), again: true }));
    facts.push(delivered(b"ack", Outcome::Unconfirmed));
    let fleet = fold(facts.clone());
    let waiting = &fleet.answers[&key(b"ack", Some("FOC0001"))];
    assert_eq!((&waiting.status, waiting.attempts), (&AnswerStatus::Unconfirmed, 2));
    assert_eq!(fleet.of_device(&"core-1".into()).unwrap().owed.len(), 2);

    facts.push(delivered(b"ack", Outcome::ConfirmedByTime));
    let fleet = fold(facts);
    let instance = fleet.of_device(&"core-1".into()).unwrap();
    assert!(instance.owed.is_empty());
    assert_eq!(instance.confirmation, Some(Confirmation::ByTime));
}

#[test]
fn an_answer_after_the_first_of_a_bundle_touches_only_its_own_record() {
    const DEVICES: u64 = 50;
    let names: Vec<String> = (0..DEVICES).map(|index| format!("FOC{index:04}")).collect();
    let reports: Vec<(&str, u64)> = names.iter().map(String::as_str).zip(10..).collect();
    let collected = reports.iter().map(|(sn, id)| collected(sn, *id));
    let mut fleet = fold(collected.chain([bundle("b1", &reports)]));
    let mut touched = |seconds, sn: &str, id| {
        let fact = answer(sn.as_bytes(), sn, Some("b1"), &[id]);
        fleet.apply(&Event { at: at(seconds), by: None, fact })
    };
    // The first proves for all of them that the bundle arrived.
    let first: BTreeSet<RecordKey> = touched(1000, reports[0].0, reports[0].1).into_iter().collect();
    assert_eq!(first.len(), names.len() + 2);
    for (sn, id) in &reports[1..] {
        assert_eq!(touched(1001, sn, *id), [RecordKey::Answer(key(sn.as_bytes(), Some(sn)))], "{sn}");
    }
    assert!(fleet.instances.values().all(|instance| instance.last_handed_over == Some(at(1000))));
}

#[test]
fn quarantine_ends_when_a_person_says_whose_it_is() {
    let quarantined = Fact::AnswerQuarantined(AnswerQuarantined {
        object: Sha256::of(b"ack"),
        name: "renamed.txt".to_owned(),
        reason: "nobody knows".to_owned(),
    });
    let mut facts = vec![identified("core-1", "FOC0001", &[]), quarantined.clone()];
    let fleet = fold(facts.clone());
    assert!(matches!(fleet.answers[&key(b"ack", None)].status, AnswerStatus::Quarantined { .. }));
    facts.push(answer(b"ack", "FOC0001", None, &[]));
    // The same file once more changes nothing.
    facts.push(quarantined);
    facts.push(answer(b"ack", "FOC0002", None, &[]));
    let fleet = fold(facts);
    // One file, two addressees, and nobody's any more.
    let of: Vec<&AnswerKey> = fleet.answers.keys().collect();
    assert_eq!(of, [&key(b"ack", Some("FOC0001")), &key(b"ack", Some("FOC0002"))]);
    assert!(fleet.answers.values().all(|answer| answer.status == AnswerStatus::AwaitingDelivery));
}

#[test]
fn a_delivery_is_of_its_own_addressee_and_old_facts_name_the_device_alone() {
    let mut facts = vec![identified("core-1", "FOC0001", &[]), identified("core-2", "FOC0002", &[])];
    facts.extend(["FOC0001", "FOC0002"].map(|sn| answer(b"policy", sn, None, &[])));
    facts.push(delivered(b"policy", Outcome::ConfirmedById));
    let fleet = fold(facts.clone());
    let status = |fleet: &Fleet, sn: &str| fleet.answers[&key(b"policy", Some(sn))].status.clone();
    assert_eq!(status(&fleet, "FOC0001"), AnswerStatus::Confirmed(Confirmation::ById));
    assert_eq!(status(&fleet, "FOC0002"), AnswerStatus::AwaitingDelivery);
    let (object, device, udi) = (Sha256::of(b"policy"), "core-2".into(), Some(udi("FOC0002")));
    let outcome = Outcome::ConfirmedByTime;
    facts.push(Fact::AnswerDelivered(AnswerDelivered { object, device, udi, outcome, found: true }));
    let fleet = fold(facts);
    assert_eq!(status(&fleet, "FOC0002"), AnswerStatus::Confirmed(Confirmation::ByTime));
    let found = &fleet.answers[&key(b"policy", Some("FOC0002"))];
    assert_eq!((found.attempts, found.last_attempt), (0, None), "nobody here sent it");
}

#[test]
fn a_persons_word_acknowledges_until_the_device_says_it_itself() {
    let confirmed = Fact::AnswerConfirmed(AnswerConfirmed {
        object: Sha256::of(b"ack"),
        udi: udi("FOC0001"),
        installed: at(50),
        note: "seen on the console".to_owned(),
    });
    let mut facts = vec![identified("core-1", "FOC0001", &[]), collected("FOC0001", 10)];
    facts.push(answer(b"ack", "FOC0001", None, &[10]));
    facts.push(confirmed);
    let fleet = fold(facts.clone());
    let instance = fleet.of_device(&"core-1".into()).unwrap();
    assert!(instance.owed.is_empty());
    assert_eq!((instance.last_acknowledged, instance.confirmation), (Some(at(50)), Some(Confirmation::ByPerson)));
    let told = &fleet.answers[&key(b"ack", Some("FOC0001"))];
    assert_eq!(told.status, AnswerStatus::Confirmed(Confirmation::ByPerson));
    assert_eq!(told.word.as_ref().map(|word| (word.installed, word.by.as_deref())), Some((at(50), None)));
    let (object, device, udi) = (Sha256::of(b"ack"), "core-1".into(), Some(udi("FOC0001")));
    let outcome = Outcome::ConfirmedById;
    facts.push(Fact::AnswerDelivered(AnswerDelivered { object, device, udi, outcome, found: true }));
    let fleet = fold(facts);
    let told = &fleet.answers[&key(b"ack", Some("FOC0001"))];
    assert_eq!(told.status, AnswerStatus::Confirmed(Confirmation::ById));
    assert!(told.word.is_some(), "what was said stays on record");
}

#[test]
fn refusals_add_up_until_a_person_releases() {
    let refused = |device: &str| {
        Fact::CredentialRefused(CredentialRefused { credential: "net".to_owned(), device: device.into() })
    };
    let mut facts = vec![refused("core-1"), refused("core-1"), refused("core-2")];
    let fleet = fold(facts.clone());
    assert_eq!(fleet.credentials["net"].refused_by.len(), 2);
    assert_eq!(fleet.devices[&"core-2".into()].refused_credential.as_deref(), Some("net"));
    facts.push(Fact::CredentialReleased(CredentialReleased { credential: "net".to_owned(), note: None }));
    let fleet = fold(facts);
    assert!(fleet.credentials["net"].refused_by.is_empty());
    assert_eq!(fleet.devices[&"core-2".into()].refused_credential, None);
}

#[test]
fn a_changed_certificate_waits_and_trouble_keeps_its_beginning() {
    let lost = |cause: &str| {
        Fact::ContactLost(ContactLost {
            device: "core-1".into(),
            blame: crate::domain::event::Blame::Unreachable,
            cause: cause.to_owned(),
        })
    };
    let (pinned, presented) = (Sha256::of(b"old"), Sha256::of(b"new"));
    let pin = |fingerprint| {
        let by = crate::domain::event::Decider::Operator;
        Fact::TrustPinned(TrustPinned { device: "core-1".into(), fingerprint, key_type: None, by })
    };
    let mut facts = vec![
        pin(pinned),
        lost("no route"),
        lost("reset"),
        Fact::TrustRefused(TrustRefused { device: "core-1".into(), pinned, presented, key_type: None }),
    ];
    let fleet = fold(facts.clone());
    let device = &fleet.devices[&"core-1".into()];
    assert_eq!((device.pin, device.refused_pin.clone()), (Some(pinned), Some(presented.into())));
    let trouble = device.trouble.as_ref().unwrap();
    assert_eq!((trouble.since, trouble.cause.as_str()), (at(1), "reset"));
    facts.push(pin(presented));
    let fleet = fold(facts);
    assert_eq!(fleet.devices[&"core-1".into()].refused_pin, None);
}

#[test]
fn the_newest_writes_are_kept_and_a_close_is_remembered() {
    let write = |write, refused: Option<&str>| {
        let detail = String::new();
        Fact::DeviceWritten(DeviceWritten {
            device: "core-1".into(),
            write,
            detail,
            refused: refused.map(str::to_owned),
            unanswered: false,
        })
    };
    // Begun, then refused: it never was. Begun and unanswered: it may have been.
    let mut facts = vec![write(Write::CloseReports, None), write(Write::CloseReports, Some("HTTP 500"))];
    let fleet = fold(facts.clone());
    let device = &fleet.devices[&"core-1".into()];
    assert_eq!((device.last_close, device.writes.len()), (None, 1));
    assert_eq!(device.writes[0].refused.as_deref(), Some("HTTP 500"));
    facts.push(write(Write::CloseReports, None));
    assert_eq!(fold(facts.clone()).devices[&"core-1".into()].last_close, Some(at(2)));
    facts.extend((0..100).map(|_| write(Write::FetchReports, None)));
    let fleet = fold(facts);
    let device = &fleet.devices[&"core-1".into()];
    assert_eq!((device.last_close, device.writes.len()), (Some(at(2)), Device::WRITES_KEPT));
    assert_eq!(device.writes.last().unwrap().at, at(102));
}

#[test]
fn every_record_survives_its_stored_form() {
    let fleet = fold([
        identified("core-1", "FOC0001", &["FOC0002"]),
        collected("FOC0001", 10),
        bundle("b1", &[("FOC0001", 10)]),
        answer(b"ack", "FOC0001", Some("b1"), &[10]),
        Fact::CredentialRefused(CredentialRefused { credential: "net".to_owned(), device: "core-1".into() }),
    ]);
    let keys: Vec<RecordKey> = fleet.keys().collect();
    assert!(keys.iter().map(RecordKey::to_bytes).is_sorted());
    for form in [RecordForm::Json, RecordForm::Compact] {
        let mut copy = Fleet::default();
        for key in &keys {
            let read = RecordKey::from_bytes(&key.to_bytes()).unwrap();
            assert_eq!(read, *key);
            let bytes = fleet.encode(key, form).unwrap();
            assert!(copy.decode(read.clone(), &[&bytes[..], b"!"].concat(), form).is_err(), "{key:?} is too long");
            copy.decode(read, &bytes, form).unwrap();
        }
        assert_eq!(copy, fleet);
    }
}
