//! What needs a failing disk, a stopped seal or a broken register.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use super::disk::Durable;
use super::register::{Applied, Register};
use super::seal::Step;
use super::sled_register::SledRegister;
use super::*;
use crate::domain::event::{Blame, BundleMade, BundledReport, ContactLost};
use crate::domain::instance::Udi;
use crate::domain::report::ReportId;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn lost(device: &str) -> Fact {
    Fact::ContactLost(ContactLost { device: device.into(), blame: Blame::Unreachable, cause: "no answer".to_owned() })
}

fn options() -> Options {
    Options { segment_months: false, ..Options::default() }
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

/// What the next calls of a file do.
const WELL: u8 = 0;
const WRITE_HALF_THEN_FULL: u8 = 1;
const SYNC_FAILS: u8 = 2;
const CUT_FAILS_TOO: u8 = 3;

struct Moody {
    file: Box<dyn Durable>,
    mood: Arc<AtomicU8>,
}

impl Durable for Moody {
    fn append(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        match self.mood.load(Ordering::SeqCst) {
            WRITE_HALF_THEN_FULL | CUT_FAILS_TOO => {
                self.file.append(at, &bytes[..bytes.len() / 2])?;
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => self.file.append(at, bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.mood.load(Ordering::SeqCst) {
            SYNC_FAILS => Err(io::Error::other("the disk went away")),
            _ => self.file.sync(),
        }
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        match self.mood.load(Ordering::SeqCst) {
            CUT_FAILS_TOO => Err(io::Error::other("the disk went away")),
            _ => self.file.cut(len),
        }
    }
}

fn moody(events: &Arc<AtomicU8>, pack: &Arc<AtomicU8>) -> Hooks {
    let (events, pack) = (events.clone(), pack.clone());
    let handles: Box<Handles> = Box::new(move |open| {
        let (own_events, own_pack) = open.writing_handles()?;
        let moody = |file, mood: &Arc<AtomicU8>| Box::new(Moody { file: Box::new(file), mood: mood.clone() });
        Ok((moody(own_events, &events) as Box<dyn Durable>, moody(own_pack, &pack) as Box<dyn Durable>))
    });
    Hooks { handles, ..Hooks::default() }
}

#[test]
fn a_full_disk_answers_an_error_and_the_ledger_goes_on() {
    for which in [0, 1] {
        let dir = tempfile::tempdir().unwrap();
        let moods = [Arc::new(AtomicU8::new(WELL)), Arc::new(AtomicU8::new(WELL))];
        let ledger = Ledger::open_with(dir.path(), options(), moody(&moods[0], &moods[1])).unwrap();
        ledger.append(at(0), vec![lost("r1")], vec![b"one".to_vec()]).unwrap();
        let before = ledger.fleet().clone();
        let (log, pack) =
            (dir.path().join("segments/000001/events.log"), dir.path().join("segments/000001/objects.pack"));
        let (log_before, pack_before) = (std::fs::read(&log).unwrap(), std::fs::read(&pack).unwrap());

        moods[which].store(WRITE_HALF_THEN_FULL, Ordering::SeqCst);
        let refused = ledger.append(at(1), vec![lost("r2")], vec![b"two".to_vec()]).unwrap_err();
        assert!(matches!(&refused, Error::NotStored { .. }) && refused.is_transient(), "{refused}");
        assert_eq!(*ledger.fleet(), before);
        assert_eq!(ledger.object(&Sha256::of(b"two")).unwrap(), None);
        assert_eq!(std::fs::read(&log).unwrap(), log_before);
        assert_eq!(std::fs::read(&pack).unwrap(), pack_before);

        moods[which].store(WELL, Ordering::SeqCst);
        ledger.append(at(2), vec![lost("r2")], vec![b"two".to_vec()]).unwrap();
        let after = ledger.fleet().clone();
        ledger.close().unwrap();
        let ledger = Ledger::open(dir.path(), options()).unwrap();
        assert_eq!(ledger.healings(), []);
        assert_eq!(*ledger.fleet(), after);
        assert_eq!(ledger.object(&Sha256::of(b"two")).unwrap().unwrap(), b"two");
    }
}

#[test]
fn a_failed_sync_or_cut_stops_all_writing_until_opened_again() {
    for (which, mood) in [(0, SYNC_FAILS), (1, SYNC_FAILS), (0, CUT_FAILS_TOO), (1, CUT_FAILS_TOO)] {
        let dir = tempfile::tempdir().unwrap();
        let moods = [Arc::new(AtomicU8::new(WELL)), Arc::new(AtomicU8::new(WELL))];
        let ledger = Ledger::open_with(dir.path(), options(), moody(&moods[0], &moods[1])).unwrap();
        ledger.append(at(0), vec![lost("r1")], vec![b"one".to_vec()]).unwrap();
        let before = ledger.fleet().clone();
        moods[which].store(mood, Ordering::SeqCst);
        let refused = ledger.append(at(1), vec![lost("r2")], vec![b"two".to_vec()]).unwrap_err();
        assert!(matches!(refused, Error::Poisoned { .. }), "{refused}");
        moods[which].store(WELL, Ordering::SeqCst);
        let refused = ledger.append(at(2), vec![lost("r3")], vec![]).unwrap_err();
        assert!(matches!(refused, Error::Poisoned { .. }), "{refused}");
        assert!(matches!(ledger.seal(), Err(Error::Poisoned { .. })));
        assert_eq!(*ledger.fleet(), before, "reading goes on");
        ledger.close().unwrap();

        let ledger = Ledger::open(dir.path(), options()).unwrap();
        assert!(ledger.fleet().devices.contains_key(&"r1".into()));
        assert!(!ledger.fleet().devices.contains_key(&"r3".into()));
        ledger.append(at(3), vec![lost("r4")], vec![b"four".to_vec()]).unwrap();
        drop(ledger);
        assert_eq!(verify(dir.path()).unwrap().findings, []);
    }
}

const STEPS: [Step; 8] = [
    Step::Written,
    Step::HalfRenamed,
    Step::Renamed,
    Step::NextMade,
    Step::Sealed,
    Step::HeadsWritten,
    Step::HalfRemoved,
    Step::Removed,
];

#[test]
fn a_seal_killed_at_any_step_is_taken_back_or_finished() {
    let dir = tempfile::tempdir().unwrap();
    let killed = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().to_owned(), killed.path().to_owned());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    // At each step the folder is copied as it is: that is what a kill would leave.
    let steps: Box<Steps> = Box::new(move |step| {
        copy(&from, &to.join(format!("{step:?}")));
        noted.lock().unwrap().push(step);
        Ok(())
    });
    let ledger = Ledger::open_with(dir.path(), options(), Hooks { steps, ..Hooks::default() }).unwrap();
    for n in 0..20 {
        let object = vec![n as u8; 100_000];
        ledger.append(at(n), vec![lost(&format!("r{n}"))], vec![object]).unwrap();
    }
    let fleet = ledger.fleet().clone();
    ledger.seal().unwrap();
    assert_eq!(*seen.lock().unwrap(), STEPS);
    let after = ledger.standing();
    ledger.close().unwrap();

    for step in STEPS {
        let dir = killed.path().join(format!("{step:?}"));
        let verified = verify(&dir).unwrap();
        assert!(verified.is_sound(), "{step:?}: {:?}", verified.findings);
        let ledger = Ledger::open(&dir, options()).unwrap();
        assert_eq!(*ledger.fleet(), fleet, "{step:?}");
        let sealed = STEPS.iter().position(|own| *own == step) >= STEPS.iter().position(|own| *own == Step::Sealed);
        let healing = if sealed { Healing::SealFinished { segment: 1 } } else { Healing::SealUndone { segment: 1 } };
        let expected = if step == Step::Removed { vec![] } else { vec![healing] };
        assert_eq!(ledger.healings(), expected, "{step:?}");
        assert_eq!(ledger.standing().segments, if sealed { 2 } else { 1 }, "{step:?}");
        if sealed {
            assert_eq!(ledger.standing(), after);
        }
        ledger.append(at(30), vec![lost("r30")], vec![vec![3; 100_000], b"new".to_vec()]).unwrap();
        ledger.seal().unwrap();
        let mut objects = ledger.objects();
        for n in (0..20u8).chain((0..20).rev()) {
            let object = vec![n; 100_000];
            assert_eq!(ledger.object(&Sha256::of(&object)).unwrap().unwrap(), object, "{step:?}");
            assert_eq!(objects.read(&Sha256::of(&object)).unwrap().unwrap(), object, "{step:?}");
            assert_eq!(objects.read(&Sha256::of(b"new")).unwrap().unwrap(), b"new", "{step:?}");
        }
        ledger.close().unwrap();
        assert_eq!(verify(&dir).unwrap().findings, [], "{step:?}");
    }
}

#[test]
fn a_seal_that_fails_leaves_a_ledger_that_goes_on() {
    for failing in STEPS {
        let dir = tempfile::tempdir().unwrap();
        let steps: Box<Steps> =
            Box::new(move |step| if step == failing { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) });
        let ledger = Ledger::open_with(dir.path(), options(), Hooks { steps, ..Hooks::default() }).unwrap();
        ledger.append(at(0), vec![lost("r1")], vec![b"one".to_vec()]).unwrap();
        let sealed = ledger.seal();
        let next = ledger.append(at(1), vec![lost("r2")], vec![b"two".to_vec()]);
        match failing {
            Step::Written | Step::HalfRenamed | Step::Renamed | Step::NextMade => {
                assert!(matches!(sealed, Err(Error::Io { .. })));
                assert!(next.is_ok());
                assert_eq!(ledger.standing().segments, 1);
                assert!(ledger.trouble().unwrap().contains("goes on growing"));
            }
            // Only at this step it cannot be told which of the two it is.
            Step::Sealed => {
                assert!(matches!(sealed, Err(Error::Poisoned { .. })));
                assert!(matches!(next, Err(Error::Poisoned { .. })));
            }
            Step::HeadsWritten | Step::HalfRemoved | Step::Removed => {
                assert!(sealed.is_ok() && next.is_ok());
                assert_eq!(ledger.standing().segments, 2);
                assert!(ledger.trouble().unwrap().contains("next start"));
            }
        }
        ledger.close().unwrap();
        let ledger = Ledger::open(dir.path(), options()).unwrap();
        assert_eq!(ledger.fleet().devices.len(), if failing == Step::Sealed { 1 } else { 2 });
        ledger.close().unwrap();
        assert_eq!(verify(dir.path()).unwrap().findings, []);
    }
}

#[test]
fn a_bundle_of_a_large_fleet_is_one_fact() {
    let dir = tempfile::tempdir().unwrap();
    let report = |n: u64| BundledReport {
        udi: Udi::new("C9300-48UXM", format!("FOC{n:08}")),
        report_id: ReportId(1_790_000_000 + n),
        payload_sha256: Sha256::of(&n.to_be_bytes()),
    };
    let made = BundleMade {
        bundle_id: "b".to_owned(),
        nonce: "n".to_owned(),
        site: None,
        manifest_sha256: Sha256::ZERO,
        name: "exchange-all".to_owned(),
        uploads: Vec::new(),
        reports: (0..130_000).map(report).collect(),
        previous_bundle_id: None,
    };
    let ledger = Ledger::open(dir.path(), options()).unwrap();
    ledger.append(at(0), vec![Fact::BundleMade(made)], Vec::new()).unwrap();
    let fleet = ledger.fleet().clone();
    ledger.seal().unwrap();
    ledger.close().unwrap();
    for register in [RegisterKind::Sled, RegisterKind::Memory] {
        let ledger = Ledger::open(dir.path(), Options { register, ..options() }).unwrap();
        assert!(*ledger.fleet() == fleet, "from the register and from the checkpoint");
        ledger.close().unwrap();
    }
}

fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(dir.join("register")).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap.")).collect()
}

/// A ledger with a sealed and an open segment, closed; and its fold.
fn kept(dir: &Path) -> Fleet {
    let ledger = Ledger::open(dir, options()).unwrap();
    for n in 0..50 {
        ledger.append(at(n), vec![lost(&format!("r{n}"))], vec![format!("object {n}").into_bytes()]).unwrap();
    }
    ledger.seal().unwrap();
    ledger.append(at(60), vec![lost("last")], vec![]).unwrap();
    ledger.note_contacts(&[("r1".into(), at(61))]).unwrap();
    let fleet = ledger.fleet().clone();
    ledger.close().unwrap();
    // Snapshots are written at opening, so there is one now.
    Ledger::open(dir, options()).unwrap().close().unwrap();
    assert!(!snapshots(dir).is_empty());
    fleet
}

#[test]
fn faults_of_sled_that_leave_its_log_alone_are_healed_in_place() {
    type Fault = fn(&Path);
    let faults: [(&str, Fault, bool); 4] = [
        (
            "an unfinished snapshot",
            |dir| std::fs::write(dir.join("register/snap.00FF.generating"), [7; 40]).unwrap(),
            false,
        ),
        (
            "an empty unfinished snapshot",
            |dir| std::fs::write(dir.join("register/snap.00FF.generating"), []).unwrap(),
            false,
        ),
        (
            "a snapshot cut to nothing",
            |dir| snapshots(dir).iter().for_each(|path| std::fs::write(path, []).unwrap()),
            true,
        ),
        ("no snapshot at all", |dir| snapshots(dir).iter().for_each(|path| std::fs::remove_file(path).unwrap()), false),
    ];
    for (name, fault, moved) in faults {
        let dir = tempfile::tempdir().unwrap();
        let fleet = kept(dir.path());
        fault(dir.path());
        let ledger = Ledger::open(dir.path(), options()).unwrap();
        assert_eq!(*ledger.fleet(), fleet, "{name}");
        let expected =
            if moved { vec![Healing::SnapshotsMovedAway { dir: dir.path().join("register") }] } else { vec![] };
        assert_eq!(ledger.healings(), expected, "{name}");
        ledger.append(at(70), vec![lost("after")], vec![]).unwrap();
        ledger.close().unwrap();
        let verified = verify(dir.path()).unwrap();
        assert!(verified.register_compared && verified.findings.is_empty(), "{name}: {:?}", verified.findings);
    }
}

#[test]
fn a_register_beyond_help_is_set_aside_and_made_anew() {
    let random = |len: usize| {
        let mut source = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| source.u8(..)).take(len).collect::<Vec<u8>>()
    };
    let over_all = |dir: &Path, bytes: &[u8]| {
        for entry in std::fs::read_dir(dir.join("register")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::write(path, bytes).unwrap();
            }
        }
    };
    let change_applied = |dir: &Path, change: &dyn Fn(&mut Applied)| {
        let (mut register, _) = SledRegister::open(&dir.join("register")).unwrap();
        let mut applied = register.applied().unwrap().unwrap();
        change(&mut applied);
        register.commit(Vec::new(), Some(&applied)).unwrap();
    };
    type Fault<'a> = Box<dyn Fn(&Path) + 'a>;
    let faults: Vec<(&str, Fault)> = vec![
        ("garbage in every file", Box::new(|dir| over_all(dir, &random(5000)))),
        ("every file empty", Box::new(|dir| over_all(dir, &[]))),
        ("another schema", Box::new(|dir| change_applied(dir, &|applied| applied.schema = 99))),
        ("another ledger", Box::new(|dir| change_applied(dir, &|applied| applied.ledger_id = "0".repeat(32)))),
        ("ahead of the journal", Box::new(|dir| change_applied(dir, &|applied| applied.seq += 1))),
        ("before the checkpoint", Box::new(|dir| change_applied(dir, &|applied| applied.seq = 3))),
        ("another chain", Box::new(|dir| change_applied(dir, &|applied| applied.head = Sha256::ZERO))),
        ("a record too many", Box::new(|dir| change_applied(dir, &|applied| applied.records -= 1))),
        (
            "a record that is none",
            Box::new(|dir| {
                let (mut register, _) = SledRegister::open(&dir.join("register")).unwrap();
                register.commit(vec![(b"device\0r1".to_vec(), Some(b"{".to_vec()))], None).unwrap();
            }),
        ),
        (
            "half made",
            Box::new(|dir| {
                std::fs::remove_dir_all(dir.join("register")).unwrap();
                let (mut register, _) = SledRegister::open(&dir.join("register")).unwrap();
                register.commit(vec![(b"device\0r99".to_vec(), Some(b"{}".to_vec()))], None).unwrap();
            }),
        ),
    ];
    for (name, fault) in faults {
        let dir = tempfile::tempdir().unwrap();
        let fleet = kept(dir.path());
        // More often than folders are kept.
        for round in 0..5 {
            fault(dir.path());
            let ledger = Ledger::open(dir.path(), options()).unwrap();
            assert_eq!(ledger.fleet().devices, fleet.devices, "{name}");
            assert!(
                matches!(ledger.healings(), [.., Healing::RegisterRebuilt { .. }]),
                "{name}, round {round}: {:?}",
                ledger.healings()
            );
            ledger.close().unwrap();
            let verified = verify(dir.path()).unwrap();
            assert!(verified.register_compared && verified.findings.is_empty(), "{name}: {:?}", verified.findings);
        }
        let aside = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let aside = aside.filter(|name| name.to_string_lossy().starts_with("register.damaged-")).count();
        assert!(aside <= 3, "{name}: {aside}");
    }
}

