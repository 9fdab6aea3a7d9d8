//! What a power cut, a wrong hand or a newer program may leave.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use slp_collector::domain::digest::Sha256;
use slp_collector::ledger::{Error, Healing, Ledger, Place, RegisterKind, Severity, verify};

use super::{at, copy, events, lost, on_both_registers, open, options};

on_both_registers!(a_batch_torn_anywhere_is_cut, a_held_lock_names_its_owner, newer_data_is_refused_and_untouched);

/// Every file and folder with its bytes and times.
fn tree(dir: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        found.insert(folder.clone(), (None, folder.metadata().unwrap().modified().unwrap()));
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let modified = path.metadata().unwrap().modified().unwrap();
                found.insert(path.clone(), (Some(std::fs::read(&path).unwrap()), modified));
            }
        }
    }
    found
}

/// A ledger of three batches with an object each, closed.
fn three(dir: &Path, kind: RegisterKind) -> (PathBuf, PathBuf) {
    let ledger = open(dir, kind);
    for n in 1..=3 {
        ledger.append(at(n), vec![lost(&format!("r{n}"))], vec![format!("object {n}").into_bytes()]).unwrap();
    }
    ledger.close().unwrap();
    (dir.join("segments/000001/events.log"), dir.join("segments/000001/objects.pack"))
}

fn third_line(log: &Path) -> (Vec<u8>, usize) {
    let bytes = std::fs::read(log).unwrap();
    let ends: Vec<usize> = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    assert_eq!(ends.len(), 3);
    (bytes, ends[1])
}

fn a_batch_torn_anywhere_is_cut(kind: RegisterKind) {
    let whole = tempfile::tempdir().unwrap();
    let (log, _) = three(whole.path(), kind);
    let (bytes, third) = third_line(&log);
    // sled takes its time to open; the cut does not depend on it.
    let step = if kind == RegisterKind::Sled { 37 } else { 1 };
    let torn = (third..bytes.len()).step_by(step);
    let ends: Vec<Vec<u8>> = torn
        .flat_map(|end| {
            let cut = bytes[..end].to_vec();
            let zeros = [&bytes[..end], &vec![0; bytes.len() - end][..]].concat();
            let wrong = [&bytes[..end], b"#", &bytes[end + 1..]].concat();
            [cut, zeros, wrong]
        })
        .collect();
    for end in ends {
        let dir = tempfile::tempdir().unwrap();
        copy(whole.path(), dir.path());
        std::fs::write(dir.path().join("segments/000001/events.log"), &end).unwrap();
        let noted = verify(dir.path()).unwrap();
        assert!(noted.is_sound());
        let ledger = open(dir.path(), kind);
        let (events_bytes, objects_bytes) = ((end.len() - third) as u64, 40 + 8);
        let healing = Healing::TornTail { segment: 1, after_seq: 2, events_bytes, objects_bytes };
        assert_eq!(ledger.healings()[0], healing);
        // Only the register on disk still knows that the batch was confirmed.
        if kind == RegisterKind::Sled && end.len() > third {
            let lost = ledger.healings().iter().find_map(|healing| match healing {
                Healing::ConfirmedBatchLost { batch: 3, kept } => Some(std::fs::read(kept.join("events.log")).unwrap()),
                _ => None,
            });
            assert_eq!(lost.as_deref(), Some(&end[third..]));
        }
        assert_eq!(ledger.fleet().devices.len(), 2);
        assert_eq!(events(&ledger, None).len(), 2);
        assert_eq!(ledger.object(&Sha256::of(b"object 3")).unwrap(), None);
        assert_eq!(ledger.object(&Sha256::of(b"object 2")).unwrap().unwrap(), b"object 2");
        ledger.append(at(9), vec![lost("r9")], vec![b"object 3".to_vec()]).unwrap();
        ledger.close().unwrap();
        assert_eq!(verify(dir.path()).unwrap().findings, []);
    }
}

#[test]
fn objects_without_a_batch_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (log, pack) = three(dir.path(), RegisterKind::Memory);
    let before = (std::fs::read(&log).unwrap(), std::fs::read(&pack).unwrap());
    std::fs::write(&pack, [before.1.as_slice(), b"SLPO\0\0\0\x20torn"].concat()).unwrap();
    let ledger = open(dir.path(), RegisterKind::Memory);
    assert!(matches!(ledger.healings(), [Healing::TornTail { events_bytes: 0, objects_bytes: 12, .. }]));
    ledger.close().unwrap();
    assert_eq!((std::fs::read(&log).unwrap(), std::fs::read(&pack).unwrap()), before);
}

