//! `tests/data/ledger-v1`: a ledger of format 1, kept for good. What it holds must open for ever.

use std::collections::BTreeSet;
use std::path::Path;

use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::Event;
use slp_collector::domain::fleet::{Fleet, RecordForm, RecordKey};
use slp_collector::domain::report::ReportFacts;
use slp_collector::ledger::{Ledger, RegisterKind, Reread, verify};

use super::{at, copy, events, facts, open, options, records};
use crate::support::data;

/// Writes every kind of fact, half of it into a sealed segment.
fn write(dir: &Path) {
    let ledger = open(dir, RegisterKind::Memory);
    let mut objects = facts::objects();
    for (event, index) in facts::all().into_iter().zip(0..) {
        let object = if index % 5 == 0 && !objects.is_empty() { vec![objects.remove(0)] } else { vec![] };
        ledger.append(event.at, vec![event.fact], object).unwrap();
        if index == 11 {
            ledger.seal().unwrap();
        }
    }
    ledger.close().unwrap();
}

fn log_text(dir: &Path) -> String {
    let sealed = std::fs::File::open(dir.join("segments/000001/events.log.zst")).unwrap();
    let sealed = String::from_utf8(zstd::decode_all(sealed).unwrap()).unwrap();
    sealed + &std::fs::read_to_string(dir.join("segments/000002/events.log")).unwrap()
}

fn checkpoint_text(dir: &Path) -> String {
    let file = std::fs::File::open(dir.join("segments/000001/checkpoint.zst")).unwrap();
    String::from_utf8(zstd::decode_all(file).unwrap()).unwrap()
}

#[test]
fn the_kept_ledger_opens_verifies_and_folds_to_what_it_did() {
    // Made once per format, never again: a ledger of another format gets a folder of its own.
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !data("ledger-v1").exists() {
        write(&data("ledger-v1"));
        std::fs::remove_file(data("ledger-v1/LOCK")).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&data("ledger-v1"), dir.path());
    let verified = verify(dir.path()).unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!((verified.segments, verified.objects), (2, 4));
    for kind in [RegisterKind::Sled, RegisterKind::Memory] {
        let ledger = open(dir.path(), kind);
        assert_eq!(events(&ledger, None), facts::all());
        let folded = serde_json::to_string_pretty(&records(&ledger.fleet())).unwrap() + "\n";
        let golden = data("ledger-v1.fold.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &folded).unwrap();
        }
        assert_eq!(folded, std::fs::read_to_string(&golden).unwrap());
        for object in facts::objects() {
            let hash = Sha256::of(&object);
            assert_eq!(ledger.object(&hash).unwrap().unwrap(), object);
        }
        ledger.close().unwrap();
    }
}

/// Compact records have no names: whoever changes a field and not the version makes registers that are misread.
#[test]
fn compact_records_are_written_as_their_version_says() {
    let mut fleet = Fleet::default();
    for event in facts::all() {
        fleet.apply(&event);
    }
    let parts = |key: RecordKey| [key.to_bytes(), fleet.encode(&key, RecordForm::Compact).unwrap()].concat();
    let bytes: Vec<u8> = fleet.keys().flat_map(parts).collect();
    let version = format!("version {}", RecordForm::COMPACT_VERSION);
    let own = format!("{version}, sha256 {}\n", Sha256::of(&bytes));
    let golden = data("ledger-v1.compact.txt");
    let kept = std::fs::read_to_string(&golden).unwrap_or_default();
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !kept.starts_with(&format!("{version},")) {
        std::fs::write(&golden, &own).unwrap();
        return;
    }
    assert_eq!(own, kept, "raise RecordForm::COMPACT_VERSION, then UPDATE_GOLDEN=1");
}

#[test]
fn every_kind_of_fact_is_in_it_and_written_as_it_was() {
    let kinds: BTreeSet<usize> = facts::all().iter().map(|Event { fact, .. }| facts::kind(fact)).collect();
    assert_eq!(kinds, (0..facts::KINDS).collect());
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    assert_eq!(log_text(dir.path()), log_text(&data("ledger-v1")));
    // The first line of the open segment carries the checkpoint's digest, so this was compared already;
    // here the difference can be seen.
    assert_eq!(checkpoint_text(dir.path()), checkpoint_text(&data("ledger-v1")));
}

#[test]
fn reading_again_writes_what_differs_once() {
    let dir = tempfile::tempdir().unwrap();
    copy(&data("ledger-v1"), dir.path());
    let ledger = Ledger::open(dir.path(), options(RegisterKind::Memory)).unwrap();
    let before = ledger.standing().seq;
    let newer = |bytes: &[u8]| {
        assert_eq!(bytes, facts::report_bytes());
        Some(ReportFacts { software_version: Some("17.12.04".to_owned()), ..facts::report() })
    };
    // The other report's bytes are not in this ledger.
    let done = ledger.reread(at(0), 3, &newer).unwrap();
    assert_eq!(done, Reread { read: 1, mended: 1, left: 1 });
    assert_eq!(ledger.standing().seq, before + 1);
    let done = ledger.reread(at(1), 3, &newer).unwrap();
    assert_eq!(done, Reread { read: 1, mended: 0, left: 1 });
    assert_eq!(ledger.standing().seq, before + 1);
    let another = |_: &[u8]| {
        let report = facts::report();
        Some(ReportFacts { report_id: slp_collector::domain::report::ReportId(5), ..report })
    };
    assert_eq!(ledger.reread(at(2), 4, &another).unwrap(), Reread { read: 0, mended: 0, left: 2 });
    ledger.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().findings, []);
}
