//! Maintenance windows: when a device may be written to without a person's word.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY: u16 = 24 * 60;
/// A weekly window that a change of the clocks swallows is there a week later.
const AHEAD: i32 = 15;

/// What to write for a window.
const EXPECTED: &str = r#"write days, times and, if it is not the device's own, a zone, such as "Sat 01:00-05:00 UTC" or "daily 22:00-04:00""#;

/// One time that comes back every week, on one day or on several. One that ends before it begins ends on the next day.
///
/// Where the clocks are put forward an hour that does not exist is not in it; where they are put back the hour that
/// comes twice is in it twice, unless the window ends in it: then it ends the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// On which days it begins; Monday first.
    days: [bool; 7],
    /// Minutes of the day.
    from: u16,
    /// At most 24:00.
    until: u16,
    /// The name of the time zone in which it is meant; unless given, the device's.
    zone: Option<String>,
    text: String,
}

impl FromStr for Window {
    type Err = &'static str;

    /// `DAYS HH:MM-HH:MM [ZONE]`, where days are `daily`, `Sat` or `Mon-Fri`; the zone's name is not looked up.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace();
        let (Some(days), Some(times), zone, None) = (words.next(), words.next(), words.next(), words.next()) else {
            return Err(EXPECTED);
        };
        let days = self::days(days).ok_or(EXPECTED)?;
        let (from, until) = times.split_once('-').ok_or(EXPECTED)?;
        let (from, until) = (minutes(from).ok_or(EXPECTED)?, minutes(until).ok_or(EXPECTED)?);
        if from == DAY {
            return Err(EXPECTED);
        }
        if from == until {
            return Err("it ends when it begins; write 00:00-24:00 for a whole day");
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Window { days, from, until, zone: zone.map(str::to_owned), text })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Window {
    /// The zone that it names.
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// The instants between which it is open, if it begins on that day and is not swallowed by a change of the clocks.
    fn on(&self, date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        if !self.days[usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())] {
            return None;
        }
        let next = date.tomorrow().ok()?;
        let opens = instant(date, self.from, zone)?;
        let closes = match self.until {
            DAY => instant(next, 0, zone)?,
            until if until < self.from => instant(next, until, zone)?,
            until => instant(date, until, zone)?,
        };
        (opens < closes).then_some((opens, closes))
    }
}

/// The windows of one device. None: it is always open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows(Arc<[(Window, TimeZone)]>);

impl Windows {
    /// Each window with the zone in which it is meant.
    pub fn new(windows: impl IntoIterator<Item = (Window, TimeZone)>) -> Self {
        Windows(windows.into_iter().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, at: Timestamp) -> bool {
        self.next_opening(at) == Some(at)
    }

    /// The first instant from `at` on at which one is open: `at` itself where one is. `None` where none comes within
    /// two weeks, which only the end of the calendar can do.
    pub fn next_opening(&self, at: Timestamp) -> Option<Timestamp> {
        if self.is_empty() {
            return Some(at);
        }
        let of = |(window, zone): &(Window, TimeZone)| {
            let today = zone.to_datetime(at).date();
            // It may have begun yesterday.
            let dates = (-1..=AHEAD).filter_map(|days| today.checked_add(Span::new().days(days)).ok());
            let mut open = dates.filter_map(|date| window.on(date, zone)).filter(|(_, closes)| at < *closes);
            open.next().map(|(opens, _)| opens.max(at))
        };
        self.0.iter().filter_map(of).min()
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (window, zone)) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "; " })?;
            window.fmt(f)?;
            if let (None, Some(name)) = (window.zone(), zone.iana_name()) {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

fn instant(date: Date, minutes: u16, zone: &TimeZone) -> Option<Timestamp> {
    let part = |part: u16| i8::try_from(part).ok();
    let time = Time::new(part(minutes / 60)?, part(minutes % 60)?, 0, 0).ok()?;
    zone.to_timestamp(date.to_datetime(time)).ok()
}

fn days(text: &str) -> Option<[bool; 7]> {
    if text.eq_ignore_ascii_case("daily") {
        return Some([true; 7]);
    }
    let day = |text: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(text));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    let mut days = [false; 7];
    // `Fri-Mon` goes over the end of the week.
    let many = (last + 7 - first) % 7;
    (first..=first + many).for_each(|day| days[day % 7] = true);
    Some(days)
}

