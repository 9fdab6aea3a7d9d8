//! Random operations against plain maps.

use std::collections::BTreeMap;
use std::path::Path;

use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{Event, Fact};
use slp_collector::domain::fleet::Fleet;
use slp_collector::ledger::{FoldFrom, Healing, Ledger, RegisterKind, rebuild, verify};

use super::{at, events, facts, lost, on_both_registers, open, options, records, restored};

on_both_registers!(random_operations_agree_with_plain_maps);

/// What the ledger should hold: its batches, each with its events and the objects new in it.
#[derive(Default)]
struct Model {
    batches: Vec<(Vec<Event>, Vec<Vec<u8>>)>,
    /// How many of them are in sealed segments.
    sealed: usize,
}

impl Model {
    fn objects(&self) -> BTreeMap<Sha256, &[u8]> {
        self.batches.iter().flat_map(|(_, objects)| objects).map(|object| (Sha256::of(object), &object[..])).collect()
    }

    fn events(&self) -> Vec<Event> {
        self.batches.iter().flat_map(|(events, _)| events).cloned().collect()
    }

    fn check(&self, ledger: &Ledger, random: &mut fastrand::Rng) {
        let journal = self.events();
        assert_eq!(events(ledger, None), journal);
        let mut trouble = BTreeMap::new();
        let mut fleet = Fleet::default();
        for event in &journal {
            fleet.apply(event);
            match &event.fact {
                Fact::ContactLost(fact) => drop(trouble.insert(fact.device.clone(), true)),
                Fact::ContactRestored(fact) => drop(trouble.insert(fact.device.clone(), false)),
                _ => {}
            }
        }
        let own = ledger.fleet().clone();
        for (device, troubled) in trouble {
            assert_eq!(own.devices[&device].trouble.is_some(), troubled, "{device}");
        }
        assert_eq!(records(&own), records(&fleet));
        let objects = self.objects();
        for (hash, object) in &objects {
            assert_eq!(ledger.object(hash).unwrap().as_deref(), Some(*object));
        }
        for n in 0..50u32 {
            let hash = Sha256::of(&object(n));
            assert_eq!(ledger.object(&hash).unwrap().is_some(), objects.contains_key(&hash), "object {n}");
        }
        if !journal.is_empty() {
            let instant = journal[random.usize(..journal.len())].at;
            let mut then = Fleet::default();
            journal.iter().filter(|event| event.at <= instant).for_each(|event| drop(then.apply(event)));
            assert_eq!(records(&ledger.fleet_at(instant).unwrap()), records(&then));
            let since: Vec<Event> = journal.iter().filter(|event| event.at >= instant).cloned().collect();
            assert_eq!(events(ledger, Some(instant)), since);
        }
    }
}

fn object(n: u32) -> Vec<u8> {
    n.to_be_bytes().repeat(1 + n as usize * 17)
}

fn random_operations_agree_with_plain_maps(kind: RegisterKind) {
    let rounds = if kind == RegisterKind::Sled { 4 } else { 12 };
    for _ in 0..rounds {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
        println!("SEED={seed}");
        let dir = tempfile::tempdir().unwrap();
        run(dir.path(), kind, &mut fastrand::Rng::with_seed(seed));
    }
}

fn run(dir: &Path, kind: RegisterKind, random: &mut fastrand::Rng) {
    let every_kind = facts::all();
    let mut model = Model::default();
    let mut ledger = open(dir, kind);
    let mut clock = 0;
    for _ in 0..80 {
        match random.u32(..100) {
            0..70 => {
                clock += random.i64(-3..20);
                let facts: Vec<Fact> = (0..random.usize(..4))
                    .map(|_| match random.u8(..4) {
                        0 => lost(&format!("r{}", random.u8(..10))),
                        1 => restored(&format!("r{}", random.u8(..10))),
                        _ => every_kind[random.usize(..every_kind.len())].fact.clone(),
                    })
                    .collect();
                let objects: Vec<Vec<u8>> = (0..random.usize(..3)).map(|_| object(random.u32(..50))).collect();
                ledger.append(at(clock), facts.clone(), objects.clone()).unwrap();
                if !facts.is_empty() || !objects.is_empty() {
                    let events = facts.into_iter().map(|fact| Event { by: None, at: at(clock), fact }).collect();
                    let known = model.objects();
                    let mut new: Vec<_> =
                        objects.iter().filter(|object| !known.contains_key(&Sha256::of(object))).cloned().collect();
                    new.sort();
                    new.dedup();
                    model.batches.push((events, new));
                }
            }
            70..78 => {
                ledger.seal().unwrap();
                model.sealed = model.batches.len();
            }
            78..86 => {
                drop(ledger);
                ledger = open(dir, kind);
                assert_eq!(ledger.healings(), []);
            }
            86..92 => {
                let segment = dir.join(format!("segments/{:06}", ledger.standing().segments));
                drop(ledger);
                let log = std::fs::File::options().write(true).open(segment.join("events.log")).unwrap();
                let keep = random.u64(..=log.metadata().unwrap().len());
                log.set_len(keep).unwrap();
                let kept = std::fs::read(segment.join("events.log")).unwrap();
                let batches = kept.iter().filter(|byte| **byte == b'\n').count();
                model.batches.truncate(model.sealed + batches);
                ledger = open(dir, kind);
                let only_cuts = |healing: &Healing| match healing {
                    Healing::TornTail { .. } | Healing::RegisterRebuilt { .. } => true,
                    Healing::ConfirmedBatchLost { kept, .. } => std::fs::read_dir(kept).unwrap().count() > 0,
                    _ => false,
                };
                assert!(ledger.healings().iter().all(only_cuts));
            }
            92..95 => {
                ledger.close().unwrap();
                let from = if random.bool() { FoldFrom::Checkpoint } else { FoldFrom::FirstEvent };
                rebuild(dir, options(kind), from).unwrap();
                ledger = open(dir, kind);
            }
            _ => model.check(&ledger, random),
        }
    }
    model.check(&ledger, random);
    ledger.close().unwrap();
    assert_eq!(verify(dir).unwrap().findings, []);
}
