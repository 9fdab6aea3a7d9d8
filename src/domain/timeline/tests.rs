//! The rules of the timeline, one by one.

use super::*;
use crate::domain::report::made;

const HOUR: i64 = 3600;

fn at(seconds: Seconds) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}

fn measurement(start: Seconds, end: Seconds, value: u64) -> Measurement {
    made::measurement(at(start), at(end), value)
}

fn report(id: u64, measurements: Vec<Measurement>) -> ReportFacts {
    made::report(Udi::new("C9300-24T", "FOC1"), id, Some("regid.a"), measurements)
}

/// Start, end and value.
type Told = (Seconds, Seconds, u64);

fn timeline(reports: &[(u64, &[Told])]) -> Timeline {
    let mut timeline = Timeline::default();
    for (id, measured) in reports {
        let measured = measured.iter().map(|(start, end, value)| measurement(*start, *end, *value)).collect();
        timeline.take(&report(*id, measured), Sha256::ZERO, Seconds::MIN);
    }
    timeline
}

/// Start, end and value of each run.
fn told(runs: &[Run]) -> Vec<Told> {
    runs.iter().map(|run| (run.start, run.end, run.value)).collect()
}

#[test]
fn a_report_counts_once_and_gaps_stay() {
    let twice = timeline(&[(1, &[(0, 10, 2), (10, 20, 2)]), (2, &[(30, 40, 5)]), (1, &[(0, 10, 2)])]);
    assert_eq!(told(&measured(&[&twice])), [(0, 20, 2), (30, 40, 5)]);
    assert_eq!(twice.sources().len(), 2);
    let history = History::of(&measured(&[&twice]), &[]);
    assert_eq!(history.measured_at(20).map(|run| run.value), Some(2));
    assert_eq!(history.measured_at(25), None);
    assert_eq!(history.peak(0, 40), Some(Peak { value: 5, at: 30 }));
    assert_eq!(history.average(0, 40), Some(3.0));
    assert_eq!(history.share(0, 40), Share { measured: 0.75, observed: 0.0 });
    assert_eq!(history.average(21, 29), None);
}

#[test]
fn of_reports_that_overlap_the_one_with_the_higher_number_counts() {
    // The first was ended by a clock that was years ahead.
    let wild = timeline(&[(1, &[(0, 1000, 9)]), (2, &[(50, 60, 1)]), (3, &[(60, 70, 2)])]);
    assert_eq!(told(&measured(&[&wild])), [(0, 50, 9), (50, 60, 1), (60, 70, 2), (70, 1000, 9)]);
}

#[test]
fn chassis_of_one_instance_are_never_added_up() {
    let (first, second) = (timeline(&[(9, &[(0, 100, 2)])]), timeline(&[(5, &[(90, 200, 3)])]));
    let runs = measured(&[&first, &second]);
    assert_eq!(told(&runs), [(0, 90, 2), (90, 200, 3)]);
    assert_eq!(told(&measured(&[&second, &first])), told(&runs));
    assert_eq!(runs[1].origin, Origin::Report { chassis: 1, report: ReportId(5) });
}

#[test]
fn a_clock_that_was_moved_is_told_and_moves_nothing_that_lasts() {
    let mut moved = measurement(HOUR, 2 * HOUR, 3);
    moved.clock_change_seconds = Some(-1800);
    moved.termination_reason = Some("ProductReload".to_owned());
    let mut far = measurement(10 * HOUR, 3 * HOUR, 4);
    far.clock_change_seconds = Some(-8 * HOUR);
    let mut timeline = Timeline::default();
    timeline.take(&report(1, vec![measurement(0, HOUR, 2), moved, far]), Sha256::ZERO, Seconds::MIN);
    assert_eq!(told(&measured(&[&timeline])), [(0, HOUR, 2), (HOUR, 2 * HOUR, 3), (2 * HOUR, 3 * HOUR, 4)]);
    let told: Vec<&What> = timeline.changes().iter().map(|change| &change.what).collect();
    assert_eq!(told, [&What::ClockMoved(-1800), &What::Reloaded, &What::ClockMoved(-8 * HOUR)]);
}

