//! Small journals, and what a snapshot says of them.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::ack::StatedLicence;
use crate::domain::event::{
    AnswerReceived, DeviceIdentified, DeviceRetired, Event, Fact, ReportCollected, Source, StateRead,
};
use crate::domain::fleet::Fleet;
use crate::domain::instance::{Member, Role, Site, Udi};
use crate::domain::plan::tests::{settings, watched};
use crate::domain::plan::{Settings, Watched};
use crate::domain::report::{EntitlementTag, ReportFacts, ReportId, made};
use crate::domain::settings::Mode;
use crate::domain::state::{DeviceState, License, Model, Reservation};
use crate::domain::timeline::{Consumption, Reach};

const DAY: i64 = 86_400;
const TAG: &str = "regid.2017-05.com.cisco.c9300_dna_advantage,1.0_x";

/// Days since some beginning.
fn day(day: i64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + day * DAY).unwrap()
}

fn udi(sn: &str) -> Udi {
    Udi::new("C9300-24T", sn)
}

/// A journal in the making.
#[derive(Default)]
struct World {
    events: Vec<Event>,
    watched: Vec<Watched>,
    names: OperatorNames,
    terms: Terms,
}

impl World {
    fn tell(&mut self, on: i64, fact: Fact) -> &mut Self {
        self.events.push(Event { at: day(on), by: None, fact });
        self
    }

