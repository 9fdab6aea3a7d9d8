//! Lists, and what was bought beside what is used.

use super::*;
use crate::domain::event::{ContactLost, DeviceReplaced};
use crate::domain::instance::{Account, DeviceName};

fn date(on: i64) -> jiff::civil::Date {
    day(on).to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// For a term in days of [`day`], which begins at a midnight.
fn bought(quantity: u64, from: i64, to: i64) -> Entitlement {
    Entitlement {
        account: "Branch".to_owned(),
        suite: None,
        licences: vec!["dna-advantage".to_owned()],
        quantity,
        tier: Some(Tier::Advantage),
        growth_allowance: None,
        term_start: date(from),
        term_end: date(to),
        milestones: None,
        rate_model: None,
    }
}

impl World {
    fn branch(&mut self) -> &mut Self {
        for device in &mut self.watched {
            device.account = Account { smart_account: None, virtual_account: Some("Branch".into()) };
        }
        self
    }

    fn lists(&self, as_of: i64) -> Lists {
        self.overall(as_of).2.lists
    }

    fn line(&mut self, line: Entitlement, as_of: i64) -> EntitlementLine {
        self.terms.entitlements = Some(vec![line]);
        self.overall(as_of).2.entitlements.unwrap().lines.remove(0)
    }
}

fn names<'a>(whom: impl IntoIterator<Item = &'a Whom>) -> Vec<&'a str> {
    whom.into_iter().map(|whom| &*whom.device.as_ref().unwrap().0).collect()
}

#[test]
fn instances_are_listed_with_what_they_use() {
    let mut world = World::default();
    world.device(0, "a-old", "A", &[]).state(0, "A", Model::Slp, 2, None).report(50, "A", 1, &[(0, 50, 2)]);
    world.device(45, "b-new", "B", &[]).state(45, "B", Model::Slp, 4, None).report(50, "B", 1, &[(45, 50, 4)]);
    world.device(0, "c-lost", "C", &[]).state(0, "C", Model::Slp, 5, None);
    let lost = ContactLost {
        device: "c-lost".into(),
        blame: crate::domain::event::Blame::Unreachable,
        cause: "no route".to_owned(),
    };
    world.tell(10, Fact::ContactLost(lost));
    world.device(0, "d-left", "D", &[]).report(50, "D", 1, &[(0, 50, 1)]);
    world.watched.retain(|device| device.name.0 != "d-left".into());
    world.device(0, "e-held", "E", &[]).state(0, "E", Model::SpecificLicenseReservation, 0, Some(9));
    world.device(0, "f-retired", "F", &[]).report(45, "F", 1, &[(0, 45, 3)]);
    let retired = DeviceRetired { device: None, udi: Some(udi("F")), note: "gone".to_owned() };
    world.tell(45, Fact::DeviceRetired(retired));
    world.device(0, "g-stopped", "G", &[]).state(0, "G", Model::Slp, 3, None);
    world.report(50, "G", 1, &[(0, 40, 3), (40, 50, 0)]);
    world.terms.silent_after = SignedDuration::from_hours(30 * 24);
    world.terms.allowed.elsewhere = Some(Tier::Premier);
    world.terms.allowed.sites.insert(Site::from("s"), Tier::Premier);
    let lists = world.lists(50);
    assert_eq!(names(lists.came.iter().map(|one| &one.whom)), ["b-new"]);
    assert!(lists.came[0].new_instance);
    assert_eq!((lists.came[0].licences[0].quantity, lists.came[0].licences[0].first_seen), (Some(4), Some(day(45))));
    assert_eq!(names(lists.silent.iter().map(|one| &one.whom)), ["c-lost", "e-held"][..1], "{:?}", lists.silent);
    assert_eq!((lists.silent[0].last_seen, lists.silent[0].days), (day(10), 40.0));
    assert_eq!(names(lists.orphaned.iter().map(|one| &one.whom)), ["d-left"]);
    assert_eq!(lists.orphaned[0].licences[0].quantity, Some(1));
    assert_eq!(names(lists.other_licensing.iter().map(|one| &one.whom)), ["e-held"]);
    assert_eq!(lists.other_licensing[0].licences[0].quantity_reserved, Some(9));
    let gone: Vec<_> = lists.gone.iter().map(|gone| (gone.because, gone.at)).collect();
    assert_eq!(gone, [(GoneBecause::Retired, day(45)), (GoneBecause::NoLongerUsed, day(40))]);
    assert_eq!(lists.above_tier, []);
    let reporting: Vec<_> = lists.reporters.iter().map(|one| (one.reporter, one.instances, one.measured)).collect();
    assert_eq!(reporting.iter().map(|one| one.1).sum::<u64>(), 6, "{reporting:?}");
    assert_eq!(reporting.iter().map(|one| one.2).sum::<u64>(), 4, "{reporting:?}");
}