#[test]
fn time_that_a_clock_jumped_over_is_not_measured() {
    let mut ahead = measurement(HOUR, 50 * HOUR, 3);
    ahead.clock_change_seconds = Some(40 * HOUR);
    let mut timeline = Timeline::default();
    timeline.take(&report(1, vec![measurement(0, HOUR, 2), ahead]), Sha256::ZERO, Seconds::MIN);
    assert_eq!(told(&measured(&[&timeline])), [(0, HOUR, 2), (41 * HOUR, 50 * HOUR, 3)]);
}

#[test]
fn how_far_times_may_be_off_is_told_where_it_bears_and_nowhere_else() {
    let moved = |start, end, by| Measurement { clock_change_seconds: Some(by), ..measurement(start, end, 1) };
    let mut timeline = Timeline::default();
    // An hour ahead for a day, then right again; much later five minutes that nothing takes back.
    let there_and_back = vec![moved(10 * HOUR, 20 * HOUR, HOUR), moved(40 * HOUR, 50 * HOUR, -HOUR)];
    timeline.take(&report(1, there_and_back), Sha256::ZERO, Seconds::MIN);
    let off = |timeline: &Timeline, skews: &[Skew], from, to| {
        uncertainty(&[timeline], skews, 24 * HOUR, from * HOUR, to * HOUR)
    };
    let hour = HOUR as u64;
    assert_eq!(
        [(0, 9), (0, 11), (21, 30), (39, 60), (51, 60)].map(|(from, to)| off(&timeline, &[], from, to)),
        [0, hour, hour, hour, 0]
    );
    timeline.take(&report(2, vec![moved(100 * HOUR, 110 * HOUR, -300)]), Sha256::ZERO, Seconds::MIN);
    assert_eq!([(0, 9), (60, 70), (111, 120)].map(|(from, to)| off(&timeline, &[], from, to)), [300, 300, 0]);
    timeline.take(&report(3, vec![moved(200 * HOUR, 210 * HOUR, 59)]), Sha256::ZERO, Seconds::MIN);
    assert_eq!(off(&timeline, &[], 150, 160), 0, "less than a minute is nothing");

    let none = Timeline::default();
    let seen = [(0, 0), (100, 7200), (200, 0)].map(|(at, ahead)| Skew { at: at * HOUR, ahead });
    assert_eq!(
        [(0, 70), (70, 90), (150, 160), (201, 203), (203, 300)].map(|(from, to)| off(&none, &seen, from, to)),
        [0, 7200, 7200, 7200, 0]
    );
}

#[test]
fn what_polls_saw_fills_the_gaps_and_nothing_else() {
    let measured = measured(&[&timeline(&[(1, &[(10, 20, 2)]), (2, &[(30, 40, 3)])])]);
    let seen = |start, end, value| Observed { start, end, value };
    let history = History::of(&measured, &[seen(0, 15, 7), seen(15, 35, 8), seen(50, 60, 9)]);
    let runs: Vec<_> = history.runs().iter().map(|run| (run.start, run.end, run.value, run.is_measured())).collect();
    assert_eq!(runs, [(0, 10, 7, false), (10, 20, 2, true), (20, 30, 8, false), (30, 40, 3, true), (50, 60, 9, false)]);
    assert_eq!(history.peak(0, 60).map(|peak| peak.value), Some(3));
    assert_eq!(history.measured_at(25), None);
    assert_eq!(history.at(25).map(|run| run.value), Some(8));
    assert_eq!(history.measured_at(20).map(|run| run.value), Some(2));
    assert_eq!(history.share(0, 60), Share { measured: 20.0 / 60.0, observed: 30.0 / 60.0 });
}

#[test]
fn of_what_is_long_past_only_the_latest_is_held() {
    let mut timeline = Timeline::default();
    for id in 0..100u64 {
        let start = id as Seconds * 10;
        timeline.take(&report(id, vec![measurement(start, start + 10, id)]), Sha256::ZERO, 905);
    }
    assert_eq!(told(&measured(&[&timeline]))[..2], [(890, 900, 89), (900, 910, 90)]);
    assert_eq!((timeline.sources().len(), timeline.first()), (11, Some(0)));
}

#[test]
fn numbers_and_times_at_their_ends_overflow_nothing() {
    let (least, most) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let all = timeline(&[(u64::MAX, &[(least, most, u64::MAX)])]);
    let history = History::of(&measured(&[&all]), &[]);
    assert_eq!(history.average(least, most), Some(u64::MAX as f64));
    assert!(history.share(least, most).measured > 0.99);
}