    fn device(&mut self, on: i64, name: &str, sn: &str, others: &[&str]) -> &mut Self {
        if !self.watched.iter().any(|device| *device.name.0 == *name) {
            self.watched.push(watched(name, Mode::Deliver, 0));
            self.watched.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let member = |(sn, role)| Member { role, udi: udi(sn) };
        let standby = others.iter().map(|other| (*other, Role::Standby));
        let members: Vec<Member> = std::iter::once((sn, Role::Active)).chain(standby).map(member).collect();
        let identified = DeviceIdentified {
            device: name.into(),
            site: Site::from("s"),
            udi: udi(sn),
            uuid: None,
            members: if others.is_empty() { Vec::new() } else { members },
            os: "ios-xe".to_owned(),
            software: Some("17.12.4".to_owned()),
            hostname: None,
            clock_skew_seconds: None,
        };
        self.tell(on, Fact::DeviceIdentified(identified))
    }

    fn state(&mut self, on: i64, sn: &str, model: Model, count: u64, reserved: Option<u64>) -> &mut Self {
        let license = License {
            name: Some("dna-advantage".into()),
            count: Some(count),
            license_type: Some("Subscription".into()),
            ..License::default()
        };
        let held = |count| Reservation { name: license.name.clone(), count: Some(count), ..Reservation::default() };
        let reserved = reserved.map(held).into_iter().collect();
        let state = DeviceState { model, licenses: vec![license.into()], reserved, ..DeviceState::default() };
        self.tell(on, Fact::StateRead(StateRead { udi: udi(sn), state: Box::new(state) }))
    }

    /// Collected on a day, with days and values.
    fn report(&mut self, on: i64, sn: &str, id: u64, measured: &[(i64, i64, u64)]) -> &mut Self {
        self.report_naming(on, &[], sn, id, measured)
    }

    /// The same of one that names the chassis of its stack.
    fn report_naming(&mut self, on: i64, stack: &[&str], sn: &str, id: u64, measured: &[(i64, i64, u64)]) -> &mut Self {
        let measurement =
            |&(start, end, value): &(i64, i64, u64)| made::measurement(Some(day(start)), Some(day(end)), value);
        let report = ReportFacts {
            members: stack.iter().map(|sn| Member { role: Role::Member, udi: udi(sn) }).collect(),
            ..made::report(udi(sn), id, Some(TAG), measured.iter().map(measurement).collect())
        };
        let collected = ReportCollected {
            device: None,
            report,
            object: Sha256::of(&id.to_le_bytes()),
            source: Source::Rest,
            parser: 1,
            presumed_acknowledged: false,
            feature: None,
        };
        self.tell(on, Fact::ReportCollected(collected))
    }

    fn fleet(&self, until: Timestamp) -> Fleet {
        let mut fleet = Fleet::default();
        self.events.iter().filter(|event| event.at <= until).for_each(|event| drop(fleet.apply(event)));
        fleet
    }

    /// As of a day, of the thirty days before.
    fn taken(&self, as_of: i64) -> (Head, Vec<Entry>, Vec<RollUp>) {
        let (head, entries, overall) = self.overall(as_of);
        (head, entries, overall.roll_ups)
    }

    /// The same with the lists and what was bought.
    fn overall(&self, as_of: i64) -> (Head, Vec<Entry>, Overall) {
        let as_of = day(as_of);
        let window = SignedDuration::from_hours(30 * 24);
        let mut reach = Reach::window((as_of - window).as_second(), as_of.as_second());
        if let Some(begun) = self.terms.entitlements.as_deref().and_then(|bought| earliest_start(bought, as_of)) {
            reach = reach.back_to(begun);
        }
        let mut consumption = Consumption::new(reach);
        self.events.iter().for_each(|event| consumption.take(event));
        let (then, now) = (self.fleet(as_of), self.fleet(Timestamp::MAX));
        let settings: Settings = settings();
        let survey = Survey {
            consumption: &consumption,
            then: &then,
            now: &now,
            watched: &self.watched,
            settings: &settings,
            names: &self.names,
            terms: &self.terms,
            as_of,
            window,
            incomplete_before: None,
        };
        let (mut entries, mut again) = (Vec::new(), Vec::new());
        let (head, overall) = survey.overall(<[Entry]>::to_vec, |part| entries.extend(part)).unwrap();
        survey.overall(<[Entry]>::to_vec, |part| again.extend(part)).unwrap();
        assert_eq!(entries, again);
        (head, entries, overall)
    }
}

#[test]
fn a_pair_is_one_row_and_its_chassis_are_not_added_up() {
    let mut world = World::default();
    world.device(0, "core-1", "A", &["B"]).state(0, "A", Model::Slp, 2, None);
    world.report(20, "A", 1, &[(0, 20, 2)]).device(21, "core-1", "B", &["A"]);
    world.report(40, "B", 1, &[(19, 40, 3)]);
    let (head, entries, roll_ups) = world.taken(40);
    assert_eq!((entries.len(), head.instances, head.completeness), (1, 1, Some(1.0)));
    let row = &entries[0].row;
    assert_eq!((row.quantity, row.quantity_peak, row.quantity_peak_at), (Some(3), Some(3), Some(day(19))));
    assert_eq!(row.quantity_average, Some(millionths((2.0 * 9.0 + 3.0 * 21.0) / 30.0)));
    assert_eq!((row.sn.as_deref(), row.ha_role), (Some("A"), Some(Role::Standby)));
    assert_eq!((row.license_name.as_deref(), row.tier), (Some("dna-advantage"), Some(Tier::Advantage)));
    assert_eq!(entries[0].detail.reports.len(), 2);
    assert_eq!(entries[0].detail.reports[1].udi, udi("B"));
    assert_eq!((row.last_report_id, row.source_sha256), (Some(ReportId(1)), Some(Sha256::of(&1u64.to_le_bytes()))));
    let all = roll_ups.iter().find(|all| all.by == By::Entitlement && all.entitlement_tag.is_some()).unwrap();
    assert_eq!((all.quantity, all.quantity_peak, all.quantity_average), (Some(3), Some(3), row.quantity_average));
}

fn millionths(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

#[test]
fn a_quantity_that_was_not_measured_is_not_there_and_the_row_says_why() {
    let mut world = World::default();
    world.device(0, "a-measured", "A", &[]).state(0, "A", Model::Slp, 1, None).report(50, "A", 1, &[(10, 50, 1)]);
    world.device(0, "b-not-yet", "B", &[]).state(0, "B", Model::Slp, 4, None).report(30, "B", 1, &[(10, 30, 4)]);
    world.device(0, "c-stale", "C", &[]).state(0, "C", Model::Slp, 4, None).report(11, "C", 1, &[(5, 10, 7)]);
    world.device(0, "d-nothing", "D", &[]).state(0, "D", Model::Slp, 0, None);
    world.device(0, "e-reserved", "E", &[]).state(0, "E", Model::SpecificLicenseReservation, 0, Some(9));
    world.device(0, "f-classic", "F", &[]).state(0, "F", Model::ClassicSmartLicensing, 5, None);
    world.device(0, "g-fresh", "G", &[]).state(49, "G", Model::Slp, 6, None);
    world.watched.push(watched("h-never", Mode::Deliver, 0));
    let (head, entries, _) = world.taken(50);
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.row.device.clone().unwrap().0, entry.row.measured_state, entry.row.quantity))
        .collect();
    let expected = [
        ("a-measured", MeasuredState::Measured, Some(1)),
        ("b-not-yet", MeasuredState::NotYetMeasured, None),
        ("c-stale", MeasuredState::Stale, None),
        ("d-nothing", MeasuredState::NothingToReport, None),
        ("e-reserved", MeasuredState::Reserved, None),
        ("f-classic", MeasuredState::Unmeasurable, None),
        ("g-fresh", MeasuredState::NotYetMeasured, None),
        ("h-never", MeasuredState::NotYetMeasured, None),
    ];
    assert_eq!(told, expected.map(|(name, state, quantity)| (name.into(), state, quantity)));
    assert_eq!(head.completeness, Some(millionths(1.0 / 6.0)));
    let row = |name: &str| &entries.iter().find(|entry| entry.row.device == Some(name.into())).unwrap().row;
    // What polls saw ends where contact went stale.
    assert_eq!((row("b-not-yet").quantity_last, row("b-not-yet").quantity_observed), (Some(4), None));
    assert_eq!((row("g-fresh").quantity_last, row("g-fresh").quantity_observed), (None, Some(6)));
    assert_eq!((row("e-reserved").quantity_reserved, row("c-stale").quantity_last), (Some(9), Some(7)));
    assert_eq!((row("b-not-yet").quantity_peak, row("c-stale").quantity_peak), (Some(4), None));
    assert_eq!(row("c-stale").last_measured, Some(day(10)));
    assert_eq!(row("a-measured").first_seen, Some(day(0)), "seen in use before it was measured");
}