#[test]
fn accounts_that_differ_two_entries_of_one_and_replaced_ones_are_told() {
    let mut world = World::default();
    let state = |account: &str| DeviceState {
        model: Model::Slp,
        virtual_account: Some(account.into()),
        ..DeviceState::default()
    };
    world.device(0, "a", "A", &[]).device(0, "b", "B", &[]).branch();
    for (sn, account) in [("A", "Elsewhere"), ("B", "branch")] {
        let read = StateRead { udi: udi(sn), state: Box::new(state(account)) };
        world.tell(0, Fact::StateRead(read));
    }
    world.device(1, "z", "A", &[]);
    world.device(0, "old", "O", &[]).device(20, "new", "N", &[]);
    let replaced = DeviceReplaced { old: udi("O"), new: udi("N"), note: None };
    world.tell(20, Fact::DeviceReplaced(replaced));
    let lists = world.lists(30);
    assert_eq!(lists.account_differs.len(), 0, "its last word is by the name 'z'");
    assert_eq!(lists.duplicates[0].devices, [DeviceName::from("a"), DeviceName::from("z")]);
    world.branch();
    let lists = world.lists(30);
    assert_eq!(lists.account_differs[0].device_says.virtual_account.as_deref(), Some("Elsewhere"));
    assert_eq!(lists.account_differs.len(), 1);
    let gone: Vec<_> = lists.gone.iter().map(|gone| (gone.because, gone.replaced_by.clone())).collect();
    assert_eq!(gone, [(GoneBecause::Replaced, Some(udi("N")))]);
}

#[test]
fn the_lowest_tier_that_anybody_allows_holds() {
    let mut world = World::default();
    world.device(0, "a", "A", &[]).branch().report(50, "A", 1, &[(0, 50, 2)]);
    let above = |world: &World| {
        let above = world.lists(50).above_tier;
        above.first().map(|one| (one.allowed, one.allowed_by, one.licences.len()))
    };
    assert_eq!(above(&world), None);
    world.terms.entitlements = Some(vec![Entitlement { tier: Some(Tier::Essentials), ..bought(9, 0, 300) }]);
    assert_eq!(above(&world), Some((Tier::Essentials, AllowedBy::Entitlements, 1)));
    world.terms.entitlements.as_mut().unwrap().push(bought(9, 0, 300));
    assert_eq!(above(&world), None, "the highest that was bought");
    world.terms.allowed.accounts.insert("Branch".to_owned(), Tier::Essentials);
    assert_eq!(above(&world), Some((Tier::Essentials, AllowedBy::Account, 1)));
    world.terms.allowed.accounts.clear();
    world.terms.allowed.elsewhere = Some(Tier::Essentials);
    assert_eq!(above(&world), Some((Tier::Essentials, AllowedBy::Site, 1)));
}

