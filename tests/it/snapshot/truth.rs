//! Four hundred days in the life of three hundred devices whose truth the lab knows, and what snapshots say of them.
//!
//! The fleet grows, peaks at a true-up date, shrinks; devices move between accounts; stacks lose and gain chassis; pairs
//! switch over; clocks are moved and moved back; reports are lost, come late or twice; contact is lost for weeks. At
//! fifty instants every row is held against the truth:
//!
//! * What is said to be measured is what was used, second by second, and is all that the collected reports cover; so
//!   quantity, peak and average are those of the truth. Everything else is marked as not measured.
//! * Where the row tells that a clock was wrong by so many seconds, what it says of an instant is true of one no
//!   farther from it; and no row tells that of a device whose clock was right.

mod history;
mod runs;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};
use slp_collector::domain::event::Event;
use slp_collector::domain::fleet::Fleet;
use slp_collector::domain::snapshot::{By, Entry, MeasuredState, OperatorNames, RollUp, Row, Survey, Terms, Whole};
use slp_collector::domain::timeline::{Consumption, Reach};
use slp_collector::exchange::snapshot::{Form, read};
use slp_collector::flow::House;
use slp_collector::flow::consumption::{Asked, create};

use history::Stretch;
use world::{DAY, DAYS, T0, TRUE_UP, World};

const INSTANTS: usize = 50;

#[test]
fn wherever_it_is_measured_it_is_the_truth_and_wherever_not_it_is_marked() {
    let world = World::lived(300, 6);
    let mut dice = fastrand::Rng::with_seed(50);
    let mut asked: Vec<(i64, i64)> = std::iter::repeat_with(|| {
        let window = [30, 90, 365][dice.usize(..3)] * DAY;
        (T0 + dice.i64(5 * DAY..DAYS * DAY), window)
    })
    .take(INSTANTS - 2)
    .collect();
    asked.extend([(TRUE_UP, 90 * DAY), (TRUE_UP - 15 * DAY, 90 * DAY)]);
    asked.sort_unstable();

    let mut events = Vec::new();
    let mut keep = |event: &Event| {
        events.push(event.clone());
        ControlFlow::Continue(())
    };
    world.house.ledger.events(None, &mut keep).unwrap();
    let (world, events) = (&world, &events);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let half = |part: usize| {
            let own: Vec<(i64, i64)> = asked.iter().copied().skip(part).step_by(2).collect();
            scope.spawn(move || judged(world, events, &own))
        };
        [half(0), half(1)].map(|half| half.join().unwrap()).into()
    });
    let tally = tallies.into_iter().fold(Tally::default(), Tally::and);
    println!("{tally:?}");
    assert_eq!(tally.wrong, 0, "{:#?}", tally.first_wrong);
    assert!(tally.measured > 5_000 && tally.not_measured > 2_000, "{tally:?}");
    assert!(tally.whole_windows > 1_000 && tally.with_gaps > 1_000 && tally.observed > 1_000, "{tally:?}");
    assert!(tally.uncertain > 100 && tally.certain_of_moved_clocks > 100, "{tally:?}");
    assert!(tally.of_many_chassis > 50 && tally.without_state < 50, "{tally:?}");
}

/// How often what was seen.
#[derive(Debug, Default)]
struct Tally {
    measured: usize,
    not_measured: usize,
    /// Rows of which all of the window is measured.
    whole_windows: usize,
    with_gaps: usize,
    observed: usize,
    /// Rows that tell of a wrong clock; rows that do not, of a device whose clock once was.
    uncertain: usize,
    certain_of_moved_clocks: usize,
    /// Rows that rest on reports of several chassis.
    of_many_chassis: usize,
    /// Rows of instances that no poll had found by then.
    without_state: usize,
    wrong: usize,
    first_wrong: Vec<String>,
}

impl Tally {
    fn and(mut self, more: Tally) -> Tally {
        self.measured += more.measured;
        self.not_measured += more.not_measured;
        self.whole_windows += more.whole_windows;
        self.with_gaps += more.with_gaps;
        self.observed += more.observed;
        self.uncertain += more.uncertain;
        self.certain_of_moved_clocks += more.certain_of_moved_clocks;
        self.of_many_chassis += more.of_many_chassis;
        self.without_state += more.without_state;
        self.wrong += more.wrong;
        self.first_wrong.extend(more.first_wrong);
        self
    }