#[test]
fn a_changed_bit_before_the_end_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let (log, pack) = three(dir.path(), RegisterKind::Memory);
    let (good, third) = third_line(&log);
    let second = good.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for index in 0..third {
        for bit in [0x01, 0x04, 0x80] {
            let mut bytes = good.clone();
            bytes[index] ^= bit;
            std::fs::write(&log, &bytes).unwrap();
            let line = if index < second { 1 } else { 2 };
            match Ledger::open(dir.path(), options(RegisterKind::Memory)) {
                Err(Error::Damaged { file, place, .. }) => assert_eq!((file, place), (log.clone(), Place::Line(line))),
                other => panic!("byte {index}, bit {bit}: {other:?}"),
            }
            assert_eq!(std::fs::read(&log).unwrap(), bytes);
            assert_eq!(std::fs::metadata(&pack).unwrap().len(), 3 * 48);
        }
    }
    let found = verify(dir.path()).unwrap().findings;
    assert!(found.iter().any(|finding| finding.severity == Severity::Damage && finding.place == Place::Line(2)));
}

#[test]
fn lines_out_of_place_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = three(dir.path(), RegisterKind::Memory);
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (order, line) in [([0, 2, 2], 2), ([1, 2, 2], 1), ([0, 0, 1], 2)] {
        let wrong: String = order.iter().map(|index| format!("{}\n", lines[*index])).collect();
        std::fs::write(&log, wrong).unwrap();
        let refused = Ledger::open(dir.path(), options(RegisterKind::Memory)).unwrap_err();
        assert!(matches!(refused, Error::Damaged { place, .. } if place == Place::Line(line)), "{refused}");
    }
    // What is rightly signed but not understood is never cut, wherever it stands.
    let body = r#"{"seq":4,"something":"else"}"#;
    std::fs::write(&log, format!("{text}{} {body}\n", Sha256::of(body.as_bytes()))).unwrap();
    let refused = Ledger::open(dir.path(), options(RegisterKind::Memory)).unwrap_err();
    assert!(matches!(refused, Error::Damaged { place: Place::Line(4), .. }), "{refused}");
}

#[test]
fn a_pack_that_is_too_short_or_broken_is_refused_with_its_offset() {
    let dir = tempfile::tempdir().unwrap();
    let (log, pack) = three(dir.path(), RegisterKind::Memory);
    let (log_bytes, good) = (std::fs::read(&log).unwrap(), std::fs::read(&pack).unwrap());
    for len in [0, 1, 47, 48, 100, 143] {
        std::fs::write(&pack, &good[..len]).unwrap();
        let refused = Ledger::open(dir.path(), options(RegisterKind::Memory)).unwrap_err();
        assert!(
            matches!(&refused, Error::Damaged { file, place, .. } if *file == pack && *place == Place::Offset(len as u64)),
            "{refused}"
        );
        assert_eq!(std::fs::read(&log).unwrap(), log_bytes);
    }
    // A broken header derails the walk; a broken object is found when it is read, and by verify.
    let mut broken = good.clone();
    broken[48] = b'X';
    std::fs::write(&pack, &broken).unwrap();
    let refused = Ledger::open(dir.path(), options(RegisterKind::Memory)).unwrap_err();
    assert!(matches!(refused, Error::Damaged { place: Place::Offset(48), .. }), "{refused}");
    let mut broken = good.clone();
    broken[48 + 40] ^= 1;
    std::fs::write(&pack, &broken).unwrap();
    let ledger = open(dir.path(), RegisterKind::Memory);
    assert!(matches!(ledger.object(&Sha256::of(b"object 2")), Err(Error::Damaged { .. })));
    assert_eq!(ledger.object(&Sha256::of(b"object 3")).unwrap().unwrap(), b"object 3");
    ledger.close().unwrap();
    let found = verify(dir.path()).unwrap().findings;
    assert!(matches!(&found[..], [one] if one.file == pack && one.place == Place::Offset(88)), "{found:?}");
}

fn a_held_lock_names_its_owner(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), kind);
    let own = std::process::id();
    for refused in [Ledger::open(dir.path(), options(kind)).unwrap_err(), verify(dir.path()).unwrap_err()] {
        assert!(matches!(refused, Error::Held { pid: Some(pid), .. } if pid == own), "{refused}");
        assert!(refused.to_string().contains(&own.to_string()) && refused.is_transient());
    }
    drop(ledger);
    open(dir.path(), kind);
}

