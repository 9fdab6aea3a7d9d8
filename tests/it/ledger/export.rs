//! The journal as lines of JSON, and back.

use std::fs;
use std::path::Path;

use slp_collector::ledger::{Error, Exported, Ledger, RegisterKind, import, verify};

use super::{events, facts, open, records};

/// A ledger with every kind of event, some in a person's name.
fn kept(dir: &Path) -> Ledger {
    let ledger = open(dir, RegisterKind::Memory);
    for (event, n) in facts::all().into_iter().zip(0..) {
        let asked = ledger.asked_by("anna");
        let handle = if n % 3 == 0 { &asked } else { &ledger };
        let objects = if n == 0 { facts::objects() } else { Vec::new() };
        handle.append(event.at, vec![event.fact], objects).unwrap();
        if n == 20 {
            ledger.seal().unwrap();
        }
    }
    ledger
}

#[test]
fn every_event_and_object_comes_back_under_its_time_and_person() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = kept(&dir.path().join("ledger"));
    let (file, into) = (dir.path().join("lines"), dir.path().join("into"));
    let told = ledger.export(fs::File::create(&file).unwrap(), &file).unwrap();
    assert_eq!(told.events, facts::all().len() as u64);
    assert!(told.objects >= 3, "{told:?}");
    assert_eq!(import(&file, &into).unwrap(), told);
    let again = open(&into, RegisterKind::Memory);
    assert_eq!(events(&again, None), events(&ledger, None));
    assert_eq!(records(&again.fleet()), records(&ledger.fleet()));
    for object in facts::objects() {
        let hash = slp_collector::domain::digest::Sha256::of(&object);
        assert_eq!(again.object(&hash).unwrap().is_some(), ledger.object(&hash).unwrap().is_some());
    }
    drop(again);
    assert!(verify(&into).unwrap().is_sound());
    assert!(matches!(import(&file, &into), Err(Error::NotALedger { .. })), "nothing is laid over a ledger");
}

#[test]
fn what_is_cut_changed_or_newer_makes_no_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = kept(&dir.path().join("ledger"));
    let mut lines = Vec::new();
    ledger.export(&mut lines, Path::new("-")).unwrap();
    let (bad, into) = (dir.path().join("bad"), dir.path().join("into"));
    let refused = |bytes: &[u8]| {
        fs::write(&bad, bytes).unwrap();
        let refused = import(&bad, &into).unwrap_err();
        assert!(!into.exists() && !dir.path().join("into.restoring").exists(), "{refused}");
        refused
    };
    for part in 0..40 {
        assert!(matches!(refused(&lines[..lines.len() * part / 40]), Error::Damaged { .. }), "{part}/40");
    }
    let text = String::from_utf8(lines).unwrap();
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    assert!(matches!(refused(newer.as_bytes()), Error::TooNew { found: 2, known: 1, .. }));
    // An object that is not what its event names is one too many, and the named one is missing.
    let changed = text.replacen("{\"object\":\"", "{\"object\":\"AAAA", 1);
    assert!(refused(changed.as_bytes()).to_string().contains("it tells of"));
    let without: String =
        text.lines().filter(|line| !line.contains("bundle-handed-over")).map(|l| format!("{l}\n")).collect();
    assert!(refused(without.as_bytes()).to_string().contains("it tells of"));
    let Exported { gone, .. } = ledger.export(std::io::sink(), Path::new("-")).unwrap();
    let named: std::collections::BTreeSet<_> =
        events(&ledger, None).iter().flat_map(|event| event.fact.objects()).collect();
    let missing = named.iter().filter(|hash| ledger.object(hash).unwrap().is_none()).count();
    assert_eq!(gone, missing as u64, "what is no longer kept is counted");
}
