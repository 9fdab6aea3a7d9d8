//! When something runs: five cron fields, in UTC.
//!
//! The `cron` crate speaks Quartz, not cron: six fields, Sunday is 1, day of month *and* day of
//! week. A [`Schedule`] takes what a crontab takes where both agree in meaning, translates what
//! it can, and refuses the rest with a reason. Everything is evaluated in UTC, where no hour is
//! missing and none comes twice. `chrono` is named in this file only.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use cron::TimeUnitSpec;
use jiff::Timestamp;

use crate::domain::digest::Sha256;

/// A cron expression of five fields that comes due at least once.
#[derive(Clone)]
pub struct Schedule {
    /// As the operator wrote it, fields one space apart.
    text: String,
    quartz: cron::Schedule,
}

impl Schedule {
    /// The first instant strictly after `after`; [`Timestamp::MAX`] when none is left (the crate's calendar ends in 2100).
    pub fn next(&self, after: Timestamp) -> Timestamp {
        self.runs_after(after).next().unwrap_or(Timestamp::MAX)
    }

    /// The next three instants after `now`.
    pub fn next_three(&self, now: Timestamp) -> [Timestamp; 3] {
        let first = self.next(now);
        let second = self.next(first);
        [first, second, self.next(second)]
    }

    /// The latest instant that came due after `last_run` and not after `now`: one run to catch up with,
    /// however many were missed.
    ///
    /// `last_run = None` means that it never ran: then the latest instant before `now` is owed.
    pub fn missed(&self, last_run: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let latest = self.latest(now)?;
        match last_run {
            Some(last_run) if latest <= last_run => None,
            Some(_) | None => Some(latest),
        }
    }

    /// The longest time from one run to the `count`th after it: how long silence may last by schedule.
    pub fn longest(&self, count: usize) -> Duration {
        self.gaps(count).into_iter().max().unwrap_or_default()
    }

    /// The shortest time between two runs.
    pub fn shortest(&self) -> Duration {
        self.gaps(1).into_iter().min().unwrap_or_default()
    }

    /// The latest instant not after `now`.
    fn latest(&self, now: Timestamp) -> Option<Timestamp> {
        // The crate's way back leaves out its start, so it starts one second later.
        let start = chrono_of(now)? + chrono::TimeDelta::seconds(1);
        self.quartz.after(&start).next_back().and_then(jiff_of)
    }

    fn runs_after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        chrono_of(after).into_iter().flat_map(|after| self.quartz.after_owned(after)).map_while(jiff_of)
    }

    /// The times between runs `count` apart, over 32 days and at least 24 runs of a calendar without a clock.
    fn gaps(&self, count: usize) -> Vec<Duration> {
        const DAY: i64 = 86_400;
        let start: i64 = 1_704_067_200; // 2024-01-01, a Monday of a leap year
        let end = start + 32 * DAY;
        // Every day that has runs has the same ones: asking the crate for each would take its time every minute.
        let hours = || self.quartz.hours().iter().map(i64::from);
        let minutes = || self.quartz.minutes().iter().map(i64::from);
        let of_day: Vec<i64> =
            hours().flat_map(|hour| minutes().map(move |minute| (hour * 60 + minute) * 60)).collect();
        let (mut runs, mut after) = (Vec::new(), start);
        while let Some(run) = Timestamp::from_second(after).ok().and_then(|after| self.runs_after(after).next())
            && (run.as_second() <= end || runs.len() < 24 + count)
        {
            let midnight = run.as_second() - run.as_second().rem_euclid(DAY);
            runs.extend(of_day.iter().map(|time| midnight + time));
            after = midnight + DAY - 1;
        }
        runs.windows(count + 1).map(|window| Duration::from_secs(window[count].abs_diff(window[0]))).collect()
    }
}

/// When within `window` a device has its turn: spread by its name, the same at every run and after every restart.
pub fn offset(device: &str, window: Duration) -> Duration {
    let digest = Sha256::of(device.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.0[..8]);
    let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(u64::from_be_bytes(first).checked_rem(window).unwrap_or(0))
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({:?})", self.text)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.quartz.timeunitspec_eq(&other.quartz)
    }
}