#[test]
fn a_report_that_came_later_measures_the_past_and_state_is_as_it_was() {
    let mut world = World::default();
    world.device(0, "edge-1", "A", &[]).state(0, "A", Model::Slp, 2, None);
    let (_, before, _) = world.taken(20);
    assert_eq!(before[0].row.quantity, None);
    world.state(60, "A", Model::Disabled, 9, None).report(60, "A", 1, &[(0, 50, 2), (50, 60, 9)]);
    // Seen for the first time much later, measured long before.
    world.device(70, "edge-2", "B", &[]).report(70, "B", 1, &[(5, 70, 1)]);
    let (head, then, _) = world.taken(20);
    assert_eq!(head.newest_report_collected, Some(day(70)));
    let told: Vec<_> = then.iter().map(|entry| (entry.row.quantity, entry.row.model)).collect();
    assert_eq!(told, [(Some(2), Model::Slp), (Some(1), Model::Unknown)]);
    assert_eq!(then[1].row.device, Some("edge-2".into()));
    assert_eq!(world.taken(4).1.len(), 1, "not there yet");
}

#[test]
fn what_was_retired_before_the_window_is_history() {
    let mut world = World::default();
    world.device(0, "edge-1", "A", &[]).state(0, "A", Model::Slp, 2, None).report(20, "A", 1, &[(0, 20, 2)]);
    let retired = DeviceRetired { device: None, udi: Some(udi("A")), note: "gone".to_owned() };
    world.tell(21, Fact::DeviceRetired(retired));
    assert_eq!(world.taken(45).1[0].row.quantity_peak, Some(2));
    assert!(world.taken(55).1.is_empty());
}