#[test]
fn a_register_that_fails_at_work_is_left_and_made_good_at_the_next_start() {
    struct Failing;
    use super::register::{Change, RegisterError};
    use std::collections::BTreeMap;
    impl Register for Failing {
        fn applied(&self) -> Result<Option<Applied>, RegisterError> {
            Ok(None)
        }
        fn commit(&mut self, _: Vec<Change>, _: Option<&Applied>) -> Result<(), RegisterError> {
            Err(RegisterError::Refused("no space".to_owned()))
        }
        fn scan(&self, _: &mut super::register::Visit) -> Result<(), RegisterError> {
            Ok(())
        }
        fn note_contacts(&mut self, _: &[(DeviceName, Timestamp)]) -> Result<(), RegisterError> {
            Ok(())
        }
        fn contacts(&self) -> Result<BTreeMap<DeviceName, Timestamp>, RegisterError> {
            Ok(BTreeMap::new())
        }
        fn flush(&mut self) -> Result<(), RegisterError> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let fleet = kept(dir.path());
    let hooks = Hooks::default();
    let mut started = start::start(dir.path(), &options(), &*hooks.handles, From::Register, at(0)).unwrap();
    started.register = Box::new(Failing);
    let ledger = Ledger::run(dir.path(), options(), hooks, started).unwrap();
    ledger.append(at(80), vec![lost("new")], vec![]).unwrap();
    ledger.append(at(81), vec![lost("newer")], vec![]).unwrap();
    assert!(ledger.trouble().unwrap().contains("register stopped"));
    assert_eq!(ledger.fleet().devices.len(), fleet.devices.len() + 2);
    ledger.close().unwrap();
    let ledger = Ledger::open(dir.path(), options()).unwrap();
    assert_eq!(ledger.healings(), []);
    assert_eq!(ledger.fleet().devices.len(), fleet.devices.len() + 2);
    ledger.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().findings, []);
}
