//! Schedules: the next instants, the missed ones, and each device's turn.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap_or_else(|reason| panic!("{text}: {reason}"))
}

fn next(text: &str, after: &str) -> String {
    schedule(text).next(at(after)).to_string()
}

#[test]
fn five_fields_mean_what_a_crontab_means() {
    // 2026-11-21 is a Saturday.
    let now = "2026-11-21T12:00:00Z";
    assert_eq!(next("0 3 * * *", now), "2026-11-22T03:00:00Z");
    assert_eq!(next("*/15 * * * *", now), "2026-11-21T12:15:00Z");
    assert_eq!(next("5/20 * * * *", now), "2026-11-21T12:05:00Z");
    assert_eq!(next("0 0 1 * *", now), "2026-12-01T00:00:00Z");
    assert_eq!(next("0 0 31 * *", "2026-01-31T00:00:00Z"), "2026-03-31T00:00:00Z");
    assert_eq!(next("0 0 29 2 *", now), "2028-02-29T00:00:00Z");
    assert_eq!(next("0 8-10/2 * jan,3 *", now), "2027-01-01T08:00:00Z");
    assert_eq!(next("0 12 * * *", now), "2026-11-22T12:00:00Z", "strictly after");
    assert_eq!(next("0 12 * * *", "2026-11-21T11:59:59.999Z"), now);
}

#[test]
fn days_of_the_week_are_counted_as_in_cron() {
    let day = |text: &str| {
        let next = schedule(text).next(at("2026-11-21T12:00:00Z"));
        next.to_zoned(TimeZone::UTC).weekday()
    };
    for (number, weekday) in [
        ("0", Weekday::Sunday),
        ("1", Weekday::Monday),
        ("2", Weekday::Tuesday),
        ("3", Weekday::Wednesday),
        ("4", Weekday::Thursday),
        ("5", Weekday::Friday),
        ("6", Weekday::Saturday),
        ("7", Weekday::Sunday),
        ("Mon", Weekday::Monday),
        ("sat", Weekday::Saturday),
    ] {
        assert_eq!(day(&format!("0 3 * * {number}")), weekday, "{number}");
    }
    let days = |text: &str| -> Vec<String> {
        let schedule = schedule(text);
        let mut run = at("2026-11-21T12:00:00Z");
        let mut days = Vec::new();
        for _ in 0..5 {
            run = schedule.next(run);
            days.push(run.to_string()[..10].to_owned());
        }
        days
    };
    assert_eq!(days("0 3 * * 5-7"), ["2026-11-22", "2026-11-27", "2026-11-28", "2026-11-29", "2026-12-04"]);
    assert_eq!(days("0 3 * * 1-5"), ["2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27"]);
    assert_eq!(days("0 3 * * 0,mon"), ["2026-11-22", "2026-11-23", "2026-11-29", "2026-11-30", "2026-12-06"]);
    assert_eq!(days("0 3 * * */2"), ["2026-11-22", "2026-11-24", "2026-11-26", "2026-11-28", "2026-11-29"]);
    assert_eq!(days("0 3 * * 0-6"), days("0 3 * * *"));
}