    fn wrong(&mut self, what: String) {
        self.wrong += 1;
        if self.first_wrong.len() < 10 {
            self.first_wrong.push(what);
        }
    }
}

/// Snapshots at instants in their order, and what is wrong in them.
fn judged(world: &World, events: &[Event], asked: &[(i64, i64)]) -> Tally {
    let (mut tally, mut then, mut applied) = (Tally::default(), Fleet::default(), 0);
    let now = world.house.ledger.fleet().clone();
    let mut peak: BTreeMap<i64, u64> = BTreeMap::new();
    for &(as_of, window) in asked {
        while let Some(event) = events.get(applied).filter(|event| event.at.as_second() <= as_of) {
            then.apply(event);
            applied += 1;
        }
        let (entries, roll_ups) = taken(&world.house, events, [&then, &now], as_of, window);
        let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
        for entry in &entries {
            let name = entry.row.device.as_ref().map_or("", |name| &*name.0);
            let tag = entry.row.entitlement_tag.as_ref().map_or("", |tag| &tag.0);
            if !told.insert((name, tag)) {
                tally.wrong(format!("{name} has two rows of {tag} as of {as_of}"));
            }
            judge(world, entry, (as_of - window, as_of), &mut tally);
        }
        for (name, tag) in world.measured_within(as_of - window, as_of) {
            if !told.contains(&(name, tag)) {
                tally.wrong(format!("{name} has no row of {tag} as of {as_of}"));
            }
        }
        added_up(&entries, &roll_ups, as_of, &mut tally);
        let all = roll_ups.iter().find(|one| one.by == By::Entitlement && one.entitlement_tag.is_none());
        peak.insert(as_of, all.and_then(|all| all.quantity).unwrap_or(0));
        if as_of == TRUE_UP {
            from_the_file(&world.house, as_of, window, &entries, &roll_ups);
            let at = all.and_then(|all| all.quantity_peak_at).map_or(0, Timestamp::as_second);
            if !(TRUE_UP - 3 * DAY..=TRUE_UP).contains(&at) {
                tally.wrong(format!("the peak is that of the true-up date: {all:?}"));
            }
        }
    }
    tally
}

fn taken(
    house: &House,
    events: &[Event],
    [then, now]: [&Fleet; 2],
    as_of: i64,
    window: i64,
) -> (Vec<Entry>, Vec<RollUp>) {
    let mut consumption = Consumption::new(Reach::window(as_of - window, as_of));
    events.iter().for_each(|event| consumption.take(event));
    let survey = Survey {
        consumption: &consumption,
        then,
        now,
        watched: &house.watched,
        settings: &house.settings,
        names: &OperatorNames::default(),
        terms: &Terms::default(),
        as_of: Timestamp::from_second(as_of).unwrap(),
        window: SignedDuration::from_secs(window),
        incomplete_before: None,
    };
    let mut entries = Vec::new();
    let (_, overall) = survey.overall(<[Entry]>::to_vec, |part| entries.extend(part)).unwrap();
    (entries, overall.roll_ups)
}

/// The real way, over the ledger on disk and a sealed file, gives the same.
fn from_the_file(house: &House, as_of: i64, window: i64, entries: &[Entry], roll_ups: &[RollUp]) {
    let asked = Asked {
        as_of: Some(Timestamp::from_second(as_of).unwrap()),
        window: SignedDuration::from_secs(window),
        form: Form::Json,
        out: None,
    };
    let Whole { rows, roll_ups: written, .. } = read(&create(house, &asked).unwrap().path).unwrap();
    assert!(rows == entries && written == roll_ups, "the file says something else");
}

fn added_up(entries: &[Entry], roll_ups: &[RollUp], as_of: i64, tally: &mut Tally) {
    for one in roll_ups.iter().filter(|one| one.by == By::VirtualAccount) {
        let same = |row: &&Row| {
            row.virtual_account == one.name
                && row.smart_account == one.smart_account
                && (one.entitlement_tag.is_none() || row.entitlement_tag == one.entitlement_tag)
        };
        let rows = || entries.iter().map(|entry| &entry.row).filter(same);
        let sum: u64 = rows().filter_map(|row| row.quantity).sum();
        let peaks = || rows().filter_map(|row| row.quantity_peak);
        let peak = one.quantity_peak.unwrap_or(0);
        if one.quantity.unwrap_or(0) != sum || peak > peaks().sum() || peak < peaks().max().unwrap_or(0) || peak < sum {
            tally.wrong(format!("as of {as_of} the roll-up is not the sum of its rows: {one:?}"));
        }
    }
}