#[test]
fn roll_ups_are_the_sums_of_their_rows() {
    for seed in 0..100 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut world = World::default();
        for number in 0..dice.usize(1..12) {
            let (name, sn) = (format!("d{number}"), format!("S{number}"));
            world.device(0, &name, &sn, &[]).state(0, &sn, Model::Slp, 1, dice.bool().then_some(3));
            let own = world.watched.iter_mut().find(|device| *device.name.0 == *name).unwrap();
            own.account.virtual_account = Some(dice.choice(["x", "y"]).unwrap().into());
            let mut start = dice.i64(0..40);
            for id in 0..dice.u64(0..5) {
                let end = start + dice.i64(1..20);
                world.report(60, &sn, id, &[(start, end, dice.u64(0..5))]);
                start = end + if dice.bool() { 0 } else { dice.i64(0..9) };
            }
        }
        let (head, entries, roll_ups) = world.taken(50);
        let total = roll_ups.iter().find(|one| one.by == By::Entitlement && one.entitlement_tag.is_none()).unwrap();
        assert_eq!((total.rows, total.completeness), (head.row_count, head.completeness), "seed {seed}");
        for by in [By::VirtualAccount, By::Site, By::Environment, By::SmartAccount] {
            let of = || roll_ups.iter().filter(move |one| one.by == by && one.entitlement_tag.is_none());
            assert_eq!(of().map(|one| one.rows).sum::<u64>(), head.row_count, "seed {seed}");
            assert_eq!(of().filter_map(|one| one.quantity).sum::<u64>(), total.quantity.unwrap_or(0), "seed {seed}");
        }
        for one in roll_ups.iter().filter(|one| one.by == By::VirtualAccount && one.entitlement_tag.is_some()) {
            let rows = || {
                let rows = entries.iter().map(|entry| &entry.row);
                rows.filter(|row| row.virtual_account == one.name && row.entitlement_tag == one.entitlement_tag)
            };
            let quantities: Vec<u64> = rows().filter_map(|row| row.quantity).collect();
            assert_eq!(one.quantity, (!quantities.is_empty()).then(|| quantities.iter().sum()), "seed {seed}");
            let peaks = || rows().filter_map(|row| row.quantity_peak);
            assert!(one.quantity_peak <= Some(peaks().sum()), "seed {seed}");
            assert!(one.quantity_peak >= peaks().max() && one.quantity_peak >= one.quantity, "seed {seed}: {one:?}");
            assert!(one.quantity_average.is_none_or(|average| average <= one.quantity_peak.unwrap() as f64));
            if rows().all(|row| row.coverage == 1.0) {
                let sum: f64 = rows().filter_map(|row| row.quantity_average).sum();
                assert!((one.quantity_average.unwrap() - sum).abs() < 1e-4, "seed {seed}");
            }
        }
    }
}

/// What is added up over time is what stands in the rows at each day, however large.
#[test]
fn the_peak_of_a_sum_is_the_highest_of_its_days() {
    for (seed, most) in (0..60).zip([5, 5, 1 << 33, 1 << 31].into_iter().cycle()) {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut world = World::default();
        for number in 0..dice.usize(1..6) {
            let (name, sn) = (format!("d{number}"), format!("S{number}"));
            world.device(0, &name, &sn, &[]);
            let mut start = dice.i64(0..20);
            for id in 0..dice.u64(1..6) {
                let end = start + dice.i64(1..9);
                world.report(60, &sn, id, &[(start, end, dice.u64(0..most))]);
                start = end + dice.choice([0, 0, 3]).unwrap();
            }
        }
        let (_, entries, roll_ups) = world.taken(50);
        let total = roll_ups.iter().find(|one| one.by == By::Entitlement && one.entitlement_tag.is_none()).unwrap();
        // What ends with the window, and what ends where it begins, is measured at that instant.
        let holds = |run: &DetailRun, at| {
            run.start <= at && (at < run.end || at == run.end && (at == day(50) || run.start == run.end))
        };
        let runs = || entries.iter().flat_map(|entry| &entry.detail.runs);
        let on = |at: Timestamp| runs().filter(move |run| holds(run, at)).map(|run| run.quantity);
        let days = (0..=50).map(day).filter(|at| on(*at).next().is_some());
        let peak = days.map(|at| (on(at).sum::<u64>(), std::cmp::Reverse(at))).max();
        let told = total.quantity_peak.zip(total.quantity_peak_at.map(std::cmp::Reverse));
        assert_eq!(told, peak, "seed {seed}");
    }
}