#[test]
fn over_since_is_the_instant_the_sum_went_over_and_reaches_back_to_the_term() {
    let mut world = World::default();
    world.device(0, "a", "A", &[]).device(0, "b", "B", &[]).branch();
    // Monthly reports of a; those of b grow on day 100, well before the window, and one of a is missing.
    for month in [0, 1, 2, 4, 5, 6] {
        world.report(230, "A", month as u64 + 1, &[(month * 30, month * 30 + 30, 6)]);
    }
    world.report(230, "B", 1, &[(0, 100, 4), (100, 210, 5)]);
    let line = world.line(bought(10, 1, 700), 200);
    assert_eq!((line.quantity, line.measured, line.rows, line.completeness), (Some(11), 2, 2, Some(1.0)));
    let headroom = line.headroom.unwrap();
    assert_eq!((headroom.measured, headroom.expected, headroom.estimate.estimate), (Some(-1), Some(-1), true));
    let over = line.over.unwrap();
    assert_eq!((over.state, over.since, over.until), (OverState::Over, Some(day(120)), day(200)));
    assert_eq!((over.first, over.first_or_before, over.most), (day(120), false, 1), "a was not measured before");
    assert!(over.estimate.completeness.unwrap() < 1.0);
    // 105 % of 10 are 10.5: over 10. The first six months end before day 183.
    let reached: Vec<_> = line.growth.iter().map(|one| (one.over_percent, one.reached, one.peak)).collect();
    assert_eq!(reached, [(105, Some(day(120)), Some(11)), (115, None, Some(11))]);

    // A later gap is bridged; a fall is not.
    world.report(400, "A", 9, &[(240, 300, 6)]).report(400, "B", 2, &[(210, 300, 5), (300, 330, 4)]);
    world.report(400, "A", 10, &[(300, 330, 6)]);
    let over = world.line(bought(10, 1, 700), 290).over.unwrap();
    assert_eq!((over.state, over.since), (OverState::Over, Some(day(120))), "210 to 240 is a gap of a's reports");
    let over = world.line(bought(10, 1, 700), 320).over.unwrap();
    assert_eq!((over.state, over.since, over.until), (OverState::WasOver, None, day(300)));
    let over = world.line(bought(9, 1, 700), 360).over.unwrap();
    assert_eq!((over.state, over.until), (OverState::OverWhenLastMeasured, day(330)));
}

#[test]
fn what_is_not_in_force_has_no_headroom_and_what_is_not_listed_is_told() {
    let mut world = World::default();
    world.device(0, "a", "A", &[]).device(0, "b", "B", &[]).branch();
    world.report(50, "A", 1, &[(0, 50, 6)]);
    world.state(48, "B", Model::Slp, 3, None);
    for (line, state) in [(bought(9, 60, 90), TermState::ToCome), (bought(9, 0, 20), TermState::Ended)] {
        let line = world.line(line, 50);
        assert_eq!((line.term, line.headroom, line.over, line.growth.len()), (state, None, None, 0));
        assert_eq!((line.quantity, line.quantity_expected), (Some(6), Some(9)));
        let unlisted = world.overall(50).2.entitlements.unwrap().unlisted;
        assert_eq!(unlisted.iter().map(|one| one.rows).sum::<u64>(), 2, "{unlisted:?}");
    }
    let line = world.line(bought(9, 1, 600), 50);
    assert_eq!((line.measured, line.expected_only, line.unknown, line.completeness), (1, 1, 0, Some(0.5)));
    assert_eq!(line.headroom.as_ref().map(|left| (left.measured, left.expected)), Some((Some(3), Some(0))));
    assert_eq!(world.overall(50).2.entitlements.unwrap().unlisted, []);
    let other = world.line(Entitlement { account: "Core".to_owned(), ..bought(9, 1, 600) }, 50);
    assert_eq!((other.rows, other.quantity, other.headroom), (0, None, None));
}