/// `HH:MM`, `24:00` included.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    let (hours, minutes) = (number(hours)?, number(minutes).filter(|minutes| *minutes < 60)?);
    Some(hours * 60 + minutes).filter(|minutes| *minutes <= DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn windows(texts: &[&str], zone: &str) -> Windows {
        let zone = TimeZone::get(zone).unwrap();
        Windows::new(texts.iter().map(|text| (text.parse().unwrap(), zone.clone())))
    }

    #[test]
    fn windows_read_and_print_and_slips_are_refused() {
        for text in ["Sat 01:00-05:00 UTC", "daily 22:00-04:00", "Fri-Mon 00:00-24:00 Europe/Berlin"] {
            assert_eq!(text.parse::<Window>().unwrap().to_string(), text);
        }
        assert_eq!(" sat  01:00-05:00 ".parse::<Window>().unwrap().to_string(), "sat 01:00-05:00");
        for text in [
            "",
            "Sat",
            "01:00-05:00",
            "Sat 1:00-5:00",
            "Sat 01:00",
            "Sat 01:00 - 05:00",
            "Saturday 01:00-05:00",
            "Sat,Sun 01:00-05:00",
            "Sat 01:60-05:00",
            "Sat 24:00-05:00",
            "Sat 01:00-24:01",
            "Sat 01:00-05:00 UTC please",
            "Sat +1:00-05:00",
        ] {
            assert_eq!(text.parse::<Window>(), Err(EXPECTED), "{text}");
        }
        assert!("daily 04:00-04:00".parse::<Window>().unwrap_err().contains("00:00-24:00"));
    }

    #[test]
    fn without_windows_it_is_always_open() {
        let now = at("2026-11-21T12:00:00Z");
        assert!(Windows::default().contains(now));
        assert_eq!(Windows::default().next_opening(now), Some(now));
    }

    #[test]
    fn a_window_is_open_from_its_first_instant_to_before_its_last() {
        // 2026-11-21 is a Saturday.
        let sat = windows(&["Sat 01:00-05:00"], "UTC");
        assert!(!sat.contains(at("2026-11-21T00:59:59Z")));
        assert!(sat.contains(at("2026-11-21T01:00:00Z")) && sat.contains(at("2026-11-21T04:59:59Z")));
        assert!(!sat.contains(at("2026-11-21T05:00:00Z")) && !sat.contains(at("2026-11-22T02:00:00Z")));
        assert_eq!(sat.next_opening(at("2026-11-21T05:00:00Z")), Some(at("2026-11-28T01:00:00Z")));
        let inside = at("2026-11-21T03:00:00Z");
        assert_eq!(sat.next_opening(inside), Some(inside));
    }

    #[test]
    fn one_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let sat = windows(&["Sat 22:00-04:00"], "UTC");
        assert!(sat.contains(at("2026-11-21T23:00:00Z")) && sat.contains(at("2026-11-22T03:59:00Z")));
        assert!(!sat.contains(at("2026-11-21T03:00:00Z")) && !sat.contains(at("2026-11-22T04:00:00Z")));
        assert_eq!(sat.next_opening(at("2026-11-22T04:00:00Z")), Some(at("2026-11-28T22:00:00Z")));
        let daily = windows(&["daily 22:00-04:00"], "UTC");
        assert!(daily.contains(at("2026-11-18T01:00:00Z")) && !daily.contains(at("2026-11-18T04:00:00Z")));
    }

    #[test]
    fn the_earliest_of_several_counts_and_weeks_wrap() {
        let two = windows(&["Sun 01:00-02:00", "Wed 01:00-02:00"], "UTC");
        assert_eq!(two.next_opening(at("2026-11-21T12:00:00Z")), Some(at("2026-11-22T01:00:00Z")));
        assert_eq!(two.next_opening(at("2026-11-22T02:00:00Z")), Some(at("2026-11-25T01:00:00Z")));
        let weekend = windows(&["Fri-Mon 00:00-24:00"], "UTC");
        assert!(weekend.contains(at("2026-11-23T23:59:59Z")) && !weekend.contains(at("2026-11-24T00:00:00Z")));
    }

    #[test]
    fn the_zone_decides_and_summer_time_moves_the_instant() {
        let berlin = windows(&["daily 22:00-23:00"], "Europe/Berlin");
        assert_eq!(berlin.next_opening(at("2026-07-01T12:00:00Z")), Some(at("2026-07-01T20:00:00Z")));
        assert_eq!(berlin.next_opening(at("2026-12-01T12:00:00Z")), Some(at("2026-12-01T21:00:00Z")));
        // West of Greenwich it is still the day before.
        let la = windows(&["Sat 20:00-22:00"], "America/Los_Angeles");
        assert!(la.contains(at("2026-11-22T05:00:00Z")));
    }

    #[test]
    fn an_hour_that_does_not_exist_is_not_there_and_one_that_comes_twice_is() {
        // On 2026-03-29 Berlin goes from 02:00 to 03:00 at 01:00 UTC; on 2026-10-25 back at 01:00 UTC.
        let gone = windows(&["Sun 02:00-03:00"], "Europe/Berlin");
        assert!(!gone.contains(at("2026-03-29T01:00:00Z")) && !gone.contains(at("2026-03-29T00:59:59Z")));
        assert_eq!(gone.next_opening(at("2026-03-28T12:00:00Z")), Some(at("2026-04-05T00:00:00Z")));
        let (first, second) = (at("2026-10-25T00:30:00Z"), at("2026-10-25T01:30:00Z"));
        assert!(gone.contains(first) && gone.contains(second));
        let night = windows(&["Sat 22:00-04:00"], "Europe/Berlin");
        assert!(night.contains(at("2026-03-29T01:30:00Z")) && !night.contains(at("2026-03-29T02:00:00Z")));
    }
}