#[test]
fn names_and_tiers_are_what_is_stated_and_nothing_more() {
    let tag = |text: &str| EntitlementTag::from(text.to_owned());
    assert!(same_licence("dna-advantage", &tag(TAG)));
    assert!(same_licence("AIR-DNA-A", &tag("regid.2017-08.com.cisco.AIR-DNA-A,1.0_b6308627")));
    assert!(!same_licence("advantage", &tag(TAG)));
    assert!(!same_licence("", &tag("regid.")));
    assert_eq!(Tier::in_words("C9300_48P_NW_Advantagek9"), Some(Tier::Advantage));
    assert_eq!(Tier::in_words("AIR-DNA-A"), None);
    assert_eq!(Tier::in_words("essentials to advantage"), None);

    let mut world = World::default();
    world.device(0, "edge-1", "A", &[]).report(20, "A", 1, &[(0, 20, 2)]);
    assert_eq!(world.taken(10).1[0].row.license_name, None);
    let naming = Naming { name: Some("Cisco DNA".into()), license_type: None, tier: Some(Tier::Premier), family: None };
    world.names = [(TAG.to_owned(), naming)].into_iter().collect();
    let (_, entries, _) = world.taken(10);
    let row = &entries[0].row;
    assert_eq!((row.license_name.as_deref(), row.tier), (Some("Cisco DNA"), Some(Tier::Advantage)));
}

#[test]
fn what_a_device_or_an_answer_says_of_a_tag_names_it_everywhere() {
    const ODD: &str = "regid.2017-03.com.cisco.advantagek9,1.0_x";
    let mut world = World::default();
    world.device(0, "edge-1", "A", &[]).state(0, "A", Model::Slp, 2, None).report(20, "A", 1, &[(0, 20, 2)]);
    world.device(0, "edge-2", "B", &[]).report(20, "B", 1, &[(0, 20, 1)]);
    let tagged = |world: &mut World, tag: &str, feature: Option<&str>| {
        for event in &mut world.events {
            if let Fact::ReportCollected(fact) = &mut event.fact {
                fact.report.entitlement_tag = Some(EntitlementTag::from(tag.to_owned()));
                // Only the first device lists its reports by name.
                fact.feature = feature.filter(|_| *fact.report.udi.sn == *"A").map(str::to_owned);
            }
        }
    };
    let told = |world: &World| -> Vec<_> {
        let rows = world.taken(20).1;
        rows.iter().map(|entry| (entry.row.license_name.clone(), entry.row.license_type.clone())).collect()
    };
    let name = |name: &str| Some(name.into());
    // The tag has no word of the name, and nobody says that they are one.
    tagged(&mut world, ODD, None);
    assert_eq!(told(&world), [(None, None), (name("dna-advantage"), name("Subscription")), (None, None)]);
    // The list of reports does: one row, and the other device's tag is called so too.
    tagged(&mut world, ODD, Some("dna-advantage"));
    assert_eq!(told(&world), [(name("dna-advantage"), name("Subscription")), (name("dna-advantage"), None)]);
    // So does the short tag of the command line, on the device that prints it.
    tagged(&mut world, "regid.2018-12.com.cisco.DNA_P_10M_P,1.0_x", None);
    for event in &mut world.events {
        if let Fact::StateRead(fact) = &mut event.fact {
            fact.state.licenses[0].entitlement_tag = Some(EntitlementTag::from("DNA_P_10M_P".to_owned()));
        }
    }
    assert_eq!(told(&world), [(name("dna-advantage"), name("Subscription")), (None, None)]);
    // And an answer, of what no device names.
    let licence = StatedLicence {
        entitlement_tag: EntitlementTag::from(ODD.to_owned()),
        name: Some("Network Essentials".to_owned()),
        description: None,
        license_type: Some("PERPETUAL".to_owned()),
        count: Some(1),
    };
    let answer = AnswerReceived {
        object: Sha256::ZERO,
        name: "ACK_x".to_owned(),
        udi: udi("A"),
        parts: vec!["authorization".to_owned()],
        bundle_id: None,
        reports: Vec::new(),
        assigned: None,
        licences: vec![licence],
    };
    world.tell(30, Fact::AnswerReceived(answer));
    tagged(&mut world, ODD, None);
    let rows = world.taken(20).1;
    let row = &rows.iter().find(|entry| entry.row.device == Some("edge-2".into())).unwrap().row;
    assert_eq!((row.license_name.as_deref(), row.tier), (Some("Network Essentials"), Some(Tier::Essentials)));
    assert_eq!((row.license_type.as_deref(), row.family), (Some("PERPETUAL"), Some(Family::Network)));
}