fn judge(world: &World, entry: &Entry, (from, to): (i64, i64), tally: &mut Tally) {
    let row = &entry.row;
    let Some(name) = &row.device else { return tally.wrong(format!("nobody's row: {row:?}")) };
    let about = || format!("{name} {:?} as of {to} since {from}", row.entitlement_tag);
    if row.software_version.is_none() {
        // Its first chassis went its own way, and what is left was not polled since: nothing is known of it then.
        tally.without_state += 1;
    } else if row.virtual_account.as_deref() != world.account_at(&name.0, to) {
        tally.wrong(format!("{}: account {:?}", about(), row.virtual_account));
    }
    let truth = match &row.entitlement_tag {
        Some(tag) => world.truth(&name.0, &tag.0),
        None => Vec::new(),
    };
    // What the row claims is measured, second by second.
    let claimed = entry.detail.runs.iter().filter(|run| run.report_id.is_some());
    let claimed = claimed.map(|run| Stretch::new(run.start.as_second(), run.end.as_second(), run.quantity));
    let claimed = history::joined(claimed.collect());
    let total = claimed.iter().map(|one| one.value as f64 * (one.end - one.start) as f64).sum::<f64>();
    let lasted: i64 = claimed.iter().map(|one| one.end - one.start).sum();
    let same = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-5,
        (a, b) => a == b,
    };
    if !same(row.quantity_average, (lasted > 0).then(|| total / lasted as f64)) {
        tally.wrong(format!("{}: average {:?} of {claimed:?}", about(), row.quantity_average));
    }
    if lasted > 0 && row.quantity_peak != claimed.iter().map(|one| one.value).max() {
        tally.wrong(format!("{}: peak {:?} of {claimed:?}", about(), row.quantity_peak));
    }
    if row.quantity > row.quantity_peak {
        tally.wrong(format!("{}: quantity {:?} over peak {:?}", about(), row.quantity, row.quantity_peak));
    }
    let moved = world.most_wrong(&name.0);
    match row.clock_uncertainty_seconds.map(|seconds| seconds as i64) {
        Some(uncertain) => {
            tally.uncertain += 1;
            if uncertain > moved {
                tally.wrong(format!("{}: uncertain by {uncertain}, wrong by {moved} at most", about()));
            }
            let near = history::widened(&truth, uncertain);
            for one in claimed.iter().filter(|one| !history::covers(&near, one)) {
                tally.wrong(format!("{}: {one:?} within {uncertain} of {truth:?}", about()));
            }
            let at = row.quantity.map(|value| Stretch::new(to, to + 1, value));
            if at.is_some_and(|at| !history::covers(&near, &at)) {
                tally.wrong(format!("{}: {:?} within {uncertain} of {truth:?}", about(), row.quantity));
            }
        }
        None => {
            tally.certain_of_moved_clocks += usize::from(moved > 0 && !claimed.is_empty());
            let expected = history::within(&truth, from, to);
            if claimed != expected {
                tally.wrong(format!("{}: {claimed:?}, expected {expected:?}", about()));
            }
            let at = truth.iter().find(|one| one.start <= to && to < one.end).map(|one| one.value);
            if row.quantity != at {
                tally.wrong(format!("{}: {:?}, expected {at:?}", about(), row.quantity));
            }
        }
    }
    if (row.measured_state == MeasuredState::Measured) != row.quantity.is_some() {
        tally.wrong(format!("{}: {:?} is {}", about(), row.quantity, row.measured_state));
    }
    if let Some(seen) = row.quantity_observed {
        tally.observed += 1;
        let tag = row.entitlement_tag.as_ref().map_or("", |tag| &tag.0);
        if world.polled(&name.0, tag, to) != Some(seen) {
            tally.wrong(format!("{}: observed {seen}", about()));
        }
    }
    let chassis: BTreeSet<_> = entry.detail.reports.iter().map(|report| &report.udi).collect();
    tally.of_many_chassis += usize::from(chassis.len() > 1);
    tally.measured += usize::from(row.quantity.is_some());
    tally.not_measured += usize::from(row.quantity.is_none());
    tally.whole_windows += usize::from(row.coverage == 1.0);
    tally.with_gaps += usize::from(claimed.len() > 1 && row.coverage < 1.0);
}
