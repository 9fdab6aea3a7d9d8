//! Copies of the ledger: made while work goes on, laid down whole or not at all.

use std::fs::{self, File};

use slp_collector::ledger::{Error, Ledger, RegisterKind, restore, verify};

use super::{at, events, lost, open, records, restored};
use crate::daemon::Daemon;
use crate::support::site::Site;
use lab::specs;

/// A ledger with two sealed segments and an open one.
fn kept(dir: &std::path::Path) -> Ledger {
    let ledger = open(dir, RegisterKind::Memory);
    for round in 0..3 {
        for n in 0..20 {
            let object = format!("object {round} {n}").repeat(50).into_bytes();
            ledger.append(at(round * 100 + n), vec![lost(&format!("edge-{n}"))], vec![object]).unwrap();
        }
        if round < 2 {
            ledger.seal().unwrap();
        }
    }
    ledger
}

#[test]
fn a_copy_has_everything_confirmed_and_becomes_a_ledger_that_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = kept(&dir.path().join("ledger"));
    let file = dir.path().join("copy.tar.zst");
    let made = ledger.backup(&file).unwrap();
    assert_eq!((made.seq, made.bytes), (60, fs::metadata(&file).unwrap().len()));
    assert!(matches!(ledger.backup(&file), Err(Error::Io { .. })), "a copy replaces nothing");
    let (before, fold) = (events(&ledger, None), records(&ledger.fleet()));
    ledger.append(at(1000), vec![restored("edge-1")], Vec::new()).unwrap();

    let again = dir.path().join("again");
    let found = restore(&file, &again).unwrap();
    assert_eq!((found.is_sound(), found.ledger_id, found.seq, found.objects), (true, made.ledger_id, 60, 60));
    let second = open(&again, RegisterKind::Sled);
    assert_eq!((events(&second, None), records(&second.fleet())), (before, fold));
    second.append(at(2000), vec![restored("edge-2")], Vec::new()).unwrap();
    second.close().unwrap();
    assert!(verify(&again).unwrap().is_sound());
    assert!(matches!(restore(&file, &again), Err(Error::NotALedger { .. })), "it is laid over nothing");
}

#[test]
fn a_copy_made_while_others_write_and_seal_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = kept(&dir.path().join("ledger"));
    let writing = {
        let ledger = ledger.clone();
        std::thread::spawn(move || {
            for n in 0..400 {
                let object = format!("more {n}").repeat(100).into_bytes();
                ledger.append(at(5000 + n), vec![lost(&format!("core-{n}"))], vec![object]).unwrap();
                if n % 97 == 96 {
                    ledger.seal().unwrap();
                }
            }
        })
    };
    let mut seqs = Vec::new();
    for n in 0.. {
        let (file, into) = (dir.path().join(format!("{n}.tar.zst")), dir.path().join(format!("copy-{n}")));
        let made = ledger.backup(&file).unwrap();
        let found = restore(&file, &into).unwrap();
        assert_eq!(found.seq, made.seq);
        let copy = open(&into, RegisterKind::Memory);
        assert_eq!(events(&copy, None), events(&ledger, None)[..usize::try_from(made.seq).unwrap()]);
        seqs.push(made.seq);
        if writing.is_finished() {
            break;
        }
    }
    writing.join().unwrap();
    assert!(seqs.is_sorted() && seqs[0] >= 60, "{seqs:?}");
}

#[test]
fn a_copy_that_is_cut_changed_or_not_ours_lays_nothing_down() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy.tar.zst");
    kept(&dir.path().join("ledger")).backup(&file).unwrap();
    let whole = fs::read(&file).unwrap();
    let into = dir.path().join("into");
    let refused = |bytes: &[u8], what: &str| {
        let bad = dir.path().join("bad");
        fs::write(&bad, bytes).unwrap();
        match restore(&bad, &into) {
            Ok(found) => assert!(!found.is_sound(), "{what}"),
            Err(Error::Damaged { .. } | Error::NotALedger { .. }) => {}
            Err(other) => panic!("{what}: {other}"),
        }
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("into")), "{what}: {left:?}");
    };
    for fiftieth in 0..50 {
        refused(&whole[..whole.len() * fiftieth / 50], &format!("cut at {fiftieth}/50"));
    }
    let plain = zstd::decode_all(whole.as_slice()).unwrap();
    for name in ["../outside", "/etc/outside", "segments/000001/../../x", "register/x", "segments/x/y"] {
        let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        let mut header = tar::Header::new_old();
        header.set_size(4);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, &b"evil"[..]).unwrap();
        refused(&archive.into_inner().unwrap().finish().unwrap(), name);
    }
    // A changed byte within what is kept is found by the digests.
    let at = plain.windows(8).position(|window| window == b"object 2").unwrap();
    let mut changed = plain.clone();
    changed[at] ^= 1;
    refused(&zstd::encode_all(changed.as_slice(), 1).unwrap(), "a changed byte");
    assert!(restore(&file, &into).unwrap().is_sound());
}

#[test]
fn the_running_daemon_copies_its_ledger_and_tar_reads_the_copy() {
    let site = Site::new(vec![specs::switch("edge-1")]);
    site.advance(3600);
    site.run(["poll", "--all", "--close"]).exits(0);
    let daemon = Daemon::start(&site, None);
    let file = site.path("copy.tar.zst");
    let told = site.run(["ledger", "backup", file.to_str().unwrap()]).exits(0).out;
    assert!(told.contains("up to batch"), "{told}");
    site.run(["ledger", "backup", file.to_str().unwrap()]).exits(1);
    site.run(["ledger", "restore", file.to_str().unwrap()]).exits(1);
    assert_eq!(daemon.stop().0, Some(0));
    let rows = site.status();
    // The disk is lost; a new one gets the copy.
    let ledger = site.path("state/ledger");
    fs::rename(&ledger, site.path("lost")).unwrap();
    let told = site.run(["ledger", "restore", file.to_str().unwrap()]).exits(0).out;
    assert!(told.ends_with("sound\n"), "{told}");
    let mut again = site.status();
    for (again, before) in again.iter_mut().zip(&rows) {
        // When a device last answered is not in the journal.
        for key in ["last_contact", "contact", "violations"] {
            again[key] = before[key].clone();
        }
    }
    assert_eq!(again, rows);
    let mut listed = tar::Archive::new(zstd::Decoder::new(File::open(&file).unwrap()).unwrap());
    assert!(listed.entries().unwrap().any(|entry| entry.unwrap().path().unwrap().ends_with("ledger.json")));
}