impl Eq for Schedule {}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASchedule {
    #[error("has not five fields (minute, hour, day of month, month, day of week) but {got}")]
    FieldCount { got: usize },
    #[error(
        "sets both the day of month ({day_of_month}) and the day of week ({day_of_week}), \
         which cron reads as \"either\" and others as \"both\""
    )]
    BothDays { day_of_month: String, day_of_week: String },
    #[error("has {got:?} for {field}, which is not cron")]
    Field { field: &'static str, got: String },
    #[error("never comes due")]
    Never,
}

/// The five fields in their order, each with its name and the numbers it may hold.
const FIELDS: [(&str, u32, u32); 4] = [("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12)];
const DAY_OF_WEEK: &str = "day of week";
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

impl FromStr for Schedule {
    type Err = NotASchedule;

    fn from_str(text: &str) -> Result<Self, NotASchedule> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day_of_month, month, day_of_week] = fields[..] else {
            return Err(NotASchedule::FieldCount { got: fields.len() });
        };
        let mut quartz = vec!["0".to_owned()];
        for ((field, least, most), got) in FIELDS.into_iter().zip([minute, hour, day_of_month, month]) {
            let names: &[&str] = if field == "month" { &MONTHS } else { &[] };
            let numbers = numbers(got, least, most, names).ok_or(NotASchedule::Field { field, got: got.to_owned() })?;
            quartz.push(numbers);
        }
        quartz.push(days_of_week(day_of_week)?);
        if quartz[3] != "*" && quartz[5] != "*" {
            let (day_of_month, day_of_week) = (day_of_month.to_owned(), day_of_week.to_owned());
            return Err(NotASchedule::BothDays { day_of_month, day_of_week });
        }
        let text = fields.join(" ");
        let quartz = cron::Schedule::from_str(&quartz.join(" "))
            .map_err(|_| NotASchedule::Field { field: "the whole", got: text.clone() })?;
        let schedule = Schedule { text, quartz };
        let comes = schedule.next(Timestamp::UNIX_EPOCH) != Timestamp::MAX;
        comes.then_some(schedule).ok_or(NotASchedule::Never)
    }
}

/// A field as a list of numbers, which cron and Quartz read alike; `*` for all of them.
///
/// `L`, `W`, `#` and other dialects are not taken; a step of 0 and a range from high to low neither.
fn numbers(field: &str, least: u32, most: u32, names: &[&str]) -> Option<String> {
    let mut all = vec![false; most as usize + 1];
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(digits(step).filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let number = |text: &str| {
            let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
            let number = named.map(|at| at as u32 + least).or_else(|| digits(text))?;
            (least..=most).contains(&number).then_some(number)
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            None if step.is_some() => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return None;
        }
        (from..=to).step_by(step.unwrap_or(1) as usize).for_each(|number| all[number as usize] = true);
    }
    let set = (least..=most).filter(|number| all[*number as usize]);
    let list: Vec<String> = set.map(|number| number.to_string()).collect();
    Some(if list.len() as u32 == most - least + 1 { "*".to_owned() } else { list.join(",") })
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The day of week by names, because in numbers Sunday is 0 or 7 to cron and 1 to Quartz.
fn days_of_week(field: &str) -> Result<String, NotASchedule> {
    let wrong = || NotASchedule::Field { field: DAY_OF_WEEK, got: field.to_owned() };
    let list = numbers(field, 0, 7, &DAYS).ok_or_else(wrong)?;
    let mut days = [false; 7];
    for number in list.split(',') {
        match digits(number) {
            Some(number) => days[number as usize % 7] = true,
            None => days = [true; 7],
        }
    }
    let names: Vec<&str> = DAYS.into_iter().zip(days).filter(|(_, set)| *set).map(|(name, _)| name).collect();
    Ok(if names.len() == 7 { "*".to_owned() } else { names.join(",") })
}

fn chrono_of(at: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.as_second(), 0)
}

fn jiff_of(at: DateTime<Utc>) -> Option<Timestamp> {
    Timestamp::from_second(at.timestamp()).ok()
}

#[cfg(test)]
mod tests;
