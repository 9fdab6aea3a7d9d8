//! The ledger from outside, on both registers.

mod backup;
mod damage;
mod export;
mod facts;
mod fixture;
mod model;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{
    Blame, BundleMade, BundleUpload, BundledReport, ContactLost, ContactRestored, Event, Fact,
};
use slp_collector::domain::fleet::{Fleet, RecordForm};
use slp_collector::domain::instance::Udi;
use slp_collector::domain::report::ReportId;
use slp_collector::ledger::{Error, FoldFrom, Ledger, Options, RegisterKind, Severity, rebuild, verify};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn options(register: RegisterKind) -> Options {
    Options { register, segment_months: false, ..Options::default() }
}

fn lost(device: &str) -> Fact {
    Fact::ContactLost(ContactLost { device: device.into(), blame: Blame::Unreachable, cause: "no answer".to_owned() })
}

fn restored(device: &str) -> Fact {
    Fact::ContactRestored(ContactRestored { device: device.into() })
}

fn events(ledger: &Ledger, from: Option<Timestamp>) -> Vec<Event> {
    let mut found = Vec::new();
    ledger
        .events(from, &mut |event| {
            found.push(event.clone());
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

/// What the fold holds, as it is stored.
fn records(fleet: &Fleet) -> BTreeMap<String, serde_json::Value> {
    let record = |key| serde_json::from_slice(&fleet.encode(&key, RecordForm::Json).unwrap()).unwrap();
    fleet
        .keys()
        .map(|key| (String::from_utf8_lossy(&key.to_bytes()).replace('\0', " "), key))
        .map(|(name, key)| (name, record(key)))
        .collect()
}

fn open(dir: &Path, kind: RegisterKind) -> Ledger {
    Ledger::open(dir, options(kind)).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every test of this suite runs on sled and on its twin in memory.
macro_rules! on_both_registers {
    ($($name:ident),* $(,)?) => {
        mod on_sled { $( #[test] fn $name() { super::$name(super::RegisterKind::Sled) } )* }
        mod in_memory { $( #[test] fn $name() { super::$name(super::RegisterKind::Memory) } )* }
    };
}
pub(crate) use on_both_registers;

on_both_registers!(
    what_is_answered_is_there_after_reopening,
    contacts_are_kept_beside_the_fold,
    many_callers_share_batches_and_none_is_lost,
    a_closed_ledger_says_so,
    objects_are_kept_once_and_found_in_sealed_segments,
    segments_are_sealed_by_size_and_by_month,
    the_largest_bundle_is_one_append,
    the_past_is_the_fold_of_what_was_known_then,
    limits_are_the_callers_to_keep,
    rebuilding_gives_the_same_fold,
);

fn what_is_answered_is_there_after_reopening(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), kind);
    ledger.append(at(0), vec![lost("r1"), lost("r2")], vec![b"one".to_vec()]).unwrap();
    ledger.append(at(5), vec![restored("r1")], vec![]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(ledger.append_async(at(6), vec![lost("r3")], vec![b"one".to_vec(), b"two".to_vec()])).unwrap();
    ledger.append(at(7), vec![], vec![]).unwrap();
    let before = ledger.fleet().clone();
    assert_eq!(before.devices.len(), 3);
    assert!(before.devices[&"r1".into()].trouble.is_none());
    let journal = events(&ledger, None);
    assert_eq!(journal.len(), 4);
    assert_eq!(ledger.standing().seq, 3, "an append of nothing is no batch");
    ledger.close().unwrap();

    let ledger = open(dir.path(), kind);
    assert_eq!(ledger.healings(), []);
    assert_eq!(*ledger.fleet(), before);
    assert_eq!(events(&ledger, None), journal);
    assert_eq!(events(&ledger, Some(at(5))), journal[2..]);
    let mut first = None;
    ledger
        .events(None, &mut |event| {
            assert_eq!(first.replace(event.clone()), None, "asked to stop after the first");
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(ledger.object(&Sha256::of(b"two")).unwrap().unwrap(), b"two");
    assert_eq!(ledger.object(&Sha256::of(b"three")).unwrap(), None);
    let pack = std::fs::metadata(dir.path().join("segments/000001/objects.pack")).unwrap().len();
    assert_eq!(pack, 2 * (40 + 3));
}

fn contacts_are_kept_beside_the_fold(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), kind);
    ledger.append(at(0), vec![lost("r1")], vec![]).unwrap();
    ledger.note_contacts(&[("r1".into(), at(5)), ("r2".into(), at(9)), ("r1".into(), at(3))]).unwrap();
    ledger.note_contacts(&[("r2".into(), at(8))]).unwrap();
    let expected = BTreeMap::from([("r1".into(), at(5)), ("r2".into(), at(9))]);
    assert_eq!(ledger.fleet().contacts, expected);
    assert_eq!(ledger.standing().seq, 1, "a contact is no event");
    ledger.close().unwrap();
    let ledger = open(dir.path(), kind);
    match kind {
        RegisterKind::Sled => assert_eq!(ledger.fleet().contacts, expected),
        RegisterKind::Memory => assert!(ledger.fleet().contacts.is_empty()),
    }
}

fn many_callers_share_batches_and_none_is_lost(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), kind);
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for n in 0..25 {
                    let name = format!("c{caller}-{n}");
                    let facts = vec![lost(&name), restored(&name), lost(&name)];
                    ledger.append(at(n), facts, vec![name.clone().into_bytes()]).unwrap();
                    assert!(ledger.fleet().devices[&name.as_str().into()].trouble.is_some(), "read your own writes");
                }
            });
        }
    });
    let journal = events(&ledger, None);
    assert_eq!(journal.len(), 600);
    let device = |event: &Event| match &event.fact {
        Fact::ContactLost(fact) => fact.device.clone(),
        Fact::ContactRestored(fact) => fact.device.clone(),
        other => panic!("{other:?}"),
    };
    for three in journal.chunks(3) {
        assert!(three.iter().all(|event| device(event) == device(&three[0])), "an append stands together");
    }
    for caller in 0..8 {
        for n in 0..25 {
            let object = format!("c{caller}-{n}").into_bytes();
            assert_eq!(ledger.object(&Sha256::of(&object)).unwrap().unwrap(), object);
        }
    }
    ledger.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().findings, []);
}