#[test]
fn what_cron_and_quartz_read_differently_is_refused_with_a_reason() {
    let reason = |text: &str| text.parse::<Schedule>().unwrap_err();
    assert_eq!(reason(""), NotASchedule::FieldCount { got: 0 });
    assert_eq!(reason("0 0 3 * * *"), NotASchedule::FieldCount { got: 6 });
    assert_eq!(reason("@daily"), NotASchedule::FieldCount { got: 1 });
    let both = reason("0 3 15 * Mon").to_string();
    assert!(both.contains("day of month (15)") && both.contains("day of week (Mon)"), "{both}");
    assert_eq!(reason("0 0 30 2 *"), NotASchedule::Never);
    for (text, field) in [
        ("60 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("5- * * * *", "minute"),
        (", * * * *", "minute"),
        ("? * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* 20-4 * * *", "hour"),
        ("* * 0 * *", "day of month"),
        ("* * L * *", "day of month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day of week"),
        ("* * * * 1#1", "day of week"),
        ("* * * * monday", "day of week"),
    ] {
        match reason(text) {
            NotASchedule::Field { field: told, .. } => assert_eq!(told, field, "{text}"),
            other => panic!("{text}: {other}"),
        }
    }
}

/// The crate's search forth and back against looking at every minute.
#[test]
fn next_and_latest_agree_with_a_search_minute_by_minute() {
    for text in [
        "0 3 * * *",
        "*/25 * * * *",
        "59 23 31 * *",
        "0 0 1 1 *",
        "30 2 29 2 *",
        "15,45 9-17 * * 1-5",
        "0 0 28-31 2,4 *",
    ] {
        let schedule = schedule(text);
        let fields = naive(text);
        // Around the ends of a leap year's February, of April, and of the year.
        for start in ["2028-02-27T00:00:00Z", "2027-02-27T21:00:00Z", "2026-04-29T00:00:00Z", "2026-12-30T00:00:00Z"] {
            let start = at(start).as_second();
            let runs: Vec<i64> =
                (0..4 * 1440).map(|minute| start + minute * 60).filter(|run| due(&fields, *run)).collect();
            for probe in (start..start + 4 * 86_400).step_by(611) {
                let now = Timestamp::from_second(probe).unwrap();
                if let Some(next) = runs.iter().find(|run| **run > probe) {
                    assert_eq!(schedule.next(now).as_second(), *next, "{text} after {now}");
                }
                if let Some(latest) = runs.iter().rev().find(|run| **run <= probe) {
                    assert_eq!(schedule.latest(now).unwrap().as_second(), *latest, "{text} at {now}");
                }
            }
        }
    }
}

/// The numbers of each field, found without the code under test.
fn naive(text: &str) -> Vec<Vec<i64>> {
    let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
    let fields = text.split(' ').zip(bounds);
    let numbers = |(field, (least, most)): (&str, (i64, i64))| {
        let one = |part: &str| -> Vec<i64> {
            let (range, step) = part.split_once('/').map_or((part, 1), |(range, step)| (range, step.parse().unwrap()));
            let (from, to) = match range.split_once('-') {
                Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
                None if range == "*" => (least, most),
                None => (range.parse().unwrap(), range.parse().unwrap()),
            };
            (from..=to).filter(|number| (number - from) % step == 0).collect()
        };
        field.split(',').flat_map(one).collect()
    };
    fields.map(numbers).collect()
}

fn due(fields: &[Vec<i64>], second: i64) -> bool {
    let at = Timestamp::from_second(second).unwrap().to_zoned(TimeZone::UTC);
    let now = [
        at.minute().into(),
        at.hour().into(),
        at.day().into(),
        at.month().into(),
        i64::from(at.weekday().to_sunday_zero_offset()),
    ];
    fields.iter().zip(now).all(|(field, now)| field.contains(&now))
}

#[test]
fn many_missed_runs_are_caught_up_with_once() {
    let daily = schedule("0 3 * * *");
    let now = at("2026-11-21T12:00:00Z");
    let due = at("2026-11-21T03:00:00Z");
    assert_eq!(daily.missed(Some(at("2026-11-01T03:00:00Z")), now), Some(due));
    assert_eq!(daily.missed(Some(due), now), None);
    assert_eq!(daily.missed(Some(now), now), None);
    assert_eq!(daily.missed(Some(at("2027-01-01T00:00:00Z")), now), None, "a clock that was ahead");
    assert_eq!(daily.missed(None, now), Some(due), "never ran");
    assert_eq!(daily.missed(Some(at("2026-11-20T03:00:00Z")), due), Some(due), "due this very second");
    assert_eq!(daily.missed(Some(at("2026-11-20T03:00:00Z")), at("2026-11-21T02:59:59.9Z")), None);
}

#[test]
fn next_three_are_in_order() {
    let runs = schedule("0 3 * * 1").next_three(at("2026-11-21T12:00:00Z"));
    let text = runs.map(|run| run.to_string());
    assert_eq!(text, ["2026-11-23T03:00:00Z", "2026-11-30T03:00:00Z", "2026-12-07T03:00:00Z"]);
    assert_eq!(schedule("0 3 * * *").next(at("2101-01-01T00:00:00Z")), Timestamp::MAX);
}

#[test]
fn gaps_see_nights_weekends_and_months() {
    let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
    assert_eq!(schedule("0 3 * * *").longest(3), 3 * day);
    assert_eq!(schedule("0 */6 * * *").longest(3), 18 * hour);
    // Thursday, Friday, then Monday and Tuesday: from Thursday it is five days to the third after.
    assert_eq!(schedule("0 3 * * 1-5").longest(3), 5 * day);
    assert_eq!(schedule("0 3 1 * *").longest(1), 31 * day);
    assert_eq!(schedule("0 3 1 1 *").longest(1), 366 * day);
    assert_eq!(schedule("0 9,17 * * *").shortest(), 8 * hour);
    assert_eq!(schedule("* 9-17 * * 1-5").longest(1), 64 * hour - Duration::from_secs(59 * 60));
}

#[test]
fn a_device_keeps_its_turn_and_the_fleet_fills_the_window() {
    let window = Duration::from_secs(1_800);
    // Pinned: after an update every device still has the turn that its operator knows.
    assert_eq!(offset("edge-01", window), Duration::from_millis(1_221_203));
    assert_eq!(offset("edge-01", Duration::ZERO), Duration::ZERO);
    let mut minutes = [0u32; 30];
    for number in 0..3_000 {
        let offset = offset(&format!("edge-{number:04}"), window);
        assert!(offset < window);
        minutes[offset.as_secs() as usize / 60] += 1;
    }
    assert!(minutes.iter().all(|count| (50..=150).contains(count)), "{minutes:?}");
}

#[test]
fn schedules_are_equal_by_meaning_and_print_as_written() {
    assert_eq!(schedule("0  3 * * 0-6"), schedule("0 3 * * *"));
    assert_ne!(schedule("0 3 * * *"), schedule("0 4 * * *"));
    assert_eq!(schedule(" 0  3 * * Mon").to_string(), "0 3 * * Mon");
}
