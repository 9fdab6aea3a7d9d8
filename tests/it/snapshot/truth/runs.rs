//! What is kept beside sealed segments says what the journal says, and its loss costs time only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use slp_collector::domain::event::Event;
use slp_collector::domain::instance::Udi;
use slp_collector::domain::timeline::{Chassis, Chronicle, Consumption, Part, Reach};
use slp_collector::exchange::snapshot::Form;
use slp_collector::flow::consumption::{Asked, create};
use slp_collector::ledger::{Ledger, Options, RegisterKind};

use super::world::{DAY, DAYS, T0, World};

fn all(chronicle: &dyn Chronicle) -> BTreeMap<Udi, Chassis> {
    said(chronicle.stretch(Bound::Unbounded, Bound::Unbounded).unwrap())
}

/// Of whom nothing is known is as good as not there.
fn said(Part(mut part): Part) -> BTreeMap<Udi, Chassis> {
    // With whom a chassis was is known of those too that said nothing of their own.
    part.retain(|_, chassis| {
        let seen = || chassis.observed(i64::MAX).next().is_some();
        chassis.timelines().next().is_some() || !chassis.skews().is_empty() || seen()
    });
    part
}

fn rebuilt(events: &[Event], reach: Reach) -> Consumption {
    let mut consumption = Consumption::new(reach);
    events.iter().for_each(|event| consumption.take(event));
    consumption
}

/// The same events in a ledger that was sealed so many times, some of them behind the last seal.
fn sealed(folder: &Path, events: &[Event], seals: usize) -> Ledger {
    let options = Options { register: RegisterKind::Memory, segment_months: false, ..Options::default() };
    let ledger = Ledger::open(folder, options).unwrap();
    for part in events.chunks(events.len() / seals - 1) {
        if ledger.standing().seq > 0 {
            ledger.seal().unwrap();
        }
        for same in part.chunk_by(|one, other| one.at == other.at) {
            let facts = same.iter().map(|event| event.fact.clone()).collect();
            ledger.append(same[0].at, facts, Vec::new()).unwrap();
        }
    }
    ledger
}

fn events(world: &World) -> Vec<Event> {
    let mut events = Vec::new();
    let mut keep = |event: &Event| {
        events.push(event.clone());
        ControlFlow::Continue(())
    };
    world.house.ledger.events(None, &mut keep).unwrap();
    events
}

fn files(ledger: &Ledger) -> Vec<PathBuf> {
    let files = fs::read_dir(ledger.dir().join("runs")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn what_is_kept_beside_segments_is_what_the_journal_says() {
    let (events, folder) = (events(&World::lived(60, 7)), tempfile::tempdir().unwrap());
    let ledger = &sealed(folder.path(), &events, 6);
    assert_eq!(files(ledger).len(), 6, "each segment that was sealed has its runs");

    let mut dice = fastrand::Rng::with_seed(8);
    for _ in 0..12 {
        let until = T0 + dice.i64(5 * DAY..DAYS * DAY);
        let reach = Reach::window(until - dice.i64(DAY..365 * DAY), until).back_to(T0 + dice.i64(..DAYS * DAY));
        let (rebuilt, runs) = (rebuilt(&events, reach), ledger.runs(reach).unwrap());
        let expected = all(&rebuilt);
        assert!(all(&runs) == expected, "{reach:?}");
        assert_eq!(runs.companies(), rebuilt.companies());
        assert!(!runs.companies().is_empty(), "pairs and stacks are at stake");
        for together in rebuilt.companies() {
            assert_eq!(runs.name_of(together), rebuilt.name_of(together), "{reach:?}");
        }
        assert!(runs.called().each().eq(rebuilt.called().each()));
        assert_eq!(
            runs.stretch(Bound::Unbounded, Bound::Unbounded).unwrap().reports(),
            rebuilt.stretch(Bound::Unbounded, Bound::Unbounded).unwrap().reports()
        );

        let mut cuts: Vec<&Udi> = expected.keys().filter(|_| dice.u32(..4) == 0).collect();
        let named: BTreeSet<&Udi> = cuts.iter().copied().collect();
        let of_named = expected.iter().filter(|(udi, _)| named.contains(udi));
        let of_named: BTreeMap<Udi, Chassis> = of_named.map(|(udi, chassis)| (udi.clone(), chassis.clone())).collect();
        assert!(said(runs.named(&named).unwrap()) == of_named, "{reach:?}");

        let beyond = Udi::new("~", "~");
        cuts.push(&beyond);
        let (mut from, mut parts) = (Bound::Unbounded, BTreeMap::new());
        for cut in cuts {
            parts.extend(said(runs.stretch(from, Bound::Excluded(cut)).unwrap()));
            from = Bound::Included(cut);
        }
        assert!(parts == expected, "{reach:?}");
    }
}

#[test]
fn what_is_lost_or_damaged_of_it_is_made_anew() {
    let (events, folder) = (events(&World::lived(12, 9)), tempfile::tempdir().unwrap());
    let ledger = &sealed(folder.path(), &events, 3);
    let reach = Reach::window(T0, T0 + DAYS * DAY);
    let expected = all(&ledger.runs(reach).unwrap());
    assert!(!expected.is_empty());
    let mut noticed = 0;
    for file in files(ledger) {
        let whole = fs::read(&file).unwrap();
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            bytes
        };
        let half = whole.len() / 2;
        let cut = whole[..half].to_vec();
        let places = (0..whole.len()).step_by(whole.len() / 9 + 1).chain([whole.len() - 1]);
        let damaged = places.map(flipped).chain([cut, Vec::new()]);
        for bytes in damaged {
            fs::write(&file, bytes).unwrap();
            let runs = ledger.runs(reach).unwrap();
            match runs.stretch(Bound::Unbounded, Bound::Unbounded) {
                Ok(part) => assert!(said(part) == expected),
                Err(told) => {
                    assert!(told.to_string().contains("damaged"), "{told}");
                    noticed += 1;
                }
            }
            assert!(all(&ledger.runs(reach).unwrap()) == expected);
            assert_eq!(fs::read(&file).unwrap(), whole);
        }
        fs::remove_file(&file).unwrap();
        assert!(all(&ledger.runs(reach).unwrap()) == expected);
        assert_eq!(fs::read(&file).unwrap(), whole, "what is made anew is the same");
    }
    assert!(noticed > 0);
}

#[test]
fn a_snapshot_that_meets_damage_is_begun_again() {
    let (world, folder) = (World::lived(12, 9), tempfile::tempdir().unwrap());
    let ledger = &world.house.ledger;
    ledger.seal().unwrap();
    let number = |out: &str| {
        let window = SignedDuration::from_hours(24 * DAYS);
        let asked = Asked { as_of: None, window, form: Form::Json, out: Some(folder.path().join(out)) };
        create(&world.house, &asked).unwrap().head.snapshot_id
    };
    let expected = number("whole");
    let file = files(ledger).pop().unwrap();
    let whole = fs::read(&file).unwrap();
    let (mut noticed, places) = (0, (0..whole.len()).step_by(whole.len() / 9 + 1));
    for at in places {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(&file, &bytes).unwrap();
        // What is seen at opening is made anew without anybody's noticing.
        let reach = Reach::window(T0, T0 + DAYS * DAY);
        let runs = ledger.runs(reach).unwrap();
        noticed += usize::from(runs.stretch(Bound::Unbounded, Bound::Unbounded).is_err());
        fs::write(&file, &bytes).unwrap();
        assert_eq!(number(&at.to_string()), expected, "changed at {at}");
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
    assert!(noticed > 0);
}