fn a_closed_ledger_says_so(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), kind);
    let other = ledger.clone();
    ledger.close().unwrap();
    assert!(matches!(other.append(at(0), vec![lost("r1")], vec![]), Err(Error::Closed)));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answer = runtime.block_on(other.append_async(at(0), vec![lost("r1")], vec![]));
    assert!(matches!(answer, Err(Error::Closed)));
    // Closed is closed, although a handle is left: the lock is free.
    open(dir.path(), kind).close().unwrap();
}

fn objects_are_kept_once_and_found_in_sealed_segments(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), kind);
    let object = |n: usize| vec![n as u8; n * 10_000];
    for n in 0..40 {
        ledger.append(at(n as i64), vec![lost("r1")], vec![object(n)]).unwrap();
    }
    ledger.seal().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    ledger.append(at(50), vec![lost("r2")], vec![object(7)]).unwrap();
    runtime.block_on(ledger.append_async(at(51), vec![lost("r3")], vec![object(8)])).unwrap();
    ledger.append(at(52), vec![], vec![object(9), b"new".to_vec()]).unwrap();
    let pack = std::fs::metadata(dir.path().join("segments/000002/objects.pack")).unwrap().len();
    assert_eq!(pack, 43, "only what is new is written");
    ledger.seal().unwrap();
    ledger.seal().unwrap();
    assert_eq!(ledger.standing().segments, 3, "an empty segment is not sealed");
    ledger.close().unwrap();

    let ledger = open(dir.path(), kind);
    for n in 0..40 {
        assert_eq!(ledger.object(&Sha256::of(&object(n))).unwrap().unwrap(), object(n));
    }
    assert_eq!(ledger.object(&Sha256::of(b"new")).unwrap().unwrap(), b"new");
    assert_eq!(ledger.object(&Sha256::of(b"none")).unwrap(), None);
    assert_eq!(events(&ledger, None).len(), 42);
    assert_eq!(events(&ledger, Some(at(39))).len(), 3);
    ledger.close().unwrap();
    let verified = verify(dir.path()).unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!((verified.objects, verified.segments, verified.batches, verified.events), (41, 3, 43, 42));
    assert_eq!(verified.register_compared, kind == RegisterKind::Sled);

    // The sealed files are plain: `zstd -d` gives back what the open segment had.
    let raw = std::fs::File::open(dir.path().join("segments/000001/objects.pack.zst")).unwrap();
    let raw = zstd::decode_all(raw).unwrap();
    assert_eq!(raw.len(), (0..40).map(|n| 40 + n * 10_000).sum::<usize>());
    let log =
        zstd::decode_all(std::fs::File::open(dir.path().join("segments/000001/events.log.zst")).unwrap()).unwrap();
    let checkpoint = std::fs::File::open(dir.path().join("segments/000001/checkpoint.zst")).unwrap();
    let checkpoint = Sha256::of(&zstd::decode_all(checkpoint).unwrap());
    let mut prev = Sha256::ZERO;
    for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let body = &line[65..];
        assert_eq!(Sha256::of(body).to_string().as_bytes(), &line[..64]);
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        assert_eq!(body["prev"], prev.to_string());
        prev = std::str::from_utf8(&line[..64]).unwrap().parse().unwrap();
    }
    let next =
        zstd::decode_all(std::fs::File::open(dir.path().join("segments/000002/events.log.zst")).unwrap()).unwrap();
    let next: serde_json::Value =
        serde_json::from_slice(&next.split(|byte| *byte == b'\n').next().unwrap()[65..]).unwrap();
    assert_eq!(next["prev"], checkpoint.to_string());
    let heads = std::fs::read_to_string(dir.path().join("heads.log")).unwrap();
    let head: serde_json::Value = serde_json::from_str(heads.lines().next().unwrap()).unwrap();
    assert_eq!((&head["head"], &head["checkpoint"]), (&prev.to_string().into(), &checkpoint.to_string().into()));
}