impl World {
    fn whole(&self, as_of: i64) -> Whole {
        let (head, rows, Overall { roll_ups, lists, entitlements }) = self.overall(as_of);
        Whole { head, roll_ups, lists, entitlements, rows }
    }
}

#[test]
fn a_curve_ends_for_who_is_gone_and_a_gap_stays_one() {
    let mut world = World::default();
    world.device(0, "a", "A", &[]).report(50, "A", 1, &[(0, 50, 2)]);
    world.device(0, "b", "B", &[]).report(50, "B", 1, &[(0, 25, 3), (30, 40, 3)]);
    let retired = DeviceRetired { device: None, udi: Some(udi("B")), note: "gone".to_owned() };
    world.tell(41, Fact::DeviceRetired(retired));
    let whole = world.whole(50);
    let steps = curve(whole.rows.iter(), whole.gone(), day(20), day(50));
    let told: Vec<_> = steps.iter().map(|step| (step.start, step.measured, step.unknown)).collect();
    let expected = [(day(20), 5, 0), (day(25), 2, 1), (day(30), 5, 0), (day(40), 2, 1), (day(41), 2, 0)];
    assert_eq!(told, expected);
}

#[test]
fn a_difference_names_what_changed_and_the_reports_that_tell_it() {
    let mut world = World::default();
    world.device(0, "a-grows", "A", &[]).report(50, "A", 1, &[(0, 20, 2), (20, 50, 5)]);
    world.device(0, "b-goes", "B", &[]).report(50, "B", 1, &[(0, 20, 2)]);
    world.device(0, "c-stays", "C", &[]).report(50, "C", 1, &[(0, 50, 1)]);
    world.device(0, "d-comes", "D", &[]).report(50, "D", 1, &[(30, 50, 4)]);
    world.device(0, "e-known-later", "E", &[]).report(50, "E", 1, &[(0, 9, 1), (12, 50, 1)]);
    let (first, second) = (world.whole(10), world.whole(45));
    let told: Vec<_> = difference(&first, &second)
        .changed
        .into_iter()
        .map(|one| (one.what, one.device.unwrap(), one.before, one.after, one.reports.len()))
        .collect();
    let number = |number: u64| Some(number.to_string());
    let expected = [
        (Turned::Grew, "a-grows".to_owned(), number(2), number(5), 1),
        (Turned::NoLongerMeasured, "b-goes".to_owned(), number(2), None, 1),
        (Turned::Came, "d-comes".to_owned(), None, number(4), 1),
        (Turned::NowMeasured, "e-known-later".to_owned(), None, number(1), 1),
    ];
    assert_eq!(told, expected);
    // Of many reports those that tell another quantity, and the last.
    let mut world = World::default();
    world.device(0, "a", "A", &[]);
    for (id, start, end, value) in [(1, 0, 20, 2), (2, 20, 30, 2), (3, 30, 35, 5), (4, 35, 40, 5), (5, 40, 50, 5)] {
        world.report(50, "A", id, &[(start, end, value)]);
    }
    let told = difference(&world.whole(10), &world.whole(45)).changed;
    let ids: Vec<u64> = told[0].reports.iter().map(|report| report.report_id.0).collect();
    assert_eq!((told[0].what, ids), (Turned::Grew, vec![3, 5]));

    let back: Vec<Turned> = difference(&second, &first).changed.iter().map(|one| one.what).collect();
    assert_eq!(back[..3], [Turned::Shrank, Turned::NowMeasured, Turned::Went]);
    assert_eq!(difference(&first, &first).changed, []);

    let written = serde_json::to_string(&second).unwrap();
    assert_eq!(serde_json::from_str::<Whole>(&written).unwrap(), second);
    assert_eq!(second.of(Some(TAG), None).count(), 5);
    assert_eq!(second.of(Some("dna"), None).count() + second.of(None, Some("Branch")).count(), 0);
}

mod reckoned;
mod stacks;