fn newer_data_is_refused_and_untouched(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    three(dir.path(), kind);
    let file = dir.path().join("ledger.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(r#""format":1"#));
    std::fs::write(&file, text.replace(r#""format":1"#, r#""format":2"#)).unwrap();
    // Not even a lock file that is not there is made.
    std::fs::remove_file(dir.path().join("LOCK")).unwrap();
    let before = tree(dir.path());
    for refused in [Ledger::open(dir.path(), options(kind)).unwrap_err(), verify(dir.path()).unwrap_err()] {
        assert!(matches!(refused, Error::TooNew { found: 2, known: 1, .. }), "{refused}");
        let told = refused.to_string();
        assert!(told.contains("format 2") && told.contains("up to 1"), "{told}");
    }
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn half_of_a_ledger_is_not_taken_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    three(dir.path(), RegisterKind::Memory);
    std::fs::remove_file(dir.path().join("ledger.json")).unwrap();
    let refused = Ledger::open(dir.path(), options(RegisterKind::Memory)).unwrap_err();
    assert!(matches!(refused, Error::NotALedger { .. }), "{refused}");
}

/// Three sealed segments and an open one.
fn sealed(dir: &Path) {
    let ledger = open(dir, RegisterKind::Sled);
    for n in 0..4u8 {
        ledger.append(at(n.into()), vec![lost(&format!("r{n}"))], vec![vec![n; 2000], vec![n, n]]).unwrap();
        if n < 3 {
            ledger.seal().unwrap();
        }
    }
    ledger.close().unwrap();
}

#[test]
fn verify_finds_a_changed_byte_in_every_sealed_file() {
    let whole = tempfile::tempdir().unwrap();
    sealed(whole.path());
    assert_eq!(verify(whole.path()).unwrap().findings, []);
    let names = ["events.log.zst", "objects.pack.zst", "objects.idx", "checkpoint.zst"];
    for name in names {
        let file = Path::new("segments/000002").join(name);
        let len = std::fs::metadata(whole.path().join(&file)).unwrap().len() as usize;
        for index in (0..len).step_by(len / 7 + 1) {
            let dir = tempfile::tempdir().unwrap();
            copy(whole.path(), dir.path());
            let mut bytes = std::fs::read(dir.path().join(&file)).unwrap();
            bytes[index] ^= 0x20;
            std::fs::write(dir.path().join(&file), bytes).unwrap();
            let verified = verify(dir.path()).unwrap();
            let named = |finding: &&slp_collector::ledger::Finding| {
                finding.severity == Severity::Damage && finding.file == dir.path().join(&file)
            };
            assert!(verified.findings.iter().any(|finding| named(&finding)), "{name}, byte {index}: {verified:?}");
        }
        // A missing or shortened file is refused at opening already.
        let dir = tempfile::tempdir().unwrap();
        copy(whole.path(), dir.path());
        std::fs::write(dir.path().join(&file), b"short").unwrap();
        assert!(matches!(Ledger::open(dir.path(), options(RegisterKind::Sled)), Err(Error::Damaged { .. })), "{name}");
    }
}

#[test]
fn verify_and_open_see_a_missing_or_foreign_segment_and_changed_heads() {
    type Fault = fn(&Path);
    let faults: [(&str, Fault); 5] = [
        ("a segment is missing", |dir| std::fs::remove_dir_all(dir.join("segments/000002")).unwrap()),
        ("a seal is missing", |dir| std::fs::remove_file(dir.join("segments/000001/seal.json")).unwrap()),
        ("a segment twice", |dir| {
            std::fs::remove_dir_all(dir.join("segments/000003")).unwrap();
            copy(&dir.join("segments/000002"), &dir.join("segments/000003"));
        }),
        ("a foreign folder", |dir| std::fs::create_dir(dir.join("segments/notes")).unwrap()),
        ("changed heads", |dir| {
            let heads = std::fs::read_to_string(dir.join("heads.log")).unwrap();
            std::fs::write(dir.join("heads.log"), heads.replacen(r#""seq":1"#, r#""seq":9"#, 1)).unwrap();
        }),
    ];
    for (name, fault) in faults {
        let dir = tempfile::tempdir().unwrap();
        sealed(dir.path());
        fault(dir.path());
        let verified = verify(dir.path()).unwrap();
        assert!(!verified.is_sound(), "{name}");
        let refused = Ledger::open(dir.path(), options(RegisterKind::Sled)).unwrap_err();
        assert!(matches!(refused, Error::Damaged { .. }), "{name}: {refused}");
    }
}

#[test]
fn missing_heads_are_written_again() {
    let dir = tempfile::tempdir().unwrap();
    sealed(dir.path());
    let heads = std::fs::read(dir.path().join("heads.log")).unwrap();
    std::fs::remove_file(dir.path().join("heads.log")).unwrap();
    let verified = verify(dir.path()).unwrap();
    assert!(verified.is_sound() && verified.findings.len() == 1, "{:?}", verified.findings);
    open(dir.path(), RegisterKind::Sled).close().unwrap();
    assert_eq!(std::fs::read(dir.path().join("heads.log")).unwrap(), heads);
}
