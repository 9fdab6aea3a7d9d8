//! The ledger from outside, on both registers.

use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{Blame, ContactLost, ContactRestored, Event, Fact};
use slp_collector::ledger::{Error, Healing, Ledger, Options, RegisterKind};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn options(register: RegisterKind) -> Options {
    Options { register, ..Options::default() }
}

fn lost(device: &str) -> Fact {
    Fact::ContactLost(ContactLost { device: device.into(), blame: Blame::Unreachable, cause: "no answer".to_owned() })
}

fn all(ledger: &Ledger, from: Option<Timestamp>) -> Vec<Event> {
    let mut found = Vec::new();
    ledger
        .events(from, &mut |event| {
            found.push(event.clone());
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

fn open(dir: &Path, kind: RegisterKind) -> Ledger {
    Ledger::open(dir, options(kind)).unwrap()
}

macro_rules! on_both_registers {
    ($($name:ident),* $(,)?) => {
        mod on_sled { $( #[test] fn $name() { super::$name(super::RegisterKind::Sled) } )* }
        mod in_memory { $( #[test] fn $name() { super::$name(super::RegisterKind::Memory) } )* }
    };
}

on_both_registers!(what_is_answered_is_there_after_reopening, a_torn_batch_is_cut);

fn what_is_answered_is_there_after_reopening(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), kind);
    ledger.append(at(0), vec![lost("r1"), lost("r2")], vec![b"one".to_vec()]).unwrap();
    ledger.append(at(5), vec![Fact::ContactRestored(ContactRestored { device: "r1".into() })], vec![]).unwrap();
    ledger.note_contacts(&[("r1".into(), at(5))]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(ledger.append_async(at(6), vec![lost("r3")], vec![b"one".to_vec(), b"two".to_vec()])).unwrap();
    let before = ledger.fleet().clone();
    assert_eq!(before.devices.len(), 3);
    assert!(before.devices[&"r1".into()].trouble.is_none());
    assert_eq!(before.contacts[&"r1".into()], at(5));
    let journal = all(&ledger, None);
    assert_eq!(journal.len(), 4);
    let clone = ledger.clone();
    ledger.close().unwrap();
    assert!(matches!(clone.append(at(7), vec![lost("r4")], vec![]), Err(Error::Closed)));

    let ledger = open(dir.path(), kind);
    assert_eq!(ledger.healings(), []);
    assert_eq!(ledger.fleet().devices, before.devices);
    if kind == RegisterKind::Sled {
        assert_eq!(*ledger.fleet(), before);
    }
    assert_eq!(all(&ledger, None), journal);
    assert_eq!(all(&ledger, Some(at(5))), journal[2..]);
    assert_eq!(ledger.object(&Sha256::of(b"two")).unwrap().unwrap(), b"two");
    assert_eq!(ledger.object(&Sha256::of(b"three")).unwrap(), None);
    let pack = std::fs::metadata(dir.path().join("segments/000001/objects.pack")).unwrap().len();
    assert_eq!(pack, 2 * (40 + 3));
}

fn a_torn_batch_is_cut(kind: RegisterKind) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), kind);
    ledger.append(at(0), vec![lost("r1")], vec![b"one".to_vec()]).unwrap();
    let before = ledger.fleet().clone();
    ledger.append(at(1), vec![lost("r2")], vec![b"two".to_vec()]).unwrap();
    ledger.close().unwrap();
    let log = dir.path().join("segments/000001/events.log");
    let len = std::fs::metadata(&log).unwrap().len();
    std::fs::File::options().write(true).open(&log).unwrap().set_len(len - 1).unwrap();

    let ledger = open(dir.path(), kind);
    assert!(matches!(ledger.healings()[0], Healing::TornTail { after_seq: 1, objects_bytes: 43, .. }));
    assert_eq!(*ledger.fleet(), before);
    assert_eq!(ledger.object(&Sha256::of(b"two")).unwrap(), None);
    ledger.append(at(1), vec![lost("r3")], vec![b"two".to_vec()]).unwrap();
    assert_eq!(all(&ledger, None).len(), 2);
    assert!(
        matches!(Ledger::open(dir.path(), options(kind)), Err(Error::Held { pid: Some(pid), .. }) if pid == std::process::id())
    );
}