#[test]
fn milestones_are_counted_from_the_start_of_the_term() {
    let day = |text: &str| format!("{text}T00:00:00Z").parse::<Timestamp>().unwrap();
    let line = |milestones| Entitlement {
        term_start: "2024-01-31".parse().unwrap(),
        term_end: "2027-01-30".parse().unwrap(),
        milestones,
        ..bought(1, 0, 1)
    };
    let next = |milestones, at| line(milestones).next_milestone(day(at)).map(|at| at.to_string()[..10].to_owned());
    let quarterly = Some(Milestones::Quarterly);
    assert_eq!(next(quarterly, "2024-01-31").as_deref(), Some("2024-04-30"));
    assert_eq!(next(quarterly, "2024-04-30").as_deref(), Some("2024-07-31"));
    assert_eq!(next(Some(Milestones::Annual), "2025-06-01").as_deref(), Some("2026-01-31"));
    assert_eq!(next(Some(Milestones::Annual), "2026-06-01").as_deref(), Some("2027-01-31"), "the end of the term");
    assert_eq!(next(None, "2024-02-01").as_deref(), Some("2027-01-31"));
    assert_eq!(next(quarterly, "2027-01-31"), None);
}

/// Fleets by chance: what must hold of any.
#[test]
fn headroom_and_quantity_make_what_is_entitled_and_over_begins_where_it_was_first_measured() {
    for seed in 0..150 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut world = World::default();
        let mut measured: Vec<(i64, i64, u64)> = Vec::new();
        for number in 0..dice.usize(1..8) {
            let (name, sn) = (format!("d{number}"), format!("S{number}"));
            world.device(0, &name, &sn, &[]).state(0, &sn, Model::Slp, 1, None);
            let mut start = dice.i64(0..40);
            for id in 0..dice.u64(0..6) {
                let (end, value) = (start + dice.i64(1..30), dice.u64(0..9));
                world.report(200, &sn, id, &[(start, end, value)]);
                measured.push((start, end, value));
                start = end + if dice.bool() { 0 } else { dice.i64(1..9) };
            }
        }
        world.branch();
        let (entitled, as_of) = (dice.u64(0..25), dice.i64(30..140));
        // Terms begin at midnight, which no day here is.
        let line = world.line(bought(entitled, 10, 900), as_of);
        if let Some(headroom) = &line.headroom {
            if let Some(quantity) = line.quantity {
                assert_eq!(headroom.measured.unwrap() + quantity as i64, entitled as i64, "seed {seed}");
            }
            let expected = headroom.expected.unwrap() + line.quantity_expected.unwrap() as i64;
            assert_eq!(expected, entitled as i64, "seed {seed}");
        }
        assert_eq!(line.measured + line.expected_only + line.unknown, line.rows, "seed {seed}");
        let begins = line.said.begins();
        let sum = |at: Timestamp| -> u64 {
            let at = |&&(start, end, _): &&(i64, i64, u64)| day(start) <= at && at < day(end);
            measured.iter().filter(at).map(|one| one.2).sum()
        };
        let mut turns: Vec<Timestamp> = measured.iter().flat_map(|one| [day(one.0), day(one.1)]).collect();
        turns.push(begins);
        turns.retain(|at| begins <= *at && *at < day(as_of));
        turns.sort();
        let first = turns.iter().copied().find(|at| sum(*at) > entitled);
        let found = line.over.as_ref().map(|over| over.first).filter(|first| *first < day(as_of));
        assert_eq!(found, first, "seed {seed}");
        if let Some(over) = &line.over {
            assert!(over.since.is_none_or(|since| since >= over.first && since <= day(as_of)), "seed {seed}");
            assert_eq!(over.since.is_none(), over.state == OverState::WasOver, "seed {seed}");
            let at_the_end = line.quantity.is_some_and(|quantity| quantity > entitled);
            assert_eq!(over.state == OverState::Over, at_the_end, "seed {seed}");
        }
        for (growth, limit) in line.growth.iter().zip([105, 115]) {
            let over = |at: &Timestamp| sum(*at) * 100 > entitled * limit && *at < growth.until;
            let found = growth.reached.filter(|at| *at < day(as_of));
            assert_eq!(found, turns.iter().copied().find(over), "seed {seed}");
        }
        if let Some(projection) = &line.projection {
            assert!((projection.quantity + projection.headroom - entitled as f64).abs() < 1e-5, "seed {seed}");
            assert!(projection.milestone > day(as_of) && projection.estimate.estimate);
        }
    }
}