fn the_largest_bundle_is_one_append(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let udi = |n: u64| Udi::new("C9300-48UXM-EXTENDED", format!("FOC{:08}", n / 3));
    let upload = |n: u64| BundleUpload {
        name: format!("C9300-48UXM-EXTENDED_FOC{:08}_26Nov02_03_04_05_678.txt", n / 3),
        udi: Some(udi(n)),
    };
    let made = BundleMade {
        bundle_id: "b".to_owned(),
        nonce: "n".to_owned(),
        site: None,
        manifest_sha256: Sha256::of(b"m"),
        name: "exchange-all".to_owned(),
        uploads: (0..100_000).map(upload).collect(),
        reports: (0..100_000)
            .map(|n| BundledReport {
                udi: udi(n),
                report_id: ReportId(1_790_000_000 + n),
                payload_sha256: Sha256::of(&n.to_be_bytes()),
            })
            .collect(),
        previous_bundle_id: None,
    };
    let ledger = open(dir.path(), kind);
    ledger.append(at(0), vec![Fact::BundleMade(made)], Vec::new()).unwrap();
    ledger.close().unwrap();
    assert_eq!(open(dir.path(), kind).fleet().bundles["b"].facts.reports.len(), 100_000);
}

fn segments_are_sealed_by_size_and_by_month(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { segment_bytes: 10_000, ..options(kind) };
    let ledger = Ledger::open(dir.path(), small).unwrap();
    for n in 0..30u8 {
        ledger.append(at(0), vec![lost(&format!("r{n}"))], vec![vec![n; 1000]]).unwrap();
    }
    assert_eq!(ledger.standing().segments, 4);
    ledger.close().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), Options { segment_months: true, ..options(kind) }).unwrap();
    for (day, segments) in
        [("2026-01-05", 1), ("2026-01-31", 1), ("2026-02-01", 2), ("2026-01-31", 2), ("2027-02-01", 3)]
    {
        ledger.append(format!("{day}T12:00:00Z").parse().unwrap(), vec![lost(day)], vec![]).unwrap();
        assert_eq!(ledger.standing().segments, segments, "{day}");
    }
    let fleet = ledger.fleet().clone();
    ledger.close().unwrap();
    // After reopening the month is still known.
    let ledger = Ledger::open(dir.path(), Options { segment_months: true, ..options(kind) }).unwrap();
    assert_eq!(*ledger.fleet(), fleet);
    ledger.append("2027-02-20T00:00:00Z".parse().unwrap(), vec![lost("x")], vec![]).unwrap();
    assert_eq!(ledger.standing().segments, 3);
    ledger.append("2027-03-20T00:00:00Z".parse().unwrap(), vec![lost("x")], vec![]).unwrap();
    assert_eq!(ledger.standing().segments, 4);
    ledger.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().findings, []);
}

fn the_past_is_the_fold_of_what_was_known_then(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), kind);
    // Clocks are not always in order, not even across a seal.
    let instants = [0, 10, 20, 15, 30, 25, 40, 35, 50];
    for (index, second) in instants.iter().enumerate() {
        ledger.append(at(*second), vec![lost(&format!("r{index}")), restored("r0")], vec![]).unwrap();
        if index % 3 == 2 {
            ledger.seal().unwrap();
        }
    }
    let journal = events(&ledger, None);
    for second in -1..=51 {
        let mut expected = Fleet::default();
        for event in journal.iter().filter(|event| event.at <= at(second)) {
            expected.apply(event);
        }
        assert_eq!(ledger.fleet_at(at(second)).unwrap(), expected, "second {second}");
    }
    ledger.close().unwrap();

    // Retention: packs first, then whole segments behind a kept checkpoint.
    let segment = |n: u32| dir.path().join(format!("segments/{n:06}"));
    std::fs::remove_file(segment(1).join("objects.pack.zst")).unwrap();
    std::fs::remove_file(segment(1).join("objects.idx")).unwrap();
    std::fs::remove_file(segment(1).join("events.log.zst")).unwrap();
    let ledger = open(dir.path(), kind);
    assert_eq!(events(&ledger, None), journal[6..]);
    assert!(matches!(ledger.fleet_at(at(19)), Err(Error::BeforeHistory { .. })));
    assert_eq!(ledger.fleet_at(at(60)).unwrap(), *ledger.fleet());
    ledger.close().unwrap();
    std::fs::remove_dir_all(segment(1)).unwrap();
    std::fs::remove_file(segment(2).join("events.log.zst")).unwrap();
    let verified = verify(dir.path()).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
    assert!(verified.findings.iter().all(|finding| finding.severity == Severity::Note));
    let ledger = open(dir.path(), kind);
    assert_eq!(ledger.fleet().devices.len(), 9);
    assert_eq!(ledger.fleet_at(at(30)).unwrap().devices.len(), 6 - 1 + 1);
    ledger.close().unwrap();
    assert_eq!(rebuild(dir.path(), options(kind), FoldFrom::FirstEvent).unwrap().records, 9);
    assert_eq!(std::fs::read_to_string(dir.path().join("heads.log")).unwrap().lines().count(), 3);
}

fn limits_are_the_callers_to_keep(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), kind);
    let long = lost(&"r".repeat(49 << 20));
    assert!(matches!(
        ledger.append(at(0), vec![long], vec![]),
        Err(Error::TooLarge { what: "one append's facts", .. })
    ));
    let large = vec![0; (64 << 20) + 1];
    assert!(matches!(ledger.append(at(0), vec![], vec![large]), Err(Error::TooLarge { what: "an object", .. })));
    let just = lost(&"r".repeat(15 << 20));
    ledger.append(at(0), vec![just], vec![vec![1; 20 << 20], vec![]]).unwrap();
    // Foreign text may hold anything.
    ledger.append(at(1), vec![lost("a\0b\u{1}c\n\u{fffd}\"\\")], vec![]).unwrap();
    ledger.append(at(2), vec![lost("a\u{fffd}b\u{1}c\n\u{fffd}\"\\")], vec![]).unwrap();
    let fleet = ledger.fleet().clone();
    assert_eq!(fleet.devices.len(), 3);
    ledger.seal().unwrap();
    ledger.close().unwrap();
    let ledger = open(dir.path(), kind);
    assert_eq!(*ledger.fleet(), fleet);
    assert_eq!(ledger.object(&Sha256::of(b"")).unwrap().unwrap(), b"");
    ledger.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().findings, []);
}

fn rebuilding_gives_the_same_fold(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), kind);
    for event in facts::all() {
        ledger.append(event.at, vec![event.fact], vec![]).unwrap();
        if ledger.standing().seq == 9 {
            ledger.seal().unwrap();
        }
    }
    ledger.note_contacts(&[("core-1".into(), at(99))]).unwrap();
    let mut fleet = ledger.fleet().clone();
    ledger.close().unwrap();
    for from in [FoldFrom::Checkpoint, FoldFrom::FirstEvent] {
        let rebuilt = rebuild(dir.path(), options(kind), from).unwrap();
        assert_eq!((rebuilt.records, rebuilt.healings), (records(&fleet).len() as u64, vec![]));
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name.to_string_lossy().contains("damaged")), "{names:?}");
        let ledger = open(dir.path(), kind);
        if kind == RegisterKind::Memory {
            fleet.contacts.clear();
        }
        assert_eq!(*ledger.fleet(), fleet);
        assert_eq!(ledger.healings(), []);
        ledger.close().unwrap();
        assert_eq!(verify(dir.path()).unwrap().findings, []);
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let none = rebuild(elsewhere.path(), options(kind), FoldFrom::Checkpoint);
    assert!(matches!(none, Err(Error::NotALedger { .. })));
    assert!(matches!(verify(elsewhere.path()), Err(Error::NotALedger { .. })));
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}
